//! Does what is asked of a client. Implements spec/22-client-api.md §22.3 and §22.4.
//!
//! ```text
//! verb, JSON-RPC ─▶ Method ─▶ Call::perform(&Service) ─▶ waxwing_client::Client
//! ```
//! Invariant: nothing is decided here that the engine decides; here is only whom and what a word means, and how it is told.
mod contacts;
mod doctor;
mod events;
mod export;
mod find;
mod links;
mod messages;
mod names;
mod search;
mod status;
mod trust;
mod view;
mod wait;

use std::{path::PathBuf, sync::Arc};

use tokio::sync::Notify;
use waxwing_client::Client;

pub use self::events::Notes;
pub(crate) use self::export::export_lines;

/// A client that is open in this process.
#[derive(Clone, Debug)]
pub struct Service {
    client: Client,
    folder: PathBuf,
    daemon: Option<Arc<Notify>>,
}

impl Service {
    /// Of a verb that opened the profile for itself.
    #[must_use]
    pub fn alone(client: Client, folder: PathBuf) -> Self {
        Self { client, folder, daemon: None }
    }

    /// Of a daemon, which is stopped by that.
    #[must_use]
    pub fn of_daemon(client: Client, folder: PathBuf, stop: Arc<Notify>) -> Self {
        Self { client, folder, daemon: Some(stop) }
    }

    /// The client.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }
}
