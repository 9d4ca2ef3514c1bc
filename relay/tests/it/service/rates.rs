//! Spec §17.11.5 (E3): what one source makes costs nobody else.
use std::time::Duration;

use waxwing_relay::{
    service::{Rate, Rates, Settings},
    store::{MemoryStore, Rules, Store as _},
};
use waxwing_wire::{
    delivery::DeliveryKey,
    frame::{Admission, ErrorCode, InviteToken, ServerError},
    relay::{Credential, NewLane, Outcome, Put, RelayReply, RelayRequest, Ttl},
};

use super::{
    desk::{Place, add_lane, put, settings},
    fan_outs,
    registers::create,
};

const MINUTE: Duration = Duration::from_secs(60);

fn later(retry_after: Duration) -> Result<RelayReply, ServerError> {
    Err(ServerError { code: ErrorCode::RateLimited, retry_after: Some(retry_after) })
}

/// Two mailboxes at once, three registers, and one of each a minute.
fn place() -> Place<MemoryStore> {
    let rate = |burst| Rate { burst, interval: MINUTE };
    let rates = Rates { mailboxes: rate(2), registers: rate(3), blobs: rate(2), ..Rates::UNLIMITED };
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

fn fan_out(persons: &[u8]) -> RelayRequest {
    let recipients: Vec<_> = persons.iter().map(|person| (*person, 1)).collect();
    RelayRequest::FanOut(fan_outs::fan_out(1_000, Ttl::Fortnight, &recipients))
}

/// A source puts ten at once and one a second; a share of a mailbox takes six, and one each two seconds; all together 25.
fn crowded() -> Place<MemoryStore> {
    let rate = |burst, seconds| Rate { burst, interval: Duration::from_secs(seconds) };
    let puts = rate(6, 2);
    let rates = Rates { puts: rate(10, 1), puts_of_all: rate(25, 1), puts_of_mailbox: puts, ..Rates::UNLIMITED };
    Place::over(MemoryStore::new(Rules { puts, ..Rules::default() }), Settings { rates, ..settings() })
}

fn limited(place: &Place<MemoryStore>) -> [u64; 3] {
    let counts: Vec<_> = place.relay.counters().limited().map(|(_, count)| count).collect();
    counts.try_into().unwrap()
}

#[tokio::test]
async fn e3_a_flooded_share_of_a_mailbox_waits_and_its_other_shares_and_other_mailboxes_do_not() {
    let place = crowded();
    let mut alice = place.owner(1).await;
    assert!(alice.call(add_lane(NewLane::Groups, 1, 2)).await.is_ok());
    drop(place.owner(2).await);
    let (mut flood, mut friend) = (place.connect_from(7), place.connect_from(8));
    for number in 0..6 {
        assert_eq!(flood.call(RelayRequest::Put(put(1, number))).await, Ok(RelayReply::Done));
    }
    let seconds = Duration::from_secs;
    // The same again costs the mailbox nothing.
    assert_eq!(flood.call(RelayRequest::Put(put(1, 5))).await, Ok(RelayReply::Done));
    assert_eq!(flood.call(RelayRequest::Put(put(1, 6))).await, later(seconds(2)));
    let online = Put { ttl: Ttl::OnlineOnly, ..put(1, 7) };
    assert_eq!(flood.call(RelayRequest::Put(online)).await, later(seconds(2)));
    let group = Put { by: Credential::Key(DeliveryKey::from_bytes([2; 16])), ..put(1, 8) };
    assert_eq!(friend.call(RelayRequest::Put(group)).await, Ok(RelayReply::Done), "another share");
    assert_eq!(friend.call(RelayRequest::Put(put(2, 1))).await, Ok(RelayReply::Done), "another mailbox");
    assert_eq!(limited(&place), [0, 2, 0]);
    // A wrong key hears what it always hears.
    let wrong = Put { by: Credential::Key(DeliveryKey::from_bytes([9; 16])), ..put(1, 9) };
    assert_eq!(friend.call(RelayRequest::Put(wrong)).await, Err(ErrorCode::Refused.into()));
    place.pass(2_000);
    assert_eq!(friend.call(RelayRequest::Put(put(1, 6))).await, Ok(RelayReply::Done), "what was refused was not kept");
    assert_eq!(friend.call(RelayRequest::Put(put(1, 10))).await, later(seconds(2)));
    assert_eq!(place.relay.store().stats().envelopes, 9);
}

#[tokio::test]
async fn e3_c8_a_source_that_puts_too_often_waits_whatever_it_guesses_and_others_do_not() {
    let place = crowded();
    for person in 1..=3 {
        drop(place.owner(person).await);
    }
    let mut flood = place.connect_from(7);
    // Guesses cost as well: absent mailboxes, wrong keys.
    for number in 0..9 {
        assert_eq!(flood.call(RelayRequest::Put(put(9, number))).await, Err(ErrorCode::Refused.into()));
    }
    // A fan-out costs as many as it has recipients, at once or not at all.
    let two = || fan_out(&[1, 2]);
    assert_eq!(flood.call(two()).await, later(Duration::from_secs(1)));
    assert_eq!(flood.call(RelayRequest::Put(put(1, 1))).await, Ok(RelayReply::Done), "the tenth");
    // From now on existing and absent, right and wrong are one answer.
    for person in [1, 9] {
        assert_eq!(flood.call(RelayRequest::Put(put(person, 2))).await, later(Duration::from_secs(1)));
    }
    let mut beside = place.connect_from(7);
    assert_eq!(
        beside.call(RelayRequest::Put(put(2, 3))).await,
        later(Duration::from_secs(1)),
        "nor by a connection more"
    );
    let mut friend = place.connect_from(8);
    assert_eq!(friend.call(RelayRequest::Put(put(2, 3))).await, Ok(RelayReply::Done));
    assert_eq!(limited(&place), [2 + 2 + 1, 0, 0]);
    place.pass(2_000);
    let Ok(RelayReply::Outcomes(outcomes)) = flood.call(two()).await else { panic!() };
    assert_eq!(outcomes.outcomes, [Outcome::Accepted; 2]);
}

#[tokio::test]
async fn e3_all_sources_together_are_bounded_and_an_empty_bucket_of_a_share_is_an_outcome() {
    let place = crowded();
    for person in 1..=5 {
        drop(place.owner(person).await);
    }
    // Four at each of five mailboxes from two sources, and five more from a third: that is all for now.
    let mut sources: Vec<_> = (1..=4).map(|source| place.connect_from(source)).collect();
    for number in 0..20_u8 {
        let to = number % 5 + 1;
        let reply = sources[usize::from(number / 10)].call(RelayRequest::Put(put(to, number.into()))).await;
        assert_eq!(reply, Ok(RelayReply::Done), "{number}");
    }
    let Ok(RelayReply::Outcomes(outcomes)) = sources[2].call(fan_out(&[1, 2, 3, 4, 5])).await else { panic!() };
    assert_eq!(outcomes.outcomes, [Outcome::Accepted; 5]);
    assert_eq!(sources[3].call(RelayRequest::Put(put(1, 99))).await, later(Duration::from_secs(1)));
    assert_eq!(limited(&place), [0, 0, 1]);
    // Five in each share: who takes a sixth takes the last, and a fan-out hears of it recipient by recipient.
    place.pass(1_000);
    assert_eq!(sources[3].call(RelayRequest::Put(put(1, 99))).await, Ok(RelayReply::Done));
    place.pass(500);
    let next = RelayRequest::Put(put(1, 100));
    assert_eq!(sources[3].call(next).await, later(Duration::from_millis(500)));
    assert_eq!(place.relay.store().stats().envelopes, 26);
}
