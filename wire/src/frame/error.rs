//! Why a server did not do what it was asked. Implements spec/13-frames.md §13.5, the one table of codes.
//!
//! Invariants: a code never changes its meaning; one that is not known is kept as its number, and is permanent unless it
//! comes with `retry_after`.
use core::{fmt, time::Duration};

use crate::{
    message::{self, Broken, FromWire, ToWire},
    proto::frame as proto,
};

/// A server's answer that is no success.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServerError {
    /// What is the matter.
    pub code: ErrorCode,
    /// When the same request may succeed; none: never, unless something else changes first. At most 7 days.
    pub retry_after: Option<Duration>,
}
message::message!(ServerError = proto::Error { code, retry_after });

impl From<ErrorCode> for ServerError {
    fn from(code: ErrorCode) -> Self {
        Self { code, retry_after: None }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retry_after {
            None => write!(f, "{}", self.code),
            Some(after) => write!(f, "{} (try again in {} s)", self.code, after.as_millis().div_ceil(1_000)),
        }
    }
}

impl core::error::Error for ServerError {}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// A stable number (spec §13.5).
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
            /// A code of a newer version.
            Other(OtherCode),
        }

        impl ErrorCode {
            /// Every code that this version knows, in the order of spec §13.5.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The number.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $code,)* Self::Other(code) => code.0 }
            }

            /// What a number means; none for 0, which is no code.
            #[must_use]
            pub const fn of_number(number: u16) -> Option<Self> {
                match number { 0 => None, $($code => Some(Self::$name),)* other => Some(Self::Other(OtherCode(other))) }
            }

            /// A few words for a log.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* Self::Other(_) => "error of a newer version" }
            }
        }
    };
}

codes! {
    /// The bytes are no request: a bug of the client's, or another version. The stream is closed.
    Malformed = 1, "malformed request";
    /// A request that this connection or stream does not take.
    Unexpected = 2, "request not expected here";
    /// Absent, wrong capability, expired key: which one is not told, and takes the same time.
    Refused = 3, "refused";
    /// Authenticate first.
    Unauthenticated = 4, "not authenticated";
    /// Too many requests from this source.
    RateLimited = 5, "too many requests";
    /// The server has more to do than it can.
    Overloaded = 6, "overloaded";
    /// The store failed or is full; nothing was accepted.
    StoreUnavailable = 7, "store unavailable";
    /// The server is going away.
    Draining = 8, "going away";
    /// This way of admission is not offered, or the invitation is spent.
    NotAdmitted = 9, "not admitted";
    /// The proof of work is wrong, too easy, or for an ended challenge: fetch `info` and solve anew.
    WorkRequired = 10, "proof of work required";
    /// More requests in flight than announced.
    TooManyInFlight = 11, "too many requests in flight";
    /// The identifier is taken by something else.
    Taken = 12, "taken";
    /// A quota of the asking owner's is used up.
    QuotaExceeded = 13, "quota exceeded";

    /// Other bytes came under this delivery id before.
    DeliveryConflict = 100, "delivery id used for other bytes";
    /// The lane's share of the mailbox is full.
    LaneFull = 101, "lane full";
    /// The lane does not take an envelope of this size.
    EnvelopeSize = 102, "envelope size not admitted";
    /// The mailbox has 16 lanes, or 8 open introductions and splits.
    LanesExhausted = 103, "no lane left";
    /// There is a live lane of this kind: rotate it.
    LaneExists = 104, "lane exists";
    /// No lane of this number, or not one that this can be done to.
    NoSuchLane = 105, "no such lane";
    /// The cursor or an ack names what was never pushed.
    CursorAhead = 106, "cursor ahead of the mailbox";
    /// More recipients than announced.
    TooManyRecipients = 107, "too many recipients";
    /// Sealed puts are not forwarded (yet).
    ForwardUnavailable = 108, "forwarding not offered";

    /// The register has its last version.
    RegisterEnded = 120, "register ended";
    /// The entry is not of a size class.
    EntrySize = 121, "entry size not admitted";
    /// Write a snapshot first.
    RegisterFull = 122, "register full";
    /// More writes in this hour than announced.
    WriteLimit = 123, "register write limit";

    /// More chunks than announced, or a chunk out of order.
    BlobRange = 140, "chunk out of range";
    /// The chunks asked for are not there yet.
    BlobIncomplete = 141, "chunk not written yet";
    /// Fewer bytes came than announced.
    BlobCut = 142, "chunk cut short";

    /// No such account.
    NoSuchAccount = 200, "no such account";
    /// The account was deleted.
    AccountDeleted = 201, "account deleted";
    /// The statement or manifest does not verify.
    InvalidManifest = 202, "manifest not valid";
    /// The manifest is not the successor of the current one, which the client should fetch.
    ManifestConflict = 203, "manifest not the next one";
    /// The signature of a device is missing, wrong, or of a device that is not in the manifest.
    InvalidSignature = 204, "signature not valid";
    /// The request number does not ascend.
    RequestReplayed = 205, "request replayed";
    /// The entry's number does not ascend.
    StaleNumber = 206, "number not above the current one";

    /// The name breaks the grammar or is reserved.
    InvalidName = 220, "name not valid";
    /// The name is taken, rests, or looks like one that is taken.
    NameTaken = 221, "name taken";
    /// The name is not this account's.
    NotYourName = 222, "name of another account";

    /// A prekey's signature is wrong.
    InvalidPrekey = 240, "prekey not valid";
    /// A prekey id was used before.
    PrekeyIdUsed = 241, "prekey id used before";
    /// More one-time keys than may be kept.
    TooManyPrekeys = 242, "too many prekeys";
    /// A device asked for is not in the manifest, or has no prekeys.
    NoPrekeys = 243, "no prekeys";
}

/// The number of a code that this version does not know.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct OtherCode(u16);

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text(), self.number())
    }
}

impl ToWire<u32> for ErrorCode {
    fn to_wire(&self) -> u32 {
        self.number().into()
    }
}

impl FromWire<u32> for ErrorCode {
    fn from_wire(wire: u32) -> Result<Self, Broken> {
        u16::try_from(wire).ok().and_then(Self::of_number).ok_or(Broken::rule("§13.5"))
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec::Vec};

    use super::*;

    #[test]
    fn the_table_of_the_specification_has_exactly_these_codes() {
        let spec = include_str!("../../../spec/13-frames.md");
        let table = spec.split("## 13.5").nth(1).expect("the table").split("## 13.6").next().expect("its end");
        let rows: Vec<(u16, &str)> = (table.lines())
            .filter_map(|line| Some((line.split('|').nth(1)?.trim().parse().ok()?, line.split('`').nth(1)?)))
            .collect();
        let ours: Vec<_> = ErrorCode::ALL.iter().map(|code| (code.number(), name(*code))).collect();
        assert_eq!(rows.len(), ours.len());
        for ((number, listed), (ours, code)) in rows.iter().zip(&ours) {
            assert_eq!((*number, *listed), (*ours, code.as_str()));
        }
    }

    #[test]
    fn numbers_and_codes_are_each_others_inverse() {
        for number in 1..=u16::MAX {
            assert_eq!(ErrorCode::of_number(number).map(ErrorCode::number), Some(number));
        }
        assert_eq!(ErrorCode::of_number(0), None);
    }

    fn name(code: ErrorCode) -> String {
        alloc::format!("{code:?}")
    }
}
