//! What was written, and where: defaults < file < environment < flags.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    Environment, Fallback, Flag, Inputs, Key, Purpose,
    document::Document,
    dotenv, files,
    keys::{self, PREFIX, TOKEN_VARIABLE, keys},
    originals,
    problem::{Report, Reported, quoted},
    values,
};
use crate::secret::Secret;

/// One setting as it was written.
pub(super) struct Value {
    pub(super) written: Written,
    /// Where, for a message: `` `securemcp.toml` line 3 ``.
    pub(super) origin: String,
    /// What to do if it turns out to be wrong.
    pub(super) hint: Option<&'static str>,
}

/// The form in which it was written.
pub(super) enum Written {
    Text(String),
    List(Vec<String>),
    /// The entries of a section whose names are free; a list's items have spaces between them.
    Section(Vec<(String, Value)>),
    /// Something that could not be read; the problem is reported already.
    Broken,
}

impl Value {
    pub(super) fn text(text: impl Into<String>, origin: impl Into<String>) -> Self {
        Self { written: Written::Text(text.into()), origin: origin.into(), hint: None }
    }

    pub(super) fn broken() -> Self {
        Self { written: Written::Broken, origin: String::new(), hint: None }
    }
}

/// The value of every key that has one.
pub(super) struct Values {
    pub(super) by_path: BTreeMap<&'static str, Value>,
    /// [`TOKEN_VARIABLE`].
    pub(super) token: Option<Secret>,
    /// Whether the files could be read, so that a key without a value really is unset.
    pub(super) is_whole: bool,
}

/// Variables of the environment and of the env file.
pub(super) struct Variables {
    by_name: BTreeMap<String, Variable>,
    /// Whether every line of the env file could be read.
    is_whole: bool,
}

struct Variable {
    value: String,
    origin: String,
}

impl Variables {
    /// Value and origin, even of an empty variable.
    pub(super) fn get(&self, name: &str) -> Option<(&str, &str)> {
        self.by_name.get(name).map(|variable| (variable.value.as_str(), variable.origin.as_str()))
    }

    /// The same, of a variable that is not empty.
    pub(super) fn get_filled(&self, name: &str) -> Option<(&str, &str)> {
        self.get(name).filter(|(value, _)| !value.is_empty())
    }

    /// The names of the variables that are not empty.
    pub(super) fn filled_names(&self) -> impl Iterator<Item = &str> {
        self.by_name.iter().filter(|(_, variable)| !variable.value.is_empty()).map(|(name, _)| name.as_str())
    }
}

/// Reads everything that `purpose` may read and keeps what wins.
pub(super) fn collect(purpose: Purpose, inputs: &Inputs, report: &mut Report) -> Values {
    let environment = &inputs.environment;
    let variables = variables(purpose, inputs, report);
    let mut document = document(purpose, inputs, report);
    for flag in inputs.flags.iter().filter(|flag| keys::find(flag.key).is_none()) {
        report.problem(format!("`{}` sets `{}`, which is no key", flag.name, flag.key));
    }
    let mut by_path = BTreeMap::new();
    for key in keys() {
        let mut value = match key.default {
            Fallback::Value(text) => Some(Value::text(text, "default")),
            Fallback::Unset(_) => None,
        };
        if key.is_for(purpose) {
            value = document.values.remove(key.path).or(value);
            value = from_flags(key, &inputs.flags, environment, report)
                .or_else(|| from_variables(key, &variables, value.as_ref(), environment, report))
                .or(value);
        }
        if let Some(value) = value {
            by_path.insert(key.path, value);
        }
    }
    if purpose == Purpose::Serve {
        originals::warn_of_ignored(&variables, report);
    }
    let token = variables.get(TOKEN_VARIABLE).filter(|_| purpose == Purpose::Client);
    // Where variables come from files they often end with a line break.
    let token = token.map(|(value, origin)| (value.trim_end_matches(['\r', '\n']), origin));
    if let Some((value, origin)) = token
        && let Err(refusal) = values::bearer_token(value)
    {
        let problem = if value.is_empty() { "is empty".into() } else { refusal };
        report.problem_with_hint(format!("{origin} {problem}"), "set it to an access token, or unset it");
    }
    let token = token.map(|(value, _)| Secret::new(value));
    Values { by_path, token, is_whole: document.is_whole && variables.is_whole }
}

fn from_flags(key: &Key, flags: &[Flag], environment: &Environment, report: &mut Report) -> Option<Value> {
    let mut flags = flags.iter().filter(|flag| flag.key == key.path);
    let first = flags.next()?;
    let origin = format!("`{}`", first.name);
    if key.flag_names_file() {
        return Some(secret_file(&first.value, &origin, environment, report));
    }
    if key.secret && values::has_user_information(&first.value) {
        let message = format!("{origin} has a password in it, which every account of this machine could read");
        let variable = key.variable.unwrap_or_default();
        report.problem_with_hint(message, format!("set `{variable}` or `{variable}_FILE` instead"));
        return Some(Value::broken());
    }
    let rest: Vec<_> = flags.collect();
    let written = if rest.is_empty() {
        Written::Text(first.value.clone())
    } else {
        Written::List([first].into_iter().chain(rest).flat_map(|flag| items(&flag.value)).collect())
    };
    Some(Value { written, origin, hint: None })
}

fn from_variables(
    key: &Key,
    variables: &Variables,
    below: Option<&Value>,
    environment: &Environment,
    report: &mut Report,
) -> Option<Value> {
    let value = key.variable.and_then(|name| variables.get(name));
    let file = key.file_variable().and_then(|name| variables.get(&name));
    match (value, file) {
        (Some((_, value)), Some((_, file))) => {
            report.problem_with_hint(format!("{value} and {file} are both set, expected one"), "unset one of the two");
            Some(Value::broken())
        }
        (Some((value, origin)), None) => Some(Value::text(value, origin)),
        (None, Some((path, origin))) => Some(secret_file(path, origin, environment, report)),
        (None, None) => originals::value(key, variables, below, report),
    }
}

fn secret_file(path: &str, origin: &str, environment: &Environment, report: &mut Report) -> Value {
    files::read_secret("secret file", path, origin, environment, report)
        .map_or_else(|_| Value::broken(), |secret| Value::text(secret.expose(), format!("{origin} ({})", quoted(path))))
}

/// The items of a list that is written as one text.
pub(super) fn items(text: &str) -> impl Iterator<Item = String> {
    text.split([' ', ',', '\t', '\n']).filter(|item| !item.is_empty()).map(str::to_owned)
}

fn document(purpose: Purpose, inputs: &Inputs, report: &mut Report) -> Document {
    let environment = &inputs.environment;
    let nothing = |is_whole| Document { values: BTreeMap::new(), is_whole };
    let in_xdg = environment.xdg("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("securemcp.toml"));
    let in_directory = (purpose == Purpose::Serve).then(|| PathBuf::from("securemcp.toml"));
    let what = "configuration file";
    let found = if let Some(named) = &inputs.config_file {
        files::read(what, named, environment, report).map(|content| Some((named.clone(), content)))
    } else {
        let candidates = [in_directory, in_xdg].into_iter().flatten();
        candidates
            .map(|path| Ok(files::read_if_present(what, &path, environment, report)?.map(|content| (path, content))))
            .find_map(Result::transpose)
            .transpose()
    };
    let (path, content) = match found {
        Ok(Some(found)) => found,
        Ok(None) => return nothing(true),
        Err(_) => return nothing(false),
    };
    let path = path.display().to_string();
    let document = Document::parse(&content.text, &path, report);
    if content.is_readable_by_others
        && keys().iter().any(|key| key.secret && key.is_for(purpose) && document.values.contains_key(key.path))
    {
        report.warn(format!("{} holds a secret and may be read by every account of this machine", quoted(&path)));
    }
    document
}

fn variables(purpose: Purpose, inputs: &Inputs, report: &mut Report) -> Variables {
    let environment = &inputs.environment;
    let mut all = BTreeMap::new();
    let is_whole = match &inputs.env_file {
        Some(path) => read_env_file(path, environment, &mut all, report).is_ok(),
        None => true,
    };
    for (name, value) in environment.variables() {
        let variable = Variable { value: value.clone(), origin: format!("`{name}`") };
        all.insert(name.clone(), variable);
    }
    let known: Vec<String> = keys::variables().collect();
    let in_kubernetes = all.contains_key("KUBERNETES_SERVICE_HOST");
    for (name, Variable { origin, .. }) in all.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        if known.contains(name) || in_kubernetes && is_service_link(name) {
            continue;
        }
        // Without the prefix: it would make every name look near.
        let candidates = known.iter().map(|known| &known[PREFIX.len()..]);
        let near = keys::nearest(&name[PREFIX.len()..], candidates);
        let hint = match near {
            _ if name.strip_suffix("_FILE") == Some(TOKEN_VARIABLE) => "name the file with `--token-file`".to_owned(),
            Some(near) => format!("write `{PREFIX}{near}` if that was meant"),
            None => "see docs/ENVIRONMENT.md for every variable".to_owned(),
        };
        report.problem_with_hint(format!("{origin} is not a variable of securemcp"), hint);
    }
    let originals: Vec<_> = keys().iter().filter(|key| key.is_for(purpose)).flat_map(|key| key.original).collect();
    for name in environment.not_unicode() {
        let is_directory = matches!(name.as_str(), "XDG_CONFIG_HOME" | "XDG_STATE_HOME");
        if name.starts_with(PREFIX) || is_directory || originals.contains(&&name.as_str()) {
            report.problem(format!("{} is not UTF-8", quoted(name)));
        }
    }
    Variables { by_name: all, is_whole }
}

fn read_env_file(
    path: &Path,
    environment: &Environment,
    all: &mut BTreeMap<String, Variable>,
    report: &mut Report,
) -> Result<(), Reported> {
    let content = files::read("env file", path, environment, report)?;
    let shown = quoted(&path.display().to_string());
    let mut outcome = Ok(());
    for line in dotenv::parse(&content.text) {
        match line {
            Ok((number, name, value)) => {
                let origin = format!("`{name}` ({shown} line {number})");
                all.insert(name.to_owned(), Variable { value: value.to_owned(), origin });
            }
            // Not quoted: the line may hold a secret.
            Err(number) => outcome = Err(report.problem(format!("{shown} line {number}: expected `NAME=value`"))),
        }
    }
    let is_secret = |name: &String| name == TOKEN_VARIABLE || keys().iter().any(|key| key.holds_secret_in(name));
    if content.is_readable_by_others && all.keys().any(is_secret) {
        report.warn(format!("{shown} holds a secret and may be read by every account of this machine"));
    }
    outcome
}

/// Kubernetes tells every pod about a Service named `securemcp` or `securemcp-*` in variables such as `SECUREMCP_PORT`.
fn is_service_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.split_once("_PORT_").is_some_and(|(_, rest)| rest.starts_with(|first: char| first.is_ascii_digit()))
}
