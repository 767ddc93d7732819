//! Documents of strangers: metadata, registrations, token answers, key sets, introspection answers, and the documents
//! whose URL is a client's id.

use std::fmt::Debug;

use securemcp::{
    issuer::fuzz::read_client_document,
    jose::{KeySet, Told},
    oauth::{ClientMetadata, RedirectUri, RegisteredClient, ResourceMetadata, ServerMetadata, TokenResponse},
};
use serde_json::Value;

const CLIENT_ID: &str = "https://app.example/client.json";

pub(super) fn read(bytes: &[u8]) {
    stays::<ServerMetadata>(bytes);
    stays::<ResourceMetadata>(bytes);
    stays::<ClientMetadata>(bytes);
    stays::<RegisteredClient>(bytes);
    stays::<TokenResponse>(bytes);
    if let Ok(keys) = KeySet::parse(bytes) {
        let value: Value = serde_json::from_slice(bytes).expect("a key set is JSON");
        assert!(keys.len() <= value["keys"].as_array().map_or(0, Vec::len));
    }
    let told = Told::parse(bytes);
    if let (Ok(Told::Active(_)), Ok(value)) = (&told, serde_json::from_slice::<Value>(bytes)) {
        assert_eq!(value["active"], true);
    }
    if let Some(redirect_uris) = read_client_document(CLIENT_ID, bytes) {
        let value: Value = serde_json::from_slice(bytes).expect("a document is JSON");
        assert_eq!(value["client_id"], CLIENT_ID);
        assert!(value.get("client_secret").is_none());
        assert!(!redirect_uris.is_empty());
        assert!(redirect_uris.iter().all(|uri| RedirectUri::parse(uri).is_ok()), "{redirect_uris:?}");
    }
}

/// What was understood of a document says the same when it is written and read again.
fn stays<T: serde::Serialize + serde::de::DeserializeOwned + Debug>(bytes: &[u8]) {
    let Ok(first) = serde_json::from_slice::<T>(bytes) else { return };
    let written = serde_json::to_value(&first).expect("documents are JSON");
    let second: T = serde_json::from_value(written.clone()).unwrap_or_else(|error| panic!("{error}: {written}"));
    assert_eq!(serde_json::to_value(second).expect("documents are JSON"), written);
}
