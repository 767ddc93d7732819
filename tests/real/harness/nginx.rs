//! The configuration of nginx that ships, with addresses of the tests.

use std::{fs, path::Path};

use super::root;

/// Fills in the templates of compose/nginx as the image of nginx does: `${NGINX_<name>}` becomes the value.
///
/// Then `nginx -c <to>/nginx.conf` takes them.
pub(crate) fn write_nginx_configuration(to: &Path, values: &[(&str, &str)]) {
    let mut texts = 0;
    for entry in fs::read_dir(root().join("compose/nginx")).expect("it ships") {
        let path = entry.expect("an entry").path();
        let mut text = fs::read_to_string(&path).expect("text");
        for (name, value) in values {
            text = text.replace(&format!("${{NGINX_{name}}}"), value);
        }
        assert!(!text.contains("${"), "{}: {text}", path.display());
        fs::write(to.join(path.file_stem().expect("a name")), text).expect("the directory is writable");
        texts += 1;
    }
    assert_eq!(texts, 8);
}
