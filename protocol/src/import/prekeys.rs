//! Identity key pairs and prekeys (spec §5.11).

use prost::Message;
use zeroize::{Zeroize, Zeroizing};

use super::proto::{IdentityRecord, PrekeyRecord};
use super::{ImportError, array};
use crate::curve::Signature;
use crate::identity::IdentityKeyPair;
use crate::prekey::{KyberPrekey, KyberPrekeyId, OneTimePrekey, OneTimePrekeyId, SignedPrekey, SignedPrekeyId};

/// Imports an `IdentityKeyPair` record.
///
/// # Errors
/// [`ImportError`]: the bytes are no such record.
pub fn identity_key_pair(record: &[u8]) -> Result<IdentityKeyPair, ImportError> {
    let mut record = IdentityRecord::decode(record).map_err(|_| ImportError::Protobuf)?;
    let private = array(&record.private, "private_key").map(Zeroizing::new);
    record.private.zeroize();
    let pair = IdentityKeyPair::from_private_key(&*private?);
    belongs(&pair.public_key().to_bytes(), &record.public)?;
    Ok(pair)
}

/// Imports a `PreKeyRecord`.
///
/// # Errors
/// [`ImportError`]: the bytes are no such record.
pub fn one_time_prekey(record: &[u8]) -> Result<OneTimePrekey, ImportError> {
    let Parts { id, public, private, .. } = parts(record)?;
    let prekey = OneTimePrekey::restore(OneTimePrekeyId(id), &*array(&private, "private_key").map(Zeroizing::new)?);
    belongs(&prekey.public_key().to_bytes(), &public)?;
    Ok(prekey)
}

/// Imports a `SignedPreKeyRecord` of `identity`'s.
///
/// # Errors
/// [`ImportError`]: the bytes are no such record, or another identity's.
pub fn signed_prekey(record: &[u8], identity: &IdentityKeyPair) -> Result<SignedPrekey, ImportError> {
    let Parts { id, public, private, signature } = parts(record)?;
    let private = array(&private, "private_key").map(Zeroizing::new)?;
    let signature = Signature::from_bytes(array(&signature, "signature")?);
    let prekey = SignedPrekey::restore(SignedPrekeyId(id), &private, signature, identity)?;
    belongs(&prekey.public_key().to_bytes(), &public)?;
    Ok(prekey)
}

/// Imports a `KyberPreKeyRecord` of `identity`'s. Whether it is a last-resort key, the record does not say.
///
/// # Errors
/// [`ImportError`]: the bytes are no such record, or another identity's.
pub fn kyber_prekey(record: &[u8], identity: &IdentityKeyPair) -> Result<KyberPrekey, ImportError> {
    let Parts { id, public, private, signature } = parts(record)?;
    let signature = Signature::from_bytes(array(&signature, "signature")?);
    let prekey = KyberPrekey::restore(KyberPrekeyId(id), &private, signature, identity)?;
    belongs(&prekey.public_key().to_bytes(), &public)?;
    Ok(prekey)
}

struct Parts {
    id: u32,
    public: alloc::vec::Vec<u8>,
    private: Zeroizing<alloc::vec::Vec<u8>>,
    signature: alloc::vec::Vec<u8>,
}

fn parts(record: &[u8]) -> Result<Parts, ImportError> {
    let PrekeyRecord { id, public, private, signature } =
        PrekeyRecord::decode(record).map_err(|_| ImportError::Protobuf)?;
    Ok(Parts { id, public, private: Zeroizing::new(private), signature })
}

/// The record repeats the public half, which follows from the private one.
fn belongs(computed: &[u8], recorded: &[u8]) -> Result<(), ImportError> {
    if computed == recorded { Ok(()) } else { Err(ImportError::KeyPair) }
}
