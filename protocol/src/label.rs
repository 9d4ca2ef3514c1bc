//! Every string that separates one use of a key from another; mirrors table 1 of spec/00-conventions.md §0.2.
//!
//! All of them are fixed by Signal's official library: changing one byte makes us deaf to it.

/// A domain-separation string.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Label(&'static [u8]);

impl Label {
    pub(crate) const fn as_bytes(self) -> &'static [u8] {
        self.0
    }

    /// Test vectors bring infos of their own; they live as long as the test.
    #[cfg(test)]
    pub(crate) fn for_test(bytes: &[u8]) -> Self {
        Self(alloc::vec::Vec::from(bytes).leak())
    }
}

/// HKDF info of X3DH's output (spec §3.3).
pub(crate) const X3DH: Label = Label(b"WhisperText");
/// HKDF info of PQXDH's output (spec §3.3).
pub(crate) const PQXDH: Label = Label(b"WhisperText_X25519_SHA-256_CRYSTALS-KYBER-1024");
/// HKDF info of a root step (spec §5.2).
pub(crate) const ROOT_STEP: Label = Label(b"WhisperRatchet");
/// HKDF info of message keys (spec §5.3).
pub(crate) const MESSAGE_KEYS: Label = Label(b"WhisperMessageKeys");
/// First part of the HKDF salt of sealed sender v1's ephemeral keys (spec §8.4).
pub(crate) const SEALED_V1_SALT: Label = Label(b"UnidentifiedDelivery");
/// HKDF info of sealed sender v1's keys: empty, the salts tell them apart (spec §8.4).
pub(crate) const SEALED_V1_KEYS: Label = Label(b"");
/// HKDF info of sealed sender v2's ephemeral private key (spec §8.5).
pub(crate) const SEALED_V2_R: Label = Label(b"Sealed Sender v2: r (2023-08)");
/// HKDF info of sealed sender v2's content key (spec §8.5).
pub(crate) const SEALED_V2_K: Label = Label(b"Sealed Sender v2: K");
/// HKDF info of what hides the message key from all but a recipient (spec §8.5).
pub(crate) const SEALED_V2_DH: Label = Label(b"Sealed Sender v2: DH");
/// HKDF info of the authentication tag (spec §8.5).
pub(crate) const SEALED_V2_DH_SENDER: Label = Label(b"Sealed Sender v2: DH-sender");
/// HMAC input that turns a chain key into a message seed (spec §5.3).
pub(crate) const MESSAGE_SEED: Label = Label(&[0x01]);
/// HMAC input that turns a chain key into the next one (spec §5.3).
pub(crate) const NEXT_CHAIN_KEY: Label = Label(&[0x02]);
/// HKDF info of a group message's keys (spec §7.2).
pub(crate) const GROUP_MESSAGE_KEYS: Label = Label(b"WhisperGroup");
/// What precedes the other identity key in the bytes that an identity key signs for it (spec §1.8): 0xFF*32, then ASCII.
pub(crate) const ALTERNATE_IDENTITY: Label = Label(
    b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\
      \xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\
      Signal_PNI_Signature",
);
/// What precedes key and id in the first hash of a fingerprint (spec §9.1).
pub(crate) const FINGERPRINT: Label = Label(&[0x00, 0x00]);
/// Hash prefix of XEdDSA's nonce: 2^256 - 2, little-endian (XEdDSA §2.5, hash₁; spec §1.5).
pub(crate) const XEDDSA_NONCE: Label = Label(&[
    0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
    0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
]);
/// What precedes the Diffie-Hellman outputs in the agreement's key material (X3DH §2.2, F; spec §3.3).
pub(crate) const AGREEMENT_PREFIX: Label = Label(&[0xFF; 32]);

/// HKDF info of the sparse post-quantum ratchet's first chains; two spaces stand before the last word (spec §6.3).
pub(crate) const SPQR_CHAIN_START: Label = Label(b"Signal PQ Ratchet V1 Chain  Start");
/// HKDF info of an epoch's chains (spec §6.3).
pub(crate) const SPQR_ADD_EPOCH: Label = Label(b"Signal PQ Ratchet V1 Chain Add Epoch");
/// HKDF info of a chain's next key, behind its number (spec §6.3).
pub(crate) const SPQR_CHAIN_NEXT: Label = Label(b"Signal PQ Ratchet V1 Chain Next");
/// HKDF info of the authenticator's update, before the epoch (spec §6.4).
pub(crate) const SPQR_AUTHENTICATOR: Label = Label(b"Signal_PQCKA_V1_MLKEM768:Authenticator Update");
/// HMAC input before epoch and header (spec §6.4).
pub(crate) const SPQR_HEADER: Label = Label(b"Signal_PQCKA_V1_MLKEM768:ekheader");
/// HMAC input before epoch and ciphertext (spec §6.4).
pub(crate) const SPQR_CIPHERTEXT: Label = Label(b"Signal_PQCKA_V1_MLKEM768:ciphertext");
/// HKDF info of an epoch's secret, before the epoch (spec §6.5).
pub(crate) const SPQR_EPOCH_SECRET: Label = Label(b"Signal_PQCKA_V1_MLKEM768:SCKA Key");

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels of one construction stand in one row: only there could one be mistaken for another.
    const BY_CONSTRUCTION: &[(&str, &[Label])] = &[
        (
            "HKDF info",
            &[
                X3DH,
                PQXDH,
                ROOT_STEP,
                MESSAGE_KEYS,
                GROUP_MESSAGE_KEYS,
                SEALED_V1_KEYS,
                SEALED_V2_R,
                SEALED_V2_K,
                SEALED_V2_DH,
                SEALED_V2_DH_SENDER,
                SPQR_CHAIN_START,
                SPQR_ADD_EPOCH,
                SPQR_CHAIN_NEXT,
                SPQR_AUTHENTICATOR,
                SPQR_EPOCH_SECRET,
            ],
        ),
        ("HMAC input under the authenticator's key", &[SPQR_HEADER, SPQR_CIPHERTEXT]),
        ("HMAC input under a chain key", &[MESSAGE_SEED, NEXT_CHAIN_KEY]),
        ("hash and key-material prefixes", &[XEDDSA_NONCE, AGREEMENT_PREFIX, FINGERPRINT, SEALED_V1_SALT]),
        ("signed by an identity key", &[ALTERNATE_IDENTITY]),
    ];

    /// ATTACKS B14: one registry, and in no construction could one label be taken for another. HKDF ends its info with a
    /// counter byte of at least 1, HMAC inputs are taken whole, and what follows a prefix is checked to be no part of one.
    #[test]
    fn labels_of_one_construction_are_distinct_and_end_in_no_other() {
        for (construction, labels) in BY_CONSTRUCTION {
            for (i, one) in labels.iter().enumerate() {
                for (j, other) in labels.iter().enumerate().filter(|(j, _)| i != *j) {
                    assert_ne!(one, other, "{construction}: {i} and {j}");
                    let Some(rest) = other.as_bytes().strip_prefix(one.as_bytes()) else { continue };
                    // X3DH's info is a prefix of PQXDH's: HKDF's first counter byte, 1, must differ from what follows.
                    assert!(*construction == "HKDF info" && rest[0] > 2, "{construction}: {i} begins {j}");
                }
            }
        }
    }

    /// ATTACKS B14: what an identity key signs tells by its first byte what it is.
    #[test]
    fn no_prekey_begins_like_an_alternate_identity() {
        assert_eq!((ALTERNATE_IDENTITY.as_bytes().len(), ALTERNATE_IDENTITY.as_bytes()[0]), (52, 0xFF));
        assert!(ALTERNATE_IDENTITY.as_bytes().ends_with(b"Signal_PNI_Signature"));
    }

    #[test]
    fn the_specification_lists_every_label() {
        let spec = include_str!("../../spec/00-conventions.md");
        for label in [
            X3DH,
            PQXDH,
            ROOT_STEP,
            MESSAGE_KEYS,
            GROUP_MESSAGE_KEYS,
            SEALED_V1_SALT,
            SEALED_V2_R,
            SEALED_V2_K,
            SEALED_V2_DH,
            SEALED_V2_DH_SENDER,
            SPQR_CHAIN_START,
            SPQR_ADD_EPOCH,
            SPQR_CHAIN_NEXT,
            SPQR_AUTHENTICATOR,
            SPQR_HEADER,
            SPQR_CIPHERTEXT,
            SPQR_EPOCH_SECRET,
        ] {
            let text = core::str::from_utf8(label.as_bytes()).unwrap();
            assert!(spec.contains(&alloc::format!("`{text}`")), "{text} is missing in spec/00-conventions.md");
        }
    }
}
