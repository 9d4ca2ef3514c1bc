//! Spec §17.11.5 (E3): what one source makes costs nobody else.
use std::time::Duration;

use waxwing_relay::{
    service::{Rate, Rates, Settings},
    store::{MemoryStore, Rules, Store as _},
};
use waxwing_wire::{
    frame::{Admission, ErrorCode, InviteToken, ServerError},
    relay::{RelayReply, RelayRequest},
};

use super::{
    desk::{Place, put, settings},
    registers::create,
};

const MINUTE: Duration = Duration::from_secs(60);

fn later(retry_after: Duration) -> Result<RelayReply, ServerError> {
    Err(ServerError { code: ErrorCode::RateLimited, retry_after: Some(retry_after) })
}

/// Two mailboxes at once, three registers, and one of each a minute.
fn place() -> Place<MemoryStore> {
    let rate = |burst| Rate { burst, interval: MINUTE };
    let rates = Rates { mailboxes: rate(2), registers: rate(3), blobs: rate(2) };
    Place::over(MemoryStore::new(Rules::default()), Settings { rates, ..settings() })
}

#[tokio::test]
async fn e3_a_source_that_made_its_mailboxes_waits_and_others_do_not() {
    let place = place();
    for person in 1..=2 {
        let mut phone = place.connect_from(7);
        assert_eq!(phone.call(phone.create(person)).await, Ok(RelayReply::Done));
    }
    let mut third = place.connect_from(7);
    assert_eq!(third.call(third.create(3)).await, later(MINUTE));
    place.pass(20_000);
    assert_eq!(third.call(third.create(3)).await, later(Duration::from_secs(40)), "what is refused costs nothing");
    let mut elsewhere = place.connect_from(8);
    assert_eq!(elsewhere.call(elsewhere.create(4)).await, Ok(RelayReply::Done));
    // Everything but making goes on.
    let mut owner = place.connect_from(7);
    assert_eq!(owner.call(owner.authenticate(1)).await, Ok(RelayReply::Done));
    assert_eq!(owner.call(create(1, Admission::Owner)).await, Ok(RelayReply::Done));
    assert_eq!(third.call(RelayRequest::Put(put(1, 1))).await, Err(ErrorCode::Refused.into()));
    place.pass(40_000);
    assert_eq!(third.call(third.create(3)).await, Ok(RelayReply::Done));
    let mut fourth = place.connect_from(7);
    assert_eq!(fourth.call(fourth.create(5)).await, later(MINUTE), "one a minute");
}

#[tokio::test]
async fn a_mailbox_that_is_there_is_made_again_for_nothing() {
    let place = place();
    for _ in 0..10 {
        // Whoever lost the answer asks on a connection of its own.
        let mut phone = place.connect_from(7);
        assert_eq!(phone.call(phone.create(1)).await, Ok(RelayReply::Done));
    }
    let mut second = place.connect_from(7);
    assert_eq!(second.call(second.create(2)).await, Ok(RelayReply::Done));
    let mut again = place.connect_from(7);
    assert_eq!(again.call(again.create(1)).await, Ok(RelayReply::Done), "also when there is nothing left");
    let mut third = place.connect_from(7);
    assert_eq!(third.call(third.create(3)).await, later(MINUTE));
}

#[tokio::test]
async fn who_is_not_admitted_pays_only_for_guesses_that_the_store_looks_up() {
    let place = place();
    let invite = || Admission::Invite(InviteToken::from_bytes([9; 16]));
    let mut phone = place.connect_from(7);
    for _ in 0..10 {
        // A proof for another connection, and a way in that is none.
        let mut forger = place.connect_from(7);
        assert_eq!(forger.call(phone.create(1)).await, Err(ErrorCode::Refused.into()));
        assert_eq!(forger.call(forger.create_by(1, Admission::Owner)).await, Err(ErrorCode::NotAdmitted.into()));
    }
    for _ in 0..2 {
        let guess = phone.create_by(1, invite());
        assert_eq!(phone.call(guess).await, Err(ErrorCode::NotAdmitted.into()));
    }
    assert_eq!(phone.call(phone.create_by(1, invite())).await, later(MINUTE));
    assert_eq!(place.relay.store().stats().mailboxes, 0);
}

#[tokio::test]
async fn e3_registers_are_limited_by_source_whatever_they_are_admitted_by() {
    let place = place();
    let mut phone = place.connect_from(7);
    assert_eq!(phone.call(phone.create(1)).await, Ok(RelayReply::Done));
    assert_eq!(phone.call(create(1, Admission::Open)).await, Ok(RelayReply::Done));
    assert_eq!(phone.call(create(2, Admission::Owner)).await, Ok(RelayReply::Done));
    assert_eq!(phone.call(create(3, Admission::Open)).await, Ok(RelayReply::Done));
    for admission in [Admission::Open, Admission::Owner] {
        assert_eq!(phone.call(create(4, admission)).await, later(MINUTE));
    }
    let mut elsewhere = place.connect_from(8);
    assert_eq!(elsewhere.call(create(4, Admission::Open)).await, Ok(RelayReply::Done));
    place.pass(60_000);
    assert_eq!(phone.call(create(5, Admission::Owner)).await, Ok(RelayReply::Done));
}
