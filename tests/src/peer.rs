//! A blocking client of the driver in `interop/`, which runs one version of Signal's published library in a Node process.
//!
//! ```text
//! Peer ──JSON line──▶ node driver.mjs 0.103.0 ──▶ @signalapp/libsignal-client 0.103.0
//!      ◀─JSON line───
//! ```
//! A [`Peer`] is one process; a [`Party`] is one user device that lives in it. `interop/README.md` describes every
//! operation; the methods here are named like them. The library draws its own randomness: a seed replays what we do,
//! never its keys.
//!
//! Not here: what the facts are (`tests/interop/`), conversations (`schedule`).

mod error;
mod groups;
mod messages;
mod party;
mod primitives;
mod process;
mod sealed_sender;
mod values;

use std::{
    cell::{Cell, RefCell},
    fmt,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use self::{error::ErrorResponse, process::Process};
pub use self::{
    error::{PeerError, Refusal, Skip, StartError},
    messages::{
        DecryptionError, PreKeySignalMessageFields, RecipientOfSent, SenderCertificateFields, SenderKeyMessageFields,
        SentFields, ServerCertificateFields, SignalMessageFields, SignalMessageParts, UsmcFields,
    },
    party::{BundleChoice, Party, PartyOptions, Trust},
    primitives::{Fingerprint, FingerprintInput, KeyPair, ServiceId},
    process::is_installed,
    sealed_sender::{OpenedSealed, SenderCertificateRequest, UsmcOptions},
    values::{
        Address, Bundle, Bytes, Ciphertext, CurrentState, Event, MessageType, Opened, PartyInfo, Prekey, PrekeyKind,
        PublicPrekey, SessionInfo,
    },
};

/// A version of the library that the driver knows.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// The last that starts X3DH sessions (version 3) and accepts them; version 4 without SPQR.
    V0_72_1,
    /// Version 4, SPQR offered and negotiated down if the other side has none.
    V0_90_0,
    /// Version 4 with SPQR required; the addresses field.
    V0_103_0,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::V0_72_1, Self::V0_90_0, Self::V0_103_0];

    /// As the package registry writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_72_1 => "0.72.1",
            Self::V0_90_0 => "0.90.0",
            Self::V0_103_0 => "0.103.0",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A running driver. Dropping it ends the process; dropping it during a panic prints what the process wrote to stderr.
pub struct Peer {
    version: Version,
    process: RefCell<Process>,
    next_id: Cell<u64>,
}

/// One operation of a batch: its name and a JSON object of its fields.
#[derive(Clone, Debug)]
pub struct Request {
    op: &'static str,
    fields: Value,
}

impl Request {
    /// `fields` must be a JSON object.
    pub fn new(op: &'static str, fields: Value) -> Self {
        Self { op, fields }
    }

    fn into_object(self) -> Map<String, Value> {
        let mut object = match self.fields {
            Value::Object(object) => object,
            _ => Map::new(),
        };
        object.insert("op".into(), self.op.into());
        object
    }
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    id: Option<u64>,
    ok: Option<Value>,
    error: Option<ErrorResponse>,
}

impl Response {
    fn outcome(self) -> Result<Value, PeerError> {
        match (self.ok, self.error) {
            (Some(ok), None) => Ok(ok),
            (None, Some(error)) => Err(error.into()),
            _ => Err(PeerError::Garbled("a response is either ok or an error".into())),
        }
    }
}

impl Peer {
    /// Starts a driver for this version.
    ///
    /// # Errors
    /// [`StartError::Skip`] if Node or the installed packages are missing, which a test may take as a reason to skip;
    /// [`StartError::Broken`] if they are there and do not work.
    pub fn start(version: Version) -> Result<Self, StartError> {
        let process = RefCell::new(Process::spawn(version)?);
        let peer = Self { version, process, next_id: Cell::new(0) };
        peer.call::<Value>("info", json!({})).map_err(StartError::Broken)?;
        Ok(peer)
    }

    /// The version this process runs.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Performs any operation and parses its answer.
    ///
    /// # Errors
    /// What the driver answered, or why it could not answer; see [`PeerError`].
    pub fn call<R: DeserializeOwned>(&self, op: &'static str, fields: Value) -> Result<R, PeerError> {
        parse(self.exchange(Request::new(op, fields))?)
    }

    /// Performs operations in one exchange. Every operation runs, and the results are in the requests' order.
    ///
    /// # Errors
    /// As [`Peer::call`] for the exchange as a whole; errors of single operations are in the list.
    pub fn batch(&self, requests: Vec<Request>) -> Result<Vec<Result<Value, PeerError>>, PeerError> {
        #[derive(Deserialize)]
        struct Batch {
            responses: Vec<Response>,
        }
        let requests: Vec<_> = requests.into_iter().map(Request::into_object).collect();
        let Batch { responses } = self.call("batch", json!({ "requests": requests }))?;
        Ok(responses.into_iter().map(Response::outcome).collect())
    }

    /// Forgets every party.
    ///
    /// # Errors
    /// As [`Peer::call`].
    pub fn reset(&self) -> Result<(), PeerError> {
        self.call::<Value>("reset", json!({})).map(drop)
    }

    fn exchange(&self, request: Request) -> Result<Value, PeerError> {
        let id = self.next_id.get();
        self.next_id.set(id.wrapping_add(1));
        let mut object = request.into_object();
        object.insert("id".into(), id.into());
        let line = self.process.borrow_mut().exchange(&Value::Object(object).to_string())?;
        let response: Response = serde_json::from_str(&line).map_err(garbled)?;
        if response.id != Some(id) {
            return Err(PeerError::Garbled(format!("request {id} was answered as {:?}", response.id)));
        }
        response.outcome()
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("version", &self.version).finish_non_exhaustive()
    }
}

fn parse<R: DeserializeOwned>(value: Value) -> Result<R, PeerError> {
    serde_json::from_value(value).map_err(garbled)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn garbled(error: serde_json::Error) -> PeerError {
    PeerError::Garbled(error.to_string())
}
