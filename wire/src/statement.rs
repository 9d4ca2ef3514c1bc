//! Generation statements. Implements spec/11-identity.md §11.4.
//!
//! ```text
//! recovery key ──signs──▶ {account id, generation g, root key of g, last content the owner trusts}
//! ```
//! Invariants: a [`GenerationStatement`] exists only verified, under the recovery key its account is named after.
//! Not here: what the root key signs ([`crate::manifest`]), which generation counts ([`crate::history`]).
use alloc::vec::Vec;

use prost::Message as _;
use thiserror::Error;

use crate::{
    canonical::{self, CanonicalError, Mode},
    id::{AccountId, Generation},
    keys::{RecoveryKey, RecoveryPublicKey, RootPublicKey},
    label,
    manifest::ContentHash,
    proto::identity::StatementBody,
    signature::{SignatureError, SignedIn},
};

/// A statement as it came: its claims can be read, not believed.
#[derive(Clone, Debug)]
pub struct GenerationStatementIn {
    signed: SignedIn,
    account: AccountId,
    generation: Generation,
    root: RootPublicKey,
    last_trusted: Option<ContentHash>,
}

impl GenerationStatementIn {
    /// Reads the bytes that travel, at most about 200 of them.
    ///
    /// # Errors
    /// If they break the encoding (§10.4), the format is newer (§11.3.2), a key is none, or generation 0 names a content.
    pub fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        let signed = SignedIn::decode(bytes, MAX_BODY)?;
        let body: StatementBody = canonical::decode(&signed.body, Mode::SignedBody)?;
        let StatementBody { format, account, generation, root, last_trusted } = body;
        if format != FORMAT {
            return Err(StatementError::Format { found: format });
        }
        let account = AccountId::try_from(account.as_slice()).map_err(|_| StatementError::Account)?;
        let root = RootPublicKey::from_bytes(&root).map_err(|_| StatementError::Root)?;
        let last_trusted = last_trusted.as_deref().map(ContentHash::try_from).transpose();
        let last_trusted = last_trusted.map_err(|_| StatementError::LastTrusted)?;
        if generation == 0 && last_trusted.is_some() {
            return Err(StatementError::LastTrusted);
        }
        Ok(Self { signed, account, generation: Generation(generation), root, last_trusted })
    }

    /// Checks that `recovery` is the account's key and signed the statement.
    ///
    /// # Errors
    /// [`StatementError::Account`] if the key is another account's, [`StatementError::Signature`] if it did not sign.
    pub fn verify(self, recovery: &RecoveryPublicKey) -> Result<GenerationStatement, StatementError> {
        if recovery.account_id() != self.account {
            return Err(StatementError::Account);
        }
        if recovery.as_bytes() == self.root.as_bytes() {
            return Err(StatementError::Root);
        }
        self.signed.verify(&recovery.0, label::STATEMENT).map_err(StatementError::Signature)?;
        let Self { signed, account, generation, root, last_trusted } = self;
        Ok(GenerationStatement { signed, account, generation, root, last_trusted })
    }

    /// The account it claims to be of.
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        self.account
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }
}

/// The recovery key's word that a root key speaks for a generation (spec §11.4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GenerationStatement {
    signed: SignedIn,
    account: AccountId,
    generation: Generation,
    root: RootPublicKey,
    last_trusted: Option<ContentHash>,
}

impl GenerationStatement {
    /// Whose account it is.
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        self.account
    }

    /// Which generation it opens.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The key that signs this generation's manifests.
    #[must_use]
    pub fn root_key(&self) -> &RootPublicKey {
        &self.root
    }

    /// The last content of an earlier generation that the owner stands by; what followed it there is disowned.
    #[must_use]
    pub fn last_trusted(&self) -> Option<ContentHash> {
        self.last_trusted
    }

    /// What the first content of the generation names as its predecessor (§11.5.8).
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        ContentHash::from_bytes(label::STATEMENT.hash(&self.signed.body))
    }

    /// The bytes that travel.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.signed.encode()
    }
}

impl RecoveryKey {
    /// Certifies `root` for `generation`. `last_trusted` is none for generation 0.
    #[must_use]
    pub fn sign_statement(
        &self,
        generation: Generation,
        root: &RootPublicKey,
        last_trusted: Option<ContentHash>,
    ) -> GenerationStatementIn {
        let account = self.public_key().account_id();
        let body = StatementBody {
            format: FORMAT,
            account: account.as_bytes().to_vec(),
            generation: generation.0,
            root: root.as_bytes().to_vec(),
            last_trusted: last_trusted.map(|hash| hash.as_bytes().to_vec()),
        };
        let signed = SignedIn::sign(&self.0, label::STATEMENT, body.encode_to_vec());
        GenerationStatementIn { signed, account, generation, root: *root, last_trusted }
    }
}

/// Why a generation statement was refused (spec §11.4). Safe to log.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum StatementError {
    /// The bytes break the encoding.
    #[error(transparent)]
    Encoding(#[from] CanonicalError),
    /// Made by a newer version: update.
    #[error("§11.3.2: format {found} is not known")]
    Format {
        /// The format number found.
        found: u32,
    },
    /// The statement is another account's than the recovery key's.
    #[error("§11.4.1: the statement is of another account")]
    Account,
    /// The root key is no key, or is the recovery key.
    #[error("§11.4.2: the root key is not usable")]
    Root,
    /// Generation 0 names a content to trust, or a later one names no hash.
    #[error("§11.4.3: the last trusted content is not possible")]
    LastTrusted,
    /// The recovery key did not sign it.
    #[error("§11.3.3: {0}")]
    Signature(SignatureError),
}

const FORMAT: u32 = 1;
const MAX_BODY: usize = 1024;
