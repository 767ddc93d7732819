//! The person who logs in, as the client room sees one.

use std::{fmt, time::Duration};

use url::Url;

use crate::{client::BoxFuture, oauth::device::DEVICE_CODE};

/// A way to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// For the client itself: a machine (RFC 6749 section 4.4).
    ClientCredentials,
    /// For a person, in a browser of this machine (RFC 6749 section 4.1).
    AuthorizationCode,
    /// For a person, in a browser anywhere (RFC 8628).
    DeviceCode,
}

impl Grant {
    /// As it is registered and asked for.
    pub const fn registered(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::AuthorizationCode => "authorization_code",
            Self::DeviceCode => DEVICE_CODE,
        }
    }
}

/// What a person types on another device. Every part was checked, and is safe to show.
#[derive(Clone, Debug)]
pub struct DeviceCode {
    /// What is typed.
    pub user_code: String,
    /// Where.
    pub page: Url,
    /// The same page with the code in it, if the issuer has one.
    pub complete: Option<Url>,
    /// For how long it is good.
    pub lifetime: Duration,
}

/// Does what only a person can do. Nothing that is shown here is secret: codes are good for nothing without what stays
/// in this process.
pub trait Person: fmt::Debug + Send + Sync {
    /// Sends the person to a page that was checked; returns when that is done, not when the person has read it.
    fn visit<'a>(&'a self, page: &'a Url) -> BoxFuture<'a, ()>;

    /// The next line that the person gives back; never ready where nobody can.
    fn pasted(&self) -> BoxFuture<'_, String>;

    /// Shows what to type on another device.
    fn show_code(&self, code: &DeviceCode);

    /// Says something about the login.
    fn tell(&self, words: &str);

    /// The login is over, however it ended.
    fn done(&self);
}
