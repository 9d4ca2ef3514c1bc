//! A name that makes an account reachable. Implements spec/11-identity.md §11.8.
//!
//! Invariants: a [`Listing`] exists only verified, for the name that was asked and the server that answered; so that a server
//! cannot show a listing that was meant for another name or another server.
//! Not here: who may have a name, and how long it rests (the key server).
use alloc::{string::ToString as _, vec::Vec};

use prost::Message as _;
use thiserror::Error;

use crate::{
    canonical::{self, CanonicalError, Mode},
    keys::{DeviceKey, ReachKey, ServerPublicKey},
    label,
    manifest::Manifest,
    name::{Name, NameError},
    proto::identity::ListingBody,
    signature::{SignatureError, SignedIn},
    signer::{Signer, SignerError},
};

/// A listing as it came.
#[derive(Debug)]
pub struct ListingIn {
    signed: SignedIn,
    fields: Fields,
}

#[derive(Debug)]
struct Fields {
    name: Name,
    server: ServerPublicKey,
    signer: Signer,
    reach_key: ReachKey,
    number: u32,
}

impl ListingIn {
    /// Reads the bytes that travel.
    ///
    /// # Errors
    /// The rule of §10.4, §11.8 or §11.13 that they break.
    pub fn decode(bytes: &[u8]) -> Result<Self, ListingError> {
        Self::parse(SignedIn::decode(bytes, MAX_BODY)?)
    }

    /// The account it names, unverified: whose manifest verifies it.
    #[must_use]
    pub fn signer(&self) -> Signer {
        self.fields.signer
    }

    /// The name it claims to be for, unverified.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.fields.name
    }

    /// Checks that it is for `name` at `server`, and that a device of `manifest` signed it.
    ///
    /// # Errors
    /// [`ListingError::Name`] or [`ListingError::Server`] if it was meant for another; otherwise who did not sign.
    pub fn verify(self, name: &Name, server: &ServerPublicKey, manifest: &Manifest) -> Result<Listing, ListingError> {
        let Self { signed, fields } = self;
        if fields.name != *name {
            return Err(ListingError::Name);
        }
        if fields.server != *server {
            return Err(ListingError::Server);
        }
        signed.verify(&fields.signer.key(manifest)?.0, label::LISTING).map_err(ListingError::Signature)?;
        Ok(Listing { signed, fields })
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }

    fn parse(signed: SignedIn) -> Result<Self, ListingError> {
        let body: ListingBody = canonical::decode(&signed.body, Mode::SignedBody)?;
        if body.format != FORMAT {
            return Err(ListingError::Format { found: body.format });
        }
        let reach_key = <&[u8; 32]>::try_from(body.reach_key.as_slice()).map_err(|_| ListingError::Server)?;
        let fields = Fields {
            name: body.name.parse()?,
            server: ServerPublicKey::from_bytes(&body.server).map_err(|_| ListingError::Server)?,
            signer: Signer::parse(&body.account, body.generation, body.device)?,
            reach_key: ReachKey::from_bytes(reach_key),
            number: body.number,
        };
        Ok(Self { signed, fields })
    }
}

/// What a name stands for, as its owner says (spec §11.8).
#[derive(Debug)]
pub struct Listing {
    signed: SignedIn,
    fields: Fields,
}

impl Listing {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.fields.name
    }

    /// Which device listed it, of which account.
    #[must_use]
    pub fn signer(&self) -> Signer {
        self.fields.signer
    }

    /// Opens the account's reach entries.
    #[must_use]
    pub fn reach_key(&self) -> &ReachKey {
        &self.fields.reach_key
    }

    /// Of two listings of a name by one account the one of the higher generation, then number, counts.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.fields.number
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }
}

/// Which name, where.
#[derive(Clone, Copy, Debug)]
pub struct ListingPlace<'l> {
    /// The name.
    pub name: &'l Name,
    /// The key of the server that shows it.
    pub server: &'l ServerPublicKey,
}

impl DeviceKey {
    /// Lists a name at a server for the account of `signer`, whose key this is.
    ///
    /// # Errors
    /// None for values that exist; typed because what is signed is read back.
    pub fn sign_listing(
        &self,
        signer: Signer,
        place: &ListingPlace<'_>,
        reach_key: &ReachKey,
        number: u32,
    ) -> Result<ListingIn, ListingError> {
        let ListingPlace { name, server } = place;
        let body = ListingBody {
            format: FORMAT,
            name: name.to_string(),
            server: server.as_bytes().to_vec(),
            account: signer.account.as_bytes().to_vec(),
            generation: signer.generation.0,
            device: u32::from(signer.device.value()),
            reach_key: reach_key.as_bytes().to_vec(),
            number,
        };
        ListingIn::parse(SignedIn::sign(&self.0, label::LISTING, body.encode_to_vec()))
    }
}

/// Why a listing was refused (spec §11.8). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum ListingError {
    /// The bytes break the encoding.
    #[error(transparent)]
    Encoding(#[from] CanonicalError),
    /// Made by a newer version: update.
    #[error("§11.3.2: format {found} is not known")]
    Format {
        /// The format number found.
        found: u32,
    },
    /// The manifest has no key for it.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The device did not sign it.
    #[error("§11.3.3: {0}")]
    Signature(SignatureError),
    /// The name in it is none.
    #[error(transparent)]
    Grammar(#[from] NameError),
    /// It lists another name than was asked for.
    #[error("§11.8.1: the listing is of another name")]
    Name,
    /// It was made for another server.
    #[error("§11.8.2: the listing is for another server")]
    Server,
}

const FORMAT: u32 = 1;
const MAX_BODY: usize = 1024;
