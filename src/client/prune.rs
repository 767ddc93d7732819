//! Clients that registered themselves at a Keycloak and are used no more.
//!
//! Keycloak does not say when a client was made or used; the realm's events do, for as long as it keeps them.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use chrono::DateTime;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Client, ClientError,
    error::said,
    keycloak::{KeycloakAdmin, Realm},
};

/// How many clients are asked for at a time.
const PAGE: usize = 100;

/// What shows that somebody still wants a client; the realm has to keep all of these.
const SIGNS_OF_LIFE: [&str; 7] = [
    "CLIENT_REGISTER",
    "CLIENT_UPDATE",
    "CLIENT_LOGIN",
    "LOGIN",
    "CODE_TO_TOKEN",
    "REFRESH_TOKEN",
    "OAUTH2_DEVICE_CODE_TO_TOKEN",
];

/// What shows it too, where the realm keeps it. Keycloak 26.7 answers 500 to a type that it does not know.
const OTHER_SIGNS: [&str; 4] = ["CLIENT_INFO", "INTROSPECT_TOKEN", "TOKEN_EXCHANGE", "USER_INFO_REQUEST"];

/// What Keycloak 26.7 gives to a client that it knows by its metadata document, and to no other.
const FROM_DOCUMENT: &str = "cimd.cache.expiry.time.in.sec";

/// A client that registered itself, and that nobody has used of late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleClient {
    /// Its id.
    pub client_id: String,
    /// Its name, escaped and capped: a stranger has chosen it.
    pub name: String,
    /// When it was last registered, changed or used, since the epoch; `None`: before the oldest event that is kept.
    pub last_seen: Option<Duration>,
}

/// What is kept of events. The realm itself names no types when it keeps Keycloak's choice, which lacks
/// `REFRESH_TOKEN`; `events/config` names them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    #[serde(default)]
    events_enabled: bool,
    /// Seconds; 0: for ever.
    #[serde(default)]
    events_expiration: u64,
    #[serde(default)]
    enabled_event_types: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    client_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    attributes: HashMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    /// Milliseconds since the epoch.
    time: u64,
    #[serde(default)]
    client_id: String,
}

impl Listed {
    /// Keycloak gives a registered client one id for both. The name alone tells nothing: clients of SAML are called by
    /// URLs as those with a metadata document are.
    fn registered_itself(&self) -> bool {
        let is_plain = self.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_plain && (self.id == self.client_id || self.attributes.contains_key(FROM_DOCUMENT))
    }
}

impl Client {
    /// Finds the clients that registered themselves and have shown no sign of life for so long, and with `delete`
    /// deletes them.
    ///
    /// # Errors
    /// [`ClientError::CannotTell`] if the realm does not keep the events that would tell, or not for so long. Then, and
    /// when anything else fails while it looks, nothing is deleted.
    pub async fn prune(
        &self,
        admin: &KeycloakAdmin,
        unused_for: Duration,
        delete: bool,
    ) -> Result<Vec<StaleClient>, ClientError> {
        let issuer = self.issuer_to_register_at().await?.issuer;
        let mut realm = Realm::open(self, &issuer, admin).await?;
        let since = self.settings.clock.since_epoch().saturating_sub(unused_for);
        check_settings(&realm, unused_for).await?;
        check_reach(&realm, since).await?;
        let mut stale = Vec::new();
        for client in registered(&realm).await? {
            if !realm.is_fresh() {
                realm = Realm::open(self, &issuer, admin).await?;
            }
            let last_seen = last_seen(&realm, &client.client_id).await?;
            if last_seen.is_none_or(|last_seen| last_seen < since) {
                stale.push((last_seen, client));
            }
        }
        stale.sort_by_key(|(last_seen, _)| *last_seen);
        for (_, client) in stale.iter().filter(|_| delete) {
            if !realm.is_fresh() {
                realm = Realm::open(self, &issuer, admin).await?;
            }
            realm.delete(&["clients", &client.id]).await?;
        }
        let told = |(last_seen, client): (_, Listed)| StaleClient {
            client_id: said(&client.client_id),
            name: said(&client.name),
            last_seen,
        };
        Ok(stale.into_iter().map(told).collect())
    }
}

async fn check_settings(realm: &Realm<'_>, unused_for: Duration) -> Result<(), ClientError> {
    let kept: Kept = realm.find(&["events", "config"], &[]).await?;
    let is_kept = |sign: &str| kept.enabled_event_types.iter().any(|kind| kind == sign);
    let problem = if !kept.events_enabled {
        "the realm keeps no events".to_owned()
    } else if let Some(missing) = SIGNS_OF_LIFE.iter().find(|sign| !is_kept(sign)) {
        format!("the realm keeps no events of type `{missing}`")
    } else if kept.events_expiration != 0 && kept.events_expiration < unused_for.as_secs() {
        format!("the realm keeps events for {} days only", kept.events_expiration / 86_400)
    } else {
        return Ok(());
    };
    Err(ClientError::CannotTell { problem })
}

/// A realm that began to keep events yesterday knows nothing of the day before.
async fn check_reach(realm: &Realm<'_>, since: Duration) -> Result<(), ClientError> {
    let query = [("direction", "asc".to_owned()), ("max", "1".to_owned())];
    let oldest: Vec<Event> = realm.find(&["events"], &query).await?;
    let problem = match oldest.first().map(|event| Duration::from_millis(event.time)) {
        None => "the realm has no events yet".to_owned(),
        Some(oldest) if oldest > since => {
            format!("the oldest event of the realm is of {}", day(oldest).unwrap_or_default())
        }
        Some(_) => return Ok(()),
    };
    Err(ClientError::CannotTell { problem })
}

async fn registered(realm: &Realm<'_>) -> Result<Vec<Listed>, ClientError> {
    let mut all: BTreeMap<String, Listed> = BTreeMap::new();
    let mut first = 0;
    loop {
        let query = [("first", first.to_string()), ("max", PAGE.to_string())];
        let page: Vec<Listed> = realm.find(&["clients"], &query).await?;
        let (count, known) = (page.len(), all.len());
        // One that moves to the next page while we read is there twice.
        all.extend(page.into_iter().map(|client| (client.id.clone(), client)));
        if count < PAGE || all.len() == known {
            return Ok(all.into_values().filter(Listed::registered_itself).collect());
        }
        first += count;
    }
}

/// Events come newest first.
async fn last_seen(realm: &Realm<'_>, client_id: &str) -> Result<Option<Duration>, ClientError> {
    let mut query = vec![("client", client_id.to_owned()), ("max", "1".to_owned())];
    query.extend(SIGNS_OF_LIFE.iter().chain(&OTHER_SIGNS).map(|sign| ("type", (*sign).to_owned())));
    let newest: Vec<Event> = realm.find(&["events"], &query).await?;
    match newest.first() {
        Some(event) if event.client_id != client_id => {
            let problem =
                format!("asked for events of `{}`, it tells of `{}`", said(client_id), said(&event.client_id));
            Err(ClientError::CannotTell { problem })
        }
        newest => Ok(newest.map(|event| Duration::from_millis(event.time))),
    }
}

/// The day of a time since the epoch, as people write it.
pub(crate) fn day(time: Duration) -> Option<String> {
    let date = DateTime::from_timestamp(i64::try_from(time.as_secs()).ok()?, 0)?;
    Some(date.format("%Y-%m-%d").to_string())
}
