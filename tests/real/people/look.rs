//! The pages that people log in at: how they look, and that they are for everybody.

use serde_json::json;

use crate::harness::{Account, Person};

#[test]
fn the_pages_are_for_everybody() {
    let account = Account::new();
    let server = account.serve();
    let origin = server.origin();
    let told = Person::at_securemcp(&account, "pages").play("look.mjs", &[&origin]).json();
    let pages = told["pages"].as_object().expect("an object");
    let titles: Vec<_> =
        pages.iter().map(|(name, page)| (name.as_str(), page["title"].as_str().expect("it"))).collect();
    assert_eq!(
        titles,
        [
            ("refused", "This application is not known here - securemcp"),
            ("login", "Log in - securemcp"),
            ("wrong", "Log in - securemcp"),
            ("consent", "Allow access - securemcp"),
            ("device", "Connect a device - securemcp"),
            ("wrong-code", "Connect a device - securemcp"),
        ]
    );
    for (name, page) in pages {
        let problems = page["problems"].as_object().expect("an object");
        assert_eq!(problems.len(), 4, "both colour schemes, on a desk and on a phone");
        for (view, problems) in problems {
            assert_eq!(problems["found"], json!([]), "{name}, {view}");
            assert_eq!(problems["wide"], false, "{name}, {view}: nothing is wider than the screen");
            assert!(problems["checked"].as_u64() > Some(10), "{name}, {view}: {problems}");
        }
    }
    let requests: Vec<_> = told["requests"].as_array().expect("a list").iter().filter_map(|url| url.as_str()).collect();
    assert!(requests.len() >= 8, "{requests:?}");
    let foreign: Vec<_> = requests.iter().filter(|url| !url.starts_with(&format!("{origin}/"))).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert_eq!(told["violations"], json!([]), "nothing breaks the content security policy");
    let words = told["console"].as_array().expect("a list").iter().filter_map(|line| line.as_str());
    // The browser itself notes each answer that is an error.
    let odd: Vec<_> = words.filter(|line| !line.starts_with("Failed to load resource: the server responded")).collect();
    assert!(odd.is_empty(), "{odd:?}");
}
