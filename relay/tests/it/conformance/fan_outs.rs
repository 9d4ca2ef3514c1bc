//! Spec §17.3.7: one shared part for many mailboxes.
use std::sync::Arc;

use waxwing_relay::store::{Life, NewFanOut, PutError, Quota, Recipient, Rules, Store, Watcher};
use waxwing_wire::{
    padding::{EnvelopeHeader, EnvelopeSize, SharedPart},
    relay::LaneNumber,
};

use super::Subject;
use crate::scene::{CONTACTS, Ear, Heard, NOW, Owner, after, delivery, put};

super::conformance!(
    a_fan_out_is_as_so_many_puts,
    each_recipient_has_an_outcome_of_its_own,
    what_one_recipient_does_is_nothing_to_the_others,
    a_fan_out_to_nobody_that_is_there_leaves_nothing,
    a_fan_out_to_thousands_reaches_all,
);

/// The fan-out whose envelopes are those of [`Owner::sized`].
pub(crate) fn fan_out(number: u64, size: EnvelopeSize, owners: &[Owner], key: u8) -> NewFanOut {
    let mut header = [0xe5; 48];
    header[..8].copy_from_slice(&number.to_be_bytes());
    let header = EnvelopeHeader::from_bytes(header);
    let recipients = owners.iter().map(|owner| Recipient { mailbox: owner.mailbox(), lane: owner.key(key), header });
    NewFanOut {
        delivery: delivery(number),
        life: Life::Fortnight,
        shared: Arc::new(SharedPart::new(vec![0xe5; size.shared_bytes()]).unwrap()),
        recipients: recipients.collect(),
    }
}

/// What became of each, on stable storage: whether it was there before.
pub(crate) async fn fanned(store: &impl Store, fan_out: NewFanOut) -> Vec<Result<bool, PutError>> {
    let mut outcomes = Vec::new();
    for outcome in store.fan_out(fan_out, NOW).await.unwrap() {
        outcomes.push(match outcome {
            Ok(admitted) => admitted.commit.await.map(|()| admitted.repeated).map_err(PutError::from),
            Err(error) => Err(error),
        });
    }
    outcomes
}

async fn a_fan_out_is_as_so_many_puts<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let owners = [Owner(1), Owner(2), Owner(3)];
    for owner in owners {
        owner.with_contacts(store).await;
    }
    let ear = Arc::new(Ear::default());
    store.watch(&owners[1].mailbox(), 0, Arc::clone(&ear) as Arc<dyn Watcher>, NOW).await.unwrap();
    for (number, size) in (1..).zip(EnvelopeSize::ALL) {
        assert_eq!(fanned(store, fan_out(number, size, &owners, CONTACTS)).await, [Ok(false); 3]);
        let admitted = Heard::Admitted { sequence: number, number, lane: LaneNumber(1) };
        assert_eq!(ear.heard(), [admitted]);
        // The same envelope put alone is the same.
        assert_eq!(put(store, owners[0].sized(number, size), NOW).await, Ok(true));
        assert_eq!(fanned(store, fan_out(number, size, &owners, CONTACTS)).await, [Ok(true); 3]);
    }
    for owner in owners {
        let read = store.read(&owner.mailbox(), 0, u64::MAX, u32::MAX, NOW).await.unwrap();
        let sizes: Vec<_> = read.iter().map(|one| one.envelope.size()).collect();
        assert_eq!(sizes, EnvelopeSize::ALL);
        assert_eq!(owner.numbers(store, NOW).await, [1, 2, 3, 4, 5, 6]);
        let state = store.state(&owner.mailbox(), NOW).await.unwrap();
        let bytes: usize = EnvelopeSize::ALL.iter().map(|size| size.bytes()).sum();
        assert_eq!(state.bytes, bytes as u64, "a reference counts in full");
    }
}

async fn each_recipient_has_an_outcome_of_its_own<S: Subject>() {
    // Contacts have room for four.
    let subject = S::new(Rules { quota: Quota { bytes: 2_560 * 10, envelopes: 100 }, ..Rules::default() }).await;
    let store = subject.store();
    let [good, full, conflict, absent, keyless] = [1, 2, 3, 4, 5].map(Owner);
    for owner in [good, full, conflict] {
        owner.with_contacts(store).await;
    }
    keyless.create(store).await;
    for number in 10..14 {
        full.put(store, number).await;
    }
    let mut other = conflict.envelope(99);
    other.delivery = delivery(1);
    put(store, other, NOW).await.unwrap();
    let all = [good, full, conflict, absent, keyless];
    let outcomes = fanned(store, fan_out(1, EnvelopeSize::B2560, &all, CONTACTS)).await;
    let lane_full = PutError::LaneFull { retry_after: None };
    let expected = [Ok(false), Err(lane_full), Err(PutError::Conflict), Err(PutError::Refused), Err(PutError::Refused)];
    assert_eq!(outcomes, expected);
    assert_eq!(good.numbers(store, NOW).await, [1]);
    assert_eq!(full.numbers(store, NOW).await, [10, 11, 12, 13]);
}

async fn what_one_recipient_does_is_nothing_to_the_others<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let owners = [1, 2, 3, 4].map(Owner);
    for owner in owners {
        owner.with_contacts(store).await;
    }
    fanned(store, fan_out(1, EnvelopeSize::B4096, &owners, CONTACTS)).await;
    owners[0].ack(store, 1, &[]).await;
    store.close_mailbox(&owners[1].mailbox(), owners[1].close_hash(), NOW).await.unwrap();
    store.delete_mailbox(&owners[2].mailbox(), NOW).await.unwrap();
    assert_eq!(owners[3].numbers(store, NOW).await, [1]);
    assert_eq!(owners[0].numbers(store, NOW).await, [0_u64; 0]);
    while store.expire(after(14 * crate::scene::DAY)).await.unwrap() {}
    assert_eq!(owners[3].numbers(store, after(14 * crate::scene::DAY)).await, [0_u64; 0]);
}

async fn a_fan_out_to_nobody_that_is_there_leaves_nothing<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let owners = [1, 2].map(Owner);
    let outcomes = fanned(store, fan_out(1, EnvelopeSize::B2560, &owners, CONTACTS)).await;
    assert_eq!(outcomes, [Err(PutError::Refused); 2]);
}

async fn a_fan_out_to_thousands_reaches_all<S: Subject>() {
    let subject = S::new(Rules::default()).await;
    let store = subject.store();
    let owners: Vec<_> = (0..=255).map(Owner).collect();
    for owner in &owners {
        owner.with_contacts(store).await;
    }
    // Twenty at a time, as many recipients as the largest has.
    let fanning = (0..20).map(|number| fanned(store, fan_out(number, EnvelopeSize::B2560, &owners, CONTACTS)));
    for outcomes in futures_util::future::join_all(fanning).await {
        assert!(outcomes.iter().all(|outcome| *outcome == Ok(false)));
    }
    for owner in &owners {
        let mut numbers = owner.numbers(store, NOW).await;
        numbers.sort_unstable();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    }
}
