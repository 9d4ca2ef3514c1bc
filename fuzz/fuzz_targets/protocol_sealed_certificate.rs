//! Decoding and verifying certificates is total, and no fuzzer finds one that a root it does not know vouches for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_protocol::Timestamp;
use waxwing_protocol::sealed::{CertificateKeyPair, SenderCertificateIn, ServerCertificateIn, Trust};

fuzz_target!(|data: &[u8]| {
    let root = CertificateKeyPair::from_private_key(&[7; 32]);
    let mut trust = Trust::new([root.public_key()]);
    if let Ok(server) = ServerCertificateIn::decode(data) {
        assert_eq!(server.as_bytes(), data);
        assert!(server.verify(&trust).is_err());
        assert!(trust.add_server(&server).is_err());
    }
    if let Ok(sender) = SenderCertificateIn::decode(data) {
        assert_eq!(sender.as_bytes(), data);
        let _ = format!("{sender:?} {:?}", sender.claims());
        assert!(sender.verify(&trust, Timestamp(0)).is_err());
    }
});
