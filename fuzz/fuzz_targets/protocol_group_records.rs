//! Records of sender keys, ours and the official library's: reading is total, and what loads is written back unchanged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_protocol::{DistributionId, PeerSenderKeys, SenderKey, import};

const GROUP: DistributionId = DistributionId([7; 16]);

fuzz_target!(|data: &[u8]| {
    let [which, data @ ..] = data else { return };
    match which % 4 {
        0 => {
            if let Ok(key) = SenderKey::load([(b"o", data)]) {
                assert_eq!(key.records().next().unwrap().1.as_slice(), data);
            }
        }
        1 => {
            // Two records: the chains, and a block of seeds of chain 0.
            let (chains, kept) = data.split_at(data.len().min(98));
            let mut chains = chains.to_vec();
            if chains.len() >= 17 {
                chains[1..17].copy_from_slice(&GROUP.0);
            }
            let mut rows = vec![(b"c".to_vec(), chains)];
            if !kept.is_empty() {
                rows.push((b"k\0\0\0\0\0\0\0\0".to_vec(), kept.to_vec()));
            }
            if let Ok(keys) = PeerSenderKeys::load(GROUP, rows.iter().map(|(key, value)| (key, value))) {
                let written: Vec<_> =
                    keys.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
                assert_eq!(written, rows);
            }
        }
        2 => drop(import::sender_key(data, GROUP)),
        _ => {
            if let Ok(keys) = import::peer_sender_keys(data, GROUP) {
                let rows: Vec<_> = keys.records().collect();
                PeerSenderKeys::load(GROUP, rows.iter().map(|(key, value)| (key, value))).unwrap();
            }
        }
    }
});
