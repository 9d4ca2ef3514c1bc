//! E9: whoever guesses learns nothing. Absent mailbox, wrong key and ended key take one path; how long it takes is measured by
//! `cargo bench -p waxwing-relay --bench refused`.
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use waxwing_relay::store::{MemoryStore, Rules};
use waxwing_wire::{
    delivery::DeliveryKey,
    frame::{ErrorCode, ServerError},
    id::MailboxId,
    keys::CloseCapability,
    relay::{Authenticate, CloseMailbox, Credential, EndLane, LaneNumber, NewLane, Put, RelayReply, RelayRequest, Ttl},
    signature::Signature,
};

use super::{
    between::Between,
    desk::{Place, add_lane, mailbox_of, place, put, settings},
};
use crate::scene::NOW;

const ALICE: u8 = 1;
const ABSENT: u8 = 9;
/// A lane that has ended.
const ENDED: u8 = 2;

fn by(person: u8, key: u8, ttl: Ttl) -> RelayRequest {
    let by = Credential::Key(DeliveryKey::from_bytes([key; 16]));
    RelayRequest::Put(Put { by, ttl, ..put(person, 1) })
}

fn close(person: u8) -> RelayRequest {
    let capability = CloseCapability::from_bytes(&[0x77; 32]);
    RelayRequest::CloseMailbox(CloseMailbox { mailbox: mailbox_of(person), capability })
}

#[tokio::test]
async fn e9_absent_wrong_and_ended_are_one_answer_after_the_same_calls() {
    let store = Between::new(MemoryStore::new(Rules::default()), 7, 0);
    let place = Place::over(store.clone(), settings());
    let mut alice = place.owner(ALICE).await;
    assert!(alice.call(add_lane(NewLane::Groups, ALICE, ENDED)).await.is_ok());
    let end = RelayRequest::EndLane(EndLane { lane: LaneNumber(2), ends: NOW });
    assert_eq!(alice.call(end).await, Ok(RelayReply::Done));
    let mut guesser = place.connect(usize::MAX);
    store.calls();
    let refused = Err(ServerError::from(ErrorCode::Refused));
    for ttl in [Ttl::Fortnight, Ttl::OnlineOnly] {
        let expected = if ttl == Ttl::OnlineOnly { "put_online" } else { "put" };
        for (person, key) in [(ABSENT, 1), (ALICE, 5), (ALICE, ENDED)] {
            assert_eq!(guesser.call(by(person, key, ttl)).await, refused);
            assert_eq!(store.calls(), [expected], "{person} {key}");
        }
    }
    for person in [ABSENT, ALICE] {
        assert_eq!(guesser.call(close(person)).await, refused);
        assert_eq!(store.calls(), ["close_mailbox"]);
        let RelayRequest::Authenticate(proof) = guesser.authenticate(person) else { unreachable!() };
        let wrong = Authenticate { signature: Signature::from_bytes([0x55; 64]), ..proof };
        assert_eq!(guesser.call(RelayRequest::Authenticate(wrong)).await, refused);
        assert_eq!(store.calls(), ["owner_key"]);
    }
    // An absent mailbox's own key proves nothing either.
    let proof = guesser.authenticate(ABSENT);
    assert_eq!(guesser.call(proof).await, refused);
}

/// A million guesses take minutes: `WAXWING_CASES=1000000`.
#[tokio::test]
async fn e9_guesses_find_nothing() {
    let place = place();
    drop(place.owner(ALICE).await);
    let mut guesser = place.connect(usize::MAX);
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let guesses = std::env::var("WAXWING_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000_u32);
    for _ in 0..guesses {
        let (mut id, mut key) = ([0; 16], [0; 16]);
        rng.fill_bytes(&mut id);
        rng.fill_bytes(&mut key);
        let by = Credential::Key(DeliveryKey::from_bytes(key));
        let mailbox = if id[0] & 1 == 0 { MailboxId::from_bytes(id) } else { mailbox_of(ALICE) };
        let guess = RelayRequest::Put(Put { mailbox, by, ..put(ALICE, 1) });
        assert_eq!(guesser.code(guess).await, ErrorCode::Refused);
    }
}
