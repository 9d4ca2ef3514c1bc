//! The Signal Protocol as a pure library: X3DH, PQXDH, the Triple Ratchet, sender keys, sealed sender, safety numbers and all
//! of their message formats, byte for byte what Signal's official library speaks.
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
//! let mut with_bob = Session::new();
//! with_bob.initiate(at_alice, &bundle, now, rng)?.commit();
//! let sealed = with_bob.seal(b"hello Bob", now, rng)?.commit();
//! assert_eq!(sealed.kind(), MessageKind::PreKey);
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
//! let mut with_alice = Session::new();
//! let opened = with_alice.accept(at_bob, prekeys, &message, rng)?;
//! assert_eq!(opened.identity(), IdentityEvent::First(*alice.public_key()));
//! assert_eq!(opened.consumed().one_time_prekey, Some(one_time.id()));
//! assert_eq!(opened.commit(), b"hello Bob");
//!
//! let answer = with_alice.seal(b"hello Alice", now, rng)?.commit();
//! let answer = SignalMessage::decode(answer.as_bytes())?;
//! assert_eq!(with_bob.open(&answer, &mut Budget::default(), rng)?.commit(), b"hello Alice");
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # What the caller must do, in this order
//!
//! Every operation returns a guard. Between the guard and its `commit` stands the caller's disk:
//!
//! | to send | on receiving |
//! |---|---|
//! | 1. [`Session::load`] the peer device's records | 1. decode; [`Session::load`] |
//! | 2. without a session: fetch a bundle, [`BundleIn::verify`], compare its identity, [`Session::initiate`] | 2. [`Session::open`]; for a first message [`Session::open_first`] if [it names a state](Session::is_named_by), else load the prekeys it names and [`Session::accept`] |
//! | 3. [`Session::seal`] | 3. decide on [`Opened::identity`] |
//! | 4. **one transaction**: [`Sealed::delta`]'s writes, and the [ciphertext](Sealed::message) | 4. **one transaction**: [`Opened::delta`]'s writes, what was [`Consumed`], and the [plaintext](Opened::plaintext) |
//! | 5. [`Sealed::commit`]; send the ciphertext, after a restart the stored one | 5. [`Opened::commit`]; acknowledge the message |
//!
//! `examples/two_party.rs`, `persist.rs` and `migrate.rs` in the repository show this at length, with crashes and with a
//! move from the official library. Besides:
//!
//! - **Know whose identity key it is.** [`Bundle::identity_key`] and [`PreKeySignalMessage::identity_key`] are claims until
//!   compared with what is known of the person.
//! - **Rotate** signed and last-resort prekeys every 2 days, keep their private halves 30 days.
//! - **Pad**: a ciphertext's length follows the plaintext's in steps of 16 bytes.
//! - **Never restore** an old copy of a session's records: it would use message keys again.
//! - **Bound** what messages that fail may cost: one [`Budget`] per peer, refilled with time.
//!
//! # Groups
//!
//! A message to a group is sealed once for all members, under the sending device's [`SenderKey`]. Each other device is told
//! how to read it by a distribution message inside its pairwise session, and keeps [`PeerSenderKeys`] of each sender.
//!
//! ```
//! use waxwing_protocol::*;
//!
//! # let rng = &mut <rand_chacha::ChaCha20Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(1);
//! // Ann, before her first message to the group. What she tells Bob travels inside their session.
//! let group = DistributionId(*b"a random uuid ..");
//! let mut anns = SenderKey::generate(group, rng);
//! let told = anns.distribution_message();
//!
//! // Bob, who knows from the session that it is Ann's device.
//! let mut of_ann = PeerSenderKeys::new(group);
//! of_ann.process(&SenderKeyDistributionMessage::decode(told.as_bytes())?)?.commit();
//!
//! // As with sessions: persist the guard's delta before its commit.
//! let message = anns.seal(b"hello all", rng)?.commit();
//! let message = SenderKeyMessage::decode(message.as_bytes())?;
//! assert_eq!(of_ann.open(&message, &mut Budget::default())?.commit(), b"hello all");
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! Generate a new [`SenderKey`] when a member leaves or a device is revoked, and every so often: whoever has been told reads
//! on until then. `examples/group_chat.rs` shows a group's life.
//!
//! # Safety numbers and repair
//!
//! [`SafetyNumber`] is what two people compare, as digits or by QR code, to know that nobody sits between them. A device
//! that cannot open a message says so with a [`DecryptionErrorMessage`]; its sender asks [`Session::uses_ratchet_key`]
//! whether that is about the current state, and if so archives it and begins anew.
//!
//! # Which suite
//!
//! PQXDH (version 4) is what every function means that does not say otherwise. X3DH (version 3) gives up secrecy against
//! whoever records traffic today and owns a quantum computer later; the functions that speak it are named
//! `.._without_post_quantum_secrecy`, and nothing a peer sends makes the others fall back to it.
//!
//! PQXDH protects the beginning. Afterwards every message carries a piece of an ML-KEM-768 exchange whose secrets salt the
//! message keys (the sparse post-quantum ratchet; with the Double Ratchet it makes the Triple Ratchet), as the official
//! library requires since 0.92. For older peers there are functions named `.._without_post_quantum_ratchet`.
//!
//! # Hiding the sender
//!
//! [`sealed`] wraps a message together with a certificate of who sent it, so that whoever carries it does not learn that. The
//! recipient opens, verifies the certificate, and only then looks for a session; `examples/sealed_sender.rs` has the session
//! too.
//!
//! ```
//! use waxwing_protocol::sealed::*;
//! use waxwing_protocol::*;
//!
//! # let rng = &mut <rand_chacha::ChaCha20Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(1);
//! # let (now, expires) = (Timestamp(1_800_000_000_000), Timestamp(1_805_000_000_000));
//! # let (alice, bob) = (IdentityKeyPair::generate(rng), IdentityKeyPair::generate(rng));
//! # let device = |account| Ok::<_, DeviceIdError>(DeviceAddress { service_id: ServiceId::aci([account; 16]), device_id: DeviceId::new(1)? });
//! # let (at_alice, at_bob) = (device(1)?, device(2)?);
//! // Once: a trust root certifies a server, and the server who Alice is. (Or a device itself: `Issuer::self_signed`.)
//! let (root, server_key) = (CertificateKeyPair::generate(rng), CertificateKeyPair::generate(rng));
//! let server = Issuer::new(ServerCertificate::issue(1, server_key.public_key(), &root, rng)?, server_key)?;
//! let sender = Sender { address: at_alice, e164: None, identity_key: *alice.public_key(), expires };
//! let certificate = server.issue(sender, ServerReference::Embedded, rng);
//!
//! // Alice: any message of any session or group. The relay sees 4,096 bytes, whatever is inside.
//! let content = Content::new(&certificate, ContentKind::Signal, b"a message of a session")
//!     .with_padding(Padding::To(EnvelopeSize::B4096));
//! let upload = content.seal_fan_out(&alice, &[*bob.public_key()], rng)?;
//! let envelope = upload.envelope(0).ok_or("one recipient")?;
//! assert_eq!(envelope.len(), 4_096);
//!
//! // Bob: who it claims to be from, who it is from, and what is inside.
//! let opened = SealedMessage::from_envelope(&envelope)?.open(&bob)?;
//! let own = OwnDevice { address: at_bob, e164: None };
//! let verified = opened.verify(&Trust::new([root.public_key()]), now, own)?;
//! assert_eq!(verified.sender().address, at_alice);
//! assert_eq!(verified.message(), b"a message of a session");
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! The bytes are specified in `spec/01` to `spec/09` of the repository; every item names its section.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod address;
pub mod agreement;
mod crypto;
mod curve;
mod fingerprint;
mod group;
#[cfg(feature = "hazmat")]
pub mod hazmat;
mod identity;
pub mod import;
mod kyber;
mod label;
mod message;
mod prekey;
mod ratchet;
pub mod sealed;
mod session;
mod spqr;
mod suite;
mod time;

pub use self::address::{
    DeviceAddress, DeviceId, DeviceIdError, RegistrationId, ServiceId, ServiceIdKind, SessionAddresses,
};
pub use self::agreement::{Consumed, KyberPrekeyRef, NonContributoryAgreement, PrivatePrekeys, RespondError};
pub use self::curve::{BaseKey, IdentityKey, InvalidSignature, PrekeyPublic, PublicKeyError, RatchetKey, Signature};
pub use self::fingerprint::{
    CompareError, Fingerprint, FingerprintVersion, Iterations, IterationsError, SafetyNumber, ScannableFingerprint,
};
pub use self::group::{
    GroupDelta, GroupOpenError, GroupSealError, OpenedGroupMessage, PeerSenderKeys, Processed, ProcessedDistribution,
    SealedGroupMessage, SenderKey, WrongDistribution,
};
pub use self::identity::IdentityKeyPair;
pub use self::kyber::{KyberCiphertext, KyberCiphertextError, KyberPublicKey, KyberSecretKey, KyberSecretKeyError};
pub use self::message::{
    CiphertextMessage, DecodeError, DecryptionErrorMessage, DistributionId, MAX_MESSAGE_LEN, MessageKind,
    OriginalMessage, PlaintextContent, PreKeySignalMessage, SenderKeyDistributionMessage, SenderKeyMessage,
    SignalMessage,
};
pub use self::prekey::{
    Bundle, BundleError, BundleIn, ClassicalBundle, KyberPrekey, KyberPrekeyId, KyberPrekeyIn, LastResortKey,
    LastResortUse, LastResortUseError, LastResortUses, OneTimePrekey, OneTimePrekeyId, OneTimePrekeyIn, PrekeyError,
    SignedPrekey, SignedPrekeyId, SignedPrekeyIn,
};
pub use self::session::{
    AcceptError, Archived, Budget, Delta, IdentityEvent, Initiated, LocalDevice, OpenError, Opened, RecordError,
    RecordKey, SealError, Sealed, Session,
};
pub use self::suite::Suite;
pub use self::time::Timestamp;
