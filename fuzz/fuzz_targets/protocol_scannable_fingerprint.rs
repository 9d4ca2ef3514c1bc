//! What a camera reads: decoding is total, its values encode to the same values, and nothing but the right code matches.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_protocol::{Fingerprint, FingerprintVersion, SafetyNumber, ScannableFingerprint};

fuzz_target!(|data: &[u8]| {
    let Ok(code) = ScannableFingerprint::decode(data) else { return };
    assert_eq!(ScannableFingerprint::decode(&code.encode()).as_ref(), Ok(&code));
    let (local, remote) = (Fingerprint::from_bytes([1; 32]), Fingerprint::from_bytes([2; 32]));
    let ours = SafetyNumber { version: FingerprintVersion::AccountId, local, remote };
    let theirs = SafetyNumber { local: remote, remote: local, ..ours };
    assert_eq!(ours.compare(&code).is_ok(), code == theirs.scannable());
});
