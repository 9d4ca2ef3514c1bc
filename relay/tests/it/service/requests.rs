//! Spec §17.10 to §17.13: each request, what it needs, what it does, and which error comes first.
use waxwing_relay::{
    service::{Settings, invite_hash},
    store::{MemoryStore, Rules, SqliteStore, Store as _},
};
use waxwing_wire::{
    delivery::DeliveryKey,
    frame::{Admission, ErrorCode, InviteToken, ServerError, Work},
    padding::EnvelopeSize,
    pow::{Challenge, Difficulty, Nonce, Puzzle},
    relay::{
        CloseMailbox, CreateMailbox, Credential, Info, LaneAdded, LaneKind, LaneNumber, NewLane, RelayPush, RelayReply,
        RelayRequest, RequestId, Ttl,
    },
    signature::Signature,
};

use super::desk::{Phone, Place, ack, add_lane, capability_of, key_of, mailbox_of, place, put, settings, subscribe};
use crate::scene::{HOUR, envelope};

const ALICE: u8 = 1;
const BOB: u8 = 2;

async fn info(phone: &mut Phone<MemoryStore>) -> Info {
    match phone.call(RelayRequest::Info).await {
        Ok(RelayReply::Info(info)) => info,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn info_tells_time_price_and_limits() {
    let place = place();
    let mut phone = place.connect(usize::MAX);
    let told = info(&mut phone).await;
    assert_eq!(told.time, crate::scene::NOW);
    assert_eq!(told.limits, settings().limits);
    assert_eq!(
        (told.limits.fan_out_recipients, told.limits.register_bytes, told.limits.blob_bytes),
        (5_000, 8 << 20, 2 << 30)
    );
    assert!(told.price.open && told.price.invites && told.price.admission.is_some());
    assert!(told.price.ends > told.time);
}

#[tokio::test]
async fn a_mailbox_is_made_once_and_its_maker_is_its_owner() {
    let place = place();
    let mut alice = place.connect(usize::MAX);
    assert_eq!(alice.code(RelayRequest::MailboxState).await, ErrorCode::Unauthenticated);
    assert_eq!(alice.call(alice.create(ALICE)).await, Ok(RelayReply::Done));
    assert_eq!(alice.call(alice.create(ALICE)).await, Ok(RelayReply::Done), "again is the same");
    assert_eq!(alice.call(alice.authenticate(ALICE)).await, Ok(RelayReply::Done));
    assert!(alice.call(RelayRequest::MailboxState).await.is_ok());
    assert_eq!(alice.code(alice.create(BOB)).await, ErrorCode::Unexpected, "one mailbox a connection");
    let mut other = place.connect(usize::MAX);
    let RelayRequest::CreateMailbox(create) = other.create(ALICE) else { unreachable!() };
    let create = CreateMailbox { close_hash: [0; 32], ..create };
    assert_eq!(other.code(RelayRequest::CreateMailbox(create)).await, ErrorCode::Taken);
    assert_eq!(other.code(RelayRequest::MailboxState).await, ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn nobody_makes_a_mailbox_for_a_key_that_is_not_theirs() {
    let place = place();
    let mut mallory = place.connect(usize::MAX);
    let RelayRequest::CreateMailbox(create) = mallory.create(BOB) else { unreachable!() };
    let owner_key = *key_of(ALICE).public_key().as_bytes();
    assert_eq!(
        mallory.code(RelayRequest::CreateMailbox(CreateMailbox { owner_key, ..create })).await,
        ErrorCode::Refused
    );
    let RelayRequest::CreateMailbox(create) = mallory.create(BOB) else { unreachable!() };
    let weak = CreateMailbox { owner_key: [0; 32], ..create };
    assert_eq!(mallory.code(RelayRequest::CreateMailbox(weak)).await, ErrorCode::Refused);
    assert_eq!(place.relay.store().owner_key(&mailbox_of(ALICE)), None);
}

#[tokio::test]
async fn e2_a_proof_of_another_connection_is_refused() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    let captured = alice.authenticate(ALICE);
    let mut thief = place.connect(usize::MAX);
    for _ in 0..100 {
        let RelayRequest::Authenticate(proof) = alice.authenticate(ALICE) else { unreachable!() };
        assert_eq!(thief.code(RelayRequest::Authenticate(proof)).await, ErrorCode::Refused);
    }
    assert_eq!(thief.code(RelayRequest::MailboxState).await, ErrorCode::Unauthenticated);
    assert_eq!(alice.call(captured).await, Ok(RelayReply::Done), "on its own connection it is nothing new");
}

#[tokio::test]
async fn only_what_is_announced_admits() {
    let store = MemoryStore::new(Rules::default());
    let token = || InviteToken::from_bytes([9; 16]);
    store.add_invite(invite_hash(&token())).await.unwrap();
    let mut settings = settings();
    settings.admission.open = false;
    let place = Place::over(store, settings);
    let mut alice = place.connect(usize::MAX);
    assert_eq!(alice.code(alice.create(ALICE)).await, ErrorCode::NotAdmitted);
    assert_eq!(alice.code(alice.create_by(ALICE, Admission::Owner)).await, ErrorCode::NotAdmitted);
    let wrong = Admission::Invite(InviteToken::from_bytes([8; 16]));
    assert_eq!(alice.code(alice.create_by(ALICE, wrong)).await, ErrorCode::NotAdmitted);
    assert_eq!(alice.call(alice.create_by(ALICE, Admission::Invite(token()))).await, Ok(RelayReply::Done));
    assert_eq!(alice.call(alice.create_by(ALICE, Admission::Invite(token()))).await, Ok(RelayReply::Done));
    let mut bob = place.connect(usize::MAX);
    assert_eq!(
        bob.code(bob.create_by(BOB, Admission::Invite(token()))).await,
        ErrorCode::NotAdmitted,
        "it served once"
    );

    let (challenge, bits) = {
        let price = info(&mut bob).await.price;
        (price.challenge, price.admission.unwrap())
    };
    let nonce = Puzzle::mailbox(&challenge, &mailbox_of(BOB), bits).solve(0..1 << 20).unwrap();
    let by_work = |challenge, nonce| Admission::Work(Work { challenge, nonce });
    assert_eq!(
        bob.code(bob.create_by(BOB, by_work(challenge, Nonce(nonce.0 + (1 << 40))))).await,
        ErrorCode::WorkRequired
    );
    let foreign = Challenge::from_bytes([3; 32]);
    assert_eq!(bob.code(bob.create_by(BOB, by_work(foreign, nonce))).await, ErrorCode::WorkRequired);
    place.pass(HOUR + 300_000);
    assert_eq!(bob.code(bob.create_by(BOB, by_work(challenge, nonce))).await, ErrorCode::WorkRequired, "it has ended");
}

#[tokio::test]
async fn work_serves_over_another_connection_until_its_end_and_five_minutes() {
    let place = place();
    let (mut one, mut other) = (place.connect(usize::MAX), place.connect(usize::MAX));
    let price = info(&mut one).await.price;
    assert_eq!(info(&mut other).await.price, price, "the same for everybody");
    let nonce =
        Puzzle::mailbox(&price.challenge, &mailbox_of(BOB), price.admission.unwrap()).solve(0..1 << 20).unwrap();
    place.pass(price.ends.0 - crate::scene::NOW.0 + 299_999);
    assert_ne!(info(&mut other).await.price.challenge, price.challenge);
    let work = Admission::Work(Work { challenge: price.challenge, nonce });
    assert_eq!(other.call(other.create_by(BOB, work)).await, Ok(RelayReply::Done));
}

#[tokio::test]
async fn lanes_are_the_owners_alone() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    let mut nobody = place.connect(usize::MAX);
    assert_eq!(nobody.code(add_lane(NewLane::Groups, ALICE, 2)).await, ErrorCode::Unauthenticated);
    assert_eq!(alice.code(add_lane(NewLane::Contacts, ALICE, 2)).await, ErrorCode::LaneExists);
    let groups = alice.call(add_lane(NewLane::Groups, ALICE, 2)).await;
    assert_eq!(groups, Ok(RelayReply::LaneAdded(LaneAdded { lane: LaneNumber(2) })));
    let Ok(RelayReply::MailboxState(state)) = alice.call(RelayRequest::MailboxState).await else { panic!() };
    let kinds: Vec<_> = state.lanes.iter().map(|lane| lane.kind).collect();
    assert_eq!(kinds, [LaneKind::Strangers, LaneKind::Contacts, LaneKind::Groups]);
}

#[tokio::test]
async fn a_put_is_stored_once_and_other_bytes_under_its_id_conflict() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    let mut sender = place.connect(usize::MAX);
    for _ in 0..3 {
        assert_eq!(sender.call(RelayRequest::Put(put(ALICE, 7))).await, Ok(RelayReply::Done));
    }
    let mut other = put(ALICE, 7);
    other.envelope = envelope(8, EnvelopeSize::B2560);
    assert_eq!(sender.code(RelayRequest::Put(other)).await, ErrorCode::DeliveryConflict);
    alice.subscribe(0, 8).await;
    alice.settle().await;
    assert_eq!(alice.deliveries(), (vec![], vec![7]));
}

#[tokio::test]
async fn strangers_pay_by_work_bound_to_mailbox_and_envelope() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    let mut stranger = place.connect(usize::MAX);
    let price = info(&mut stranger).await.price;
    let paid = |person, number, size| {
        let envelope = envelope(number, size);
        let puzzle = Puzzle::put(&price.challenge, &mailbox_of(person), &envelope.hash(), price.strangers);
        let nonce = puzzle.solve(0..1 << 20).unwrap();
        let mut put = put(person, number);
        (put.by, put.envelope) = (Credential::Work(Work { challenge: price.challenge, nonce }), envelope);
        put
    };
    assert_eq!(stranger.call(RelayRequest::Put(paid(ALICE, 1, EnvelopeSize::B2560))).await, Ok(RelayReply::Done));
    let mut moved = paid(ALICE, 2, EnvelopeSize::B2560);
    moved.envelope = envelope(3, EnvelopeSize::B2560);
    assert_eq!(stranger.code(RelayRequest::Put(moved)).await, ErrorCode::WorkRequired);
    for (size, error) in [(EnvelopeSize::B16384, ErrorCode::Refused), (EnvelopeSize::B32768, ErrorCode::EnvelopeSize)] {
        let code = stranger.code(RelayRequest::Put(paid(BOB, 4, size))).await;
        assert_eq!(code, error, "the size is refused before anything is looked up");
    }
    alice.subscribe(0, 8).await;
    alice.settle().await;
    let RelayPush::Delivery(delivery) = &alice.backlog[0] else { panic!() };
    assert_eq!(delivery.lane, LaneNumber::STRANGERS);
}

#[tokio::test]
async fn an_online_only_put_is_answered_alike_whoever_is_there() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    let mut sender = place.connect(usize::MAX);
    let online = |number| RelayRequest::Put(waxwing_wire::relay::Put { ttl: Ttl::OnlineOnly, ..put(ALICE, number) });
    assert_eq!(sender.call(online(1)).await, Ok(RelayReply::Done));
    alice.subscribe(0, 8).await;
    assert_eq!(sender.call(online(2)).await, Ok(RelayReply::Done));
    alice.settle().await;
    assert!(
        matches!(alice.control.make_contiguous(), [RelayPush::OnlineDelivery(_)]),
        "only what came while she was there"
    );
    drop(alice);
    let mut again = place.back(ALICE, usize::MAX).await;
    assert_eq!(again.subscribe(0, 8).await.waiting, 0);
    let mut wrong = put(ALICE, 3);
    (wrong.ttl, wrong.by) = (Ttl::OnlineOnly, Credential::Key(DeliveryKey::from_bytes([2; 16])));
    assert_eq!(sender.code(RelayRequest::Put(wrong)).await, ErrorCode::Refused);
}

#[tokio::test]
async fn whoever_has_the_capability_closes_a_mailbox_and_its_connection() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    alice.subscribe(0, 8).await;
    let mut anybody = place.connect(usize::MAX);
    let close =
        |by| RelayRequest::CloseMailbox(CloseMailbox { mailbox: mailbox_of(ALICE), capability: capability_of(by) });
    assert_eq!(anybody.code(close(BOB)).await, ErrorCode::Refused);
    assert_eq!(anybody.call(close(ALICE)).await, Ok(RelayReply::Done));
    assert_eq!(anybody.call(close(ALICE)).await, Ok(RelayReply::Done), "and again");
    alice.settle().await;
    assert_eq!(alice.ended(), Some(ErrorCode::Refused));
    assert_eq!(alice.code(RelayRequest::MailboxState).await, ErrorCode::Refused);
    let mut later = place.connect(usize::MAX);
    assert_eq!(later.code(later.authenticate(ALICE)).await, ErrorCode::Refused);
    assert_eq!(later.code(later.create(ALICE)).await, ErrorCode::Taken);
    assert_eq!(later.code(RelayRequest::Put(put(ALICE, 1))).await, ErrorCode::Refused);
}

#[tokio::test]
async fn an_owner_deletes_its_mailbox_and_may_make_it_anew() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    assert_eq!(alice.call(RelayRequest::DeleteMailbox).await, Ok(RelayReply::Done));
    assert_eq!(alice.code(RelayRequest::MailboxState).await, ErrorCode::Refused);
    assert_eq!(alice.code(ack(1, &[])).await, ErrorCode::Refused);
    assert_eq!(alice.code(subscribe(0, 1)).await, ErrorCode::Refused);
    assert_eq!(alice.call(alice.create(ALICE)).await, Ok(RelayReply::Done));
    assert!(alice.call(RelayRequest::MailboxState).await.is_ok());
}

#[tokio::test]
async fn what_an_owner_asks_at_once_is_done_in_order() {
    let place = place();
    let mut alice = place.connect(usize::MAX);
    let asked = [
        alice.ask(alice.create(ALICE)),
        alice.ask(add_lane(NewLane::Contacts, ALICE, 1)),
        alice.ask(add_lane(NewLane::Groups, ALICE, 2)),
        alice.ask(subscribe(0, 8)),
        alice.ask(RelayRequest::MailboxState),
    ];
    for id in asked {
        assert!(alice.reply(id).await.is_ok(), "{id:?}");
    }
}

#[tokio::test]
async fn a_payload_that_is_no_request_ends_the_stream() {
    let place = place();
    let phone = place.connect(usize::MAX);
    for payload in [&b""[..], b"\x00", b"nonsense", &[0xff; 64]] {
        assert!(matches!(phone.session.receive(payload), Err(ErrorCode::Malformed)), "{payload:?}");
    }
    let malformed = place.relay.counters().failed().find(|(code, _)| *code == ErrorCode::Malformed);
    assert_eq!(malformed, Some((ErrorCode::Malformed, 4)), "and is counted");
}

#[tokio::test]
async fn an_id_without_an_answer_is_not_used_again() {
    let place = place();
    let mut phone = place.connect(0);
    let id = RequestId::new(5).unwrap();
    assert_eq!(phone.ask_as(id, RelayRequest::Info), Ok(()));
    assert_eq!(phone.ask_as(id, RelayRequest::Info), Err(ErrorCode::Malformed));
    let mut phone = place.connect(usize::MAX);
    assert_eq!(phone.ask_as(id, RelayRequest::Info), Ok(()));
    assert!(phone.reply(id).await.is_ok());
    assert_eq!(phone.ask_as(id, RelayRequest::Info), Ok(()), "answered, it is free");
    assert!(phone.reply(id).await.is_ok());
}

#[tokio::test]
async fn too_many_requests_at_once_are_told_so() {
    let mut few = settings();
    few.limits.requests_in_flight = 2;
    let place = Place::over(MemoryStore::new(Rules::default()), few);
    let mut phone = place.connect(usize::MAX);
    let asked: Vec<_> = (0..3).map(|_| phone.ask(RelayRequest::Info)).collect();
    assert!(phone.reply(asked[0]).await.is_ok() && phone.reply(asked[1]).await.is_ok());
    assert_eq!(phone.reply(asked[2]).await, Err(ServerError::from(ErrorCode::TooManyInFlight)));
    assert!(phone.call(RelayRequest::Info).await.is_ok());
}

#[tokio::test]
async fn a_relay_that_stops_says_so_and_answers_what_it_took() {
    let place = place();
    let mut alice = place.owner(ALICE).await;
    alice.subscribe(0, 8).await;
    let taken = alice.ask(RelayRequest::Put(put(ALICE, 1)));
    assert_eq!(alice.reply(taken).await, Ok(RelayReply::Done));
    alice.session.drain().await;
    alice.settle().await;
    assert!(alice.control.iter().any(|push| matches!(push, RelayPush::GoingAway(_))));
    let error = alice.call(RelayRequest::Info).await.expect_err("draining");
    assert_eq!((error.code, error.retry_after.is_some()), (ErrorCode::Draining, true));
    let mut sender = place.connect(usize::MAX);
    assert!(sender.call(RelayRequest::Put(put(ALICE, 2))).await.is_ok(), "others are told for themselves");
    alice.settle().await;
    assert_eq!(alice.deliveries().0.len(), 1, "and nothing is pushed any more");
}

#[test]
fn the_default_is_closed_to_whoever_has_no_invitation() {
    let Settings { admission, .. } = Settings::default();
    assert!(!admission.open && admission.invites && admission.work.is_none());
    assert_eq!(admission.strangers, Difficulty::DEFAULT);
    let _ = Signature::from_bytes([0; 64]);
}

#[tokio::test]
async fn e8_a_store_that_failed_is_said_with_when_to_come_back_and_nothing_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let open = || SqliteStore::open(folder.path(), Rules::default(), crate::scene::NOW);
    let store = open().await.unwrap();
    let place = Place::over(store.clone(), settings());
    drop(place.owner(ALICE).await);
    let mut sender = place.connect(usize::MAX);
    assert_eq!(sender.call(RelayRequest::Put(put(ALICE, 1))).await, Ok(RelayReply::Done));
    store.abandon().await;
    for number in [1, 2] {
        let error = sender.call(RelayRequest::Put(put(ALICE, number))).await;
        // What was accepted before is known to be there; what is new is not taken.
        match (number, error) {
            (1, Ok(RelayReply::Done)) => {}
            (_, Err(error)) => {
                assert_eq!(error.code, ErrorCode::StoreUnavailable);
                assert!(error.retry_after.is_some());
            }
            other => panic!("{other:?}"),
        }
    }
    drop((sender, place, store));
    let place = Place::over(open().await.unwrap(), settings());
    let mut alice = place.back(ALICE, usize::MAX).await;
    alice.subscribe(0, 8).await;
    alice.backlog_ends().await;
    assert_eq!(alice.deliveries(), (vec![], vec![1]), "once, and nothing that was not accepted");
    let mut sender = place.connect(usize::MAX);
    assert_eq!(sender.call(RelayRequest::Put(put(ALICE, 2))).await, Ok(RelayReply::Done), "it goes on");
}
