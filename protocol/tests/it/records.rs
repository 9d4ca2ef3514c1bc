//! Records (spec §5.9): sizes, and what damaged storage leads to.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use proptest::prelude::*;
use waxwing_protocol::{RecordError, Session, Suite};

use crate::device::{Device, Fate};
use crate::party::OneTime;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The records of two devices in mid-conversation, with archived states and skipped messages.
fn busy_records() -> &'static [Records; 2] {
    static RECORDS: OnceLock<[Records; 2]> = OnceLock::new();
    RECORDS.get_or_init(|| busy(1).map(|device| device.records))
}

fn busy(seed: u64) -> [Device; 2] {
    let (mut alice, mut bob) = (Device::new(1, seed), Device::new(2, seed));
    for suite in [Suite::Pqxdh, Suite::X3dh, Suite::Pqxdh] {
        alice.initiate(&bob.party, suite, OneTime::Without);
        for turn in 0..6 {
            let (from, to) = if turn % 2 == 0 { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
            for i in 0..40 {
                let message = from.seal(&[turn, i], Fate::Lives).unwrap();
                if i % 39 == 0 {
                    to.open(&message, &from.party, Fate::Lives).unwrap();
                }
            }
        }
    }
    [alice, bob]
}

#[test]
fn a_state_without_skipped_keys_is_at_most_1_kib_once_acknowledged() {
    let (mut alice, mut bob) = (Device::without_post_quantum_ratchet(1, 1), Device::without_post_quantum_ratchet(2, 1));
    alice.initiate(&bob.party, Suite::Pqxdh, OneTime::With);
    let unacknowledged: usize = alice.records.values().map(Vec::len).sum();
    for turn in 0..20 {
        let (from, to) = if turn % 2 == 0 { (&mut alice, &mut bob) } else { (&mut bob, &mut alice) };
        let message = from.seal(b"text", Fate::Lives).unwrap();
        to.open(&message, &from.party, Fate::Lives).unwrap();
    }
    let acknowledged: usize = alice.records.values().map(Vec::len).sum();
    // The head is 11 bytes; five receiving chains are the most there are.
    assert_eq!(acknowledged - 11, 644);
    assert!(unacknowledged <= 1024 + 1650, "{unacknowledged}");
    assert!(acknowledged <= 1024, "{acknowledged}");
}

#[test]
fn an_ordinary_message_writes_two_small_records_however_many_keys_are_kept() {
    let [mut alice, mut bob] = busy(2);
    let message = alice.seal(b"text", Fate::Lives).unwrap();
    bob.open(&message, &alice.party, Fate::Lives).unwrap();
    let sealed = alice.session.seal(b"text", crate::party::NOW, &mut crate::party::draw()).unwrap();
    assert!(bob.records.len() > 8, "blocks of kept keys");
    // The state, and the post-quantum ratchet's chains.
    let sizes: BTreeMap<u8, usize> =
        sealed.delta().writes().map(|(key, value)| (key.as_bytes()[0], value.unwrap().len())).collect();
    assert_eq!(sizes.keys().copied().collect::<Vec<_>>(), b"qs");
    assert!(sizes[&b's'] <= 644 && sizes[&b'q'] <= 512, "{sizes:?}");
}

#[test]
fn every_missing_or_stray_record_is_noticed() {
    let [_, bob] = busy_records();
    for key in bob.keys() {
        let mut less = bob.clone();
        less.remove(key);
        let expected: &[Option<RecordError>] = match key[0] {
            // A block of kept keys may be missing: those messages are lost, and nothing says that they were there.
            b'k' | b'p' => &[None],
            b's' => &[Some(RecordError::Stray), Some(RecordError::Missing)],
            _ => &[Some(RecordError::Missing)],
        };
        let outcome = Session::load(less).err();
        let is_expected = expected.contains(&outcome);
        assert!(is_expected, "{key:02x?}: {outcome:?}");
    }
    let state = bob.iter().find(|(key, value)| key[0] == b's' && value[0] == 1).unwrap().1.clone();
    let mut more = bob.clone();
    more.insert(vec![b's', 9, 9, 9, 9], state);
    assert_eq!(Session::load(more).err(), Some(RecordError::Stray));
    let mut foreign = bob.clone();
    foreign.insert(b"x".to_vec(), Vec::new());
    assert_eq!(Session::load(foreign).err(), Some(RecordError::Malformed));
}

#[test]
fn every_truncated_or_extended_record_is_refused() {
    for records in busy_records() {
        for (key, value) in records {
            for len in 0..value.len() {
                assert!(load_with(records, key, &value[..len]).is_err(), "{key:02x?} cut to {len}");
            }
            let longer = [&value[..], &[0]].concat();
            assert_eq!(load_with(records, key, &longer).err(), Some(RecordError::Malformed));
        }
    }
}

fn load_with(records: &Records, key: &[u8], value: &[u8]) -> Result<Session, RecordError> {
    let mut changed = records.clone();
    changed.insert(key.to_vec(), value.to_vec());
    Session::load(changed)
}

proptest! {
    #![proptest_config(crate::cases(256))]

    /// Canonical: whatever loads is written again as the same bytes.
    #[test]
    fn damaged_records_are_refused_or_are_what_they_say(
        whose in 0usize..2, at: prop::sample::Index, byte: prop::sample::Index, value: u8
    ) {
        let records = &busy_records()[whose];
        let key = at.get(&records.keys().cloned().collect::<Vec<_>>()).clone();
        let mut changed = records.clone();
        let record = changed.get_mut(&key).unwrap();
        let index = byte.index(record.len());
        record[index] = value;
        if let Ok(session) = Session::load(changed.clone()) {
            let anew: Records =
                session.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
            prop_assert_eq!(anew, changed);
        }
    }
}
