//! What is read of a document whose URL is a client's id, for fuzzers.

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

use super::cimd::DocumentClient;

/// Reads a document as `/authorize` does and gives its redirect URIs; `None` if it is refused.
pub fn read_client_document(client_id: &str, body: &[u8]) -> Option<Vec<String>> {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let client = DocumentClient::read(client_id, &headers, body).ok()?;
    Some(client.redirect_uris.iter().map(|uri| uri.as_str().to_owned()).collect())
}
