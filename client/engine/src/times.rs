//! Times that must fit together (DESIGN §5). A test adds them up.
use core::time::Duration;

use waxwing_wire::time::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// No clock goes further (some 8,900 years from now): a wait that begins at the end of all numbers would be over at once, for ever.
pub(crate) const LATEST: Timestamp = Timestamp(1 << 48);
/// A replaced private prekey is kept so long.
pub(crate) const PREKEY_RETENTION: Duration = Duration::from_secs(30 * DAY);
/// Signed and last-resort prekeys are replaced at this age (A7).
pub(crate) const PREKEY_ROTATION: Duration = Duration::from_secs(2 * DAY);
/// A session that nobody acknowledged is replaced at this age.
pub(crate) const UNACKNOWLEDGED: Duration = Duration::from_secs(7 * DAY);
/// An opening that was not put for so long is made anew from a fresh bundle.
pub(crate) const UNSENT_OPENING: Duration = Duration::from_secs(DAY);
/// The longest that an envelope waits at a relay.
pub(crate) const TTL: Duration = Duration::from_secs(14 * DAY);
/// A message without a receipt is kept for sending it anew so long.
pub(crate) const RESEND: Duration = Duration::from_secs(30 * DAY);
/// Message ids are remembered so long: longer than anything can still arrive.
pub(crate) const SEEN: Duration = Duration::from_secs(60 * DAY);
/// A secret that was replaced still lets its holders in for so long (FLOWS, Numbers).
pub(crate) const OLD_SECRET: Duration = Duration::from_secs(14 * DAY);
/// The contacts' secret is replaced at most so often.
pub(crate) const ROTATION: Duration = Duration::from_secs(DAY);
/// What ages by days is looked at so often.
pub(crate) const LOOK: Duration = Duration::from_secs(MINUTE);
/// A manifest is renewed at this age (spec §11.5.5).
pub(crate) const RENEWAL: Duration = Duration::from_secs(20 * DAY);

/// A receipt waits between these until the other devices hear that this one sends it, and then between the second ones (D1, FLOWS c).
pub(crate) const RECEIPT_DELAY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(6));
pub(crate) const RECEIPT_AFTER_COPY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(4));
/// The answer that acknowledges a session waits between these.
pub(crate) const ANSWER_DELAY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A copy for an own device waits between these.
pub(crate) const COPY_DELAY: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(5));
/// One-time prekeys are looked after at intervals between these (A6).
pub(crate) const UPKEEP: (Duration, Duration) = (Duration::from_secs(HOUR), Duration::from_secs(6 * HOUR));
/// News of one's own account goes to contacts to whom nothing else is said, between these.
pub(crate) const NEWS_DELAY: (Duration, Duration) = (Duration::from_secs(MINUTE), Duration::from_secs(72 * HOUR));
/// What another device passes on first is left to it for so long.
pub(crate) const PASS_ON_DELAY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

/// A call without a reply for so long ends its connection.
pub(crate) const CALL: Duration = Duration::from_secs(30);
/// A connection that is not up after so long is given up.
pub(crate) const CONNECT: Duration = Duration::from_secs(15);
/// An anonymous connection that nothing needs is closed after so long.
pub(crate) const IDLE: Duration = Duration::from_secs(20);
/// The first wait after a failure, the longest while it may soon be good again, and the longest after [`LASTING`] failures.
///
/// Noticing that a server is gone takes up to 30 s; so that everything is there a minute after it came back, the wait is shorter than
/// what is left.
pub(crate) const BACK_OFF: (Duration, Duration, Duration) =
    (Duration::from_secs(1), Duration::from_secs(20), Duration::from_secs(60));
/// Failures in a row, some five minutes of them.
pub(crate) const LASTING: u32 = 20;
/// A connection that came up shows that its server is there: what it failed before counts as so many failures at most.
pub(crate) const AFTER_UP: u32 = 3;
/// Which lanes the own relay has is looked at after a connection ended, so often at most.
pub(crate) const LOOK_AT_LANES: Duration = Duration::from_secs(60 * MINUTE);
/// A put that found a full lane is tried again after so long at most, whatever the relay says.
pub(crate) const LANE_FULL: Duration = Duration::from_secs(5 * MINUTE);
/// A session with one device is repaired at most so often.
pub(crate) const REPAIR: Duration = Duration::from_secs(10 * MINUTE);
/// What is missing in a device's count is waited for between these, before the device is asked for it.
pub(crate) const GAP_DELAY: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(40));
/// What an own device copied to others so long before the list that names a new one goes to the new one, too: their clocks may be wrong.
pub(crate) const BEFORE_JOINING: Duration = Duration::from_secs(DAY);
/// A name is looked for so long.
pub(crate) const SEARCH: Duration = Duration::from_secs(DAY);
/// What a listing's number goes up by when the server has seen a higher one, in seconds.
pub(crate) const LISTING_STEP: u32 = 30 * 86_400;
/// Clocks further apart are shown.
pub(crate) const SKEW_SHOWN: Duration = Duration::from_secs(5 * MINUTE);

#[cfg(test)]
mod tests {
    use super::*;

    /// A bundle's life at the server's end, the tolerated skew.
    const BUNDLE: Duration = Duration::from_secs(DAY);
    const SKEW: Duration = Duration::from_secs(2 * DAY);

    #[test]
    fn a_private_prekey_outlives_everything_that_can_still_name_it() {
        assert!(BUNDLE + UNACKNOWLEDGED + TTL + SKEW < PREKEY_RETENTION);
    }

    #[test]
    fn an_id_is_remembered_longer_than_its_message_can_be_on_its_way() {
        assert!(RESEND + TTL + SKEW < SEEN);
    }
}
