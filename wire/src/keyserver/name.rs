//! Names, listings and reach records. Implements spec/15-keyserver-messages.md §15.3.
use alloc::{string::String, string::ToString as _, vec::Vec};

use crate::{
    frame::Admission,
    id::AccountId,
    message::{self, Broken, FromWire, ToWire},
    name::Name,
    proto::keyserver as proto,
};

/// Asks for the sealed reach records of an account's devices.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FetchReach {
    /// Whose.
    pub account: AccountId,
}
message::message!(FetchReach = proto::FetchReach { account });

/// Reach records (§11.7), as they were signed. Unverified, and sealed under the reach key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reach {
    /// At most 32, of at most 4,400 bytes: one for each device and reach key.
    pub records: Vec<Vec<u8>>,
}
message::message!(Reach = proto::Reach { records });

/// Names a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lookup {
    /// Which.
    pub name: Name,
}
message::message!(Lookup = proto::Lookup { name });

/// What a name is listed as.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LookedUp {
    /// The listing (§11.8), as it was signed; none for an absent or unlisted name, which answer alike. Unverified.
    pub listing: Option<Vec<u8>>,
}
message::message!(LookedUp = proto::LookedUp { listing });

/// Asks for a name.
#[derive(Debug, Eq, PartialEq)]
pub struct ClaimName {
    /// Which.
    pub name: Name,
    /// By what right.
    pub admission: Admission,
}
message::message!(ClaimName = proto::ClaimName { name, admission });

/// Makes the account findable by its name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SetListing {
    /// The listing (§11.8), as it was signed. Unverified.
    pub listing: Vec<u8>,
}
message::message!(SetListing = proto::SetListing { listing });

impl ToWire<String> for Name {
    fn to_wire(&self) -> String {
        self.as_str().to_string()
    }
}

impl FromWire<String> for Name {
    fn from_wire(wire: String) -> Result<Self, Broken> {
        wire.parse().map_err(|_| Broken::rule("§11.13.1"))
    }
}
