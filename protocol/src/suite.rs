//! Which agreement a session began with (spec §3.1).

/// The agreement of a session, and with it the version nibble of all its messages. There is no negotiation: the initiator
/// chooses by the bundle it verified, the responder by the function it calls.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Suite {
    /// Version 3: X3DH, classical. Whoever records it can read it with a later quantum computer.
    X3dh,
    /// Version 4: PQXDH with Kyber1024.
    Pqxdh,
}

impl Suite {
    /// 3 or 4.
    #[must_use]
    pub const fn version(self) -> u8 {
        match self {
            Self::X3dh => 3,
            Self::Pqxdh => 4,
        }
    }

    pub(crate) const fn from_version(version: u8) -> Option<Self> {
        match version {
            3 => Some(Self::X3dh),
            4 => Some(Self::Pqxdh),
            _ => None,
        }
    }
}
