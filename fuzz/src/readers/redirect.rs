//! A registered redirect URI, and after a line break the one that a request names.

use securemcp::oauth::RedirectUri;
use url::{Host, Url};

pub(super) fn read(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (registered, asked) = text.split_once('\n').unwrap_or((text, text));
    let Ok(uri) = RedirectUri::parse(registered) else { return };
    assert_eq!(uri.as_str(), registered);
    assert!(uri.allows(registered), "{registered:?} does not allow itself");
    let url = Url::parse(registered).expect("a redirect URI is a URL");
    assert!(url.fragment().is_none() && url.username().is_empty() && url.password().is_none(), "{registered:?}");
    assert!(url.scheme() != "http" || is_this_machine(&url), "{registered:?} crosses a network in the clear");
    assert!(!matches!(url.scheme(), "javascript" | "data" | "file" | "vbscript" | "blob"), "{registered:?}");
    // What goes into pages and headers.
    for written in [uri.place(), uri.csp_source()] {
        let is_plain = written.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b';' | b',' | b'\''));
        assert!(is_plain, "{registered:?} is shown as {written:?}");
    }
    if !uri.allows(asked) || asked == registered {
        return;
    }
    // Anything but the same bytes is the same place on this machine, at another port.
    let asked = Url::parse(asked).expect("what is allowed is a URL");
    let place = |url: &Url| {
        let parts = (url.scheme(), url.host_str(), url.path(), url.query(), url.fragment(), url.username());
        format!("{parts:?}")
    };
    assert_eq!(place(&url), place(&asked));
    assert!(asked.scheme() == "http" && is_this_machine(&asked) && asked.password().is_none(), "{asked}");
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}
