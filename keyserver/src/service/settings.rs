//! What an operator decides. Implements spec/19-keyserver.md §19.8.
use super::{AdmissionSettings, Limits};

/// Settings of a key server; the default is closed to everybody but holders of invitations.
#[derive(Clone, Debug)]
pub struct Settings {
    /// By what right accounts and names are given.
    pub admission: AdmissionSettings,
    /// One-time keys of each kind that are kept for a device: 1 to 200.
    pub one_time_prekeys: u32,
    /// Names that an account may hold, resting ones counted.
    pub names: u32,
    /// How many of them the account's own admission pays for.
    pub names_included: u32,
    /// Who may ask how often.
    pub limits: Limits,
    /// The signed statement that this server moved (spec §11.9), as it was signed.
    pub moved: Option<Vec<u8>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            admission: AdmissionSettings::default(),
            one_time_prekeys: 200,
            names: 4,
            names_included: 1,
            limits: Limits::default(),
            moved: None,
        }
    }
}
