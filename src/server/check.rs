//! What can be known of a start without one: whether the settings fit what the server has, and the state directory can be
//! used.

use std::{fs, io, path::Path};

use rustix::fs::{Access, access};

use super::{Features, StartError, dpop, scopes_of};
use crate::{
    config::Config,
    store::{PrivateDir, StoreError},
};

/// The directories below the state directory that a server reads at its start.
const FOLDERS: [&str; 6] = ["issuer", "issuer/clients", "issuer/grants", "issuer/revoked", "issuers", "tls"];

/// Looks at the settings and the state directory as [`Server::bind`](super::Server::bind) would, and makes nothing.
///
/// # Errors
/// A setting names a scope that the server does not have; the state directory, or a file of ours in it, is open to others, a
/// link, or cannot be used by this account.
pub fn check(config: &Config, features: impl Into<Features>) -> Result<(), StartError> {
    let supported = config.scopes_supported.clone().unwrap_or_else(|| scopes_of(config, &features.into()));
    dpop::check_scopes(&config.dpop, &supported)?;
    let state = &config.state_dir;
    // What is not there yet is made in the nearest directory that is.
    let nearest = state.ancestors().find(|path| fs::symlink_metadata(path).is_ok()).unwrap_or(state);
    if nearest == state {
        look_into(state)?;
        for folder in FOLDERS.map(|folder| state.join(folder)) {
            if fs::symlink_metadata(&folder).is_ok() {
                look_into(&folder)?;
            }
        }
    }
    is_writable_directory(nearest).map_err(|source| {
        let path = nearest.to_owned();
        StoreError::Io { action: "write to", path, source }.into()
    })
}

fn is_writable_directory(path: &Path) -> io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(access(path, Access::WRITE_OK | Access::EXEC_OK)?)
}

fn look_into(path: &Path) -> Result<(), StoreError> {
    let directory = PrivateDir::open(path)?;
    for name in directory.names()? {
        directory.read(&name)?;
    }
    Ok(())
}
