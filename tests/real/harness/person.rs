//! A person with a browser, to whom programs open an address when somebody has to log in.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    thread,
};

use serde_json::{Value, json};

use super::{Account, Ended, Foreign, Keycloak, USER_PASSWORD, eventually, figure, foreign::installed, root};

/// A person, and the directory where the programs that they use run.
///
/// The person is what `BROWSER` names: a program has an address opened in Chromium, where the person logs in and allows
/// what is asked. Pictures of it are then in target/test-logs/screens.
#[derive(Debug)]
pub(crate) struct Person {
    desk: Foreign,
    description: Value,
}

impl Person {
    /// The user whom `securemcp serve` made for this account.
    pub(crate) fn at_securemcp(account: &Account, name: &str) -> Self {
        let password = account.home().join("state/securemcp/dev-password");
        let password = fs::read_to_string(password).expect("`serve` writes it at its first start");
        Self::new("securemcp", name, "dev", password.trim_end())
    }

    /// Somebody new in the realm that ships.
    pub(crate) fn at_keycloak(keycloak: &Keycloak, name: &str) -> Self {
        let user = format!("user-of-{name}");
        keycloak.add_person(&user);
        Self::new("keycloak", name, &user, USER_PASSWORD)
    }

    fn new(pages: &str, name: &str, user: &str, password: &str) -> Self {
        let desk = Foreign::new();
        let description = json!({
            "pages": pages,
            "user": user,
            "password": password,
            "pictures": root().join("target/test-logs/screens").join(format!("{pages}-{name}")),
            "browser": browser(),
        });
        let program = desk.home().join("browser");
        let (home, node) = (desk.home().display(), installed("nodejs/node"));
        // A browser does not keep the program waiting that opens it.
        let script = format!(
            "#!/bin/sh\ncd '{home}' || exit\n\
             TEST_PERSON=$(cat person.json) exec '{}' person.mjs \"$1\" </dev/null >>person.log 2>&1 &\n",
            node.display()
        );
        fs::write(&program, script).expect("the home is writable");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
        Self { desk, description }.deciding(Some("allow"))
    }

    /// The same who decides so when asked whether a client may act for them, or who is not asked.
    pub(crate) fn deciding(mut self, decision: Option<&str>) -> Self {
        self.description["decision"] = decision.into();
        fs::write(self.desk.home().join("person.json"), self.description.to_string()).expect("the home is writable");
        self
    }

    /// Where the person's programs run.
    pub(crate) fn desk(&self) -> &Foreign {
        &self.desk
    }

    /// The browser, as `BROWSER` names it.
    pub(crate) fn browser(&self) -> String {
        self.desk.home().join("browser").display().to_string()
    }

    /// Runs a script that may open the browser.
    pub(crate) fn run(&self, script: &str, arguments: &[&str]) -> Ended {
        self.run_with(script, arguments, &[])
    }

    /// The same with these variables.
    pub(crate) fn run_with(&self, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        self.desk.run_with(script, arguments, &[&[("BROWSER", &*self.browser())], variables].concat())
    }

    /// Runs a script in which the person themself does it all.
    pub(crate) fn play(&self, script: &str, arguments: &[&str]) -> Ended {
        self.desk.run_with(script, arguments, &[("TEST_PERSON", &self.description.to_string())])
    }

    /// What happened each time that the browser was opened; waits until it was so often.
    #[track_caller]
    pub(crate) fn visits(&self, count: usize) -> Vec<Value> {
        let visits: Vec<Value> = eventually("visits", || {
            let lines = fs::read_to_string(self.desk.home().join("visits")).unwrap_or_default();
            let is_whole = lines.lines().count() >= count && lines.ends_with('\n');
            is_whole.then(|| lines.lines().map(|line| serde_json::from_str(line).expect("a visit")).collect())
        });
        assert_eq!(visits.len(), count, "{visits:#?}");
        visits
    }

    fn log(&self) -> String {
        fs::read_to_string(self.desk.home().join("person.log")).unwrap_or_default()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if thread::panicking() {
            let visits = fs::read_to_string(self.desk.home().join("visits")).unwrap_or_default();
            figure(&format!("the person's visits: {visits}{}", self.log()));
        }
    }
}

/// Debian's, or another one of the same family.
pub(crate) fn browser() -> PathBuf {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders = ["/usr/bin", "/usr/local/bin"];
    let paths = folders.iter().flat_map(|folder| names.iter().map(move |name| Path::new(folder).join(name)));
    paths.into_iter().find(|path| path.exists()).expect("Chromium is missing: `./tests/run --only real` installs it")
}
