//! Asks a person at the terminal what a server wants to know.

use std::io;

use dialoguer::{Input as Line, MultiSelect, Password, Select, console::Term, theme::SimpleTheme};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::{Map, Value};
use url::Url;

use super::{
    answers::looks_secret,
    browser::Browser,
    print::Printer,
    shape::{Shape, plain},
    waiting::Turning,
};
use crate::{
    client::{Choice, Field, Form, Input, Question, Reply},
    said::said,
    secret::Secret,
};

/// How many lines of a message are shown.
const MAX_LINES: usize = 30;

/// Where the answers come from: the keys that somebody presses.
#[derive(Debug)]
pub(super) struct Asker {
    printer: Printer,
    turning: Turning,
    /// `None` leaves it to the person to open pages.
    browser: Option<Browser>,
}

/// What a person wants done with a question.
#[derive(Clone, Copy, Default)]
enum Wish {
    Answer,
    Again,
    Decline,
    #[default]
    Cancel,
}

impl Asker {
    pub(super) fn new(printer: Printer, turning: Turning, browser: Option<Browser>) -> Self {
        Self { printer, turning, browser }
    }

    /// Has a form filled in, but for what is given already.
    pub(super) async fn fill(&self, question: Question, form: Form, given: Map<String, Value>) -> Reply {
        self.introduce(&question);
        let printer = self.printer;
        self.at_the_keyboard(move || dialogue(&form, &given, printer)).await
    }

    /// Sends the person to a page, if that is wanted.
    pub(super) async fn visit(&self, question: &Question, page: &Url) -> Reply {
        self.introduce(question);
        let host = page.host_str().unwrap_or_default();
        self.printer.instruct("it wants you to visit this page:\n");
        self.printer.instruct(&format!("  {page}\n"));
        self.printer.loudly("the page belongs to ", host, "");
        if host.split('.').any(|label| label.starts_with("xn--")) {
            self.printer
                .warning("its name has letters of other scripts in it, which may look like those of another name");
        }
        let open = if self.browser.is_some() { "open it in a browser" } else { "go on, to open it yourself" };
        let chosen = self.at_the_keyboard(move || wish(&[(open, Wish::Answer), DECLINE, CANCEL])).await;
        match chosen {
            Wish::Answer => {}
            Wish::Decline => return Reply::Decline,
            Wish::Again | Wish::Cancel => return Reply::Cancel,
        }
        if let Some(browser) = &self.browser
            && !browser.open(page).await
        {
            self.printer.instruct("no browser opened: open the page yourself");
        }
        let chosen = self.at_the_keyboard(|| wish(&[("done there", Wish::Answer), CANCEL])).await;
        if matches!(chosen, Wish::Answer) { Reply::Accept(Map::new()) } else { Reply::Cancel }
    }

    /// Who asks, and what.
    fn introduce(&self, question: &Question) {
        self.turning.keeps_still(true);
        let name = said(&question.server_name);
        let name = if name.is_empty() { "a server without a name" } else { &name };
        self.printer.loudly("\n", name, &format!(" at {} asks:", question.server));
        let lines: Vec<_> = question.message.lines().collect();
        // Behind a bar, so that no line passes for one of ours.
        lines.iter().take(MAX_LINES).for_each(|line| self.printer.instruct(&format!("  | {}", said(line))));
        if lines.len() > MAX_LINES {
            self.printer.instruct(&format!("  | .. and {} lines more", lines.len() - MAX_LINES));
        }
    }

    /// Waits for keys; without a keyboard nothing was chosen.
    async fn at_the_keyboard<T: Default + Send + 'static>(
        &self,
        dialogue: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> T {
        let done = at_the_keyboard(dialogue).await;
        self.turning.keeps_still(false);
        done.unwrap_or_default()
    }
}

/// Has a person type what nobody is to see.
pub(super) async fn hidden(prompt: String) -> io::Result<Secret> {
    let line = || Password::with_theme(&SimpleTheme).with_prompt(prompt).interact_on(&Term::stderr());
    at_the_keyboard(|| line().map(Secret::new).map_err(io::Error::from)).await
}

async fn at_the_keyboard<T: Send + 'static>(
    dialogue: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let _restored = Keyboard::now();
    tokio::task::spawn_blocking(dialogue).await?
}

/// Is as it was when this goes, since a menu hides the cursor and a hidden line what is typed: also when nobody waits for the
/// dialogue any more, because Ctrl-C came as a signal.
struct Keyboard(Option<Termios>);

impl Keyboard {
    fn now() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
        let _ = Term::stderr().show_cursor();
    }
}

const DECLINE: (&str, Wish) = ("decline: the server goes on without an answer", Wish::Decline);
const CANCEL: (&str, Wish) = ("cancel", Wish::Cancel);

fn dialogue(form: &Form, given: &Map<String, Value>, printer: Printer) -> io::Result<Reply> {
    let begin = if form.fields.is_empty() { "accept" } else { "answer" };
    match wish(&[(begin, Wish::Answer), DECLINE, CANCEL])? {
        Wish::Answer => {}
        Wish::Decline => return Ok(Reply::Decline),
        Wish::Again | Wish::Cancel => return Ok(Reply::Cancel),
    }
    let mut filled = given.clone();
    if form.fields.is_empty() {
        return Ok(Reply::Accept(filled));
    }
    loop {
        for field in form.fields.iter().filter(|field| !given.contains_key(&field.name)) {
            let before = filled.remove(&field.name).or_else(|| field.default.clone());
            if let Some(value) = ask(form, field, before.as_ref(), printer)? {
                filled.insert(field.name.clone(), value);
            }
        }
        // What was left out on purpose stays out, whatever the server proposes.
        if let Err(problem) = form.judge(&filled) {
            printer.instruct(&said(&problem.to_string()));
            continue;
        }
        match wish(&[("send", Wish::Answer), ("change", Wish::Again), DECLINE, CANCEL])? {
            Wish::Answer => return Ok(Reply::Accept(filled)),
            Wish::Again => {}
            Wish::Decline => return Ok(Reply::Decline),
            Wish::Cancel => return Ok(Reply::Cancel),
        }
    }
}

fn wish(wishes: &[(&str, Wish)]) -> io::Result<Wish> {
    let labels: Vec<_> = wishes.iter().map(|(label, _)| *label).collect();
    let chosen = Select::with_theme(&SimpleTheme).items(&labels).default(0).report(false);
    Ok(wishes[chosen.interact_on(&Term::stderr()).map_err(io::Error::from)?].1)
}

/// One field; `None` leaves it out.
fn ask(form: &Form, field: &Field, before: Option<&Value>, printer: Printer) -> io::Result<Option<Value>> {
    let label = label(field);
    let value = match &field.input {
        Input::Switch => {
            let before = before.and_then(Value::as_bool).map(|is_on| usize::from(!is_on));
            one(&label, &["yes".to_owned(), "no".to_owned()], field, before)?.map(|index| Value::Bool(index == 0))
        }
        Input::One(choices) => {
            let labels: Vec<_> = choices.iter().map(choice_label).collect();
            let before = before.and_then(|before| choices.iter().position(|choice| *before == choice.value.as_str()));
            one(&label, &labels, field, before)?.map(|index| Value::from(choices[index].value.clone()))
        }
        Input::Several(choices) => loop {
            let value = several(&label, choices, before)?;
            // An empty list is no answer, unless one was wanted.
            let is_left_out = value == Value::Array(Vec::new()) && !field.is_required;
            match form.takes(field, &value) {
                Ok(()) => break (!is_left_out || before.is_some()).then_some(value),
                Err(_) if is_left_out => break None,
                Err(problem) => printer.instruct(&said(&problem.to_string())),
            }
        },
        Input::Text | Input::Number => return typed(form, field, &label, before, printer),
    };
    Ok(value)
}

fn one(label: &str, labels: &[String], field: &Field, before: Option<usize>) -> io::Result<Option<usize>> {
    let mut labels = labels.to_vec();
    if !field.is_required {
        labels.push("(leave it out)".to_owned());
    }
    let open = if field.is_required { 0 } else { labels.len() - 1 };
    let select = Select::with_theme(&SimpleTheme).with_prompt(label).items(&labels).default(before.unwrap_or(open));
    let chosen = select.max_length(20).interact_on(&Term::stderr()).map_err(io::Error::from)?;
    Ok((field.is_required || chosen + 1 < labels.len()).then_some(chosen))
}

fn several(label: &str, choices: &[Choice], before: Option<&Value>) -> io::Result<Value> {
    let is_chosen = |choice: &Choice| {
        before.and_then(Value::as_array).is_some_and(|before| before.iter().any(|one| *one == choice.value.as_str()))
    };
    let items: Vec<_> = choices.iter().map(|choice| (choice_label(choice), is_chosen(choice))).collect();
    let prompt = format!("{label} (the space bar chooses)");
    let select = MultiSelect::with_theme(&SimpleTheme).with_prompt(prompt).items_checked(items).max_length(20);
    let chosen = select.interact_on(&Term::stderr()).map_err(io::Error::from)?;
    Ok(chosen.into_iter().map(|index| Value::from(choices[index].value.clone())).collect())
}

fn typed(
    form: &Form,
    field: &Field,
    label: &str,
    before: Option<&Value>,
    printer: Printer,
) -> io::Result<Option<Value>> {
    let shape = Shape::of(&form.schema["properties"][&field.name], &form.schema);
    let value = |text: &str| -> Result<Value, String> {
        let value = shape.value(&[text]).ok_or_else(|| format!("expected {}", shape.words()))?;
        form.takes(field, &value).map_err(|problem| said(&problem.to_string()))?;
        Ok(value)
    };
    let check = |text: &String| match text.as_str() {
        "" if !field.is_required => Ok(()),
        text => value(text).map(drop),
    };
    let term = Term::stderr();
    let is_secret = looks_secret(&field.name) || field.title.as_deref().is_some_and(looks_secret);
    let text = if is_secret {
        printer.warning("this looks like a secret, which a server must not ask for in this way");
        let line = Password::with_theme(&SimpleTheme).with_prompt(label).allow_empty_password(true);
        line.validate_with(check).interact_on(&term).map_err(io::Error::from)?
    } else {
        let mut line = Line::with_theme(&SimpleTheme).with_prompt(label).allow_empty(!field.is_required);
        if let Some(before) = before {
            line = line.default(said(&plain(before)));
        }
        line.validate_with(check).interact_text_on(&term).map_err(io::Error::from)?
    };
    Ok(if text.is_empty() && !field.is_required { None } else { value(&text).ok() })
}

/// What is asked for, in one line of which no character does harm.
fn label(field: &Field) -> String {
    let mut label = said(field.title.as_deref().unwrap_or(&field.name));
    if let Some(description) = &field.description {
        label = format!("{label}: {}", said(description));
    }
    if field.is_required { label } else { format!("{label} (optional)") }
}

fn choice_label(choice: &Choice) -> String {
    match &choice.title {
        Some(title) => format!("{} ({})", said(title), said(&choice.value)),
        None => said(&choice.value),
    }
}
