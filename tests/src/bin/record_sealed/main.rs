//! Records `spec/vectors/08-sealed-sender.json`: sealed messages of Signal's library, with every secret that leads to them,
//! and messages that must be refused. Needs Node (`tests/interop/README.md`):
//!
//! ```sh
//! cargo run -p waxwing-tests --bin record_sealed
//! ```
//! Every case is put before the library too: what it accepts is recorded as accepted only if the library does, and where we
//! refuse more, `library` says so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a tool for developers: a panic is the report"
)]

mod negatives;

use std::{env, fmt::Display, fs, path::PathBuf};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use waxwing_protocol::sealed::{Content, EnvelopeSize, Padding, SenderCertificateIn};
use waxwing_protocol::{IdentityKey, Timestamp};
use waxwing_tests::peer::{
    Address, BundleChoice, Bytes, KeyPair, MessageType, Party, PartyOptions, Peer, PeerError, PrekeyKind,
    SenderCertificateRequest, UsmcFields, UsmcOptions, Version,
};
use waxwing_tests::sealing;

const ALICE: &str = "9d0652a3-dcc3-4d11-975f-74d61598733f";
const BOB: &str = "796abedb-ca4e-4f18-8803-1fde5b921f9f";
const CAROL: &str = "PNI:5c5f5d2e-2f1e-4c7e-9d9b-0a9be4d1a6c3";
const DAVE: &str = "11111111-2222-4333-8444-555555555555";
const GROUP: &str = "d1d1d1d1-7000-11eb-b32a-33b8a8a487a6";
const EXPIRES: u64 = 1_900_000_000_000;
/// The server certificate with this id is known to the library since 0.90 (spec §8.2).
const TEST_SERVER: u32 = 0x7357_C357;

fn main() {
    let mut cases = Vec::new();
    for version in Version::ALL {
        let peer = Peer::start(version).expect("Node and the packages of tests/interop");
        let stage = Stage::new(&peer).expect("the library");
        stage.version_1(&mut cases).expect("the library");
        stage.version_2(&mut cases).expect("the library");
        if version == Version::V0_103_0 {
            stage.ours(&mut cases).expect("the library");
            stage.refused(&mut cases).expect("the library");
        }
    }
    let path = env::args().nth(1).map_or_else(default_path, PathBuf::from);
    let about = "Sealed sender (spec/08-sealed-sender.md), recorded with Signal's published library; see README.md";
    let file = json!({ "about": about, "cases": cases });
    fs::write(&path, serde_json::to_string_pretty(&file).unwrap() + "\n").unwrap();
    println!("{}: {} transcripts", path.display(), cases.len());
}

fn default_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors/08-sealed-sender.json")
}

/// Alice, two devices of Bob's that share an identity key, Carol; a server, and what it is certified by.
struct Stage<'p> {
    peer: &'p Peer,
    root: KeyPair,
    server: KeyPair,
    alice: Party<'p>,
    bob: [Party<'p>; 2],
    carol: Party<'p>,
}

/// What the reader of a case needs besides the bytes.
struct Case<'a> {
    name: String,
    form: &'static str,
    bytes: &'a [u8],
    recipient: &'a Party<'a>,
    roots: Vec<Bytes>,
    servers: Vec<Bytes>,
    time: u64,
    e164: Option<&'a str>,
}

impl<'p> Stage<'p> {
    fn new(peer: &'p Peer) -> Result<Self, PeerError> {
        peer.reset()?;
        let party = |handle: &str, name: &str, device, registration_id, identity_private| {
            peer.create_party(&PartyOptions {
                handle: handle.into(),
                address: Address::new(name, device),
                registration_id: Some(registration_id),
                identity_private,
            })
        };
        let alice = party("alice", ALICE, 1, 4711, None)?;
        let first = party("bob.1", BOB, 1, 0x3FFF, None)?;
        let second = party("bob.2", BOB, 2, 7, Some(first.info().identity_private.clone()))?;
        let carol = party("carol", CAROL, 127, 815, None)?;
        for recipient in [&first, &second, &carol] {
            for kind in [PrekeyKind::Signed, PrekeyKind::Kyber] {
                recipient.generate_prekey(kind, 1)?;
            }
            let bundle = recipient.bundle(BundleChoice { one_time: None, signed: 1, kyber: Some(1) })?;
            alice.process_bundle(&recipient.address(), &bundle)?;
        }
        let (root, server) = (peer.generate_key_pair()?, peer.generate_key_pair()?);
        Ok(Self { peer, root, server, alice, bob: [first, second], carol })
    }

    fn server_certificate(&self, id: u32) -> Result<Bytes, PeerError> {
        self.peer.server_certificate(id, &self.server.public, &self.root.private)
    }

    fn request(&self, e164: Option<&str>) -> Result<SenderCertificateRequest, PeerError> {
        Ok(SenderCertificateRequest {
            uuid: ALICE.into(),
            e164: e164.map(Into::into),
            device: 1,
            key: self.alice.info().identity_public.clone(),
            expires: EXPIRES,
            server_certificate: self.server_certificate(5)?,
            server_private: self.server.private.clone(),
        })
    }

    fn options(&self, hint: u32, group_id: Option<&[u8]>, e164: Option<&str>) -> Result<UsmcOptions, PeerError> {
        let certificate = self.peer.sender_certificate(&self.request(e164)?)?;
        Ok(UsmcOptions { certificate, hint, group_id: group_id.map(Bytes::from) })
    }

    /// A content of each kind and hint.
    fn contents(&self) -> Result<Vec<(&'static str, Bytes)>, PeerError> {
        let bob = self.bob[0].address();
        self.bob[0].process_distribution(&self.alice.address(), &self.alice.distribute(GROUP)?)?;
        let error = self.plaintext()?;
        Ok(vec![
            ("a first message", self.alice.encrypt_usmc(&bob, b"hello", &self.options(0, None, None)?)?),
            (
                "a group message, resendable",
                self.alice.group_encrypt_usmc(GROUP, b"hello all", &self.options(1, Some(b"a group"), None)?)?,
            ),
            (
                "a decryption error, implicit",
                self.peer.plaintext_usmc(&error, &self.options(2, None, Some("+4915112"))?)?,
            ),
            ("an unknown hint", self.peer.plaintext_usmc(&error, &self.options(u32::MAX, Some(&[0; 32]), None)?)?),
        ])
    }

    fn plaintext(&self) -> Result<Bytes, PeerError> {
        let lost = self.alice.encrypt(&self.bob[0].address(), b"lost")?;
        let fields =
            json!({ "original": lost.body, "type": lost.kind, "timestamp": 1_800_000_000_000_u64, "device": 1 });
        let error = self.peer.construct("decryption_error", fields)?;
        self.peer.construct("plaintext", json!({ "message": error }))
    }

    fn case<'a>(&self, name: impl Into<String>, form: &'static str, bytes: &'a [u8], to: &'a Party<'a>) -> Case<'a> {
        let name = format!("{}: {}", self.peer.version(), name.into());
        Case {
            name,
            form,
            bytes,
            recipient: to,
            roots: vec![self.root.public.clone()],
            servers: vec![],
            time: EXPIRES,
            e164: None,
        }
    }

    fn version_1(&self, cases: &mut Vec<Value>) -> Result<(), PeerError> {
        for (what, usmc) in self.contents()? {
            let sealed = self.alice.seal(&self.bob[0].address(), &usmc)?;
            assert_eq!(self.bob[0].open_usmc(&sealed)?, usmc, "{what}");
            let case = self.case(format!("version 1, {what}"), "v1", &sealed, &self.bob[0]);
            let remake = json!({ "sender_private": self.alice.info().identity_private });
            cases.push(case.opens(&self.peer.decode_usmc(&usmc)?, Some(remake), self.peer)?);
        }
        Ok(())
    }

    fn version_2(&self, cases: &mut Vec<Value>) -> Result<(), PeerError> {
        let contents = self.contents()?;
        for (what, usmc) in &contents {
            let sent = self.alice.seal_multi(&[self.bob[0].address()], &[], usmc)?;
            let received = self.peer.received_by_single(&sent)?;
            assert_eq!(self.bob[0].open_usmc(&received)?, *usmc, "{what}");
            let key = sealing::message_key(self.peer, &self.bob[0], &received)?;
            let remake =
                json!({ "sender_private": self.alice.info().identity_private, "message_key": Bytes::from(key) });
            let case = self.case(format!("version 2, {what}"), "received", &received, &self.bob[0]);
            cases.push(case.opens(&self.peer.decode_usmc(usmc)?, Some(remake), self.peer)?);
        }

        // Devices in another order than their numbers, excluded ones in another order than theirs.
        let (_, usmc) = &contents[1];
        let to = [self.carol.address(), self.bob[1].address(), self.bob[0].address()];
        let excluded = [DAVE.to_owned(), ALICE.to_owned()];
        let sent = self.alice.seal_multi(&to, &excluded, usmc)?;
        for recipient in [&self.carol, &self.bob[0]] {
            let fields = self.peer.decode_sent(&sent)?;
            let name = recipient.address().name;
            let entry = fields.recipients.iter().find(|entry| entry.service_id == name).unwrap();
            assert_eq!(recipient.open_usmc(&entry.received)?, *usmc);
            let key = sealing::message_key(self.peer, recipient, &entry.received)?;
            let to = |party: &Party<'_>, devices: Value| json!({ "service_id": party.address().name, "identity": party.info().identity_public, "devices": devices });
            let remake = json!({
                "sender_private": self.alice.info().identity_private, "message_key": Bytes::from(key),
                "recipients": [to(&self.carol, json!([[127, 815]])), to(&self.bob[0], json!([[2, 7], [1, 0x3FFF]]))],
                "excluded": excluded,
            });
            let case = self.case(format!("sent form, two accounts, at {name}"), "sent", &sent, recipient);
            cases.push(case.opens(&self.peer.decode_usmc(usmc)?, Some(remake), self.peer)?);
        }
        Ok(())
    }

    /// What we seal and the library opens: envelopes of the six sizes.
    fn ours(&self, cases: &mut Vec<Value>) -> Result<(), PeerError> {
        let certificate = self.options(0, None, None)?.certificate;
        let verified = SenderCertificateIn::decode(&certificate).unwrap();
        let verified = verified.verify(&sealing::trust(&self.root.public), Timestamp(EXPIRES)).unwrap();
        let message = self.plaintext()?;
        let rng = &mut ChaCha20Rng::seed_from_u64(8);
        for size in EnvelopeSize::ALL {
            if size > EnvelopeSize::B4096 {
                break; // The rest is zeros; sizes are tested live and in properties.
            }
            let content = Content::new(&verified, sealing::kind(MessageType::Plaintext), &message);
            let content = content.with_padding(Padding::To(size)).with_group_id(b"padded");
            let key = IdentityKey::parse(&self.bob[0].info().identity_public).unwrap();
            let fan_out = content.seal_fan_out(&sealing::identity(&self.alice), &[key], rng).unwrap();
            let envelope = fan_out.envelope(0).unwrap();
            let received = Bytes::from([&[0x22], &envelope[..]].concat());
            let usmc = self.bob[0].open_usmc(&received)?;
            let key = sealing::message_key(self.peer, &self.bob[0], &received)?;
            let remake = json!({ "sender_private": self.alice.info().identity_private, "message_key": Bytes::from(key),
                "padding": size.bytes() });
            let case =
                self.case(format!("ours, an envelope of {} bytes", size.bytes()), "envelope", &envelope, &self.bob[0]);
            cases.push(case.opens(&self.peer.decode_usmc(&usmc)?, Some(remake), self.peer)?);
        }
        Ok(())
    }
}

impl Case<'_> {
    fn into_json(self, expect: &Value, library: &str, remake: Option<Value>) -> Value {
        let info = self.recipient.info();
        let mut case = json!({
            "name": self.name, "form": self.form, "bytes": Bytes::from(self.bytes),
            "recipient": { "service_id": info.name, "device": info.device, "e164": self.e164,
                "identity_private": info.identity_private },
            "trust_roots": self.roots, "servers": self.servers, "time": self.time,
            "expect": expect, "library": library,
        });
        if let Some(remake) = remake {
            case["remake"] = remake;
        }
        case
    }

    /// A positive case, as the library reads it.
    fn opens(self, usmc: &UsmcFields, remake: Option<Value>, peer: &Peer) -> Result<Value, PeerError> {
        let sender = peer.decode_sender_certificate(&usmc.certificate)?;
        let is_known_by_id = peer.validate_certificate(&usmc.certificate, &self.roots, self.time)?;
        assert!(is_known_by_id, "{}: the library refuses the certificate", self.name);
        let kind = match usmc.kind {
            MessageType::PreKey => 1,
            MessageType::Whisper => 2,
            MessageType::SenderKey => 7,
            MessageType::Plaintext => 8,
        };
        let group_id = usmc.group_id.clone().filter(|id| !id.is_empty());
        let expect = json!({
            "sender": { "service_id": sender.uuid, "device": sender.device, "e164": sender.e164, "identity": sender.key,
                "expires": sender.expires },
            "kind": kind, "hint": usmc.hint, "group_id": group_id, "message": usmc.contents,
        });
        Ok(self.into_json(&expect, "accepts", remake))
    }

    fn fails(self, error: &str, library: Result<(), impl Display>) -> Value {
        let library = match library {
            Ok(()) => "accepts".to_owned(),
            Err(error) => format!("refuses: {error}"),
        };
        self.into_json(&json!({ "error": error }), &library, None)
    }
}
