//! From what went wrong to the code on the wire. Implements the errors of spec/17-relay.md.
use std::time::Duration;

use waxwing_wire::frame::{ErrorCode, ServerError};

use crate::store::{
    AckError, BlobCreateError, BlobError, BlobReadError, BlobWriteError, CreateError, LaneError, MailboxError,
    PutError, RegisterCreateError, RegisterError, Unavailable, WatchError,
};

/// Why a request was not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Failure(pub(crate) ServerError);

impl Failure {
    fn later(code: ErrorCode, retry_after: Duration) -> Self {
        Self(ServerError { code, retry_after: Some(retry_after) })
    }

    /// As often as it is allowed.
    pub(crate) fn rate(retry_after: Duration) -> Self {
        Self::later(ErrorCode::RateLimited, retry_after)
    }

    /// When others are done.
    pub(crate) fn soon(code: ErrorCode) -> Self {
        Self::later(code, COME_BACK)
    }

    pub(crate) fn draining() -> Self {
        Self::later(ErrorCode::Draining, COME_BACK)
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Self(code.into())
    }
}

impl From<Unavailable> for Failure {
    fn from(_: Unavailable) -> Self {
        Self::later(ErrorCode::StoreUnavailable, STORE_RETRY)
    }
}

impl From<LaneError> for Failure {
    fn from(error: LaneError) -> Self {
        match error {
            LaneError::Rule(code) => code.into(),
            LaneError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<PutError> for Failure {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Refused => ErrorCode::Refused.into(),
            PutError::Conflict => ErrorCode::DeliveryConflict.into(),
            PutError::LaneFull { retry_after } => Self(ServerError {
                code: ErrorCode::LaneFull,
                retry_after: retry_after.map(|after| after.min(LONGEST)),
            }),
            PutError::TooOften { retry_after } => Self::rate(retry_after),
            PutError::Size => ErrorCode::EnvelopeSize.into(),
            PutError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

/// The store's enums say what is the matter; the table says which code that is.
macro_rules! codes {
    ($($error:ident { $($variant:ident => $code:ident),* $(,)? })*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                match error {
                    $($error::$variant => ErrorCode::$code.into(),)*
                    $error::Unavailable(unavailable) => unavailable.into(),
                }
            }
        }
    )*};
}

codes! {
    CreateError { Invite => NotAdmitted, Taken => Taken }
    MailboxError { Refused => Refused }
    WatchError { CursorAhead => CursorAhead, Refused => Refused }
    RegisterCreateError { Invite => NotAdmitted, Taken => Taken }
    RegisterError { Refused => Refused }
    BlobCreateError { Size => BlobRange, Taken => Taken, Invite => NotAdmitted }
    BlobError { Refused => Refused }
    BlobReadError { Refused => Refused, Range => BlobRange, Incomplete => BlobIncomplete }
    BlobWriteError { Refused => Refused, Range => BlobRange, Superseded => BlobRange }
    AckError { CursorAhead => CursorAhead, Refused => Refused }
}

/// How long a client waits for a store that failed.
const STORE_RETRY: Duration = Duration::from_secs(5);
/// How long it waits for a relay that stops; clients add a random share of their own.
pub(crate) const COME_BACK: Duration = Duration::from_secs(5);
/// §13.5: a longer wait is not said.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
