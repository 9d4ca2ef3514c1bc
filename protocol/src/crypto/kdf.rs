//! HKDF-SHA256 (RFC 5869) and HMAC-SHA256 (RFC 2104) over byte strings given in parts.

use hkdf::HkdfExtract;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::label::Label;

/// HKDF's salt. "None" is the RFC's default of 32 zero bytes.
#[derive(Clone, Copy)]
pub(crate) enum Salt<'a> {
    None,
    Key(&'a [u8; 32]),
    Bytes(&'a [u8]),
}

/// Derives `N` keys of 32 bytes, taken in order from HKDF's output for the concatenation of `ikm`'s parts.
///
/// An output that is no multiple of 32 bytes is a prefix of this one (RFC 5869 §2.3).
pub(crate) fn hkdf<const N: usize>(salt: Salt<'_>, ikm: &[&[u8]], info: Label) -> Zeroizing<[[u8; 32]; N]> {
    hkdf_with(salt, ikm, &[info.as_bytes()])
}

/// As [`hkdf`] with an info that is more than a label: the concatenation of `info`'s parts, one of which is one.
#[expect(clippy::expect_used, reason = "the length is a constant, checked at compile time against RFC 5869's limit")]
pub(crate) fn hkdf_with<const N: usize>(salt: Salt<'_>, ikm: &[&[u8]], info: &[&[u8]]) -> Zeroizing<[[u8; 32]; N]> {
    const { assert!(N <= 255, "RFC 5869 §2.3") };
    let salt = match salt {
        Salt::None => None,
        Salt::Key(key) => Some(&key[..]),
        Salt::Bytes(bytes) => Some(bytes),
    };
    let mut extract = HkdfExtract::<Sha256>::new(salt);
    for part in ikm {
        extract.input_ikm(part);
    }
    let (_, expand) = extract.finalize();
    let mut output = Zeroizing::new([[0; 32]; N]);
    expand.expand_multi_info(info, output.as_flattened_mut()).expect("length checked at compile time");
    output
}

/// HMAC-SHA256 under `key` of the concatenation of `parts`; wiped because tags under chain keys are keys themselves.
pub(crate) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    // RFC 2104 §2: a key shorter than a block is padded with zeros.
    let mut block = Zeroizing::new([0; 64]);
    let (head, _) = block.split_at_mut(32);
    head.copy_from_slice(key);
    let mut hmac = <Hmac<Sha256> as KeyInit>::new((&*block).into());
    for part in parts {
        hmac.update(part);
    }
    Zeroizing::new(hmac.finalize().into_bytes().into())
}
