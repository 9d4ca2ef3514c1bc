//! Decoding a `pq_ratchet` field is total, and what it says is written in one way only, which says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_protocol::hazmat::{PostQuantumRatchet, canonical_field};

fuzz_target!(|data: &[u8]| {
    let canonical = canonical_field(data);
    if let Ok(canonical) = &canonical {
        assert!(canonical.len() <= 52 && canonical[0] == 1);
        assert_eq!(canonical_field(canonical).as_ref(), Ok(canonical));
        // Nothing but the version's number, longer varints and bytes behind is left out.
        assert!(canonical.len() <= data.len());
    }
    // A ratchet that takes it for authentic.
    for is_initiator in [true, false] {
        let mut ratchet = PostQuantumRatchet::new(&[7; 32], is_initiator);
        let received = ratchet.receive(data);
        assert!(canonical.is_ok() || received.is_err());
        assert_eq!(ratchet.epoch(), 0);
    }
});
