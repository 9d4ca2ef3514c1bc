//! A user's device inside a peer: identity, prekeys, sessions.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Address, Bundle, Bytes, Ciphertext, Event, Opened, PartyInfo, Peer, PeerError, Prekey, PrekeyKind, Request,
    SessionInfo, parse,
};

/// A party of a [`Peer`]. Its methods are the driver's operations of the same name; every error is a [`PeerError`].
#[derive(Clone, Debug)]
pub struct Party<'p> {
    pub(super) peer: &'p Peer,
    pub(super) handle: String,
    info: PartyInfo,
}

/// How a party is made.
#[derive(Clone, Debug)]
pub struct PartyOptions {
    /// Its name inside the driver's process.
    pub handle: String,
    /// Its address.
    pub address: Address,
    /// Random if absent.
    pub registration_id: Option<u32>,
    /// 32 bytes; random if absent.
    pub identity_private: Option<Bytes>,
}

impl PartyOptions {
    /// A party with a random identity.
    pub fn new(handle: impl Into<String>, address: Address) -> Self {
        Self { handle: handle.into(), address, registration_id: None, identity_private: None }
    }
}

/// Which identities a party accepts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trust {
    /// The first it sees of an address, and no other.
    FirstUse,
    /// Any.
    Always,
}

/// Which prekeys a bundle carries, by id.
#[derive(Clone, Copy, Debug, Default)]
pub struct BundleChoice {
    /// A one-time prekey, if any.
    pub one_time: Option<u32>,
    /// The signed prekey.
    pub signed: u32,
    /// A Kyber prekey; without one the bundle is for X3DH.
    pub kyber: Option<u32>,
}

#[derive(Deserialize)]
struct Record {
    record: Bytes,
}

impl Peer {
    /// Makes a party.
    ///
    /// # Errors
    /// [`PeerError`]; a handle that is in use is a wrong request.
    pub fn create_party(&self, options: &PartyOptions) -> Result<Party<'_>, PeerError> {
        let PartyOptions { handle, address, registration_id, identity_private } = options;
        let info = self.call(
            "party_create",
            json!({ "party": handle, "name": address.name, "device": address.device,
                "registration_id": registration_id, "identity_private": identity_private }),
        )?;
        Ok(Party { peer: self, handle: handle.clone(), info })
    }
}

#[expect(clippy::missing_errors_doc, reason = "the type's documentation says what every error is")]
impl<'p> Party<'p> {
    /// The process it lives in.
    pub fn peer(&self) -> &'p Peer {
        self.peer
    }

    /// Its identity, registration id and address, with secrets.
    pub fn info(&self) -> &PartyInfo {
        &self.info
    }

    /// Its address.
    pub fn address(&self) -> Address {
        Address::new(self.info.name.clone(), self.info.device)
    }

    /// Removes it from the peer, for instance to come back reinstalled under the same handle.
    pub fn forget(self) -> Result<(), PeerError> {
        self.act("party_drop", json!({}))
    }

    /// Says which identities it accepts from now on; [`Trust::FirstUse`] at the beginning.
    pub fn trust(&self, policy: Trust) -> Result<(), PeerError> {
        let policy = match policy {
            Trust::FirstUse => "first_use",
            Trust::Always => "always",
        };
        self.act("trust", json!({ "policy": policy }))
    }

    /// The identity it knows of an address.
    pub fn known_identity(&self, remote: &Address) -> Result<Option<Bytes>, PeerError> {
        #[derive(Deserialize)]
        struct Known {
            identity: Option<Bytes>,
        }
        self.call::<Known>("known_identity", json!({ "remote": remote })).map(|known| known.identity)
    }

    /// Pins or forgets the identity of an address.
    pub fn set_known_identity(&self, remote: &Address, identity: Option<&Bytes>) -> Result<(), PeerError> {
        self.act("set_known_identity", json!({ "remote": remote, "identity": identity }))
    }

    /// Makes and stores a prekey.
    pub fn generate_prekey(&self, kind: PrekeyKind, id: u32) -> Result<Prekey, PeerError> {
        self.call("prekey_generate", json!({ "kind": kind, "prekey": id }))
    }

    /// Makes and stores a Kyber prekey that stays after use and refuses to be used with the same base key again.
    pub fn generate_last_resort_prekey(&self, id: u32) -> Result<Prekey, PeerError> {
        self.call("prekey_generate", json!({ "kind": PrekeyKind::Kyber, "prekey": id, "last_resort": true }))
    }

    /// Stores a prekey from the library's record.
    pub fn import_prekey(&self, kind: PrekeyKind, record: &Bytes) -> Result<Prekey, PeerError> {
        self.call("prekey_import", json!({ "kind": kind, "record": record }))
    }

    /// A stored prekey with its secret.
    pub fn export_prekey(&self, kind: PrekeyKind, id: u32) -> Result<Prekey, PeerError> {
        self.call("prekey_export", json!({ "kind": kind, "prekey": id }))
    }

    /// Deletes a prekey.
    pub fn remove_prekey(&self, kind: PrekeyKind, id: u32) -> Result<(), PeerError> {
        self.act("prekey_remove", json!({ "kind": kind, "prekey": id }))
    }

    /// The ids of the stored prekeys of a kind, in the order they came.
    pub fn prekey_ids(&self, kind: PrekeyKind) -> Result<Vec<u32>, PeerError> {
        #[derive(Deserialize)]
        struct Ids {
            ids: Vec<u32>,
        }
        self.call::<Ids>("prekey_list", json!({ "kind": kind })).map(|list| list.ids)
    }

    /// A bundle of stored prekeys.
    pub fn bundle(&self, BundleChoice { one_time, signed, kyber }: BundleChoice) -> Result<Bundle, PeerError> {
        self.call("bundle", json!({ "one_time": one_time, "signed": signed, "kyber": kyber }))
    }

    /// Starts a session as initiator. The answer says whether an identity was learnt.
    pub fn process_bundle(&self, remote: &Address, bundle: &Bundle) -> Result<Vec<Event>, PeerError> {
        #[derive(Deserialize)]
        struct Processed {
            events: Vec<Event>,
        }
        self.call::<Processed>("process_bundle", json!({ "remote": remote, "bundle": bundle })).map(|done| done.events)
    }

    /// Encrypts one message.
    pub fn encrypt(&self, remote: &Address, plaintext: &[u8]) -> Result<Ciphertext, PeerError> {
        self.call("encrypt", json!({ "remote": remote, "plaintext": Bytes::from(plaintext) }))
    }

    /// Encrypts one message at another time than now, in milliseconds.
    pub fn encrypt_at(&self, remote: &Address, plaintext: &[u8], now: u64) -> Result<Ciphertext, PeerError> {
        self.call("encrypt", json!({ "remote": remote, "plaintext": Bytes::from(plaintext), "now": now }))
    }

    /// Encrypts messages in one exchange.
    pub fn encrypt_all(&self, remote: &Address, plaintexts: &[Bytes]) -> Result<Vec<Ciphertext>, PeerError> {
        let fields = |plaintext| json!({ "party": self.handle, "remote": remote, "plaintext": plaintext });
        let requests = plaintexts.iter().map(|plaintext| Request::new("encrypt", fields(plaintext))).collect();
        self.peer.batch(requests)?.into_iter().map(|outcome| parse(outcome?)).collect()
    }

    /// Encrypts messages that nobody will see.
    pub fn skip(&self, remote: &Address, count: u32) -> Result<(), PeerError> {
        self.act("skip", json!({ "remote": remote, "count": count }))
    }

    /// Decrypts an ordinary or a prekey message.
    pub fn decrypt(&self, remote: &Address, message: &Ciphertext) -> Result<Opened, PeerError> {
        self.call("decrypt", json!({ "remote": remote, "type": message.kind, "body": message.body }))
    }

    /// Decrypts messages in one exchange; each has its own outcome.
    pub fn decrypt_all(
        &self,
        remote: &Address,
        messages: &[Ciphertext],
    ) -> Result<Vec<Result<Opened, PeerError>>, PeerError> {
        let fields = |message: &Ciphertext| json!({ "party": self.handle, "remote": remote, "type": message.kind, "body": message.body });
        let requests = messages.iter().map(|message| Request::new("decrypt", fields(message))).collect();
        Ok(self.peer.batch(requests)?.into_iter().map(|outcome| parse(outcome?)).collect())
    }

    /// The serialised session record.
    pub fn export_session(&self, remote: &Address) -> Result<Bytes, PeerError> {
        self.call::<Record>("session_export", json!({ "remote": remote })).map(|answer| answer.record)
    }

    /// Replaces the session record.
    pub fn import_session(&self, remote: &Address, record: &Bytes) -> Result<(), PeerError> {
        self.act("session_import", json!({ "remote": remote, "record": record }))
    }

    /// Deletes the session.
    pub fn remove_session(&self, remote: &Address) -> Result<(), PeerError> {
        self.act("session_remove", json!({ "remote": remote }))
    }

    /// Archives the current state of the session.
    pub fn archive_session(&self, remote: &Address) -> Result<(), PeerError> {
        self.act("session_archive", json!({ "remote": remote }))
    }

    /// What can be told of the session.
    pub fn session_info(&self, remote: &Address) -> Result<SessionInfo, PeerError> {
        self.call("session_info", json!({ "remote": remote }))
    }

    /// Whether `key` is the ratchet key of the current sending chain.
    pub fn ratchet_key_matches(&self, remote: &Address, key: &Bytes) -> Result<bool, PeerError> {
        #[derive(Deserialize)]
        struct Matches {
            matches: bool,
        }
        let answer: Matches = self.call("session_ratchet_key_matches", json!({ "remote": remote, "key": key }))?;
        Ok(answer.matches)
    }

    /// Any operation, with this party filled in.
    pub fn call<R: DeserializeOwned>(&self, op: &'static str, mut fields: Value) -> Result<R, PeerError> {
        if let Value::Object(object) = &mut fields {
            object.insert("party".into(), self.handle.clone().into());
        }
        self.peer.call(op, fields)
    }

    pub(super) fn act(&self, op: &'static str, fields: Value) -> Result<(), PeerError> {
        self.call::<Value>(op, fields).map(drop)
    }
}
