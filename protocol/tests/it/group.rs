//! Sender keys, through the public API (spec §7).

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use waxwing_protocol::{
    Budget, DistributionId, GroupDelta, GroupOpenError, GroupSealError, MAX_MESSAGE_LEN, OpenedGroupMessage,
    PeerSenderKeys, ProcessedDistribution, RecordError, SenderKey, SenderKeyDistributionMessage, SenderKeyMessage,
    WrongDistribution,
};

use crate::party::rng;

pub const GROUP: DistributionId = DistributionId(*b"a group's own id");

pub type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Applies a delta as a database would.
pub fn store(records: &mut Records, delta: &GroupDelta) {
    for (key, value) in delta.writes() {
        match value {
            Some(value) => records.insert(key.as_bytes().to_vec(), value.to_vec()),
            None => records.remove(key.as_bytes()),
        };
    }
}

pub fn all(keys: &PeerSenderKeys) -> Records {
    keys.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect()
}

/// What one member keeps of one sender, with its records.
pub struct Member {
    pub keys: PeerSenderKeys,
    pub records: Records,
}

impl Member {
    pub fn new() -> Self {
        Self { keys: PeerSenderKeys::new(GROUP), records: Records::new() }
    }

    pub fn told(message: &SenderKeyDistributionMessage) -> Self {
        let mut member = Self::new();
        assert_eq!(member.process(message), ProcessedDistribution::New);
        member
    }

    pub fn process(&mut self, message: &SenderKeyDistributionMessage) -> ProcessedDistribution {
        let message = SenderKeyDistributionMessage::decode(message.as_bytes()).unwrap();
        let processed = self.keys.process(&message).unwrap();
        store(&mut self.records, &processed.delta());
        let kind = processed.commit();
        self.check();
        kind
    }

    pub fn open(&mut self, message: &SenderKeyMessage) -> Result<Vec<u8>, GroupOpenError> {
        let message = SenderKeyMessage::decode(message.as_bytes()).unwrap();
        let before = all(&self.keys);
        let plaintext = match self.keys.open(&message, &mut Budget::default()) {
            Ok(opened) => {
                store(&mut self.records, &opened.delta());
                Ok(opened.commit())
            }
            Err(error) => {
                assert_eq!(all(&self.keys), before, "a message that failed changed the keys");
                Err(error)
            }
        };
        self.check();
        plaintext
    }

    pub fn restart(&mut self) {
        self.keys = PeerSenderKeys::load(GROUP, &self.records).unwrap();
        self.check();
    }

    fn check(&self) {
        assert!(self.records.is_empty() || self.records == all(&self.keys), "what deltas stored is not what there is");
    }
}

pub fn seal(key: &mut SenderKey, plaintext: &[u8], rng: &mut ChaCha20Rng) -> SenderKeyMessage {
    key.seal(plaintext, rng).unwrap().commit()
}

#[test]
fn a_message_reaches_every_member_once() {
    let rng = &mut rng(1);
    let mut key = SenderKey::generate(GROUP, rng);
    let mut members = [Member::told(&key.distribution_message()), Member::told(&key.distribution_message())];
    for text in [&b""[..], b"hello all", &[7; 5000]] {
        let message = seal(&mut key, text, rng);
        for member in &mut members {
            assert_eq!(member.open(&message).unwrap(), text);
            let iteration = message.iteration();
            assert_eq!(member.open(&message), Err(GroupOpenError::Duplicate { iteration }));
        }
    }
}

#[test]
fn a_late_joiner_reads_what_follows_and_nothing_before() {
    let rng = &mut rng(2);
    let mut key = SenderKey::generate(GROUP, rng);
    let early = seal(&mut key, b"early", rng);
    let distribution = key.distribution_message();
    assert_eq!(distribution.iteration(), 1);
    let mut late = Member::told(&distribution);
    assert_eq!(late.open(&early), Err(GroupOpenError::Duplicate { iteration: 0 }));
    assert_eq!(late.open(&seal(&mut key, b"now", rng)).unwrap(), b"now");
}

#[test]
fn a_guard_that_is_dropped_leaves_everything_as_it_was() {
    let rng = &mut rng(3);
    let mut key = SenderKey::generate(GROUP, rng);
    let mut member = Member::new();
    drop(member.keys.process(&key.distribution_message()).unwrap());
    assert_eq!(member.keys.chain_ids().count(), 0);
    member.process(&key.distribution_message());

    drop(key.seal(b"never sent", rng).unwrap());
    assert_eq!(key.iteration(), 0);
    let message = seal(&mut key, b"sent", rng);
    let before = all(&member.keys);
    drop(member.keys.open(&message, &mut Budget::default()).unwrap());
    assert_eq!(all(&member.keys), before);
    assert_eq!(member.open(&message).unwrap(), b"sent");
}

#[test]
fn a_repeated_distribution_message_opens_nothing_twice() {
    let rng = &mut rng(4);
    let mut key = SenderKey::generate(GROUP, rng);
    let first = key.distribution_message();
    let mut member = Member::told(&first);
    let messages: Vec<_> = (0..3u8).map(|n| seal(&mut key, &[n], rng)).collect();
    member.open(&messages[2]).unwrap();
    for distribution in [&first, &key.distribution_message()] {
        assert_eq!(member.process(distribution), ProcessedDistribution::Known);
        assert_eq!(member.open(&messages[2]), Err(GroupOpenError::Duplicate { iteration: 2 }));
    }
    assert_eq!(member.open(&messages[0]).unwrap(), [0], "a skipped seed survives the repetition");
}

#[test]
fn the_five_chains_distributed_last_are_kept_and_a_repetition_counts() {
    let rng = &mut rng(5);
    let mut keys: Vec<_> = (0..7).map(|_| SenderKey::generate(GROUP, rng)).collect();
    let mut member = Member::new();
    for key in &keys[..5] {
        member.process(&key.distribution_message());
    }
    // Chain 0 is told again, so that 1 is the oldest; and it holds a skipped seed whose record must go.
    assert_eq!(member.process(&keys[0].distribution_message()), ProcessedDistribution::Known);
    let skipped = seal(&mut keys[1], b"skipped", rng);
    let ahead = seal(&mut keys[1], b"ahead", rng);
    member.open(&ahead).unwrap();
    member.process(&keys[5].distribution_message());
    assert_eq!(member.open(&skipped), Err(GroupOpenError::UnknownChain { chain_id: keys[1].chain_id() }));
    member.process(&keys[6].distribution_message());
    member.restart();
    let expected: Vec<_> = [6, 5, 0, 4, 3].map(|at: usize| keys[at].chain_id()).into();
    assert_eq!(member.keys.chain_ids().collect::<Vec<_>>(), expected);
    for at in [0, 3, 4, 5, 6] {
        let message = seal(&mut keys[at], b"text", rng);
        assert_eq!(member.open(&message).unwrap(), b"text");
    }
    assert_eq!(member.records.len(), 1, "no record of a chain that went is left");
}

#[test]
fn a_chain_id_with_another_signing_key_replaces_the_chain() {
    let rng = &mut rng(6);
    let mut key = SenderKey::generate(GROUP, rng);
    let mut member = Member::told(&key.distribution_message());
    let skipped = seal(&mut key, b"skipped", rng);
    member.open(&seal(&mut key, b"ahead", rng)).unwrap();

    let other = SenderKey::generate(GROUP, rng);
    let mut forged = other.distribution_message().as_bytes().to_vec();
    set_chain_id(&mut forged, other.chain_id(), key.chain_id());
    let forged = SenderKeyDistributionMessage::decode(&forged).unwrap();
    assert_eq!(member.process(&forged), ProcessedDistribution::Replaced);
    assert_eq!(member.keys.chain_ids().collect::<Vec<_>>(), [key.chain_id()]);
    assert_eq!(member.open(&skipped), Err(GroupOpenError::Forged));
    member.restart();
}

/// Rewrites the varint after the distribution id; both values must have the same length.
fn set_chain_id(distribution: &mut Vec<u8>, from: u32, to: u32) {
    let varint = |mut value: u32| {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(u8::try_from(value & 0x7F).unwrap() | 0x80);
            value >>= 7;
        }
        bytes.push(u8::try_from(value).unwrap());
        bytes
    };
    let at = 1 + 2 + 16 + 1;
    assert!(distribution[at..].starts_with(&varint(from)));
    distribution.splice(at..at + varint(from).len(), varint(to));
}

#[test]
fn messages_and_distribution_messages_of_another_distribution_id_are_refused() {
    let rng = &mut rng(7);
    let mut other = SenderKey::generate(DistributionId([9; 16]), rng);
    let mut member = Member::told(&SenderKey::generate(GROUP, rng).distribution_message());
    assert_eq!(member.keys.process(&other.distribution_message()).map(drop), Err(WrongDistribution));
    let message = seal(&mut other, b"text", rng);
    assert_eq!(member.open(&message), Err(GroupOpenError::WrongDistribution(WrongDistribution)));
    assert_eq!(PeerSenderKeys::load(DistributionId([9; 16]), &member.records).map(drop), Err(RecordError::Stray));
}

#[test]
fn a_message_25000_ahead_opens_and_one_further_does_not() {
    let rng = &mut rng(8);
    let mut key = SenderKey::generate(GROUP, rng);
    let mut member = Member::told(&key.distribution_message());
    let mut kept = Vec::new();
    for iteration in 0..25_000u32 {
        if iteration < 1 || (22_998..23_002).contains(&iteration) {
            kept.push(seal(&mut key, &iteration.to_be_bytes(), rng));
        } else {
            advance(&mut key, rng);
        }
    }
    let reachable = seal(&mut key, b"reachable", rng);
    let too_far = seal(&mut key, b"too far", rng);
    let refused = GroupOpenError::TooFarAhead { iteration: 25_001, ahead: 25_001 };
    assert_eq!(member.open(&too_far), Err(refused));
    assert_eq!(member.open(&reachable).unwrap(), b"reachable");
    member.restart();
    // 2,000 seeds are kept: those of 23,000 to 24,999.
    for message in kept {
        let (iteration, opened) = (message.iteration(), member.open(&message));
        let expected = iteration.to_be_bytes().to_vec();
        if iteration < 23_000 {
            assert_eq!(opened, Err(GroupOpenError::Duplicate { iteration }));
        } else {
            assert_eq!(opened, Ok(expected));
        }
    }
    assert_eq!(member.open(&too_far).unwrap(), b"too far", "what was too far comes within reach");
}

fn advance(key: &mut SenderKey, rng: &mut ChaCha20Rng) {
    let _ = key.seal(b"", rng).unwrap().commit();
}

#[test]
fn messages_that_fail_run_into_the_budget_and_messages_that_open_are_free() {
    let rng = &mut rng(9);
    let mut key = SenderKey::generate(GROUP, rng);
    let mut member = Member::told(&key.distribution_message());
    let mut budget = Budget::new(250);
    for _ in 0..5 {
        let message = seal(&mut key, b"text", rng);
        let _ = member.keys.open(&message, &mut budget).unwrap().commit();
    }
    assert_eq!(budget.remaining(), 250);
    let message = seal(&mut key, b"text", rng);
    let forged = flipped(&message, 8 * 30);
    for left in [150, 50] {
        assert_eq!(member.keys.open(&forged, &mut budget).map(drop), Err(GroupOpenError::Forged));
        assert_eq!(budget.remaining(), left);
    }
    assert_eq!(member.keys.open(&message, &mut budget).map(drop), Err(GroupOpenError::OverBudget));
    assert_eq!(member.open(&message).unwrap(), b"text");
}

#[test]
fn a_plaintext_too_long_for_a_message_is_refused_and_the_longest_is_not() {
    let rng = &mut rng(10);
    let mut key = SenderKey::generate(GROUP, rng);
    let mut member = Member::told(&key.distribution_message());
    let longest = vec![1; MAX_MESSAGE_LEN - 256];
    let got = longest.len() + 1;
    assert_eq!(key.seal(&vec![1; got], rng).map(drop), Err(GroupSealError::TooLong { got }));
    assert_eq!(member.open(&seal(&mut key, &longest, rng)).unwrap(), longest);
}

#[test]
fn the_last_number_is_never_used() {
    let rng = &mut rng(11);
    let mut record = SenderKey::generate(GROUP, rng).records().next().unwrap().1.to_vec();
    // version ‖ distribution id[16] ‖ chain id[4] ‖ chain key[32] ‖ iteration[4]
    record[53..57].copy_from_slice(&(u32::MAX - 1).to_be_bytes());
    let mut key = SenderKey::load([(b"o", record)]).unwrap();
    let mut member = Member::told(&key.distribution_message());
    let last = seal(&mut key, b"last", rng);
    assert_eq!(last.iteration(), u32::MAX - 1);
    assert_eq!(key.seal(b"none", rng).map(drop), Err(GroupSealError::ChainExhausted));
    assert_eq!(member.open(&last).unwrap(), b"last");
}

fn flipped(message: &SenderKeyMessage, bit: usize) -> SenderKeyMessage {
    let mut bytes = message.as_bytes().to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    SenderKeyMessage::decode(&bytes).unwrap()
}

#[test]
fn nothing_is_said_of_a_message_whose_signature_is_wrong_but_that_it_is_forged() {
    let rng = &mut rng(18);
    let mut key = SenderKey::generate(GROUP, rng);
    let mut member = Member::told(&key.distribution_message());
    let message = seal(&mut key, b"text", rng);
    member.open(&message).unwrap();
    let in_signature = (message.as_bytes().len() - 20) * 8;
    assert_eq!(member.open(&flipped(&message, in_signature)), Err(GroupOpenError::Forged), "not a duplicate");
    let signature = *message.signature();
    let far = SenderKeyMessage::new(GROUP, key.chain_id(), u32::MAX, vec![0; 16], |_| signature);
    let mut budget = Budget::new(100);
    assert_eq!(member.keys.open(&far, &mut budget).map(drop), Err(GroupOpenError::Forged), "not too far ahead");
    assert_eq!(budget.remaining(), 0, "and it cost its verification, no more");
}

/// ATTACKS B10: there is no bit of a group message that the signature does not cover.
#[test]
fn every_bit_flip_of_a_group_message_is_refused_and_changes_nothing() {
    let rng = &mut rng(12);
    let mut key = SenderKey::generate(GROUP, rng);
    let mut member = Member::told(&key.distribution_message());
    let message = seal(&mut key, b"a text of some length", rng);
    for bit in 0..message.as_bytes().len() * 8 {
        let mut bytes = message.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(flipped) = SenderKeyMessage::decode(&bytes) {
            let outcome = member.open(&flipped);
            assert!(
                matches!(
                    outcome,
                    Err(GroupOpenError::Forged
                        | GroupOpenError::UnknownChain { .. }
                        | GroupOpenError::WrongDistribution(_))
                ),
                "bit {bit}: {outcome:?}"
            );
        }
    }
    assert_eq!(member.open(&message).unwrap(), b"a text of some length");
}

#[test]
fn records_that_are_damaged_are_refused() {
    let rng = &mut rng(16);
    let mut key = SenderKey::generate(GROUP, rng);
    let own: Records = key.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
    let mut member = Member::told(&key.distribution_message());
    advance(&mut key, rng);
    member.open(&seal(&mut key, b"text", rng)).unwrap();
    assert_eq!(member.records.len(), 2);

    for (name, value) in &own {
        for len in 0..value.len() {
            assert!(SenderKey::load([(name, &value[..len])]).is_err());
        }
        let mut newer = value.clone();
        newer[0] = 2;
        assert_eq!(SenderKey::load([(name, newer)]).map(drop), Err(RecordError::Version { got: 2 }));
    }
    assert_eq!(SenderKey::load(Records::new()).map(drop), Err(RecordError::Missing));
    assert_eq!(SenderKey::load([(b"x", b"")]).map(drop), Err(RecordError::Malformed));

    for name in member.records.keys() {
        for len in 0..member.records[name].len() {
            let mut damaged = member.records.clone();
            damaged.get_mut(name).unwrap().truncate(len);
            assert!(PeerSenderKeys::load(GROUP, &damaged).is_err());
        }
        let mut damaged = member.records.clone();
        damaged.get_mut(name).unwrap().push(0);
        assert_eq!(PeerSenderKeys::load(GROUP, &damaged).map(drop), Err(RecordError::Malformed));
    }
    let mut without_chains = member.records.clone();
    without_chains.remove(&b"c"[..]);
    assert_eq!(PeerSenderKeys::load(GROUP, &without_chains).map(drop), Err(RecordError::Missing));
    let mut stray = member.records.clone();
    let seeds = stray.iter().find(|(name, _)| name[0] == b'k').unwrap().1.clone();
    stray.insert(b"k\0\0\0\x07\0\0\0\0".to_vec(), seeds);
    assert_eq!(PeerSenderKeys::load(GROUP, &stray).map(drop), Err(RecordError::Stray));
}

#[test]
fn debug_shows_no_secrets() {
    let rng = &mut rng(17);
    let mut key = SenderKey::generate(GROUP, rng);
    let distribution = key.distribution_message();
    let mut member = Member::told(&distribution);
    let secrets = distribution.as_bytes().windows(32).map(hex::encode).collect::<Vec<_>>();
    let sealed = key.seal(b"plain text", rng).unwrap();
    let mut shown = format!("{distribution:?} {sealed:?}");
    let message = sealed.commit();
    let opened: OpenedGroupMessage<'_> = member.keys.open(&message, &mut Budget::default()).unwrap();
    shown += &format!("{:?}", opened.delta());
    drop(opened);
    shown += &format!("{key:?} {:?}", member.keys);
    assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{shown}");
    assert!(!shown.contains("chain_key: ["), "{shown}");
}
