//! One small document from a URL that a stranger chose, without lending the stranger this machine's place in the
//! network (server-side request forgery).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use http::{Method, StatusCode, header};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::OnceCell;
use url::{Host, Url};

use super::{Document, Http, NetError, Options, builder, cause_in, localhost, without_query};
use crate::{hint::Hint, oauth::is_loopback};

/// Largest document, in bytes.
const MAX_BYTES: usize = 5 * 1024;
/// How many addresses of one name are tried: a name may have hundreds, and each is a connection that a stranger asked
/// for.
const MAX_ADDRESSES: usize = 4;

/// Fetches from the public internet only: https, no redirects, no proxy, nothing compressed, one connection for one
/// answer.
///
/// A name is resolved once, and the connection goes to the addresses that were judged then: one that changes its mind
/// between the check and the connection (DNS rebinding) has nobody to tell.
pub struct Guard {
    options: Options,
    resolver: Judged,
    /// Made when it is first needed: reading the system's certificates takes a while, and not every machine has some.
    http: OnceCell<Http>,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// Anybody on the way could have written it.
    #[error("`{0}` is not https")]
    Plain(String),
    /// The host is of this machine or of a network that is not everybody's, or has no address at all: who asks is not
    /// to learn which names and addresses exist there.
    #[error("`{0}` is not a host on the public internet")]
    NotPublic(String),
    /// Anything but the document; redirects are not followed.
    #[error("`{url}` answered {status}, expected 200 without a redirect")]
    Status {
        /// Without query.
        url: String,
        /// What it was.
        status: StatusCode,
    },
    /// Unasked, and a small one may become large.
    #[error("the answer of `{0}` is compressed")]
    Compressed(String),
    /// Unreachable, too slow, too large, not trusted.
    #[error(transparent)]
    Net(#[from] NetError),
}

impl Hint for GuardError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Plain(_) | Self::NotPublic(_) => Some("serve it by https on the public internet".to_owned()),
            Self::Status { .. } => Some("give the address at which the document itself is".to_owned()),
            Self::Compressed(_) => Some("serve it without Content-Encoding to those who do not ask for one".to_owned()),
            Self::Net(_) => None,
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Guard").field("allow_loopback", &self.resolver.allow_loopback).finish_non_exhaustive()
    }
}

impl Guard {
    /// Fetches within the time of `options`. `allow_loopback` lets this machine's own addresses through besides, by
    /// https and by http.
    pub fn new(options: Options, allow_loopback: bool) -> Self {
        Self::resolving_by(options, allow_loopback, Arc::new(localhost::Resolver))
    }

    fn resolving_by(options: Options, allow_loopback: bool, system: Arc<dyn Resolve>) -> Self {
        Self { options, resolver: Judged { system, allow_loopback }, http: OnceCell::new() }
    }

    /// Fetches the document: at most 5 KiB, status 200.
    pub async fn get(&self, url: &Url) -> Result<Document, GuardError> {
        self.check(url)?;
        let http = self.http.get_or_try_init(async || self.build()).await?;
        let request = http.request(Method::GET, url).header(header::ACCEPT, "application/json");
        let document = http.send_for(MAX_BYTES, request).await.map_err(|error| explain(error, url))?;
        if document.status != StatusCode::OK {
            return Err(GuardError::Status { url: without_query(url), status: document.status });
        }
        if document.headers.contains_key(header::CONTENT_ENCODING) {
            return Err(GuardError::Compressed(without_query(url)));
        }
        Ok(document)
    }

    /// What can be judged before any name is resolved.
    ///
    /// An address in the URL never meets the resolver; the URL's parser
    /// has made the decimal, octal and hexadecimal ways to write one the usual one.
    pub fn check(&self, url: &Url) -> Result<(), GuardError> {
        let is_plain_allowed = self.resolver.allow_loopback && is_loopback(url);
        if url.scheme() != "https" && !(url.scheme() == "http" && is_plain_allowed) {
            return Err(GuardError::Plain(without_query(url)));
        }
        let address: IpAddr = match url.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(not_public(url)),
        };
        if self.resolver.allows(address) { Ok(()) } else { Err(not_public(url)) }
    }

    fn build(&self) -> Result<Http, NetError> {
        let builder = builder(self.options.timeout)
            .tls_certs_merge(self.options.extra_roots.iter().cloned())
            .dns_resolver(Arc::new(self.resolver.clone()))
            // A proxy would resolve the name itself.
            .no_proxy()
            .no_gzip()
            // Every document over a connection of its own, so to an address that was judged for it.
            .pool_max_idle_per_host(0);
        let client = builder.build().map_err(NetError::Setup)?;
        Ok(Http { plain: client.clone(), client, timeout: self.options.timeout })
    }
}

fn not_public(url: &Url) -> GuardError {
    GuardError::NotPublic(url.host_str().unwrap_or_default().to_owned())
}

fn explain(error: NetError, url: &Url) -> GuardError {
    match &error {
        NetError::Unreachable { source, .. } if cause_in::<NowherePublic>(source).is_some() => not_public(url),
        _ => error.into(),
    }
}

/// Resolves names to addresses that may be connected to. reqwest asks once for each connection, and connects to nothing
/// else.
#[derive(Clone)]
struct Judged {
    system: Arc<dyn Resolve>,
    allow_loopback: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("the name does not lead to the public internet")]
struct NowherePublic;

impl Judged {
    fn allows(&self, address: IpAddr) -> bool {
        is_global(address) || self.allow_loopback && address.is_loopback()
    }
}

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        let judged = self.clone();
        Box::pin(async move {
            let found = judged.system.resolve(name).await.map_err(|error| {
                tracing::debug!(%error, "no address");
                NowherePublic
            })?;
            let addresses: Vec<SocketAddr> = found.collect();
            // One of the wrong kind spoils the name: nobody honest mixes them.
            if addresses.is_empty() || !addresses.iter().all(|address| judged.allows(address.ip())) {
                return Err(NowherePublic.into());
            }
            Ok(Box::new(addresses.into_iter().take(MAX_ADDRESSES)) as Addrs)
        })
    }
}

/// Whether an address is one of the public internet, as IANA's registries of special-purpose addresses have it; where
/// they except single addresses for protocols of their own, those are refused with the rest.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_global_v4(address),
        IpAddr::V6(address) => is_global_v6(address),
    }
}

/// Networks that are not everybody's: address and prefix.
const SPECIAL: [(Ipv4Addr, u32); 15] = [
    // This network, this machine.
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Private.
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Shared by the customers of a provider.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // Link-local, where clouds keep credentials.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Protocol assignments, the relays of 6to4.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Benchmarking, documentation.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, reserved with broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

fn is_global_v4(address: Ipv4Addr) -> bool {
    let is_in = |(network, prefix): &(Ipv4Addr, u32)| (address.to_bits() ^ network.to_bits()) >> (32 - prefix) == 0;
    !SPECIAL.iter().any(is_in)
}

/// Of IPv6 only `2000::/3` is given out. All else is refused without being named: loopback, unspecified, IPv4-mapped
/// and -compatible, NAT64 (`64:ff9b::/96`, `64:ff9b:1::/48`), discard, unique local, link- and site-local, multicast.
const fn is_global_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Protocol assignments (Teredo, benchmarking, ORCHID) and documentation; 6to4, an IPv4 address in disguise; more
    // documentation.
    let is_special = matches!(segments, [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..]);
    matches!(segments[0], 0x2000..=0x3fff) && !is_special
}

#[cfg(test)]
mod tests {
    use std::{
        env::current_exe,
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use reqwest::Certificate;
    use tokio::process::Command;

    use super::*;
    use crate::net::testing::{Answer, Site};

    const TIMEOUT: Duration = Duration::from_secs(5);
    /// An address of the public internet; no test connects to it.
    const PUBLIC: &str = "192.0.1.1";
    /// A name that only the fake resolver knows.
    const NAME: &str = "client.example";

    /// Answers in turn, the last answer for ever.
    struct Told {
        answers: Vec<Vec<IpAddr>>,
        asked: AtomicUsize,
    }

    impl Told {
        fn new(answers: &[&[&str]]) -> Arc<Self> {
            let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
            Arc::new(Self { answers: answers.iter().map(parse).collect(), asked: AtomicUsize::new(0) })
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    impl Resolve for Told {
        fn resolve(&self, _name: Name) -> Resolving {
            let turn = self.asked.fetch_add(1, Ordering::SeqCst).min(self.answers.len() - 1);
            let answer = self.answers[turn].clone();
            Box::pin(
                async move { Ok(Box::new(answer.into_iter().map(|address| SocketAddr::from((address, 0)))) as Addrs) },
            )
        }
    }

    fn options() -> Options {
        Options::with_timeout(TIMEOUT)
    }

    fn guard(allow_loopback: bool) -> Guard {
        Guard::new(options(), allow_loopback)
    }

    async fn get(guard: &Guard, url: &str) -> Result<Document, GuardError> {
        guard.get(&url.parse().unwrap()).await
    }

    fn root_of(site: &Site) -> Certificate {
        Certificate::from_pem(site.root.as_deref().unwrap().as_bytes()).unwrap()
    }

    fn at(site: &Site) -> String {
        format!("http://{}/client.json", site.address)
    }

    #[test]
    fn a24_only_the_public_internet_is_public() {
        let is_global = |text: &str| is_global(text.parse().unwrap());
        for (special, neighbours) in [
            ("0.0.0.0 0.1.2.3 0.255.255.255", "1.0.0.0"),
            ("10.0.0.0 10.255.255.255", "9.255.255.255 11.0.0.0"),
            ("100.64.0.0 100.127.255.255", "100.63.255.255 100.128.0.0"),
            ("127.0.0.0 127.0.0.1 127.255.255.255", "126.255.255.255 128.0.0.0"),
            ("169.254.0.0 169.254.169.254 169.254.255.255", "169.253.255.255 169.255.0.0"),
            ("172.16.0.0 172.31.255.255", "172.15.255.255 172.32.0.0"),
            ("192.0.0.0 192.0.0.170 192.0.0.255 192.0.2.0 192.0.2.255", "191.255.255.255 192.0.1.1 192.0.3.0"),
            ("192.88.99.0 192.88.99.255", "192.88.98.255 192.88.100.0"),
            ("192.168.0.0 192.168.255.255", "192.167.255.255 192.169.0.0"),
            ("198.18.0.0 198.19.255.255", "198.17.255.255 198.20.0.0"),
            ("198.51.100.0 198.51.100.255", "198.51.99.255 198.51.101.0"),
            ("203.0.113.0 203.0.113.255", "203.0.112.255 203.0.114.0"),
            ("224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255", "223.255.255.255"),
            (":: ::1 ::2 ::8.8.8.8 ::ffff:8.8.8.8 ::ffff:127.0.0.1 ::ffff:0:8.8.8.8", "2000::"),
            ("64:ff9b::8.8.8.8 64:ff9b::10.0.0.1 64:ff9b:1::1 100::1 1fff:ffff::1", "2000::1"),
            ("2001:: 2001:0:1::1 2001:2::1 2001:10::1 2001:20::1 2001:1ff:ffff::1", "2001:200::1"),
            ("2001:db8::1 2001:db8:ffff::1", "2001:db7:ffff::1 2001:db9::1"),
            ("2002::1 2002:7f00:1::1 2002:808:808::1", "2003::1 2a00:1450::1"),
            ("3fff::1 3fff:fff:ffff::1", "3fff:1000::1 3ffe:ffff::1"),
            ("4000::1 5f00::1 fc00::1 fd12:3456::1 fe80::1 fec0::1 ff02::1 ffff::1", "2606:4700::1111"),
        ] {
            for address in special.split(' ') {
                assert!(!is_global(address), "{address}");
            }
            for address in neighbours.split(' ') {
                assert!(is_global(address), "{address}");
            }
        }
    }

    #[tokio::test]
    async fn a24_this_machine_is_not_connected_to_however_it_is_written() {
        for (bind, certified, hosts) in [
            (
                "127.0.0.1:0",
                "127.0.0.1",
                &[
                    "127.0.0.1",
                    "127.1",
                    "2130706433",
                    "0x7f000001",
                    "0177.0.0.1",
                    "127.0.0.1.",
                    "%31%32%37.0.0.1",
                    "\u{ff11}27.0.0.1",
                    "0",
                    "0.0.0.0",
                    "[::ffff:127.0.0.1]",
                    "[::ffff:7f00:1]",
                    "localhost",
                    "LOCALHOST.",
                    "mcp.localhost",
                ][..],
            ),
            ("[::1]:0", "::1", &["[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "localhost"]),
        ] {
            let site = Site::https_on(bind, certified, Answer::json("{}")).await;
            let options = || Options { extra_roots: vec![root_of(&site)], ..options() };
            let (strict, loose) = (Guard::new(options(), false), Guard::new(options(), true));
            let at = |host: &str| format!("https://{host}:{}/client.json", site.address.port());
            for host in hosts {
                let refused = get(&strict, &at(host)).await;
                assert!(matches!(refused, Err(GuardError::NotPublic(_))), "{host}: {refused:?}");
                assert_eq!(site.connections().await, 0, "{host}");
            }
            assert_eq!(get(&loose, &at(hosts[0])).await.unwrap().body, b"{}");
            assert_eq!(site.connections().await, 1);
        }
    }

    #[tokio::test]
    async fn a24_other_addresses_that_are_not_public_are_refused_before_a_connection() {
        for allow_loopback in [false, true] {
            for host in [
                "10.0.0.1",
                "169.254.169.254",
                "0.0.0.0",
                "100.64.0.1",
                "[fd00::1]",
                "[fe80::1]",
                "[64:ff9b::7f00:1]",
                "[::ffff:10.0.0.1]",
                "[::ffff:127.0.0.1]",
                "[2002:7f00:1::]",
                "[::]",
            ] {
                let refused = get(&guard(allow_loopback), &format!("https://{host}/client.json")).await;
                assert!(matches!(refused, Err(GuardError::NotPublic(_))), "{host}: {refused:?}");
            }
        }
    }

    #[tokio::test]
    async fn a24_one_address_that_is_not_public_spoils_a_name() {
        let site = Site::https(NAME, Answer::json("{}")).await;
        let root = root_of(&site);
        let url = format!("https://{NAME}:{}/client.json", site.address.port());
        let ask = async |allow_loopback: bool, answer: &[&str]| {
            let told = Told::new(&[answer]);
            let options = Options { extra_roots: vec![root.clone()], ..options() };
            let outcome = get(&Guard::resolving_by(options, allow_loopback, Arc::clone(&told) as _), &url).await;
            assert_eq!(told.asked(), 1);
            outcome
        };
        for answer in [
            &["127.0.0.1"][..],
            &["127.0.0.1", PUBLIC],
            &[PUBLIC, "127.0.0.1"],
            &["0.0.0.0"],
            &["::ffff:127.0.0.1"],
            &["10.0.0.1"],
            &["169.254.169.254"],
            &[],
        ] {
            let refused = ask(false, answer).await.unwrap_err();
            assert_eq!(refused.to_string(), format!("`{NAME}` is not a host on the public internet"), "{answer:?}");
        }
        for answer in [&["127.0.0.1", "10.0.0.1"][..], &["0.0.0.0", "127.0.0.1"], &["::ffff:127.0.0.1"], &[]] {
            assert!(matches!(ask(true, answer).await, Err(GuardError::NotPublic(_))), "{answer:?}");
        }
        assert_eq!(site.connections().await, 0);
        assert_eq!(ask(true, &["127.0.0.1"]).await.unwrap().body, b"{}");
        assert_eq!(site.connections().await, 1);
    }

    #[tokio::test]
    async fn a24_a_name_that_changes_its_mind_is_asked_once_for_each_connection() {
        let site = Site::http(Answer::json("{}")).await;
        let url = format!("http://localhost:{}/client.json", site.address.port());
        // On Linux 0.0.0.0 is this machine too.
        let told = Told::new(&[&["127.0.0.1"], &["0.0.0.0"]]);
        let rebinding = Guard::resolving_by(options(), true, Arc::clone(&told) as _);
        assert_eq!(get(&rebinding, &url).await.unwrap().body, b"{}");
        assert_eq!((told.asked(), site.connections().await), (1, 1));
        assert!(matches!(get(&rebinding, &url).await, Err(GuardError::NotPublic(_))));
        assert_eq!((told.asked(), site.connections().await), (2, 1));
    }

    #[tokio::test]
    async fn a24_every_answer_about_a_name_is_judged() {
        let resolver = Guard::resolving_by(options(), false, Told::new(&[&[PUBLIC], &["127.0.0.1"]])).resolver;
        let resolve = async || Some(resolver.resolve(NAME.parse().unwrap()).await.ok()?.collect::<Vec<_>>());
        assert_eq!(resolve().await, Some(vec![(PUBLIC.parse::<IpAddr>().unwrap(), 0).into()]));
        assert_eq!(resolve().await, None);
    }

    #[tokio::test]
    async fn a_name_with_many_addresses_makes_few_connections() {
        let resolver = Guard::resolving_by(options(), false, Told::new(&[&[PUBLIC; 100]])).resolver;
        assert_eq!(resolver.resolve(NAME.parse().unwrap()).await.unwrap().count(), MAX_ADDRESSES);
    }

    #[tokio::test]
    async fn a24_http_is_for_this_machine_and_only_where_that_is_allowed() {
        let site = Site::http(Answer::json("{}")).await;
        let port = site.address.port();
        let told = Told::new(&[&["127.0.0.1"]]);
        let loose = Guard::resolving_by(options(), true, Arc::clone(&told) as _);
        for (guard, host) in [(&guard(false), "127.0.0.1"), (&guard(false), "localhost"), (&loose, NAME)] {
            let refused = get(guard, &format!("http://{host}:{port}/client.json")).await;
            assert!(matches!(refused, Err(GuardError::Plain(_))), "{host}: {refused:?}");
        }
        for other in ["ftp://127.0.0.1/x", "file:///etc/passwd", "data:,x"] {
            assert!(matches!(get(&loose, other).await, Err(GuardError::Plain(_))), "{other}");
        }
        assert_eq!((told.asked(), site.connections().await), (0, 0));
        for host in ["127.0.0.1", "localhost"] {
            assert_eq!(get(&loose, &format!("http://{host}:{port}/client.json")).await.unwrap().body, b"{}");
        }
        assert_eq!(site.connections().await, 2);
    }

    #[tokio::test]
    async fn a24_who_cannot_show_a_certificate_for_the_name_is_nobody() {
        let site = Site::https(NAME, Answer::json("{}")).await;
        let root = root_of(&site);
        let ask = async |name: &str, extra_roots: Vec<Certificate>| {
            let options = Options { extra_roots, ..options() };
            let guard = Guard::resolving_by(options, true, Told::new(&[&["127.0.0.1"]]));
            get(&guard, &format!("https://{name}:{}/client.json", site.address.port())).await
        };
        assert!(matches!(ask(NAME, Vec::new()).await, Err(GuardError::Net(NetError::Unreachable { .. }))));
        let other = ask("other.example", vec![root.clone()]).await;
        assert!(matches!(other, Err(GuardError::Net(NetError::Unreachable { .. }))));
        assert_eq!(ask(NAME, vec![root]).await.unwrap().body, b"{}");
    }

    #[tokio::test]
    async fn a24_redirects_and_other_answers_are_not_documents() {
        let elsewhere = Site::http(Answer::json("{}")).await;
        let site = Site::http(Answer::json("{}")).await;
        let guard = guard(true);
        for status in [201, 204, 206, 301, 302, 303, 307, 308, 401, 404, 500] {
            site.answer(Answer::with(&format!("{status} Word\r\nLocation: {}", at(&elsewhere)), "{}"));
            let refused = get(&guard, &at(&site)).await;
            assert!(matches!(refused, Err(GuardError::Status { status: found, .. }) if found == status), "{refused:?}");
        }
        assert_eq!(elsewhere.connections().await, 0);
        site.answer(Answer::with(&format!("200 Word\r\nLocation: {}", at(&elsewhere)), "{}"));
        assert_eq!(get(&guard, &at(&site)).await.unwrap().body, b"{}");
        assert_eq!(elsewhere.connections().await, 0);
    }

    #[tokio::test]
    async fn a24_more_than_5_kib_are_not_read() {
        let site = Site::http(Answer::json([b' '; MAX_BYTES])).await;
        let guard = guard(true);
        assert_eq!(get(&guard, &at(&site)).await.unwrap().body.len(), MAX_BYTES);
        for large in [Answer::json([b' '; MAX_BYTES + 1]), Answer::Endless("200 OK")] {
            site.answer(large);
            let refused = get(&guard, &at(&site)).await.unwrap_err();
            assert_eq!(refused.to_string(), format!("the answer of `{}` is larger than 5 KiB", at(&site)));
        }
    }

    #[tokio::test]
    async fn a24_a_bomb_is_not_unpacked() {
        let gzip = Command::new("sh").args(["-c", "head -c 4000000 /dev/zero | gzip -c"]).output().await.unwrap();
        let bomb = gzip.stdout;
        assert!((1000..MAX_BYTES).contains(&bomb.len()), "gzip made a small bomb");
        let site = Site::http(Answer::with("200 OK", &bomb)).await;
        let guard = guard(true);
        assert_eq!(get(&guard, &at(&site)).await.unwrap().body, bomb);
        site.answer(Answer::with("200 OK\r\nContent-Encoding: gzip", &bomb));
        assert!(matches!(get(&guard, &at(&site)).await, Err(GuardError::Compressed(_))));
        assert!(!site.requests(2).await.concat().to_lowercase().contains("accept-encoding"));
    }

    #[tokio::test]
    async fn a24_who_takes_longer_than_the_time_is_left() {
        for silence in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"] {
            let site = Site::http(Answer::Silence(silence)).await;
            let (guard, url) = (guard(true), at(&site));
            let fetching = tokio::spawn(async move { get(&guard, &url).await });
            site.requests(1).await;
            // From here on time passes at once.
            tokio::time::pause();
            let ended = tokio::time::timeout(TIMEOUT * 2, fetching).await.expect("an end").unwrap();
            assert!(matches!(ended, Err(GuardError::Net(NetError::TimedOut { .. }))), "{ended:?}");
            tokio::time::resume();
        }
    }

    #[tokio::test]
    async fn a24_nobody_stands_between_the_check_and_the_site() {
        let proxy = Site::http(Answer::json("{}")).await;
        let address = format!("http://{}", proxy.address);
        let variables = ["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "http_proxy", "https_proxy"];
        let ran = Command::new(current_exe().unwrap())
            .args(["--exact", "net::guard::tests::a24_http_is_for_this_machine_and_only_where_that_is_allowed"])
            .envs(variables.map(|variable| (variable, &address)))
            .env_remove("NO_PROXY")
            .env_remove("no_proxy")
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(said.contains("1 passed") && ran.status.success(), "{said}");
        assert_eq!(proxy.connections().await, 0);
    }
}
