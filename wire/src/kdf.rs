//! HKDF-SHA-256 (RFC 5869) in the one shape that this crate's own derivations take. Implements spec/00-conventions.md §0.1.
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// `HKDF(salt, secret, info, N)`; wiped when dropped.
pub(crate) fn hkdf<const N: usize>(salt: Option<&[u8]>, secret: &[u8], info: &[u8]) -> Zeroizing<[u8; N]> {
    // RFC 5869's only limit, checked when this is compiled: so `expand` cannot fail.
    const { assert!(N <= 255 * 32, "HKDF gives at most 255 blocks") };
    let mut output = Zeroizing::new([0; N]);
    let expanded = Hkdf::<Sha256>::new(salt, secret).expand(info, output.as_mut_slice());
    debug_assert!(expanded.is_ok());
    output
}
