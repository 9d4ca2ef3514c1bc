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
/// HMAC input that turns a chain key into a message seed (spec §5.3).
pub(crate) const MESSAGE_SEED: Label = Label(&[0x01]);
/// HMAC input that turns a chain key into the next one (spec §5.3).
pub(crate) const NEXT_CHAIN_KEY: Label = Label(&[0x02]);
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
                SPQR_CHAIN_START,
                SPQR_ADD_EPOCH,
                SPQR_CHAIN_NEXT,
                SPQR_AUTHENTICATOR,
                SPQR_EPOCH_SECRET,
            ],
        ),
        ("HMAC input under the authenticator's key", &[SPQR_HEADER, SPQR_CIPHERTEXT]),
        ("HMAC input under a chain key", &[MESSAGE_SEED, NEXT_CHAIN_KEY]),
        ("hash and key-material prefixes", &[XEDDSA_NONCE, AGREEMENT_PREFIX]),
    ];

    #[test]
    fn labels_of_one_construction_are_distinct() {
        for (construction, labels) in BY_CONSTRUCTION {
            for (i, one) in labels.iter().enumerate() {
                for other in &labels[i + 1..] {
                    assert_ne!(one, other, "{construction}");
                }
            }
        }
    }

    #[test]
    fn the_specification_lists_every_label() {
        let spec = include_str!("../../spec/00-conventions.md");
        for label in [
            X3DH,
            PQXDH,
            ROOT_STEP,
            MESSAGE_KEYS,
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
