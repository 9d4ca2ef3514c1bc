#![no_main]
//! A mailbox's file (spec §17.25): whatever the bytes, an error or one mailbox, which is written again byte for byte. Since a fuzzer cannot find a
//! digest, every input is also read with the right one.
use std::io::Read;

use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};
use waxwing_relay::{
    ledger::Quota,
    portable::{FileError, Reader, Writer},
};

fn read(bytes: impl Read) -> Result<Vec<u8>, FileError> {
    let (head, mut reader) = Reader::open(bytes, Quota { bytes: 1 << 20, envelopes: 20 })?;
    let mut writer = Writer::new(Vec::new(), &head).unwrap();
    let (mut count, mut sequence) = (0, 0);
    while let Some(parcel) = reader.next()? {
        assert!(parcel.sequence > sequence);
        (sequence, count) = (parcel.sequence, count + 1);
        writer.envelope(&parcel).unwrap();
    }
    assert!(count <= 20);
    Ok(writer.finish().unwrap())
}

fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &Sha256::digest(body)].concat()
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(again) = read(bytes) {
        assert_eq!(again, bytes);
    }
    let body = bytes.get(..bytes.len().saturating_sub(32)).unwrap_or_default();
    // An envelope's bytes are more than an input has: they are added.
    for body in [body.to_vec(), with_body(body)] {
        let sealed = sealed(&body);
        if let Ok(again) = read(&*sealed) {
            assert_eq!(again, sealed);
        }
    }
});

/// The input as a head and the label of one envelope, with the bytes of that envelope and the end.
fn with_body(body: &[u8]) -> Vec<u8> {
    let mut file = body.to_vec();
    file.extend([0xe5; 2_560]);
    file.push(0);
    file
}
