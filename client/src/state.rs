//! What a message's states are called, in exports, events and answers (spec §22).
use waxwing_engine::{FailReason, State};

/// The name of a state, and of the reason of a failure.
#[must_use]
pub const fn names(state: State) -> (&'static str, Option<&'static str>) {
    match state {
        State::Queued => ("queued", None),
        State::Failed(FailReason::AccountDeleted) => ("failed", Some("account_deleted")),
        State::Failed(FailReason::Blocked) => ("failed", Some("blocked")),
        State::Failed(FailReason::Removed) => ("failed", Some("removed")),
        State::Sent => ("sent", None),
        State::MayHaveExpired => ("may_have_expired", None),
        State::Delivered => ("delivered", None),
        State::Read => ("read", None),
    }
}
