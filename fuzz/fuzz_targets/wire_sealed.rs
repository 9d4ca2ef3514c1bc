#![no_main]
//! Sealed objects (spec 12): as they come; as segments behind a good header, in pieces; and what is sealed opens.
//! No passphrases: Argon2id would be all that is fuzzed.
use libfuzzer_sys::fuzz_target;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use waxwing_wire::sealed::{Header, ObjectSecret, Opener, Purpose, open, seal};

fuzz_target!(|bytes: &[u8]| {
    let secret = ObjectSecret::from_bytes(&[1; 32]);
    if bytes.first() != Some(&2) {
        assert!(open(&secret, Purpose::Change, b"", bytes).is_err(), "a commitment found by chance");
    }
    let _ = Header::parse(bytes);
    let object = seal(&secret, Purpose::Blob, b"", bytes, &mut ChaCha20Rng::seed_from_u64(1)).expect("short enough");
    assert_eq!(open(&secret, Purpose::Blob, b"", &object).expect("it was sealed").as_slice(), bytes);
    let (header, _) = Header::parse(&object).expect("it was sealed");
    let size = 65 + bytes.len() as u64;
    if let Ok(mut opener) = Opener::new(&header, &secret, Purpose::Blob, b"", size) {
        let mut out = Vec::new();
        let pieces = usize::from(bytes.first().copied().unwrap_or(0)) * 3 + 1;
        let forged = bytes.chunks(pieces).any(|piece| opener.update(piece, &mut out).is_err());
        assert!(forged || opener.finish().is_err(), "forged");
        assert!(out.is_empty());
    }
});
