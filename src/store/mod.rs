//! What outlives the process, files of our own in a directory that only this account can enter; what replicas share; and
//! names that are remembered for a while.

mod expiring;
mod kept_secret;
mod lease;
mod local_client;
mod own_file;
mod private_dir;
mod redis;
mod sealer;

pub use expiring::{Expiring, NotUsable};
pub use kept_secret::{DEV_PASSWORD_FILE, dev_password, initial_access_token};
pub use lease::Lease;
pub use local_client::LocalClient;
pub use own_file::OwnFile;
pub use private_dir::{Lock, PrivateDir, StoreError};
pub use redis::{Heard, Redis, RedisError};
pub use sealer::Sealer;
