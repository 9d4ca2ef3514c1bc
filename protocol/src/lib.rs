//! The Signal Protocol as a pure library.
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
