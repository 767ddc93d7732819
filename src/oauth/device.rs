//! Logging in on another device: RFC 8628.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::secret::Secret;

/// The grant's name at the token endpoint (RFC 8628 section 3.4).
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The answer of the device authorization endpoint: RFC 8628 section 3.2.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceAuthorization {
    /// What the device polls the token endpoint with.
    pub device_code: Secret,
    /// What the person types.
    pub user_code: String,
    /// Where.
    pub verification_uri: Url,
    /// The same with the code in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_uri_complete: Option<Url>,
    /// Seconds until both codes are dead.
    pub expires_in: u64,
    /// Least seconds between two polls; 5 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<u64>,
}
