//! A group's life in any order against a model of what each member should be able to open (spec §7.4 to §7.6).

use proptest::prelude::*;
use waxwing_protocol::{GroupOpenError, PeerSenderKeys, SenderKey, SenderKeyMessage};

use crate::cases;
use crate::group::{GROUP, Member, Records, all, store};
use crate::party::rng;

/// One event of a group's life, as a property test draws it.
#[derive(Clone, Debug)]
enum Event {
    Seal(Vec<u8>),
    Lose(u8),
    Deliver { member: u8, which: u8 },
    Redistribute { member: u8 },
    Rotate,
    Restart { member: u8 },
    RestartSender,
    Forge { member: u8, which: u8, bit: u16 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Event::Seal),
        1 => (1..60u8).prop_map(Event::Lose),
        12 => (0..3u8, any::<u8>()).prop_map(|(member, which)| Event::Deliver { member, which }),
        2 => (0..3u8).prop_map(|member| Event::Redistribute { member }),
        1 => Just(Event::Rotate),
        2 => (0..3u8).prop_map(|member| Event::Restart { member }),
        1 => Just(Event::RestartSender),
        2 => (0..3u8, any::<u8>(), any::<u16>())
            .prop_map(|(member, which, bit)| Event::Forge { member, which, bit }),
    ]
}

/// A member and what it should be able to open: chains in order of distribution, with the first readable number.
struct Modelled {
    member: Member,
    chains: Vec<(u32, u32)>,
    opened: Vec<(u32, u32)>,
}

impl Modelled {
    fn distribute(&mut self, key: &SenderKey) {
        self.member.process(&key.distribution_message());
        let known = self.chains.iter().position(|(chain, _)| *chain == key.chain_id());
        let entry = known.map_or((key.chain_id(), key.iteration()), |at| self.chains.remove(at));
        self.chains.insert(0, entry);
        self.chains.truncate(5);
    }

    fn deliver(&mut self, message: &SenderKeyMessage, plaintext: &[u8]) {
        let (chain_id, iteration) = (message.chain_id(), message.iteration());
        let expected = match self.chains.iter().find(|(chain, _)| *chain == chain_id) {
            None => Err(GroupOpenError::UnknownChain { chain_id }),
            Some((_, first)) if iteration < *first || self.opened.contains(&(chain_id, iteration)) => {
                Err(GroupOpenError::Duplicate { iteration })
            }
            Some(_) => Ok(plaintext.to_vec()),
        };
        assert_eq!(self.member.open(message), expected);
        if expected.is_ok() {
            self.opened.push((chain_id, iteration));
        }
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn in_any_order_with_loss_and_restarts_exactly_the_expected_messages_open(
        seed in any::<u64>(), events in prop::collection::vec(event(), 1..80)
    ) {
        let rng = &mut rng(seed);
        let mut key = SenderKey::generate(GROUP, rng);
        let mut stored: Records = key.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
        let mut sent: Vec<(SenderKeyMessage, Vec<u8>)> = Vec::new();
        let mut members: Vec<_> = (0..3)
            .map(|_| Modelled { member: Member::new(), chains: Vec::new(), opened: Vec::new() })
            .collect();
        for event in events {
            match event {
                Event::Seal(plaintext) => {
                    let sealed = key.seal(&plaintext, rng).unwrap();
                    store(&mut stored, &sealed.delta());
                    sent.push((sealed.commit(), plaintext));
                }
                Event::Lose(count) => {
                    for _ in 0..count {
                        let sealed = key.seal(b"lost", rng).unwrap();
                        store(&mut stored, &sealed.delta());
                        let _ = sealed.commit();
                    }
                }
                Event::Deliver { member, which } if !sent.is_empty() => {
                    let (message, plaintext) = &sent[usize::from(which) % sent.len()];
                    members[usize::from(member)].deliver(message, plaintext);
                }
                Event::Redistribute { member } => members[usize::from(member)].distribute(&key),
                Event::Rotate => {
                    key = SenderKey::generate(GROUP, rng);
                    stored = key.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
                }
                Event::Restart { member } => members[usize::from(member)].member.restart(),
                Event::RestartSender => key = SenderKey::load(&stored).unwrap(),
                Event::Forge { member, which, bit } if !sent.is_empty() => {
                    let (message, _) = &sent[usize::from(which) % sent.len()];
                    let mut bytes = message.as_bytes().to_vec();
                    let bit = usize::from(bit) % (bytes.len() * 8);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    if let Ok(forged) = SenderKeyMessage::decode(&bytes) {
                        prop_assert!(members[usize::from(member)].member.open(&forged).is_err());
                    }
                }
                Event::Deliver { .. } | Event::Forge { .. } => {}
            }
        }
    }

    #[test]
    fn arbitrary_records_never_panic_and_what_loads_is_written_back_unchanged(
        value in prop::collection::vec(any::<u8>(), 0..500), version in any::<bool>(), count in 0..6u8
    ) {
        let mut value = value;
        if version && value.len() > 22 {
            (value[0], value[21]) = (1, count);
            value[1..17].copy_from_slice(&GROUP.0);
            value.truncate(22 + 76 * usize::from(count));
        }
        if let Ok(keys) = PeerSenderKeys::load(GROUP, [(b"c", &value)]) {
            prop_assert_eq!(&all(&keys)[&b"c"[..]], &value);
        }
        if let Ok(key) = SenderKey::load([(b"o", &value)]) {
            let written = key.records().next().unwrap().1;
            prop_assert_eq!(written.as_slice(), &value[..]);
        }
    }
}
