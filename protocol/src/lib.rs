//! The Signal Protocol as a pure library: X3DH, PQXDH, the Double Ratchet and all of its message formats, byte for byte
//! what Signal's official library speaks.
//!
//! - **Pure**: no async, no clock, no operating-system randomness, no I/O, no store traits. Time and randomness are
//!   arguments; what must be persisted is a returned value.
//! - **`no_std`** (with `alloc`), `forbid(unsafe_code)`, `Send + Sync` throughout.
//! - **Hard to misuse**: what came from outside has types of its own, and only verification turns them into what the next
//!   call takes. A failed call changes nothing.
//! - **Permissive**: MIT OR Apache-2.0.
//!
//! # A first message and its answer
//!
//! Bob publishes prekeys. Alice fetches them as a bundle, verifies it, starts a session and sends; Bob accepts and answers.
//!
//! ```
//! use waxwing_protocol::*;
//!
//! # let rng = &mut <rand_chacha::ChaCha20Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(1);
//! # let now = Timestamp(1_800_000_000_000);
//! // Bob, once: an identity, and prekeys whose public halves he uploads.
//! let bob = IdentityKeyPair::generate(rng);
//! let signed = SignedPrekey::generate(SignedPrekeyId(1), &bob, rng);
//! let one_time = OneTimePrekey::generate(OneTimePrekeyId(0x7A31), rng);
//! let kyber = KyberPrekey::generate(KyberPrekeyId(0x51C0), &bob, rng);
//!
//! // Alice: what the server hands out is not believed before `verify`. That the identity key is really Bob's is hers to know.
//! let bundle = BundleIn {
//!     registration_id: RegistrationId(4711),
//!     device_id: DeviceId::new(1)?,
//!     identity_key: &bob.public_key().to_bytes(),
//!     signed_prekey: SignedPrekeyIn {
//!         id: signed.id(),
//!         public_key: &signed.public_key().to_bytes(),
//!         signature: signed.signature().as_bytes(),
//!     },
//!     one_time_prekey: Some(OneTimePrekeyIn { id: one_time.id(), public_key: &one_time.public_key().to_bytes() }),
//!     kyber_prekey: Some(KyberPrekeyIn {
//!         id: kyber.id(),
//!         public_key: &kyber.public_key().to_bytes(),
//!         signature: kyber.signature().as_bytes(),
//!     }),
//! }
//! .verify()?;
//! assert_eq!(bundle.identity_key(), bob.public_key());
//!
//! let alice = IdentityKeyPair::generate(rng);
//! let at_alice = LocalDevice { identity: &alice, registration_id: RegistrationId::generate(rng), addresses: None };
//! let mut to_bob = Session::initiate(at_alice, &bundle, now, rng)?;
//! let sealed = to_bob.seal(b"hello Bob", now)?.commit();
//!
//! // Bob: decode, load the private prekeys it names, accept. The message decides nothing about the suite.
//! let message = PreKeySignalMessage::decode(sealed.as_bytes())?;
//! let prekeys = PrivatePrekeys {
//!     signed: &signed,
//!     one_time: Some(&one_time),
//!     kyber: Some(KyberPrekeyRef::OneTime(&kyber)),
//!     uses: &LastResortUses::new(),
//! };
//! let at_bob = LocalDevice { identity: &bob, registration_id: RegistrationId(4711), addresses: None };
//! let accepted = Session::accept(at_bob, prekeys, &message, rng)?;
//! let consumed = accepted.consumed(); // delete these prekeys in the transaction that stores the session
//! assert_eq!(consumed.one_time_prekey, Some(one_time.id()));
//! let (mut to_alice, plaintext) = accepted.commit();
//! assert_eq!(plaintext, b"hello Bob");
//!
//! let CiphertextMessage::Signal(answer) = to_alice.seal(b"hello Alice", now)?.commit() else { unreachable!() };
//! assert_eq!(to_bob.open(&answer, rng)?.commit(), b"hello Alice");
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # What the caller must do
//!
//! 1. **Know whose identity key it is.** [`Bundle::identity_key`] and [`PreKeySignalMessage::identity_key`] are claims until
//!    compared with what is known of the person.
//! 2. **Persist before sending, persist before acknowledging**: the session after [`Sealed`] before the ciphertext leaves,
//!    the session after [`Opened`] or [`Accepted`], with what was [`Consumed`], in one transaction before the message is
//!    acknowledged to whoever delivered it. Then `commit`.
//! 3. **Delete what was consumed, remember what must be remembered**: [`Consumed`].
//! 4. **Rotate** signed and last-resort prekeys every 2 days, keep their private halves 30 days.
//! 5. **Pad**: a ciphertext's length follows the plaintext's in steps of 16 bytes.
//!
//! # Which suite
//!
//! PQXDH (version 4) is what every function means that does not say otherwise. X3DH (version 3) gives up secrecy against
//! whoever records traffic today and owns a quantum computer later; the functions that speak it are named
//! `.._without_post_quantum_secrecy`, and nothing a peer sends makes the others fall back to it.
//!
//! # What is not here yet
//!
//! Records to persist a session, archived states and simultaneous initiation, the sparse post-quantum ratchet (which the
//! official library requires since 0.92), sender keys, sealed sender, safety numbers.
//!
//! The bytes are specified in `spec/01` to `spec/05` of the repository; every item names its section.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod address;
pub mod agreement;
mod crypto;
mod curve;
#[cfg(feature = "hazmat")]
pub mod hazmat;
mod identity;
mod kyber;
mod label;
mod message;
mod prekey;
mod ratchet;
mod session;
mod suite;
mod time;

pub use self::address::{
    DeviceAddress, DeviceId, DeviceIdError, RegistrationId, ServiceId, ServiceIdKind, SessionAddresses,
};
pub use self::agreement::{Consumed, KyberPrekeyRef, NonContributoryAgreement, PrivatePrekeys, RespondError};
pub use self::curve::{BaseKey, IdentityKey, PrekeyPublic, PublicKeyError, RatchetKey, Signature};
pub use self::identity::IdentityKeyPair;
pub use self::kyber::{KyberCiphertext, KyberCiphertextError, KyberPublicKey, KyberSecretKey, KyberSecretKeyError};
pub use self::message::{
    CiphertextMessage, DecodeError, DecryptionErrorMessage, DistributionId, MAX_MESSAGE_LEN, PlaintextContent,
    PreKeySignalMessage, SenderKeyDistributionMessage, SenderKeyMessage, SignalMessage,
};
pub use self::prekey::{
    Bundle, BundleError, BundleIn, ClassicalBundle, KyberPrekey, KyberPrekeyId, KyberPrekeyIn, LastResortKey,
    LastResortUse, LastResortUseError, LastResortUses, OneTimePrekey, OneTimePrekeyId, OneTimePrekeyIn, PrekeyError,
    SignedPrekey, SignedPrekeyId, SignedPrekeyIn,
};
pub use self::session::{AcceptError, Accepted, LocalDevice, OpenError, Opened, SealError, Sealed, Session};
pub use self::suite::Suite;
pub use self::time::Timestamp;
