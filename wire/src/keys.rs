//! The keys of an account and where they come from. Implements spec/11-identity.md §11.2.
//!
//! ```text
//! S ──"recovery key"──▶ RecoveryKey ──hash──▶ account id ──▶ service id
//! └──"root key", g────▶ RootKey(g) ──"reach key", n──────────▶ ReachKey(n)
//!                              └────"close capability", mailbox─▶ CloseCapability
//! ```
//! Invariants: one key, one purpose; whoever holds the root key of a generation cannot reach S, another generation or the
//! recovery key; secrets are boxed, wiped on drop, print nothing and compare in constant time.
//! Not here: session keys (the protocol crate), delivery secrets (`delivery`).
use alloc::boxed::Box;
use core::fmt;

use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    id::{AccountId, Generation, MailboxId},
    kdf,
    label::{self, Label},
    signature::{SigningKey, role},
    words::AccountSecret,
};

role!(
    /// The key an account is named after; verifies generation statements.
    RecoveryPublicKey,
    /// Derives from the 24 words and is kept by no device; signs generation statements only.
    RecoveryKey
);
role!(
    /// Verifies the manifests of one generation.
    RootPublicKey,
    /// Held by the primary device; signs manifests, and the generation's reach keys and close capabilities derive from it.
    RootKey
);
role!(
    /// Verifies what one device signs outside of Signal's protocol.
    DevicePublicKey,
    /// A device's signing key: counter-signature, requests, prekeys, reach entries, listings.
    DeviceKey
);
role!(
    /// A server's long-term key, pinned by its address.
    ServerPublicKey,
    /// Signs a server's TLS leaf keys and where it moved.
    ServerKey
);

impl AccountSecret {
    /// The recovery key (spec §11.2.5). Use it, then drop it.
    #[must_use]
    pub fn recovery_key(&self) -> RecoveryKey {
        RecoveryKey(SigningKey::from_seed(&derive(self.as_bytes(), label::RECOVERY_KEY, &[])))
    }

    /// The root key of `generation` (spec §11.2.5).
    #[must_use]
    pub fn root_key(&self, generation: Generation) -> RootKey {
        let seed = derive(self.as_bytes(), label::ROOT_KEY, &generation.0.to_be_bytes());
        RootKey(SigningKey::from_seed(&seed))
    }
}

impl RecoveryPublicKey {
    /// The account that this key is the root of all trust for: SHA-256(label ‖ 0x00 ‖ key) (spec §11.2.2).
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        AccountId::from_bytes(label::ACCOUNT_ID.hash(self.as_bytes()))
    }

    /// The Montgomery form of the key, for the safety number (spec §11.2.4). 32 bytes.
    #[must_use]
    pub fn to_montgomery(&self) -> [u8; 32] {
        self.0.to_montgomery()
    }
}

impl RootKey {
    /// Reach key `number` of this generation (spec §11.2.5); a rotation counts up.
    #[must_use]
    pub fn reach_key(&self, number: u32) -> ReachKey {
        ReachKey(Box::new(*derive(&self.seed(), label::REACH_KEY, &number.to_be_bytes())))
    }

    /// What closes `mailbox`, whoever lost it (spec §11.2.5).
    #[must_use]
    pub fn close_capability(&self, mailbox: MailboxId) -> CloseCapability {
        CloseCapability(Box::new(*derive(&self.seed(), label::CLOSE_CAPABILITY, mailbox.as_bytes())))
    }
}

/// Defines a 32-byte secret.
macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Zeroize, ZeroizeOnDrop)]
        pub struct $name(Box<[u8; 32]>);

        impl $name {
            /// Takes the bytes as they are; the caller wipes its own copy.
            #[must_use]
            pub fn from_bytes(bytes: &[u8; 32]) -> Self {
                Self(Box::new(*bytes))
            }

            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Whether both are the same secret, in constant time.
            #[must_use]
            pub fn is(&self, other: &Self) -> bool {
                self.0.ct_eq(other.0.as_ref()).into()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret!(
    /// Opens an account's reach entries (spec §11.7). Contacts hold it, and contact links carry it. 32 bytes.
    ReachKey
);
secret!(
    /// Closes one mailbox (spec §11.2.5). The relay keeps its [`CloseCapability::hash`]. 32 bytes.
    CloseCapability
);
secret!(
    /// An introduction token: the delivery secret of whoever came by one link (spec §11.12). 32 bytes.
    IntroductionToken
);

impl CloseCapability {
    /// What the relay is told when the mailbox is made, and compares with when it is closed (spec §11.2.5). 32 bytes.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        label::CLOSE_HASH.hash(self.as_bytes())
    }
}

/// Defines an X25519 public key that this crate carries and never computes with.
macro_rules! carried {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, PartialEq)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes the 32 bytes of a u-coordinate.
            ///
            /// # Errors
            /// If it is not reduced or of small order (spec §11.2.6).
            pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
                let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| KeyError)?;
                if is_usable(&bytes) { Ok(Self(bytes)) } else { Err(KeyError) }
            }

            /// The u-coordinate.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), crate::base32::encode(&self.0))
            }
        }
    };
}

carried!(
    /// A device's Signal identity key, without Signal's type byte.
    IdentityPublicKey
);
carried!(
    /// A device's certificate key for sealed sender, without Signal's type byte.
    CertificatePublicKey
);

/// 32 bytes are no X25519 public key that may be used.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("§11.2.6: not a usable X25519 public key")]
pub struct KeyError;

/// HKDF without salt; the info is label ‖ 0x00 ‖ context (spec §10.5).
pub(crate) fn derive(key: &[u8; 32], label: Label, context: &[u8]) -> Zeroizing<[u8; 32]> {
    kdf::hkdf(None, key, &label.with(context))
}

/// Reduced (which has the top bit clear) and none of the five u-coordinates of points whose order divides 8. Whether the
/// order is a multiple of 8's primes besides is for whoever computes with the key: the protocol crate.
fn is_usable(u: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = u;
    let reduced = *last < 0x7f || *last == 0x7f && (*first < 0xed || middle.iter().any(|byte| *byte != 0xff));
    reduced && !SMALL_ORDER_U.contains(u)
}

/// u = 0, 1, -1 and the two of order 8.
const SMALL_ORDER_U: [[u8; 32]; 5] = {
    let (mut one, mut minus_one) = ([0; 32], [0xff; 32]);
    one[0] = 1;
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    [[0; 32], one, minus_one, ORDER_8_A, ORDER_8_B]
};
const ORDER_8_A: [u8; 32] = [
    0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d,
    0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
];
const ORDER_8_B: [u8; 32] = [
    0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c,
    0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
];

#[cfg(test)]
mod tests {
    use curve25519_dalek::montgomery::MontgomeryPoint;

    use super::*;

    #[test]
    fn every_u_of_small_order_is_refused_and_no_other_is_in_the_table() {
        for u in SMALL_ORDER_U {
            // A multiple of 8 of a point of small order is the identity, u = 0; [8]P by the ladder with clamped 8·k.
            let multiple = MontgomeryPoint(u).mul_clamped([9; 32]);
            assert_eq!(multiple.to_bytes(), [0; 32]);
            assert_eq!(IdentityPublicKey::from_bytes(&u), Err(KeyError));
        }
        assert!(IdentityPublicKey::from_bytes(&[9; 32]).is_ok());
    }

    #[test]
    fn an_unreduced_u_is_refused() {
        let mut u = [9; 32];
        u[31] |= 0x80;
        assert_eq!(CertificatePublicKey::from_bytes(&u), Err(KeyError));
        let mut p_plus_9 = [0xff; 32];
        (p_plus_9[0], p_plus_9[31]) = (0xed + 9, 0x7f);
        assert_eq!(CertificatePublicKey::from_bytes(&p_plus_9), Err(KeyError));
        assert_eq!(CertificatePublicKey::from_bytes(&[9; 33]), Err(KeyError));
    }

    #[test]
    fn each_derivation_gives_another_key() {
        let secret = AccountSecret::from_words(
            "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful \
             legal winner thank year wave sausage worth title",
        )
        .expect("a published vector");
        let (first, second) = (secret.root_key(Generation(0)), secret.root_key(Generation(1)));
        let mailbox = MailboxId::from_bytes([1; 16]);
        let keys = [
            *secret.recovery_key().seed(),
            *first.seed(),
            *second.seed(),
            *first.reach_key(0).as_bytes(),
            *first.reach_key(1).as_bytes(),
            *second.reach_key(0).as_bytes(),
            *first.close_capability(mailbox).as_bytes(),
            first.close_capability(mailbox).hash(),
            *second.close_capability(mailbox).as_bytes(),
            *first.close_capability(MailboxId::from_bytes([2; 16])).as_bytes(),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key), "key {index}");
        }
    }

    #[test]
    fn secrets_print_nothing() {
        let key = ReachKey::from_bytes(&[0xab; 32]);
        assert_eq!(format!("{key:?}"), "ReachKey(..)");
        assert!(key.is(&ReachKey::from_bytes(&[0xab; 32])) && !key.is(&ReachKey::from_bytes(&[0xac; 32])));
        assert_eq!(format!("{:?}", RootKey::from_seed(&[0xab; 32])), "RootKey(..)");
    }
}
