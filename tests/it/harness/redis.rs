//! A Redis that can fail on command. It knows the commands that securemcp sends, as RESP3; what a real one does with
//! them is tested in tests/real.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{broadcast, mpsc},
    task::{AbortHandle, JoinHandle},
};

use super::until::until;

/// What it does with a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// What it should.
    Well,
    /// Answers every question about keys with this error.
    Refuses(&'static str),
    /// Says what it has, and answers everything else with this error.
    OnlyReads(&'static str),
    /// Takes commands and answers none.
    Silent,
    /// Forgets a session as soon as it has said what it is.
    ForgetsWhatItSaid,
    /// Answers every question about keys with these bytes.
    Says(Vec<u8>),
}

/// A running one; it ends when it is dropped.
pub(crate) struct FakeRedis {
    pub(crate) address: SocketAddr,
    inner: Arc<Inner>,
    accepting: JoinHandle<()>,
}

struct Inner {
    password: Option<&'static str>,
    mood: Mutex<Mood>,
    values: Mutex<HashMap<String, Vec<u8>>>,
    /// When a value is no more.
    ends: Mutex<HashMap<String, Instant>>,
    heard: Mutex<Vec<Vec<String>>>,
    announced: broadcast::Sender<(String, String)>,
    connections: Mutex<Vec<AbortHandle>>,
}

impl FakeRedis {
    pub(crate) fn start() -> Self {
        Self::with_password(None)
    }

    pub(crate) fn with_password(password: Option<&'static str>) -> Self {
        let listener = socket(SocketAddr::from(([127, 0, 0, 1], 0))).listen(64).expect("a free port");
        let inner = Inner {
            password,
            mood: Mutex::new(Mood::Well),
            values: Mutex::default(),
            ends: Mutex::default(),
            heard: Mutex::default(),
            announced: broadcast::Sender::new(64),
            connections: Mutex::default(),
        };
        Self::on(listener, Arc::new(inner))
    }

    fn on(listener: TcpListener, inner: Arc<Inner>) -> Self {
        let address = listener.local_addr().expect("bound");
        let serving = Arc::clone(&inner);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let inner = Arc::clone(&serving);
                let connection = tokio::spawn(async move { inner.serve(stream).await });
                serving.connections.lock().expect("not poisoned").push(connection.abort_handle());
            }
        });
        Self { address, inner, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.inner.mood.lock().expect("not poisoned") = mood;
    }

    /// Closes the port and every connection; what it knows is kept for [`back`](Self::back).
    pub(crate) async fn gone(mut self) -> Gone {
        let place = socket(self.address);
        self.accepting.abort();
        let _ = (&mut self.accepting).await;
        self.inner.disconnect();
        Gone { place, inner: Arc::clone(&self.inner) }
    }

    /// Forgets everything.
    pub(crate) fn empty(&self) {
        self.inner.values.lock().expect("not poisoned").clear();
    }

    /// What was heard that keeps something for ever, which nothing should.
    pub(crate) fn kept_for_ever(&self) -> Vec<Vec<String>> {
        let heard = self.inner.heard.lock().expect("not poisoned");
        let has_time = |words: &[String]| match words[0].as_str() {
            "SET" | "GETEX" => words.iter().any(|word| word == "PX"),
            "EVAL" => words[1].matches("'SET'").count() == words[1].matches("'PX'").count(),
            _ => true,
        };
        heard.iter().filter(|words| !has_time(words)).cloned().collect()
    }

    /// Waits until such a command has come so often with this in it.
    pub(crate) async fn until_asked(&self, command: &str, part: &str, times: usize) {
        until(&format!("{command} for `{part}`"), async || self.count(command, part) >= times).await;
    }

    /// How often such a command came with this in it.
    pub(crate) fn count(&self, command: &str, part: &str) -> usize {
        let heard = self.inner.heard.lock().expect("not poisoned");
        heard.iter().filter(|words| words[0] == command && words[1..].iter().any(|word| word.contains(part))).count()
    }

    /// For how long keys with this in their names were to be kept, in milliseconds.
    pub(crate) fn kept_for(&self, part: &str) -> Vec<String> {
        let heard = self.inner.heard.lock().expect("not poisoned");
        let set = heard.iter().filter(|words| words[0] == "SET" && words[1].contains(part));
        set.filter_map(|words| words.iter().skip_while(|word| *word != "PX").nth(1).cloned()).collect()
    }

    /// Everything that is kept now.
    pub(crate) fn kept(&self) -> Vec<(String, String)> {
        let values = self.inner.values.lock().expect("not poisoned");
        values.iter().map(|(key, value)| (key.clone(), String::from_utf8_lossy(value).into_owned())).collect()
    }

    /// Announces something to everybody who listens.
    pub(crate) fn announce(&self, text: &str) {
        let heard = self.inner.heard.lock().expect("not poisoned");
        let channels = heard.iter().filter(|words| words[0] == "SUBSCRIBE").map(|words| words[1].clone());
        for channel in channels.collect::<BTreeSet<_>>() {
            let _ = self.inner.announced.send((channel, text.to_owned()));
        }
    }

    /// What has been announced, oldest first.
    pub(crate) fn announcements(&self) -> Vec<String> {
        let heard = self.inner.heard.lock().expect("not poisoned");
        heard.iter().filter(|words| words[0] == "PUBLISH").map(|words| words[2].clone()).collect()
    }

    /// Writes something else where keys with this in their names are; how many there are.
    pub(crate) fn damage(&self, part: &str, value: &str) -> usize {
        let mut values = self.inner.values.lock().expect("not poisoned");
        values.iter_mut().filter(|(key, _)| key.contains(part)).map(|(_, kept)| *kept = value.into()).count()
    }
}

/// A Redis that is gone.
pub(crate) struct Gone {
    /// Bound, so that nobody else gets the port, and not listening, so that who connects is refused.
    place: TcpSocket,
    inner: Arc<Inner>,
}

impl Gone {
    /// Forgets those keys that have this in their names; how many there were.
    pub(crate) fn forget(&self, part: &str) -> usize {
        let mut values = self.inner.values.lock().expect("not poisoned");
        values.extract_if(|key, _| key.contains(part)).count()
    }

    /// What it does with a command from its return on.
    pub(crate) fn set(&self, mood: Mood) {
        *self.inner.mood.lock().expect("not poisoned") = mood;
    }

    pub(crate) fn back(self) -> FakeRedis {
        FakeRedis::on(self.place.listen(64).expect("the port is ours"), self.inner)
    }
}

impl Drop for FakeRedis {
    fn drop(&mut self) {
        self.accepting.abort();
        self.inner.disconnect();
    }
}

impl Inner {
    fn disconnect(&self) {
        self.connections.lock().expect("not poisoned").drain(..).for_each(|connection| connection.abort());
    }

    async fn serve(&self, stream: TcpStream) {
        // As a real one does.
        stream.set_nodelay(true).expect("a setting");
        let (reader, mut writer) = stream.into_split();
        let (answers, mut to_write) = mpsc::unbounded_channel::<Vec<u8>>();
        let channel = Mutex::new(None);
        let mut announced = self.announced.subscribe();
        let reading = async {
            let mut reader = BufReader::new(reader);
            let mut is_in = self.password.is_none();
            while let Some(words) = command(&mut reader).await {
                self.heard.lock().expect("not poisoned").push(words.clone());
                if words[0] == "SUBSCRIBE" {
                    *channel.lock().expect("not poisoned") = Some(words[1].clone());
                }
                let answer = self.answer(&words, &mut is_in);
                if *self.mood.lock().expect("not poisoned") != Mood::Silent {
                    let _ = answers.send(answer);
                }
            }
        };
        let writing = async {
            loop {
                let text = tokio::select! {
                    Some(answer) = to_write.recv() => answer,
                    Ok((to, text)) = announced.recv() => {
                        let is_heard = channel.lock().expect("not poisoned").as_ref() == Some(&to);
                        if is_heard { push("message", &[&to, &text]) } else { continue }
                    }
                };
                if writer.write_all(&text).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            () = reading => {}
            () = writing => {}
        }
    }

    /// Takes away what has ended, and notes when what this command keeps will.
    fn let_pass(&self, words: &[String], values: &mut HashMap<String, Vec<u8>>) {
        let now = Instant::now();
        let mut ends = self.ends.lock().expect("not poisoned");
        for (key, _) in ends.extract_if(|_, end| *end <= now) {
            values.remove(&key);
        }
        let (key, time) = match words {
            [eval, script, _, _, key, .., time] if eval == "EVAL" && script.contains("KEYS[2]") => (key, Some(time)),
            [_, key, ..] => (key, words.iter().position(|word| word == "PX").map(|at| &words[at + 1])),
            _ => return,
        };
        let keeps_end = words.iter().any(|word| word == "NX") && values.contains_key(key);
        if let Some(time) = time.filter(|_| !keeps_end) {
            ends.insert(key.clone(), now + Duration::from_millis(time.parse().expect("a number")));
        }
    }

    fn answer(&self, words: &[String], is_in: &mut bool) -> Vec<u8> {
        let word = |index: usize| words.get(index).map(String::as_str).unwrap_or_default();
        if word(0) == "HELLO" {
            if self.password.is_some_and(|password| !words.iter().any(|word| word == password)) {
                return b"-WRONGPASS invalid username-password pair or user is disabled.\r\n".to_vec();
            }
            *is_in = true;
            return b"%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n".to_vec();
        }
        if !*is_in {
            return b"-NOAUTH Authentication required.\r\n".to_vec();
        }
        let is_about_keys = matches!(word(0), "GET" | "SET" | "GETEX" | "EXISTS" | "DEL" | "EVAL");
        let mood = self.mood.lock().expect("not poisoned").clone();
        match &mood {
            Mood::Refuses(error) if is_about_keys => return format!("-{error}\r\n").into_bytes(),
            Mood::OnlyReads(error) if matches!(word(0), "SET" | "GETEX" | "DEL" | "EVAL" | "PUBLISH") => {
                return format!("-{error}\r\n").into_bytes();
            }
            Mood::Says(answer) if is_about_keys => return answer.clone(),
            _ => {}
        }
        let mut values = self.values.lock().expect("not poisoned");
        self.let_pass(words, &mut values);
        match word(0) {
            "GETEX" if mood == Mood::ForgetsWhatItSaid => {
                values.remove(word(1)).map_or_else(|| b"_\r\n".to_vec(), |value| bulk(&value))
            }
            "GET" | "GETEX" => values.get(word(1)).map_or_else(|| b"_\r\n".to_vec(), |value| bulk(value)),
            "EXISTS" => format!(":{}\r\n", usize::from(values.contains_key(word(1)))).into_bytes(),
            "SET" if words.iter().any(|word| word == "NX") && values.contains_key(word(1)) => b"_\r\n".to_vec(),
            "SET" => {
                values.insert(words[1].clone(), words[2].clone().into_bytes());
                b"+OK\r\n".to_vec()
            }
            "DEL" => format!(":{}\r\n", usize::from(values.remove(word(1)).is_some())).into_bytes(),
            "EVAL" if word(1).contains("PUBLISH") => {
                let [keys @ .., channel, text] = &words[3..] else { unreachable!("a channel and a text") };
                values.retain(|key, _| !keys.contains(key));
                let heard = self.announced.send((channel.clone(), text.clone())).unwrap_or_default();
                format!(":{heard}\r\n").into_bytes()
            }
            "PUBLISH" => {
                let heard = self.announced.send((words[1].clone(), words[2].clone())).unwrap_or_default();
                format!(":{heard}\r\n").into_bytes()
            }
            "EVAL" if word(1).contains("KEYS[2]") => put_while_held(words, &mut values),
            "EVAL" if word(1).contains("string.find") => append(words, &mut values),
            "SUBSCRIBE" => push("subscribe", &[word(1)]),
            "EVAL" => add(words, &mut values),
            "PING" => b"+PONG\r\n".to_vec(),
            "SELECT" | "CLIENT" => b"+OK\r\n".to_vec(),
            other => format!("-ERR unknown command '{other}'\r\n").into_bytes(),
        }
    }
}

/// The script of a lease.
fn put_while_held(words: &[String], values: &mut HashMap<String, Vec<u8>>) -> Vec<u8> {
    let [lease, key, holder, value] = [3, 4, 5, 6].map(|index| words[index].as_str());
    if values.get(lease).map(Vec::as_slice) != Some(holder.as_bytes()) {
        return b":0\r\n".to_vec();
    }
    values.insert(key.to_owned(), value.into());
    b":1\r\n".to_vec()
}

/// The script of events, which here are never too many.
fn append(words: &[String], values: &mut HashMap<String, Vec<u8>>) -> Vec<u8> {
    let kept = values.entry(words[3].clone()).or_default();
    kept.extend_from_slice(format!("{}\n", words[4]).as_bytes());
    b":0\r\n".to_vec()
}

/// The script of rates, at a clock that stands still.
fn add(words: &[String], values: &mut HashMap<String, Vec<u8>>) -> Vec<u8> {
    let count: usize = words[2].parse().expect("a number");
    let (keys, arguments) = (&words[3..3 + count], &words[3 + count..]);
    let mut answer = format!("*{count}\r\n").into_bytes();
    for (key, argument) in keys.iter().zip(arguments) {
        let kept = values.get(key).map_or(0, |kept| String::from_utf8_lossy(kept).parse().expect("a number"));
        let sum: u64 = kept + argument.parse::<u64>().expect("a number");
        values.insert(key.clone(), sum.to_string().into_bytes());
        answer.extend(format!(":{sum}\r\n").into_bytes());
    }
    answer
}

async fn command(reader: &mut (impl AsyncBufRead + Unpin)) -> Option<Vec<String>> {
    let count = number(reader, '*').await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; number(reader, '$').await? + 2];
        reader.read_exact(&mut word).await.ok()?;
        word.truncate(word.len() - 2);
        words.push(String::from_utf8_lossy(&word).into_owned());
    }
    Some(words)
}

async fn number(reader: &mut (impl AsyncBufRead + Unpin), mark: char) -> Option<usize> {
    let mut line = String::new();
    reader.read_line(&mut line).await.ok()?;
    line.trim_end().strip_prefix(mark)?.parse().ok()
}

fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    // For a second one on the port of the first.
    socket.set_reuseport(true).expect("a setting");
    socket.bind(address).expect("a free port");
    socket
}

fn bulk(value: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat()
}

fn push(kind: &str, words: &[&str]) -> Vec<u8> {
    let is_subscription = kind == "subscribe";
    let mut push = format!(">{}\r\n", 1 + words.len() + usize::from(is_subscription)).into_bytes();
    for word in [kind].iter().chain(words) {
        push.extend(bulk(word.as_bytes()));
    }
    if is_subscription {
        push.extend(b":1\r\n");
    }
    push
}
