//! The server asks a person: elicitation, by a request of 2025 or by an `input_required` of 2026.

use serde_json::{Map, Value, json};
use url::Url;

use super::{Kind, error::said, form::Form, sampling::BoxFuture};
use crate::oauth::is_https_or_loopback;

/// The two modes of a question.
const FORM: &str = "form";
pub(super) const PAGE: &str = "url";

/// Answers a server that asks the person something.
pub trait Respondent: Send + Sync {
    /// Whether forms can be filled in here and now: then the server is told so.
    fn fills_forms(&self) -> bool;

    /// Whether somebody is here who can be sent to a page.
    fn opens_pages(&self) -> bool;

    /// Answers one question. There is never a second one at the same time.
    ///
    /// # Errors
    /// [`Unanswered`] if nobody can: the server is told `cancel`, and its answer to the request counts for nothing.
    fn answer(&self, question: Question) -> BoxFuture<'_, Result<Reply, Unanswered>>;
}

/// What a server asks. Its words are unescaped.
#[derive(Clone, Debug)]
pub struct Question {
    /// How the server calls itself; empty if it does not say.
    pub server_name: String,
    /// Where it is.
    pub server: String,
    /// Its words for the person.
    pub message: String,
    /// What it wants.
    pub wanted: Asked,
}

/// What a question is after.
#[derive(Clone, Debug)]
pub enum Asked {
    /// That a form is filled in; one without fields wants a yes or no.
    Form(Form),
    /// That a page is visited: https, or http on this machine.
    Page(Url),
}

/// What became of a question.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Reply {
    /// Yes; with the form, if it was one.
    Accept(Map<String, Value>),
    /// No.
    Decline,
    /// Neither yes nor no.
    #[default]
    Cancel,
}

/// A question that nobody could answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server asks \"{question}\", {problem}")]
pub struct Unanswered {
    /// The question, in one line that is safe to print.
    pub question: String,
    /// Why it has no answer, the end of the sentence.
    pub problem: String,
    /// What to do about it.
    pub hint: String,
    /// Whether flags are missing, or the server is to blame.
    pub kind: Kind,
}

impl Question {
    /// Reads the parameters of `elicitation/create`, more leniently than rmcp: people are to be asked what can be read.
    ///
    /// # Errors
    /// [`Unanswered`] if it is after something that is never done: to open a page that is none.
    pub(super) fn of(params: &Value, server_name: String, server: String) -> Result<Self, Unanswered> {
        let message = params["message"].as_str().unwrap_or_default().to_owned();
        let wrong = |problem: String, hint: &str| Unanswered {
            question: said(&message),
            problem,
            hint: hint.to_owned(),
            kind: Kind::Server,
        };
        let wanted = match (params["mode"].as_str().unwrap_or(FORM), params["url"].as_str()) {
            (FORM, _) if params["requestedSchema"].is_object() => {
                Asked::Form(Form::of(params["requestedSchema"].clone()))
            }
            (PAGE, Some(url)) => Asked::Page(page(url).ok_or_else(|| {
                wrong(
                    format!("for which it wants `{}` opened: that is no page to send a person to", said(url)),
                    "only https is opened, or http on this machine, without a user name in the address; whoever runs \
                     the server has to correct it",
                )
            })?),
            _ => {
                return Err(wrong(
                    "in a way that is not known here".to_owned(),
                    "whoever runs the server has to correct it; a newer securemcp may know it",
                ));
            }
        };
        Ok(Self { server_name, server, message, wanted })
    }

    /// That nobody here can answer it, and why.
    pub fn unanswered(&self, problem: impl Into<String>, hint: impl Into<String>) -> Unanswered {
        Unanswered { question: said(&self.message), problem: problem.into(), hint: hint.into(), kind: Kind::Usage }
    }
}

/// It goes to a program of the system that opens whatever it is given; a user name could pass for a host.
fn page(url: &str) -> Option<Url> {
    let page = Url::parse(url).ok()?;
    let is_plain = page.username().is_empty() && page.password().is_none();
    (is_plain && is_https_or_loopback(&page)).then_some(page)
}

impl Reply {
    /// As it is sent; a page needs no content.
    pub(super) fn into_result(self, is_form: bool) -> Value {
        match self {
            Self::Accept(content) if is_form => json!({"action": "accept", "content": content}),
            Self::Accept(_) => json!({"action": "accept"}),
            Self::Decline => json!({"action": "decline"}),
            Self::Cancel => json!({"action": "cancel"}),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{
        client::{ClientError, Host, testing::World},
        hint::Hint as _,
    };

    /// Fills in forms with what it has, and defaults.
    struct Clerk {
        has: Value,
        fills_forms: bool,
        heard: Mutex<Vec<String>>,
    }

    impl Clerk {
        fn with(has: Value) -> Arc<Self> {
            Arc::new(Self { has, fills_forms: true, heard: Mutex::default() })
        }
    }

    impl Respondent for Clerk {
        fn fills_forms(&self) -> bool {
            self.fills_forms
        }

        fn opens_pages(&self) -> bool {
            self.fills_forms
        }

        fn answer(&self, question: Question) -> BoxFuture<'_, Result<Reply, Unanswered>> {
            self.heard.lock().unwrap().push(format!("{}: {}", question.server_name, question.message));
            let has = self.has.as_object().cloned();
            let answer = match (&question.wanted, has) {
                (_, None) => Ok(Reply::Decline),
                (Asked::Page(_), Some(_)) => Ok(Reply::Accept(Map::new())),
                (Asked::Form(form), Some(has)) => {
                    let known = |name: &String| form.fields.iter().any(|field| field.name == *name);
                    let has = has.into_iter().filter(|(name, _)| known(name)).collect();
                    let filled = form.fill(has).map(Reply::Accept);
                    filled.map_err(|problem| question.unanswered(problem.to_string(), "say it"))
                }
            };
            Box::pin(std::future::ready(answer))
        }
    }

    fn form(message: &str, name: &str) -> Value {
        let schema = json!({"type": "object", "required": [name], "properties": {
            name: {"type": "string"}, "size": {"type": "integer", "default": 3}}});
        json!({"method": "elicitation/create", "params": {"message": message, "requestedSchema": schema}})
    }

    fn visit(url: &str) -> Value {
        let params = json!({"mode": "url", "message": "pay", "url": url, "elicitationId": "e1"});
        json!({"method": "elicitation/create", "params": params})
    }

    async fn ask(world: &World, respondent: Option<Arc<impl Respondent + 'static>>) -> Result<Value, ClientError> {
        let respondent = respondent.map(|respondent| respondent as Arc<dyn Respondent>);
        let session = world.client().connect(Host { respondent, ..Host::default() }).await?;
        let result = session.call_tool("greet", Map::new()).await;
        session.close().await;
        Ok(serde_json::from_str(&result?.content[0].as_text().unwrap().text).unwrap())
    }

    #[tokio::test]
    async fn forms_are_filled_in_with_the_servers_defaults_in_both_generations() {
        for modern in [true, false] {
            let world = World::new().await;
            // Two in one round, then one more.
            let rounds =
                vec![json!({"b": form("b?", "name"), "a": form("a?", "name")}), json!({"c": form("c?", "name")})];
            world.change(|rules| (rules.modern, rules.asks) = (modern, rounds));
            let clerk = Clerk::with(json!({"name": "Ada", "other": 1}));
            let answers = ask(&world, Some(clerk.clone())).await.unwrap();
            let answer = json!({"action": "accept", "content": {"name": "Ada", "size": 3}});
            assert_eq!(answers, json!({"a": answer, "b": answer, "c": answer}), "modern: {modern}");
            let heard = clerk.heard.lock().unwrap().clone();
            assert_eq!(heard.len(), 3);
            assert_eq!(heard[2], "world: c?");
            let declared = "\"elicitation\":{\"form\":{},\"url\":{}}";
            let bodies: Vec<_> = world.seen().into_iter().map(|seen| seen.body).collect();
            assert!(bodies.iter().any(|body| body.contains(declared)), "{bodies:?}");
        }
    }

    #[tokio::test]
    async fn a_form_that_is_not_quite_mcps_is_filled_in_all_the_same() {
        for modern in [true, false] {
            let world = World::new().await;
            let schema = json!({"properties": {"days": {"type": "array", "items": {"anyOf": [{"const": "mo"}]}},
                "code": {"type": "string", "pattern": "^[a-z]+$"}, "at": {"type": ["string", "null"]}}});
            let question =
                json!({"method": "elicitation/create", "params": {"message": "", "requestedSchema": schema}});
            world.change(|rules| (rules.modern, rules.asks) = (modern, vec![json!({ "a": question })]));
            let answers = ask(&world, Some(Clerk::with(json!({"days": ["mo"], "code": "x"})))).await.unwrap();
            let content = json!({"days": ["mo"], "code": "x"});
            assert_eq!(answers, json!({"a": {"action": "accept", "content": content}}), "modern: {modern}");
            let error = ask(&world, Some(Clerk::with(json!({"code": "X"})))).await.unwrap_err();
            assert!(error.to_string().contains("`code`"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_person_may_decline() {
        for modern in [true, false] {
            let world = World::new().await;
            let rounds = vec![json!({"a": form("a?", "name")})];
            world.change(|rules| (rules.modern, rules.asks) = (modern, rounds));
            let answers = ask(&world, Some(Clerk::with(Value::Null))).await.unwrap();
            assert_eq!(answers, json!({"a": {"action": "decline"}}), "modern: {modern}");
        }
    }

    #[tokio::test]
    async fn what_nobody_can_answer_ends_the_call_with_the_question() {
        for modern in [true, false] {
            let world = World::new().await;
            let rounds = vec![json!({"a": form("who\u{1b}[2J?", "name")})];
            world.change(|rules| (rules.modern, rules.asks) = (modern, rounds));
            let error = ask(&world, Some(Clerk::with(json!({})))).await.unwrap_err();
            assert_eq!(error.to_string(), "the server asks \"who\\u{1b}[2J?\", `name` is missing", "modern: {modern}");
            assert_eq!((error.kind(), error.hint().as_deref()), (Kind::Usage, Some("say it")));
            assert!(world.seen().iter().any(|seen| seen.body.contains("\"action\":\"cancel\"")), "the server is told");
        }
    }

    #[tokio::test]
    async fn nobody_is_offered_whom_there_is_not() {
        for modern in [true, false] {
            let world = World::new().await;
            let rounds = vec![json!({"a": form("a?", "name")})];
            world.change(|rules| (rules.modern, rules.asks) = (modern, rounds));
            let absent = Arc::new(Clerk { has: json!({}), fills_forms: false, heard: Mutex::default() });
            for respondent in [None, Some(absent.clone())] {
                world.seen();
                match (ask(&world, respondent.clone()).await, respondent) {
                    // It is told, and goes on as it likes.
                    (Ok(answers), None) => assert_eq!((&answers["a"]["code"], modern), (&json!(-32602), false)),
                    (Err(ClientError::Rpc { code, .. }), None) => assert_eq!((code, modern), (-32602, true)),
                    (Err(ClientError::Unanswered(unanswered)), Some(_)) => assert_eq!(unanswered.question, "a?"),
                    other => panic!("{other:?}", other = other.0),
                }
                let bodies: Vec<_> = world.seen().into_iter().map(|seen| seen.body).collect();
                assert!(!bodies.iter().any(|body| body.contains("\"elicitation\"")), "{bodies:?}");
            }
        }
    }

    #[tokio::test]
    async fn an_answer_to_what_was_not_offered_is_not_sent() {
        for modern in [true, false] {
            let world = World::new().await;
            world.change(|rules| (rules.modern, rules.asks) = (modern, vec![json!({"a": form("a?", "name")})]));
            for fills_forms in [false, true] {
                world.seen();
                let clerk = Clerk { has: json!({"name": "Ada"}), fills_forms, heard: Mutex::default() };
                let answered = ask(&world, Some(Arc::new(clerk))).await;
                assert_eq!(world.seen().iter().any(|seen| seen.body.contains("Ada")), fills_forms, "modern: {modern}");
                match answered {
                    Ok(answers) if fills_forms => assert_eq!(answers["a"]["action"], "accept", "the twin"),
                    Ok(answers) => assert_eq!((&answers["a"]["code"], modern), (&json!(-32602), false)),
                    Err(ClientError::Rpc { code, .. }) => {
                        assert_eq!((code, modern, fills_forms), (-32602, true, false));
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
    }

    #[tokio::test]
    async fn of_two_questions_without_an_answer_the_first_is_told() {
        for modern in [true, false] {
            let world = World::new().await;
            let round = json!({"a": form("first?", "name"), "b": form("second?", "name")});
            world.change(|rules| (rules.modern, rules.asks) = (modern, vec![round]));
            let error = ask(&world, Some(Clerk::with(json!({})))).await.unwrap_err();
            assert!(error.to_string().contains("first?"), "modern: {modern}: {error}");
        }
    }

    /// Declines, slowly, and counts how many questions it has at a time.
    #[derive(Default)]
    struct Slow {
        now: AtomicUsize,
        most: AtomicUsize,
    }

    impl Respondent for Slow {
        fn fills_forms(&self) -> bool {
            true
        }

        fn opens_pages(&self) -> bool {
            true
        }

        fn answer(&self, _: Question) -> BoxFuture<'_, Result<Reply, Unanswered>> {
            Box::pin(async {
                self.most.fetch_max(self.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                for _ in 0..10_000 {
                    tokio::task::yield_now().await;
                }
                self.now.fetch_sub(1, Ordering::Relaxed);
                Ok(Reply::Decline)
            })
        }
    }

    #[tokio::test]
    async fn a_person_has_one_question_at_a_time() {
        for modern in [true, false] {
            let world = World::new().await;
            let round = json!({"a": form("a?", "name"), "b": form("b?", "name"), "c": visit("https://pay.example/x")});
            world.change(|rules| (rules.modern, rules.asks) = (modern, vec![round]));
            let slow = Arc::new(Slow::default());
            let answers = ask(&world, Some(Arc::clone(&slow))).await.unwrap();
            assert!(answers.as_object().unwrap().values().all(|answer| answer["action"] == "decline"), "{answers}");
            assert_eq!((answers.as_object().unwrap().len(), slow.most.load(Ordering::Relaxed)), (3, 1));
        }
    }

    #[tokio::test]
    async fn a_page_is_visited_only_if_it_is_one() {
        for modern in [true, false] {
            let world = World::new().await;
            let ask_for = async |url: &str| {
                let rounds = vec![json!({"a": visit(url)})];
                world.change(|rules| (rules.modern, rules.asks) = (modern, rounds));
                let clerk = Clerk::with(json!({}));
                (ask(&world, Some(clerk.clone())).await, clerk.heard.lock().unwrap().len())
            };
            let (answers, heard) = ask_for("https://pay.example/x").await;
            assert_eq!((answers.unwrap(), heard), (json!({"a": {"action": "accept"}}), 1));
            let (error, heard) = ask_for("javascript:alert(1)").await;
            let error = error.unwrap_err();
            assert!(error.to_string().contains("`javascript:alert(1)`"), "{error}");
            assert_eq!((error.kind(), heard), (Kind::Server, 0), "nobody was asked");
        }
    }

    #[tokio::test]
    async fn a_server_that_only_asks_is_left() {
        let world = World::new().await;
        let rounds = (0..20).map(|round| json!({format!("k{round}"): form("more?", "name")})).collect();
        world.change(|rules| rules.asks = rounds);
        let clerk = Clerk::with(json!({"name": "Ada"}));
        let error = ask(&world, Some(clerk.clone())).await.unwrap_err();
        assert!(error.to_string().contains("10"), "{error}");
        assert_eq!(clerk.heard.lock().unwrap().len(), 10);
        let sent = world.whats().iter().filter(|what| *what == "POST /mcp tools/call").count();
        assert_eq!(sent, 11, "every answer was sent");
        // In a session there are no rounds, but a bound all the same.
        let many = (0..40).map(|round| json!({format!("k{round}"): form("more?", "name")})).collect();
        world.change(|rules| (rules.modern, rules.asks) = (false, many));
        let clerk = Clerk::with(json!({"name": "Ada"}));
        let answers = ask(&world, Some(clerk.clone())).await.unwrap();
        assert_eq!(clerk.heard.lock().unwrap().len(), 32);
        assert_eq!(answers["k39"]["code"], -32600);
    }

    #[test]
    fn what_is_no_question_is_told_as_such_and_cannot_draw() {
        let evil = "x\u{1b}[2J";
        let question = |mut params: Value| {
            params["message"] = evil.into();
            Question::of(&params, String::new(), String::new())
        };
        let schema = json!({"type": "object", "properties": {}});
        assert!(question(json!({"requestedSchema": schema})).is_ok(), "the twin");
        let unknown = "in a way that is not known here";
        for (params, problem) in [
            (json!({}), unknown),
            (json!({"requestedSchema": "all"}), unknown),
            (json!({"mode": "voice", "requestedSchema": schema}), unknown),
            (json!({"mode": "url"}), unknown),
            (json!({"mode": "url", "url": format!("-{evil}")}), "wants `-x\\u{1b}[2J` opened"),
        ] {
            let unanswered = question(params).unwrap_err();
            let told = unanswered.to_string();
            assert!(told.starts_with("the server asks \"x\\u{1b}[2J\", ") && told.contains(problem), "{told}");
            assert_eq!(unanswered.kind, Kind::Server, "{told}");
        }
    }

    #[test]
    fn only_pages_are_opened() {
        for bad in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "http://auth.example/x",
            "https://bank.example@evil.example/",
            "https://u:p@auth.example/",
            "https://:p@auth.example/",
            "data:text/html,x",
            "vscode://x",
            "https://",
            "-flag",
        ] {
            assert_eq!(page(bad), None, "{bad}");
        }
        for good in ["https://auth.example/x?y=$(z)#f", "http://127.0.0.1:8000/x", "http://localhost/x"] {
            assert!(page(good).is_some(), "{good}");
        }
    }
}
