//! Performs the steps of a transcript at our end, and says what was observed. The recorder writes the observations down
//! (the library is the witness), the replay compares them.

use std::collections::BTreeMap;

use super::device::{Asks, Delivery, Device, Keys};
use super::hex::Hex;
use super::library_record;
use super::transcript::{Bundle, Kind, Owner, Step, Transcript};

pub struct Engine {
    pub device: Device,
    /// Whose prekeys a bundle must have; checked, so that no secret in a transcript is idle.
    peer: Keys,
    us: Owner,
    messages: BTreeMap<u32, Message>,
}

struct Message {
    plaintext: Hex,
    kind: Kind,
    bytes: Hex,
}

impl Engine {
    pub fn new(transcript: &Transcript) -> Result<Self, String> {
        let Transcript { us, peer, suite, ratchet, seed, now, .. } = transcript;
        let asks = Asks { suite: *suite, ratchet: *ratchet };
        Ok(Self {
            device: Device::new(us, &peer.address, asks, seed, *now)?,
            peer: Keys::restore(peer)?,
            us: us.clone(),
            messages: BTreeMap::new(),
        })
    }

    /// Performs one step; the answer is the step with what came out.
    pub fn observe(&mut self, step: &Step) -> Result<Step, String> {
        let drawn = self.device.drawn();
        let mut observed = step.clone();
        match &mut observed {
            Step::WeInitiate { bundle, changed, library: _, identity, drawn: amount, error } => {
                if changed.is_none() {
                    self.check_bundle(bundle)?;
                }
                (*identity, *error) = split(self.device.initiate(bundle)?);
                *amount = self.device.drawn() - drawn;
            }
            Step::WeSeal { message, plaintext, kind, bytes, drawn: amount, error } => {
                match self.device.seal(plaintext)? {
                    Ok((sealed_kind, sealed)) => {
                        let sealed = Hex(sealed);
                        (*kind, *bytes, *error) = (Some(sealed_kind), Some(sealed.clone()), None);
                        self.remember(*message, plaintext, sealed_kind, &sealed)?;
                    }
                    Err(refused) => (*kind, *bytes, *error) = (None, None, Some(refused)),
                }
                *amount = self.device.drawn() - drawn;
            }
            Step::WeSkip { count } => self.device.skip(*count)?,
            Step::LibraryOpens { message, error: _ } => drop(self.message(*message)?),
            Step::LibrarySeals { message, plaintext, kind, bytes } => {
                self.check_sender(*kind, bytes)?;
                self.remember(*message, plaintext, *kind, bytes)?;
            }
            Step::WeOpen { message, change, budget, dropped, library: _, identity, consumed, drawn: amount, error } => {
                let Message { plaintext, kind, bytes } = self.messages.get(message).ok_or("no such message")?;
                let changed = change.as_ref().map(|change| change.apply(bytes).ok_or("a change beyond the end"));
                let bytes = changed.transpose()?.unwrap_or_else(|| bytes.to_vec());
                let delivery = Delivery { kind: *kind, bytes: &bytes, budget: *budget, dropped: *dropped };
                match self.device.open(delivery)? {
                    Ok(plain) if *dropped || plain.plaintext == **plaintext => {
                        (*identity, *consumed, *error) = (plain.identity, plain.consumed, None);
                    }
                    Ok(_) => return Err(format!("message {message} opens to something else")),
                    Err(refused) => (*identity, *consumed, *error) = (None, None, Some(refused)),
                }
                *amount = self.device.drawn() - drawn;
            }
            Step::WeArchive => self.device.archive()?,
            Step::WeRestart => self.device.restart()?,
            Step::WeForget => self.device.forget(),
            Step::WeAskFor { suite, ratchet } => self.device.ask_for(Asks { suite: *suite, ratchet: *ratchet })?,
            Step::Clock { now } => self.device.now.0 = *now,
            Step::PeerReinstalls { peer } => self.peer = Keys::restore(peer)?,
            Step::LibraryRecord { record, left_out, chains } => {
                let imported = waxwing_protocol::import::session(record, None).map_err(|error| error.to_string())?;
                *left_out = imported.left_out as u64;
                *chains = library_record::chains_in_common(record, self.device.records())?;
            }
        }
        Ok(observed)
    }

    /// The bytes that a message had when it was sealed.
    #[allow(dead_code, reason = "the recorder's")]
    pub fn bytes(&self, message: u32) -> Option<(Kind, &[u8], &[u8])> {
        self.messages.get(&message).map(|sealed| (sealed.kind, &*sealed.bytes, &*sealed.plaintext))
    }

    fn message(&self, message: u32) -> Result<&Message, String> {
        self.messages.get(&message).ok_or_else(|| format!("message {message} was never sealed"))
    }

    fn remember(&mut self, message: u32, plaintext: &Hex, kind: Kind, bytes: &Hex) -> Result<(), String> {
        let sealed = Message { plaintext: plaintext.clone(), kind, bytes: bytes.clone() };
        match self.messages.insert(message, sealed) {
            None => Ok(()),
            Some(_) => Err(format!("message {message} is sealed twice")),
        }
    }

    /// A bundle has the public halves of the peer's secrets, and the signatures that stand beside these.
    fn check_bundle(&self, bundle: &Bundle) -> Result<(), String> {
        if !self.peer.signed.contains_key(&bundle.signed.id) {
            return Err(format!("the peer has no signed prekey {}", bundle.signed.id));
        }
        let address = super::transcript::Address { name: String::new(), device: bundle.device_id };
        let one_time = bundle.one_time.as_ref().map(|prekey| prekey.id);
        let kyber = bundle.kyber.as_ref().map(|prekey| prekey.id);
        let made = self.peer.bundle(&address, bundle.signed.id, one_time, kyber);
        if made == *bundle { Ok(()) } else { Err("the bundle is not the peer's".into()) }
    }

    /// A first message of the library's carries the identity and registration id that the transcript gives it.
    fn check_sender(&self, kind: Kind, bytes: &[u8]) -> Result<(), String> {
        let Kind::Prekey = kind else { return Ok(()) };
        let message = waxwing_protocol::PreKeySignalMessage::decode(bytes).map_err(|error| error.to_string())?;
        let is_ours = message.identity_key() == self.peer.identity.public_key()
            && message.registration_id() == self.peer.registration_id;
        let names_ours = self.us.signed.iter().any(|prekey| prekey.id == message.signed_prekey_id().0);
        match (is_ours, names_ours) {
            (true, true) => Ok(()),
            (false, _) => Err("the first message is not the peer's".into()),
            (_, false) => Err("the first message names a signed prekey that we never had".into()),
        }
    }
}

fn split<T>(outcome: Result<Option<T>, String>) -> (Option<T>, Option<String>) {
    match outcome {
        Ok(value) => (value, None),
        Err(error) => (None, Some(error)),
    }
}
