//! A site of a stranger: it counts who connects, and answers as it was told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    clock::SystemClock,
    tls::{self, Certificate},
};

/// What the site does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// These bytes; then it waits for another request.
    Bytes(Vec<u8>),
    /// This head, and a body without end.
    Endless(&'static str),
    /// This much, and then nothing, ever.
    Silence(&'static str),
}

impl Answer {
    /// Status line and headers are given; the length is added.
    pub(crate) fn with(head: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
        Self::Bytes([head.as_bytes(), body].concat())
    }

    /// A document of this text.
    pub(crate) fn json(body: impl AsRef<[u8]>) -> Self {
        Self::with("200 OK\r\nContent-Type: application/json", body)
    }
}

/// Listens on loopback as long as its test runs.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    /// The certificate that vouches for it, in PEM, if it speaks TLS.
    pub(crate) root: Option<String>,
    peers: watch::Receiver<Vec<SocketAddr>>,
    /// Connections that only asked how many there were.
    probes: Mutex<Vec<SocketAddr>>,
    requests: watch::Receiver<Vec<String>>,
    answer: Arc<Mutex<Answer>>,
}

impl Site {
    /// Speaks http.
    pub(crate) async fn http(answer: Answer) -> Self {
        Self::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), None, answer)
    }

    /// Speaks https, as this host.
    pub(crate) async fn https(host: &str, answer: Answer) -> Self {
        Self::https_on("127.0.0.1:0", host, answer).await
    }

    pub(crate) async fn https_on(address: &str, host: &str, answer: Answer) -> Self {
        let now = SystemClock::shared().since_epoch();
        let made = tls::self_signed(&[host.to_owned()], now).unwrap();
        let key: PrivateKeyDer<'static> = tls::key(made.key.expose()).unwrap();
        let certificate = Certificate::new(tls::chain(&made.certificate).unwrap(), key).unwrap();
        let mut config = ServerConfig::clone(&tls::server_config(&certificate));
        config.alpn_protocols.clear();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(address).await.unwrap();
        Self { root: Some(made.certificate), ..Self::start(listener, Some(acceptor), answer) }
    }

    fn start(listener: TcpListener, acceptor: Option<TlsAcceptor>, answer: Answer) -> Self {
        let address = listener.local_addr().unwrap();
        let (connected, peers) = watch::channel(Vec::new());
        let (asked, requests) = watch::channel(Vec::new());
        let answer = Arc::new(Mutex::new(answer));
        let (asked, answers) = (Arc::new(asked), Arc::clone(&answer));
        tokio::spawn(async move {
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                connected.send_modify(|peers| peers.push(peer));
                let (asked, answers, acceptor) = (Arc::clone(&asked), Arc::clone(&answers), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, &asked, &answers).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, &asked, &answers).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, root: None, peers, probes: Mutex::default(), requests, answer }
    }

    /// From now on it answers differently.
    pub(crate) fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    /// How many have connected until now: found by connecting after them.
    pub(crate) async fn connections(&self) -> usize {
        let mut peers = self.peers.clone();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let own = stream.local_addr().unwrap();
        self.probes.lock().unwrap().push(own);
        let peers = peers.wait_for(|peers| peers.contains(&own)).await.unwrap().clone();
        let probes = self.probes.lock().unwrap();
        peers.iter().filter(|peer| !probes.contains(peer)).count()
    }

    /// Waits until there were this many requests, and returns their heads.
    pub(crate) async fn requests(&self, count: usize) -> Vec<String> {
        self.requests.clone().wait_for(|requests| requests.len() >= count).await.unwrap().clone()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    asked: &watch::Sender<Vec<String>>,
    answers: &Mutex<Answer>,
) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            // Whoever has heard enough goes away.
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        asked.send_modify(|requests| requests.push(String::from_utf8_lossy(&head).into_owned()));
        let answer = answers.lock().unwrap().clone();
        match answer {
            Answer::Bytes(bytes) => {
                let _ = stream.write_all(&bytes).await;
            }
            Answer::Endless(head) => {
                let _ = stream.write_all(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes()).await;
                while stream.write_all(&[b' '; 512]).await.is_ok() {}
            }
            Answer::Silence(beginning) => {
                let _ = stream.write_all(beginning.as_bytes()).await;
                std::future::pending::<()>().await;
            }
        }
    }
}
