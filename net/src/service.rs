//! Which protocol is spoken. Implements spec/18-transport.md §18.3.
use waxwing_wire::frame::Ceiling;

/// What a server is: its ALPN name, which is protocol and version in one.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Service {
    /// `waxwing-relay/1`.
    Relay,
    /// `waxwing-keyserver/1`.
    Keyserver,
}

impl Service {
    /// The ALPN name.
    #[must_use]
    pub const fn alpn(self) -> &'static str {
        match self {
            Self::Relay => "waxwing-relay/1",
            Self::Keyserver => "waxwing-keyserver/1",
        }
    }

    /// The longest payload on control and backlog streams (spec §13.2.2).
    #[must_use]
    pub const fn ceiling(self) -> Ceiling {
        match self {
            Self::Relay => Ceiling::RELAY,
            Self::Keyserver => Ceiling::KEYSERVER,
        }
    }
}
