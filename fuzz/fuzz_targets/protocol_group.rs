//! A member opens spoiled group messages and takes arbitrary distribution messages. What opens is the honest message, bit for
//! bit; after whatever fails every record is as it was, and the honest message opens.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use waxwing_protocol::{
    Budget, DistributionId, GroupDelta, PeerSenderKeys, ProcessedDistribution, SenderKey, SenderKeyDistributionMessage,
    SenderKeyMessage,
};

const GROUP: DistributionId = DistributionId([7; 16]);

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

struct Situation {
    receiver: Records,
    honest: Vec<u8>,
}

/// A message in order, a skipped one, and one far ahead.
static SITUATIONS: LazyLock<[Situation; 3]> = LazyLock::new(|| {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let mut key = SenderKey::generate(GROUP, rng);
    let mut keys = PeerSenderKeys::new(GROUP);
    keys.process(&key.distribution_message()).unwrap().commit();
    let mut seal = || key.seal(b"honest", rng).unwrap().commit().as_bytes().to_vec();
    let in_order = Situation { receiver: records(&keys), honest: seal() };
    let skipped = seal();
    let _ = keys.open(&SenderKeyMessage::decode(&seal()).unwrap(), &mut Budget::default()).unwrap().commit();
    let skipped = Situation { receiver: records(&keys), honest: skipped };
    (0..100).for_each(|_| drop(seal()));
    [in_order, skipped, Situation { receiver: records(&keys), honest: seal() }]
});

fn records(keys: &PeerSenderKeys) -> Records {
    keys.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect()
}

fn store(records: &mut Records, delta: &GroupDelta) {
    for (key, value) in delta.writes() {
        match value {
            Some(value) => records.insert(key.as_bytes().to_vec(), value.to_vec()),
            None => records.remove(key.as_bytes()),
        };
    }
}

fuzz_target!(|data: &[u8]| {
    let [which, how, rest @ ..] = data else { return };
    let Situation { receiver, honest } = &SITUATIONS[usize::from(which % 3)];
    let mut keys = PeerSenderKeys::load(GROUP, receiver).unwrap();
    let mut stored = receiver.clone();

    // Replaced from some place on, or byte by byte.
    let mut spoiled = honest.clone();
    match how % 2 {
        0 => {
            for change in rest.as_chunks::<2>().0 {
                let at = usize::from(change[0]) % spoiled.len();
                spoiled[at] ^= change[1];
            }
        }
        _ => {
            spoiled.truncate(usize::from(*how));
            spoiled.extend(rest);
        }
    }
    if let Ok(message) = SenderKeyMessage::decode(&spoiled) {
        match keys.open(&message, &mut Budget::default()) {
            Ok(opened) => {
                assert_eq!(spoiled, *honest);
                drop(opened);
            }
            Err(_) => assert_eq!(records(&keys), *receiver),
        }
    }
    // Any distribution message leaves something that loads, as its delta says.
    if let Ok(message) = SenderKeyDistributionMessage::decode(rest)
        && let Ok(processed) = keys.process(&message)
    {
        store(&mut stored, &processed.delta());
        let kind = processed.commit();
        assert_eq!(records(&keys), stored);
        assert_eq!(records(&PeerSenderKeys::load(GROUP, &stored).unwrap()), stored);
        if kind == ProcessedDistribution::Replaced {
            return;
        }
    }
    let honest = SenderKeyMessage::decode(honest).unwrap();
    let opened = keys.open(&honest, &mut Budget::default()).unwrap();
    store(&mut stored, &opened.delta());
    assert_eq!(opened.commit(), b"honest");
    assert_eq!(records(&keys), stored);
});
