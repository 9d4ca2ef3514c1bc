//! Messages of every format, byte by byte: what the library writes, and what its decoders say to other bytes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use waxwing_protocol::{
    DecodeError, DecryptionErrorMessage, PlaintextContent, PreKeySignalMessage, SenderKeyDistributionMessage,
    SenderKeyMessage, SignalMessage,
};
use waxwing_tests::peer::{
    Address, BundleChoice, Bytes, Ciphertext, MessageType, PartyOptions, Peer, PrekeyKind, SignalMessageParts, Version,
};

use crate::{
    Peers,
    case::{Format, MessageCase, Zeros},
    edit::{self, odd_keys, put},
    stage::{self, verdict},
    witness::{self, Field, Fields},
};

const DISTRIBUTION: &str = "d1d1d1d1-7000-11eb-b32a-33b8a8a487a6";
/// The longest message that is looked at (spec §4.2).
const CEILING: usize = 262_144;
/// More zeros than this in a row are counted instead of written.
const LONG: usize = 10_000;

pub fn record(peers: &Peers) -> Vec<MessageCase> {
    let mut cases = Vec::new();
    for peer in [&peers.v0_72_1, &peers.v0_90_0, &peers.v0_103_0] {
        peer.reset().unwrap();
        let mut book = Book { peer, cases: &mut cases };
        book.signal_messages();
        book.prekey_messages();
        book.group_messages();
        book.decryption_errors();
    }
    for peer in [&peers.v0_72_1, &peers.v0_103_0] {
        peer.reset().unwrap();
        let mut book = Book { peer, cases: &mut cases };
        book.odd_signal_messages();
        book.odd_prekey_messages();
        book.odd_group_messages();
        book.odd_decryption_errors();
        book.long_messages();
    }
    cases
}

struct Book<'a> {
    peer: &'a Peer,
    cases: &'a mut Vec<MessageCase>,
}

/// What is expected of our decoder.
enum Ours<'a> {
    /// It reads what the protobuf says; we would write the same bytes, or others.
    Reads(Written),
    Refuses(&'a str),
}

#[derive(Clone, Copy, PartialEq)]
enum Written {
    /// As we would.
    Canonically,
    Otherwise,
}

impl Book<'_> {
    /// A message of the library's own making.
    fn genuine(&mut self, name: &str, format: Format, bytes: &[u8]) {
        self.push(name, format, bytes, &Ours::Reads(Written::Canonically));
        assert_eq!(self.cases.last().unwrap().verdict, "accepts", "{name}");
    }

    fn otherwise(&mut self, name: &str, format: Format, bytes: &[u8]) {
        self.push(name, format, bytes, &Ours::Reads(Written::Otherwise));
    }

    fn refused(&mut self, name: &str, format: Format, bytes: &[u8], error: &str) {
        self.push(name, format, bytes, &Ours::Refuses(error));
    }

    fn push(&mut self, name: &str, format: Format, bytes: &[u8], expected: &Ours<'_>) {
        let library = self.peer.version().to_string();
        let name = format!("{name}, {library}");
        let ours = our_error(format, bytes).map(|error| format!("DecodeError::{error:?}"));
        let (fields, canonical) = match expected {
            Ours::Refuses(error) => {
                assert_eq!(ours.as_deref(), Some(*error), "{name}");
                (None, None)
            }
            Ours::Reads(written) => {
                assert_eq!(ours, None, "{name}");
                let is_encoded = !matches!(format, Format::Signal | Format::PrekeySignal);
                (Some(fields(format, bytes)), is_encoded.then_some(*written == Written::Canonically))
            }
        };
        let (bytes, zeros) = without_zeros(bytes);
        let mut case = MessageCase {
            name,
            format,
            library,
            verdict: String::new(),
            bytes: (&*bytes).into(),
            zeros,
            fields,
            canonical,
            error: ours,
        };
        case.verdict = self.verdict(format, &case.message());
        self.cases.push(case);
    }

    fn verdict(&self, format: Format, bytes: &[u8]) -> String {
        let kind = match format {
            Format::Signal => "signal",
            Format::PrekeySignal => "prekey_signal",
            Format::SenderKey => "sender_key",
            Format::SenderKeyDistribution => "sender_key_distribution",
            Format::DecryptionError => "decryption_error",
            Format::PlaintextContent => "plaintext",
        };
        let parsed = self.peer.decode::<Value>(kind, bytes);
        if format != Format::PlaintextContent {
            return verdict(parsed);
        }
        // The library looks at the content of a plaintext later, in two more steps.
        let extracted = parsed.and_then(|parsed| {
            let body: Bytes = serde_json::from_value(parsed["body"].clone()).unwrap();
            self.peer.extract_decryption_error(&body)
        });
        verdict(extracted)
    }

    fn parts(&self, version: u32) -> SignalMessageParts {
        let key = || self.peer.generate_key_pair().unwrap().public;
        SignalMessageParts {
            version,
            mac_key: vec![0x5A; 32].into(),
            ratchet_key: key(),
            counter: 7,
            previous_counter: 3,
            ciphertext: vec![0xC1; 32].into(),
            sender_identity: key(),
            receiver_identity: key(),
            pq_ratchet: None,
        }
    }

    fn signal_messages(&mut self) {
        let has_pq_ratchet = self.peer.version() != Version::V0_72_1;
        for version in [3, 4] {
            let parts = self.parts(version);
            let named = |what: &str| format!("a SignalMessage of version {version}{what}");
            let variants = [
                (named(""), parts.clone()),
                (
                    named(" with zeros for counters"),
                    SignalMessageParts { counter: 0, previous_counter: 0, ..parts.clone() },
                ),
                (
                    named(" with the largest counters"),
                    SignalMessageParts { counter: u32::MAX, previous_counter: u32::MAX, ..parts.clone() },
                ),
                (
                    named(" without a byte of ciphertext"),
                    SignalMessageParts { ciphertext: Bytes::default(), ..parts.clone() },
                ),
                (
                    named(" with pq_ratchet"),
                    SignalMessageParts { pq_ratchet: Some(vec![1, 0, 0, 0].into()), ..parts.clone() },
                ),
            ];
            for (name, parts) in variants {
                if has_pq_ratchet || parts.pq_ratchet.is_none() {
                    let bytes = self.peer.construct_signal_message(&parts).unwrap();
                    self.genuine(&name, Format::Signal, &bytes);
                }
            }
        }
    }

    /// Those that the library sends, and version 3 by its constructor.
    fn prekey_messages(&mut self) {
        for (kyber, one_time) in [(true, true), (true, false), (false, true), (false, false)] {
            if kyber || self.peer.version() == Version::V0_72_1 {
                let suite = if kyber { "PQXDH" } else { "X3DH" };
                let with = if one_time { "with" } else { "without" };
                let first = self.first_message(kyber, one_time);
                let name = format!("a PreKeySignalMessage of {suite} {with} one-time prekey");
                self.genuine(&name, Format::PrekeySignal, &first.body);
                let inner = edit::bytes_of(&first.body, 4);
                self.genuine(&format!("the SignalMessage inside {name}"), Format::Signal, &inner);
            }
        }
    }

    fn first_message(&self, kyber: bool, one_time: bool) -> Ciphertext {
        self.peer.reset().unwrap();
        let (alice, bob) = (Address::new(stage::ALICE, 1), Address::new(stage::BOB, 2));
        let sender = self.peer.create_party(&PartyOptions::new("sender", alice)).unwrap();
        let recipient = self.peer.create_party(&PartyOptions::new("recipient", bob.clone())).unwrap();
        for kind in [PrekeyKind::OneTime, PrekeyKind::Signed, PrekeyKind::Kyber] {
            recipient.generate_prekey(kind, 1_234_567).unwrap();
        }
        let id = 1_234_567;
        let choice = BundleChoice { one_time: one_time.then_some(id), signed: id, kyber: kyber.then_some(id) };
        sender.process_bundle(&bob, &recipient.bundle(choice).unwrap()).unwrap();
        sender.encrypt(&bob, b"first").unwrap()
    }

    fn group_messages(&mut self) {
        let options = PartyOptions::new("member", Address::new(stage::ALICE, 1));
        let member = self.peer.create_party(&options).unwrap();
        let distribution = member.distribute(DISTRIBUTION).unwrap();
        self.genuine("a new sender key's distribution", Format::SenderKeyDistribution, &distribution);
        let message = member.group_encrypt(DISTRIBUTION, b"hello group").unwrap();
        self.genuine("a sender key's first message", Format::SenderKey, &message.body);
        let later = member.distribute(DISTRIBUTION).unwrap();
        self.genuine("a sender key's distribution after a message", Format::SenderKeyDistribution, &later);
        let message = member.group_encrypt(DISTRIBUTION, b"").unwrap();
        self.genuine("a sender key's second message", Format::SenderKey, &message.body);
        let made = self.construct_sender_key(0, 0, &[]);
        self.genuine("a SenderKeyMessage of zeros, without ciphertext", Format::SenderKey, &made);
        let made = self.construct_sender_key(0x7FFF_FFFF, u32::MAX, &[1; 16]);
        self.genuine("a SenderKeyMessage with large numbers", Format::SenderKey, &made);
    }

    fn construct_sender_key(&self, chain_id: u32, iteration: u32, ciphertext: &[u8]) -> Bytes {
        let signing = self.peer.generate_key_pair().unwrap().private;
        let fields = json!({ "version": 3, "distribution": DISTRIBUTION, "chain_id": chain_id, "iteration": iteration,
            "ciphertext": Bytes::from(ciphertext), "signing_private": signing });
        self.peer.construct("sender_key", fields).unwrap()
    }

    fn decryption_errors(&mut self) {
        let original = self.peer.construct_signal_message(&self.parts(4)).unwrap();
        let group = self.construct_sender_key(5, 6, &[1; 16]);
        for (what, original, kind, timestamp, device) in [
            ("of a pairwise message", &original, 2, 1_700_000_000_123_u64, 127_u32),
            ("of a group message", &group, 7, 0, 1),
        ] {
            let fields = json!({ "original": original, "type": kind, "timestamp": timestamp, "device": device });
            let error = self.peer.construct("decryption_error", fields).unwrap();
            self.genuine(&format!("a DecryptionErrorMessage {what}"), Format::DecryptionError, &error);
            let content = self.peer.construct("plaintext", json!({ "message": error })).unwrap();
            self.genuine(&format!("a PlaintextContent {what}"), Format::PlaintextContent, &content);
        }
    }

    fn odd_signal_messages(&mut self) {
        let format = Format::Signal;
        let genuine = self.peer.construct_signal_message(&self.parts(4)).unwrap().to_vec();
        let edited = |edit: &dyn Fn(&mut Fields)| {
            edit::inner_edited(&genuine, MessageType::Whisper, |message| edit(&mut message.fields))
        };
        self.otherwise("a SignalMessage with its fields reversed", format, &edited(&|fields| fields.0.reverse()));
        self.otherwise(
            "a SignalMessage with unknown fields",
            format,
            &edited(&|fields| fields.0.extend([(15, Field::Number(1)), (99, Field::Bytes(vec![1]))])),
        );
        self.otherwise(
            "a SignalMessage with two counters: the last counts",
            format,
            &edited(&|fields| fields.0.push((2, Field::Number(9)))),
        );
        self.otherwise(
            "a SignalMessage with two ciphertexts: the last counts",
            format,
            &edited(&|fields| fields.0.insert(0, (4, Field::Bytes(vec![1; 16])))),
        );
        self.otherwise(
            "a SignalMessage without previous_counter",
            format,
            &edited(&|fields| fields.0.retain(|(number, _)| *number != 3)),
        );
        self.otherwise(
            "a SignalMessage with a counter of 2^32 + 7: cut to 32 bits",
            format,
            &edited(&|fields| put(fields, 2, Field::Number((1 << 32) + 7))),
        );
        self.otherwise(
            "a SignalMessage with an addresses field of three bytes",
            format,
            &edited(&|fields| put(fields, 6, Field::Bytes(vec![1, 2, 3]))),
        );
        let long_varint = [&genuine[..1], &[0x0A, 0xA1, 0x80, 0x00], &genuine[3..]].concat();
        self.otherwise("a SignalMessage with a length in three bytes instead of one", format, &long_varint);
        let low = [&[0x40], &genuine[1..]].concat();
        self.otherwise("a SignalMessage with low nibble 0", format, &low);

        for (number, field) in [(1, "ratchet_key"), (2, "counter"), (4, "ciphertext")] {
            let without = edited(&|fields| fields.0.retain(|(found, _)| *found != number));
            let error = format!("DecodeError::Missing {{ field: \"{field}\" }}");
            self.refused(&format!("a SignalMessage without {field}"), format, &without, &error);
        }
        let protobuf = "DecodeError::Protobuf";
        for len in [genuine.len() - 1, genuine.len() - 9, 40] {
            self.refused(&format!("a SignalMessage cut to {len} bytes"), format, &genuine[..len], protobuf);
        }
        for len in [0, 1, 8] {
            let error = format!("DecodeError::TooShort {{ got: {len} }}");
            self.refused(&format!("a SignalMessage cut to {len} bytes"), format, &genuine[..len], &error);
        }
        self.versions("a SignalMessage", format, &genuine, &[0, 1, 2], &[5, 15]);
        let typed = |field: Field| edited(&|fields| put(fields, 2, field.clone()));
        self.refused("a SignalMessage with bytes for a counter", format, &typed(Field::Bytes(vec![7])), protobuf);
        let endless = [&genuine[..1], &[0x10], &[0xFF; 11], &genuine[1..]].concat();
        self.refused("a SignalMessage with a varint of eleven bytes", format, &endless, protobuf);
        let group = [&genuine[..1], &[0x0B], &genuine[1..]].concat();
        self.refused("a SignalMessage with a group that does not end", format, &group, protobuf);
        let huge = [&genuine[..1], &[0x22, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F], &genuine[1..]].concat();
        self.refused("a SignalMessage with a length of 4 GiB", format, &huge, protobuf);
        let key = witness::SignalMessage::parse(&genuine).fields.bytes(1).unwrap().to_vec();
        for (what, odd) in odd_keys(&key) {
            let error =
                crate::agreement_refused::public_key_error(what, &odd, crate::agreement_refused::Strictness::Ratchet);
            // The rest of the rules is for a key that is new to a session.
            let is_form = ["Length", "KeyType", "NonCanonical"].iter().any(|rule| error.starts_with(rule));
            if is_form {
                let bytes = edited(&|fields| put(fields, 1, Field::Bytes(odd.clone())));
                let error = format!("DecodeError::PublicKey {{ field: \"ratchet_key\", error: {error} }}");
                self.refused(&format!("a SignalMessage with a ratchet key {what}"), format, &bytes, &error);
            }
        }
    }

    /// Versions below and above what the format has.
    fn versions(&mut self, what: &str, format: Format, genuine: &[u8], legacy: &[u8], unknown: &[u8]) {
        for (versions, error) in [(legacy, "LegacyVersion"), (unknown, "UnknownVersion")] {
            for version in versions {
                let bytes = [&[version << 4 | 4], &genuine[1..]].concat();
                let error = format!("DecodeError::{error} {{ got: {version} }}");
                self.refused(&format!("{what} of version {version}"), format, &bytes, &error);
            }
        }
    }

    fn odd_prekey_messages(&mut self) {
        let format = Format::PrekeySignal;
        let genuine = self.first_message(true, true).body.to_vec();
        let reversed = edit::edited(&genuine, |fields| fields.0.reverse());
        self.otherwise("a PreKeySignalMessage with its fields reversed", format, &reversed);
        let unknown = edit::with(&genuine, 77, Field::Fixed64(1));
        self.otherwise("a PreKeySignalMessage with an unknown field", format, &unknown);
        let nameless = edit::without(&genuine, 5);
        self.otherwise("a PreKeySignalMessage without registration_id", format, &nameless);
        for (number, field) in [
            (2, "base_key"),
            (3, "identity_key"),
            (4, "message"),
            (6, "signed_pre_key_id"),
            (7, "kyber_pre_key_id"),
            (8, "kyber_ciphertext"),
        ] {
            let error = format!("DecodeError::Missing {{ field: \"{field}\" }}");
            let without = edit::without(&genuine, number);
            self.refused(&format!("a PreKeySignalMessage without {field}"), format, &without, &error);
        }
        self.versions("a PreKeySignalMessage", format, &genuine, &[0, 2], &[5, 15]);
        let inner = edit::inner_edited(&genuine, MessageType::PreKey, |message| message.version = 0x34);
        let mixed = "DecodeError::Invalid { field: \"message\" }";
        self.refused("a PreKeySignalMessage with a message of another version", format, &inner, mixed);
        self.refused("an empty PreKeySignalMessage", format, &[], "DecodeError::TooShort { got: 0 }");
    }

    fn odd_group_messages(&mut self) {
        let options = PartyOptions::new("odd", Address::new(stage::ALICE, 1));
        let member = self.peer.create_party(&options).unwrap();
        let distribution = member.distribute(DISTRIBUTION).unwrap().to_vec();
        let message = member.group_encrypt(DISTRIBUTION, b"text").unwrap().body.to_vec();
        let (body, signature) = message.split_last_chunk::<64>().unwrap();

        let reversed = [edit::edited(body, |fields| fields.0.reverse()), signature.to_vec()].concat();
        self.otherwise("a SenderKeyMessage with its fields reversed", Format::SenderKey, &reversed);
        for (number, field) in [(1, "distribution_uuid"), (2, "chain_id"), (3, "iteration"), (4, "ciphertext")] {
            let without = [edit::without(body, number), signature.to_vec()].concat();
            let error = format!("DecodeError::Missing {{ field: \"{field}\" }}");
            self.refused(&format!("a SenderKeyMessage without {field}"), Format::SenderKey, &without, &error);
        }
        let uuid = [edit::with_bytes(body, 1, &[1; 15]), signature.to_vec()].concat();
        let error = "DecodeError::Invalid { field: \"distribution_uuid\" }";
        self.refused("a SenderKeyMessage with a UUID of 15 bytes", Format::SenderKey, &uuid, error);
        self.versions("a SenderKeyMessage", Format::SenderKey, &message, &[2], &[4]);
        let short = "DecodeError::TooShort { got: 64 }";
        self.refused("a SenderKeyMessage of 64 bytes", Format::SenderKey, &message[..64], short);

        let format = Format::SenderKeyDistribution;
        let reversed = edit::edited(&distribution, |fields| fields.0.reverse());
        self.otherwise("a SenderKeyDistributionMessage with its fields reversed", format, &reversed);
        for (number, field) in
            [(1, "distribution_uuid"), (2, "chain_id"), (3, "iteration"), (4, "chain_key"), (5, "signing_key")]
        {
            let without = edit::without(&distribution, number);
            let error = match without.len() {
                got @ ..65 => format!("DecodeError::TooShort {{ got: {got} }}"),
                _ => format!("DecodeError::Missing {{ field: \"{field}\" }}"),
            };
            self.refused(&format!("a SenderKeyDistributionMessage without {field}"), format, &without, &error);
        }
        let short_key = edit::with_bytes(&distribution, 4, &[1; 31]);
        let error = "DecodeError::Invalid { field: \"chain_key\" }";
        self.refused("a SenderKeyDistributionMessage with a chain key of 31 bytes", format, &short_key, error);
        self.versions("a SenderKeyDistributionMessage", format, &distribution, &[2], &[4]);
        for (what, odd) in odd_keys(&edit::bytes_of(&distribution, 5)) {
            let error =
                crate::agreement_refused::public_key_error(what, &odd, crate::agreement_refused::Strictness::Ratchet);
            if !error.is_empty() {
                let bytes = edit::with_bytes(&distribution, 5, &odd);
                let error = match bytes.len() {
                    got @ ..65 => format!("DecodeError::TooShort {{ got: {got} }}"),
                    _ => format!("DecodeError::PublicKey {{ field: \"signing_key\", error: {error} }}"),
                };
                let name = format!("a SenderKeyDistributionMessage with a signing key {what}");
                self.refused(&name, format, &bytes, &error);
            }
        }
    }

    fn odd_decryption_errors(&mut self) {
        let original = self.peer.construct_signal_message(&self.parts(4)).unwrap();
        let fields = json!({ "original": original, "type": 2, "timestamp": 5, "device": 6 });
        let error = self.peer.construct("decryption_error", fields).unwrap().to_vec();
        let content = self.peer.construct("plaintext", json!({ "message": Bytes::from(&*error) })).unwrap().to_vec();
        let edited = |edit: &dyn Fn(&mut Fields)| {
            let mut fields = Fields::parse(&error);
            edit(&mut fields);
            fields.encode()
        };
        let format = Format::DecryptionError;
        let reversed = edited(&|fields| fields.0.reverse());
        self.otherwise("a DecryptionErrorMessage with its fields reversed", format, &reversed);
        let nameless = edited(&|fields| fields.0.retain(|(number, _)| *number != 3));
        self.otherwise("a DecryptionErrorMessage without device_id", format, &nameless);
        let timeless = edited(&|fields| fields.0.retain(|(number, _)| *number != 2));
        let missing = "DecodeError::Missing { field: \"timestamp\" }";
        self.refused("a DecryptionErrorMessage without timestamp", format, &timeless, missing);
        let cut = "DecodeError::Protobuf";
        self.refused("a DecryptionErrorMessage that is cut", format, &error[..error.len() - 1], cut);

        let format = Format::PlaintextContent;
        let frame = "DecodeError::Invalid { field: \"frame\" }";
        let started = [&[0x44], &content[1..]].concat();
        self.refused("a PlaintextContent that begins with a version", format, &started, frame);
        let missing = "DecodeError::Missing { field: \"decryption_error_message\" }";
        let other = [&[0xC0][..], &Fields(vec![(1, Field::Bytes(vec![1, 2]))]).encode(), &[0x80]].concat();
        self.refused("a PlaintextContent with another kind of content", format, &other, missing);
        self.refused("a PlaintextContent of one byte", format, &[0xC0], "DecodeError::TooShort { got: 1 }");
    }

    /// At the ceiling and beyond it; the ciphertext is zeros.
    fn long_messages(&mut self) {
        let genuine = self.peer.construct_signal_message(&self.parts(4)).unwrap().to_vec();
        let sized = |total: usize| {
            let with_ciphertext =
                |len: usize| edit::inner_with(&genuine, MessageType::Whisper, 4, Field::Bytes(vec![0; len]));
            let overhead = with_ciphertext(total).len() - total;
            let message = with_ciphertext(total - overhead);
            assert_eq!(message.len(), total);
            message
        };
        let format = Format::Signal;
        self.otherwise("a SignalMessage of 262,144 bytes in all", format, &sized(CEILING));
        let error = "DecodeError::TooLong { got: 262145 }";
        self.refused("a SignalMessage of 262,145 bytes in all", format, &sized(CEILING + 1), error);
    }
}

fn our_error(format: Format, bytes: &[u8]) -> Option<DecodeError> {
    match format {
        Format::Signal => SignalMessage::decode(bytes).err(),
        Format::PrekeySignal => PreKeySignalMessage::decode(bytes).err(),
        Format::SenderKey => SenderKeyMessage::decode(bytes).err(),
        Format::SenderKeyDistribution => SenderKeyDistributionMessage::decode(bytes).err(),
        Format::DecryptionError => DecryptionErrorMessage::decode(bytes).err(),
        Format::PlaintextContent => PlaintextContent::decode(bytes).err(),
    }
}

/// What the bytes say, read by hand; the names are those of spec §4.
fn fields(format: Format, bytes: &[u8]) -> BTreeMap<String, Value> {
    let names: &[(u32, &str)] = match format {
        Format::Signal => &[
            (1, "ratchet_key"),
            (2, "counter"),
            (3, "previous_counter"),
            (4, "ciphertext"),
            (5, "pq_ratchet"),
            (6, "addresses"),
        ],
        Format::PrekeySignal => &[
            (1, "pre_key_id"),
            (2, "base_key"),
            (3, "identity_key"),
            (4, "message"),
            (5, "registration_id"),
            (6, "signed_pre_key_id"),
            (7, "kyber_pre_key_id"),
        ],
        Format::SenderKey => &[(1, "distribution_uuid"), (2, "chain_id"), (3, "iteration"), (4, "ciphertext")],
        Format::SenderKeyDistribution => {
            &[(1, "distribution_uuid"), (2, "chain_id"), (3, "iteration"), (5, "signing_key")]
        }
        Format::DecryptionError | Format::PlaintextContent => &[(1, "ratchet_key"), (2, "timestamp"), (3, "device_id")],
    };
    let (parsed, mut values) = match format {
        Format::Signal => {
            let version = json!(bytes[0] >> 4);
            (Fields::parse(&bytes[1..bytes.len() - 8]), vec![("version", version), ("previous_counter", json!(0))])
        }
        Format::PrekeySignal => {
            (Fields::parse(&bytes[1..]), vec![("version", json!(bytes[0] >> 4)), ("registration_id", json!(0))])
        }
        Format::SenderKey => {
            let (body, signature) = bytes.split_last_chunk::<64>().unwrap();
            (Fields::parse(&body[1..]), vec![("signature", ::hex::encode(signature).into())])
        }
        Format::SenderKeyDistribution => (Fields::parse(&bytes[1..]), Vec::new()),
        Format::DecryptionError => (Fields::parse(bytes), vec![("device_id", json!(0))]),
        Format::PlaintextContent => {
            let content = Fields::parse(&bytes[1..bytes.len() - 1]);
            (content.nested(8).unwrap(), vec![("device_id", json!(0))])
        }
    };
    for (number, field) in &parsed.0 {
        let Some((_, name)) = names.iter().find(|(known, _)| known == number) else { continue };
        // All numbers but the timestamp have 32 bits, and lose what is above.
        let value = match field {
            Field::Number(value) if *name == "timestamp" => json!(value),
            Field::Number(value) | Field::Fixed64(value) => json!(value & u64::from(u32::MAX)),
            Field::Bytes(bytes) if bytes.len() > LONG => json!({ "zeros": bytes.len() }),
            Field::Bytes(bytes) => ::hex::encode(bytes).into(),
        };
        values.push((name, value));
    }
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Takes a very long run of zeros out.
fn without_zeros(bytes: &[u8]) -> (Vec<u8>, Option<Zeros>) {
    let Some(at) = bytes.windows(LONG).position(|window| window.iter().all(|byte| *byte == 0)) else {
        return (bytes.to_vec(), None);
    };
    let count = bytes[at..].iter().take_while(|byte| **byte == 0).count();
    ([&bytes[..at], &bytes[at + count..]].concat(), Some(Zeros { at, count }))
}
