//! From what went wrong to the code on the wire. Implements the errors of spec/19-keyserver.md.
use std::time::Duration;

use waxwing_wire::{
    frame::{ErrorCode, ServerError},
    listing, manifest, prekey, reach,
    request::RequestError,
    statement,
};

use crate::store::{
    BundlesError, ClaimError, CreateError, DeviceError, ListingError, NumberError, OwnError, PublishError, Unavailable,
    UploadError,
};

/// Why a request was not done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Failure {
    pub(super) error: ServerError,
    /// The bytes are no request: there is nothing to go on with.
    pub(super) ends_stream: bool,
}

impl Failure {
    pub(super) fn malformed() -> Self {
        Self { error: ErrorCode::Malformed.into(), ends_stream: true }
    }

    pub(super) fn rate(retry_after: Duration) -> Self {
        ServerError { code: ErrorCode::RateLimited, retry_after: Some(retry_after) }.into()
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        Self { error, ends_stream: false }
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        ServerError::from(code).into()
    }
}

impl From<Unavailable> for Failure {
    fn from(_: Unavailable) -> Self {
        ServerError { code: ErrorCode::StoreUnavailable, retry_after: Some(STORE_RETRY) }.into()
    }
}

impl From<statement::StatementError> for Failure {
    fn from(_: statement::StatementError) -> Self {
        ErrorCode::InvalidManifest.into()
    }
}

impl From<manifest::ManifestError> for Failure {
    fn from(_: manifest::ManifestError) -> Self {
        ErrorCode::InvalidManifest.into()
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Encoding(_) | RequestError::Format { .. } => Self::malformed(),
            RequestError::Connection | RequestError::Number { .. } => ErrorCode::RequestReplayed.into(),
            _ => ErrorCode::InvalidSignature.into(),
        }
    }
}

impl From<prekey::PrekeyError> for Failure {
    fn from(_: prekey::PrekeyError) -> Self {
        ErrorCode::InvalidPrekey.into()
    }
}

impl From<reach::ReachError> for Failure {
    fn from(_: reach::ReachError) -> Self {
        ErrorCode::InvalidSignature.into()
    }
}

impl From<listing::ListingError> for Failure {
    fn from(_: listing::ListingError) -> Self {
        ErrorCode::InvalidSignature.into()
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
    CreateError { Taken => Taken, Invite => NotAdmitted }
    PublishError { Conflict => ManifestConflict }
    DeviceError { NotListed => InvalidSignature }
    NumberError { NotListed => InvalidSignature, Stale => StaleNumber }
    ClaimError { Taken => NameTaken, Quota => QuotaExceeded, Invite => NotAdmitted, NoAccount => AccountDeleted }
    OwnError { NotListed => InvalidSignature, NotYours => NotYourName }
    ListingError { NotListed => InvalidSignature, NotYours => NotYourName, Stale => StaleNumber }
    UploadError { NotListed => InvalidSignature, IdUsed => PrekeyIdUsed, TooMany => TooManyPrekeys }
    BundlesError { NoAccount => NoSuchAccount, Deleted => AccountDeleted, NoPrekeys => NoPrekeys }
}

/// How long a client waits for a store that failed.
const STORE_RETRY: Duration = Duration::from_secs(5);
