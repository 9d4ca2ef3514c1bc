//! How streams and connections end. Implements spec/18-transport.md §18.6.
use std::fmt;

use quinn::{ConnectionError, VarInt};
use thiserror::Error;
use waxwing_wire::frame::ErrorCode;

/// The QUIC application error code that a stream or connection is closed with (spec §18.6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CloseCode {
    /// Nothing is wrong: 0.
    Done,
    /// A code of the one table (spec §13.5): 1 to 65,535.
    Error(ErrorCode),
    /// The peer let a deadline pass: 65,536.
    TooSlow,
    /// A code of a newer version.
    Other(u64),
}

impl CloseCode {
    /// The number.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Done => 0,
            Self::Error(code) => u64::from(code.number()),
            Self::TooSlow => TOO_SLOW,
            Self::Other(code) => code,
        }
    }

    /// What a number means.
    #[must_use]
    pub fn of_number(number: u64) -> Self {
        match (number, u16::try_from(number).ok().and_then(ErrorCode::of_number)) {
            (0, _) => Self::Done,
            (_, Some(code)) => Self::Error(code),
            (TOO_SLOW, None) => Self::TooSlow,
            (other, None) => Self::Other(other),
        }
    }

    pub(crate) fn to_quic(self) -> VarInt {
        VarInt::from_u64(self.number()).unwrap_or(VarInt::MAX)
    }

    pub(crate) fn of_quic(code: VarInt) -> Self {
        Self::of_number(code.into_inner())
    }
}

impl From<ErrorCode> for CloseCode {
    fn from(code: ErrorCode) -> Self {
        Self::Error(code)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done (0)"),
            Self::Error(code) => code.fmt(f),
            Self::TooSlow => write!(f, "too slow ({TOO_SLOW})"),
            Self::Other(code) => write!(f, "code of a newer version ({code})"),
        }
    }
}

/// Why a connection is over. Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Ended {
    /// This side closed it.
    #[error("closed by this side")]
    ClosedHere,
    /// The other side closed it; the code says whether and when to come back.
    #[error("closed by the other side: {0}")]
    ClosedByPeer(CloseCode),
    /// Nothing was heard for 30 seconds: connect again.
    #[error("the other side is not heard any more")]
    TimedOut,
    /// The other side knows nothing of this connection, probably because it was started anew: connect again.
    #[error("the other side has forgotten the connection")]
    Forgotten,
    /// One side broke QUIC or TLS.
    #[error("the connection broke a rule of QUIC or TLS")]
    Broken,
}

impl From<ConnectionError> for Ended {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::LocallyClosed => Self::ClosedHere,
            ConnectionError::ApplicationClosed(close) => Self::ClosedByPeer(CloseCode::of_quic(close.error_code)),
            ConnectionError::TimedOut => Self::TimedOut,
            ConnectionError::Reset => Self::Forgotten,
            ConnectionError::VersionMismatch
            | ConnectionError::TransportError(_)
            | ConnectionError::ConnectionClosed(_)
            | ConnectionError::CidsExhausted => Self::Broken,
        }
    }
}

/// The first number above the table of spec §13.5.
const TOO_SLOW: u64 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_are_each_others_inverse() {
        for number in (0..=65_540).chain([1 << 20, (1 << 62) - 1]) {
            assert_eq!(CloseCode::of_number(number).number(), number);
        }
        assert_eq!(CloseCode::of_number(1), CloseCode::Error(ErrorCode::Malformed));
        assert_eq!(CloseCode::of_number(65_536), CloseCode::TooSlow);
    }
}
