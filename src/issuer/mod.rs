//! stub
#![allow(missing_docs, dead_code)]
use crate::{
    clock::SharedClock,
    hint::Hint,
    oauth::{Issuer, Resource, Scopes},
    store::{PrivateDir, StoreError},
};
use std::sync::Arc;
pub struct Settings {
    pub issuer: Issuer,
    pub resources: Vec<Resource>,
    pub scopes: Scopes,
    pub clock: SharedClock,
}
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    S(#[from] StoreError),
}
impl Hint for OpenError {}
pub struct Embedded;
impl Embedded {
    pub fn open(_: &PrivateDir, _: Settings) -> Result<Arc<Self>, OpenError> {
        Ok(Arc::new(Self))
    }
    pub fn router(self: &Arc<Self>) -> axum::Router {
        axum::Router::new()
    }
    pub fn key_set(&self) -> Vec<u8> {
        vec![]
    }
    pub fn is_revoked(&self, _: &str) -> bool {
        false
    }
}
