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
    /// The signed statement that this server moved (spec §11.9), as it was signed.
    pub moved: Option<Vec<u8>>,
}

impl Default for Settings {
    fn default() -> Self {
        // Blobs are not served yet: 0 says so (spec §17.15).
        let limits = Limits { blob_bytes: 0, ..Limits::default() };
        Self { admission: AdmissionSettings::default(), limits, rates: Rates::default(), moved: None }
    }
}
