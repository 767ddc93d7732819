//! A client in the env file that scripts read their settings from: written by `dcr register --auto-update`, taken out
//! by `dcr delete`.

use std::path::{Path, PathBuf};

use super::{
    exit::{Exit, Failure},
    surroundings::Surroundings,
};
use crate::{config, oauth::RegisteredClient, secret::Secret, store::OwnFile};

/// The file that scripts read their settings from, and what is in it now.
pub(super) struct EnvFile {
    file: OwnFile,
    text: Option<String>,
}

impl EnvFile {
    /// The file of `--env-file`. What cannot be written is refused before a client is registered for it.
    pub(super) fn of(surroundings: &Surroundings) -> Result<Self, Failure> {
        let Some(path) = &surroundings.globals.env_file else {
            let missing = "`--auto-update` needs the file that it is to write into";
            return Err(Failure::message(Exit::Usage, missing).hint("add `--env-file .env`".to_owned()));
        };
        let file = OwnFile::at(path)?;
        let text = file.read()?;
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        if let Some(missing) = directory.filter(|directory| !directory.is_dir()) {
            let problem = format!("cannot write `{}`: there is no directory `{}`", path.display(), missing.display());
            return Err(
                Failure::message(Exit::Failed, problem).hint("make its directory first, or name another".to_owned())
            );
        }
        Ok(Self { file, text })
    }

    /// Whether there is no such file yet.
    pub(super) fn is_new(&self) -> bool {
        self.text.is_none()
    }

    /// Where it is.
    pub(super) fn path(&self) -> PathBuf {
        self.file.path()
    }

    /// Writes who the client is. A secret that it does not have is taken out.
    pub(super) fn keep(&self, client: &RegisteredClient) -> Result<(), Failure> {
        let secret = client.client_secret.as_ref().map(Secret::expose);
        let mut text = self.text.clone().unwrap_or_default();
        for (path, value) in [("client.id", Some(client.client_id.as_str())), ("client.secret", secret)] {
            let names: Vec<_> = names_of(path).collect();
            text = config::assign(&text, &names, value).map_err(|error| Failure::new(Exit::Failed, error))?;
        }
        if self.text.as_ref() != Some(&text) {
            self.file.write(&text)?;
        }
        Ok(())
    }
}

/// The names by which an env file may set this key.
fn names_of(path: &'static str) -> impl Iterator<Item = &'static str> {
    let key = config::keys().iter().find(move |key| key.path == path);
    key.into_iter().flat_map(|key| key.variable.iter().chain(key.original)).copied()
}

/// Takes a client that is gone out of an env file, and its secret, unless the file names another client too: whose the
/// secret is, is then for a person to say. `false` if it does not name this one.
pub(super) fn forget(path: &Path, client_id: &str) -> anyhow::Result<bool> {
    let file = OwnFile::at(path)?;
    let Some(text) = file.read()? else { return Ok(false) };
    let (ours, others): (Vec<_>, Vec<_>) = names_of("client.id")
        .filter_map(|name| Some((name, config::assigned(&text, name)?)))
        .partition(|(_, value)| *value == client_id);
    let mut gone: Vec<_> = ours.iter().map(|(name, _)| *name).collect();
    if gone.is_empty() {
        return Ok(false);
    }
    if others.is_empty() {
        gone.extend(names_of("client.secret"));
    }
    file.write(&config::assign(&text, &gone, None)?)?;
    Ok(true)
}
