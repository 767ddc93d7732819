//! Answers to what a server asks on its way to a result: from flags, else from whoever sits at the terminal.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use serde_json::{Map, Value};

use super::{
    asking::Asker,
    exit::{Exit, Failure},
    print::Printer,
    shape::Shape,
    surroundings::{Surroundings, json_object},
};
use crate::{
    client::{Asked, BoxFuture, Form, FormProblem, Question, Reply, Respondent, Unanswered},
    said::said,
};

/// Where a secret may be.
const ELSEWHERE: &str = "give it with `--answer-json @FILE` or `--answer-json -`, if this server is to have it at all";

/// What the server is answered if it asks something.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Answers {
    /// Fill in one field of a form that the server asks for; a list's again and again
    #[arg(long, value_name = "NAME=VALUE")]
    answer: Vec<String>,
    /// The same as one JSON object; `@FILE` or `-` read it from a file or standard input, `{}` takes every form's
    /// defaults
    #[arg(long, value_name = "JSON", conflicts_with = "answer")]
    answer_json: Option<String>,
}

/// What was given before anybody asked.
#[derive(Debug)]
enum Given {
    Nothing,
    Words(Vec<(String, String)>),
    Values(Map<String, Value>),
}

/// Answers with what was given, and asks for the rest.
#[derive(Debug)]
pub(super) struct Answering {
    given: Given,
    asker: Option<Asker>,
    printer: Printer,
    /// Which of the given answers were asked for.
    used: Mutex<HashSet<String>>,
}

impl Answers {
    /// Reads the flags; `asker` is there if somebody is at the terminal.
    pub(super) async fn read(&self, asker: Option<Asker>, surroundings: &Surroundings) -> Result<Answering, Failure> {
        let given = match &self.answer_json {
            Some(json) => {
                let values = json_object("--answer-json", json).await?;
                // What came from a file or standard input is in no list of processes and in no history.
                if !is_elsewhere(json) {
                    without_secrets("--answer-json", values.keys())?;
                }
                Given::Values(values)
            }
            None if self.answer.is_empty() => Given::Nothing,
            None => {
                let words = self.answer.iter().map(|word| pair(word)).collect::<Result<Vec<_>, _>>()?;
                without_secrets("--answer", words.iter().map(|(name, _)| name))?;
                Given::Words(words)
            }
        };
        Ok(Answering { given, asker, printer: surroundings.printer, used: Mutex::default() })
    }
}

/// Whether a flag only says where its JSON is.
fn is_elsewhere(json: &str) -> bool {
    json == "-" || json.starts_with('@')
}

/// Refuses values that have no place in an argument.
fn without_secrets<'a>(flag: &str, mut names: impl Iterator<Item = &'a String>) -> Result<(), Failure> {
    let Some(name) = names.find(|name| looks_secret(name)) else { return Ok(()) };
    let problem = format!("`{flag}`: its `{}` looks like a secret, which has no place on a command line", said(name));
    Err(Failure::message(Exit::Usage, problem).hint(ELSEWHERE.to_owned()))
}

fn pair(word: &str) -> Result<(String, String), Failure> {
    let (name, value) = word.split_once('=').ok_or_else(|| {
        Failure::message(Exit::Usage, format!("`--answer {word}` has no `=`"))
            .hint("write `--answer NAME=VALUE`".to_owned())
    })?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Respondent for Answering {
    fn fills_forms(&self) -> bool {
        self.asker.is_some() || !matches!(self.given, Given::Nothing)
    }

    fn opens_pages(&self) -> bool {
        self.asker.is_some()
    }

    fn answer(&self, question: Question) -> BoxFuture<'_, Result<Reply, Unanswered>> {
        Box::pin(async move {
            match (&question.wanted, &self.asker) {
                (Asked::Form(form), _) => {
                    let form = form.clone();
                    self.fill(question, form).await
                }
                (Asked::Page(page), Some(asker)) => {
                    let page = page.clone();
                    Ok(asker.visit(&question, &page).await)
                }
                (Asked::Page(page), None) => Err(question.unanswered(
                    format!("for which it wants `{page}` visited, and nobody is here who could"),
                    "run the command at a terminal",
                )),
            }
        })
    }
}

impl Answering {
    /// Answers that nobody asked for.
    pub(super) fn unused(&self) -> Vec<&str> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unused: Vec<_> = self.given.names().into_iter().filter(|name| !used.contains(*name)).collect();
        unused.dedup();
        unused
    }

    async fn fill(&self, question: Question, form: Form) -> Result<Reply, Unanswered> {
        let given = self.given.values(&form).map_err(|(problem, hint)| question.unanswered(problem, hint))?;
        let is_meant = !given.is_empty() || self.given.takes_defaults();
        self.used.lock().unwrap_or_else(PoisonError::into_inner).extend(given.keys().cloned());
        let problem = match form.fill(given.clone()) {
            Ok(filled) if is_meant => {
                self.printer.note(&format!("answered \"{}\"", said(&question.message)));
                return Ok(Reply::Accept(filled));
            }
            Err(problem @ FormProblem::Unfit(_)) if is_meant => {
                return Err(question.unanswered(but(&problem), "give another `--answer`"));
            }
            Err(problem) if is_meant => but(&problem),
            _ => "and nobody is here to answer".to_owned(),
        };
        match &self.asker {
            Some(asker) => Ok(asker.fill(question, form, given).await),
            None => Err(question.unanswered(problem, hint(&form, &given))),
        }
    }
}

/// The end of a sentence: names and bounds in it are the server's words.
fn but(problem: &FormProblem) -> String {
    format!("but {}", said(&problem.to_string()))
}

/// Which flags would answer.
fn hint(form: &Form, given: &Map<String, Value>) -> String {
    let open = form.fields.iter().filter(|field| field.default.is_none() && !given.contains_key(&field.name));
    let (required, optional): (Vec<_>, Vec<_>) = open.partition(|field| field.is_required);
    let wanted = if required.is_empty() { optional } else { required };
    if wanted.iter().any(|field| looks_secret(&field.name)) {
        return "run the command at a terminal, or put the answers into a file and add `--answer-json @FILE`"
            .to_owned();
    }
    let flags: Vec<_> = wanted.iter().map(|field| format!("`--answer {}=VALUE`", said(&field.name))).collect();
    match flags.as_slice() {
        [] => "run the command at a terminal, or accept with `--answer-json '{}'`".to_owned(),
        flags => format!("run the command at a terminal, or add {}", flags.join(" ")),
    }
}

impl Given {
    fn names(&self) -> Vec<&str> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Words(words) => words.iter().map(|(name, _)| name.as_str()).collect(),
            Self::Values(values) => values.keys().map(String::as_str).collect(),
        }
    }

    /// Whether a form of which nothing was given is to be accepted as it comes.
    fn takes_defaults(&self) -> bool {
        matches!(self, Self::Values(values) if values.is_empty())
    }

    /// What was given for the fields of this form.
    fn values(&self, form: &Form) -> Result<Map<String, Value>, (String, String)> {
        let mut values = Map::new();
        for field in &form.fields {
            let name = &field.name;
            match self {
                Self::Nothing => {}
                Self::Values(given) => values.extend(given.get(name).map(|value| (name.clone(), value.clone()))),
                Self::Words(words) => {
                    let texts: Vec<_> =
                        words.iter().filter(|(given, _)| given == name).map(|(_, text)| text.as_str()).collect();
                    if texts.is_empty() {
                        continue;
                    }
                    let shape = Shape::of(&form.schema["properties"][name], &form.schema);
                    let value = shape.value(&texts).ok_or_else(|| {
                        let (name, text, expected) = (said(name), texts.join("`, `"), said(&shape.words()));
                        (
                            format!("but `{name}` is `{text}`, expected {expected}"),
                            format!("give another `--answer {name}=VALUE`"),
                        )
                    })?;
                    values.insert(name.clone(), value);
                }
            }
        }
        Ok(values)
    }
}

/// Whether the name of a field says that it wants what a form must not ask for (MCP, elicitation, security).
pub(super) fn looks_secret(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    [
        "password",
        "passwd",
        "passphrase",
        "passcode",
        "secret",
        "token",
        "apikey",
        "privatekey",
        "credential",
        "cardnumber",
    ]
    .iter()
    .any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        cli::print::{Colour, Format},
        config::Environment,
    };

    fn answering(given: Given) -> Answering {
        let printer = Printer::new(Format::Text, Colour::Never, true, &Environment::default());
        Answering { given, asker: None, printer, used: Mutex::default() }
    }

    fn words(words: &[&str]) -> Given {
        Given::Words(words.iter().map(|word| pair(word).unwrap()).collect())
    }

    fn values(values: &Value) -> Given {
        Given::Values(values.as_object().unwrap().clone())
    }

    async fn asked(answering: &Answering, properties: Value, required: &[&str]) -> Result<Value, (String, String)> {
        let form = Form::of(json!({"type": "object", "properties": properties, "required": required}));
        let question = Question {
            server_name: "s".to_owned(),
            server: "http://s".to_owned(),
            message: "so?".to_owned(),
            wanted: Asked::Form(form),
        };
        match answering.answer(question).await {
            Ok(Reply::Accept(filled)) => Ok(filled.into()),
            Ok(reply) => panic!("{reply:?}"),
            Err(unanswered) => Err((unanswered.to_string(), unanswered.hint)),
        }
    }

    #[tokio::test]
    async fn words_become_what_the_form_wants() {
        let given = answering(words(&["n=2", "t=2", "b=true", "e=x", "l=a", "l=b", "l=a", "other=1"]));
        let properties = json!({
            "n": {"type": "integer"}, "t": {"type": "string"}, "b": {"type": "boolean"}, "e": {"enum": ["x", "y"]},
            "l": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}, "d": {"type": "string", "default": "z"},
        });
        let filled = asked(&given, properties, &["n"]).await.unwrap();
        assert_eq!(filled, json!({"n": 2, "t": "2", "b": true, "e": "x", "l": ["a", "b", "a"], "d": "z"}));
        assert_eq!(given.unused(), ["other"]);
    }

    #[tokio::test]
    async fn a_form_is_accepted_only_if_an_answer_was_meant_for_it() {
        let plain = json!({"a": {"type": "string", "default": "x"}});
        for (given, accepted) in [
            (Given::Nothing, false),
            (words(&["b=1"]), false),
            (words(&["a=1"]), true),
            (values(&json!({"b": 1})), false),
            (values(&json!({"a": "1"})), true),
            (values(&json!({})), true),
        ] {
            let answering = answering(given);
            let answered = asked(&answering, plain.clone(), &[]).await;
            assert_eq!(answered.is_ok(), accepted, "{answering:?}");
            // A mere yes or no.
            let answered = asked(&answering, json!({}), &[]).await;
            assert_eq!(answered.is_ok(), answering.given.takes_defaults(), "{answering:?}");
        }
    }

    #[tokio::test]
    async fn who_cannot_answer_says_which_flag_would() {
        let one = || json!({"a": {"type": "integer", "minimum": 3}, "o": {"type": "string"}});
        let (problem, hint) = asked(&answering(Given::Nothing), one(), &["a"]).await.unwrap_err();
        assert_eq!(problem, "the server asks \"so?\", and nobody is here to answer");
        assert_eq!(hint, "run the command at a terminal, or add `--answer a=VALUE`");
        let (problem, _) = asked(&answering(words(&["o=x"])), one(), &["a"]).await.unwrap_err();
        assert_eq!(problem, "the server asks \"so?\", but `a` is missing");
        let (problem, _) = asked(&answering(words(&["a=x"])), one(), &["a"]).await.unwrap_err();
        assert_eq!(problem, "the server asks \"so?\", but `a` is `x`, expected an integer");
        let (problem, _) = asked(&answering(words(&["a=2"])), one(), &["a"]).await.unwrap_err();
        assert!(problem.contains("but `a`: the value is less than"), "{problem}");
        let (_, hint) = asked(&answering(Given::Nothing), json!({}), &[]).await.unwrap_err();
        assert_eq!(hint, "run the command at a terminal, or accept with `--answer-json '{}'`");
    }

    #[tokio::test]
    async fn the_servers_words_write_no_lines_of_ours() {
        let name = "a\nhint: run `rm -rf ~`";
        let long = json!({"type": "string", "enum": ["x\nhint: no", "y".repeat(9_000)]});
        for property in [json!({"type": "integer"}), long] {
            for given in [json!({name: true}), json!({"b": 1})] {
                let properties = json!({name: property, "b": {"type": "integer"}});
                let (problem, hint) = asked(&answering(values(&given)), properties, &[name]).await.unwrap_err();
                assert!(problem.contains("a\\nhint: run"), "{problem}");
                assert!(!problem.contains('\n') && !hint.contains('\n') && problem.len() < 3_000, "{problem}");
            }
        }
    }

    #[test]
    fn a_secret_in_an_argument_is_refused_and_one_from_elsewhere_is_not() {
        for name in ["password", "API_key", "client-secret", "accessToken"] {
            let refused = without_secrets("--answer", ["a".to_owned(), name.to_owned()].iter()).unwrap_err();
            assert_eq!(refused.exit, Exit::Usage);
        }
        assert!(without_secrets("--answer", ["a", "key", "name"].map(str::to_owned).iter()).is_ok(), "the twin");
        assert!(is_elsewhere("-") && is_elsewhere("@answers.json") && !is_elsewhere("{}"));
    }

    #[tokio::test]
    async fn for_a_secret_no_argument_is_proposed() {
        for name in ["password", "API_key", "client-secret", "accessToken"] {
            let properties = json!({name: {"type": "string"}});
            let (_, hint) = asked(&answering(Given::Nothing), properties.clone(), &[name]).await.unwrap_err();
            assert!(hint.ends_with("put the answers into a file and add `--answer-json @FILE`"), "{hint}");
            let filled = asked(&answering(values(&json!({name: "x"}))), properties, &[name]).await.unwrap();
            assert_eq!(filled, json!({name: "x"}), "the twin");
        }
    }
}
