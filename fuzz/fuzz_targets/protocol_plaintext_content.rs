//! Decoding a `PlaintextContent`, and the message inside, is total; their values, encoded anew, are canonical.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxwing_protocol::{DecryptionErrorMessage, PlaintextContent};

fuzz_target!(|data: &[u8]| {
    if let Ok(error) = DecryptionErrorMessage::decode(data) {
        assert_eq!(DecryptionErrorMessage::decode(&error.encode()), Ok(error));
    }
    let Ok(content) = PlaintextContent::decode(data) else { return };
    assert_eq!(content.as_bytes(), data);
    let _ = format!("{content:?}");
    let anew = PlaintextContent::new(content.decryption_error().clone());
    assert_eq!(PlaintextContent::decode(anew.as_bytes()).as_ref(), Ok(&anew));
    assert_eq!(anew.decryption_error(), content.decryption_error());
});
