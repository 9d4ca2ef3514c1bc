//! What an operator decides. Implements spec/17-relay.md §17.11.
use waxwing_wire::relay::Limits;

use super::{AdmissionSettings, Rates};

/// Settings of a relay; the default admits holders of invitations only.
#[derive(Clone, Debug)]
pub struct Settings {
    /// By what right mailboxes are made, and what strangers pay.
    pub admission: AdmissionSettings,
    /// What is announced and held to. What is not offered is 0.
    pub limits: Limits,
    /// What a source may make.
    pub rates: Rates,
    /// Streams of blobs that the connections of one source may have at once.
    pub blob_streams_per_source: u32,
    /// The signed statement that this server moved (spec §11.9), as it was signed.
    pub moved: Option<Vec<u8>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            admission: AdmissionSettings::default(),
            limits: Limits::default(),
            rates: Rates::default(),
            blob_streams_per_source: 64,
            moved: None,
        }
    }
}
