//! `spec/vectors/12-*.json` to `16-*.json`: positives from the samples; negatives made by breaking them, each with the rule
//! that it was made to break.
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value as Field, prost::Message};
use rand_chacha::rand_core::{TryCryptoRng, TryRng};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use waxwing_wire::{
    delivery::{DeliverySecret, Grant, LaneHash},
    frame::{Ceiling, FrameEncoder},
    id::AccountId,
    keyserver,
    pow::{Challenge, Difficulty, Puzzle},
    relay::{self, Capability, VerifierKind},
    request::Exporter,
    sealed::{self, ObjectSecret, Parameters, Passphrase, Purpose},
};

/// Every sample: its type in the .proto files, its name, its bytes.
pub(crate) fn encoded() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut all = Vec::new();
    for (number, request) in super::relay_requests().iter().enumerate() {
        if let relay::RelayRequest::Put(put) = &request.body {
            all.push(("waxwing.relay.Put", format!("put alone {number}"), put.encode().unwrap()));
        }
        if let relay::RelayRequest::FanOut(fan_out) = &request.body {
            all.push(("waxwing.relay.FanOut", format!("fan-out alone {number}"), fan_out.encode().unwrap()));
        }
        all.push(("waxwing.relay.Request", format!("relay request {number}"), request.encode().unwrap()));
    }
    for (number, frame) in super::relay_frames().iter().enumerate() {
        all.push(("waxwing.relay.Reply", format!("relay reply {number}"), frame.encode().unwrap()));
    }
    for (number, request) in super::keyserver_requests().iter().enumerate() {
        all.push(("waxwing.keyserver.Request", format!("key server request {number}"), request.encode().unwrap()));
    }
    for (number, request) in super::device_requests().iter().enumerate() {
        all.push(("waxwing.keyserver.DeviceRequest", format!("device request {number}"), request.encode().unwrap()));
    }
    for (number, reply) in super::keyserver_replies().iter().enumerate() {
        all.push(("waxwing.keyserver.Reply", format!("key server reply {number}"), reply.encode().unwrap()));
    }
    for (number, content) in super::contents().iter().enumerate() {
        all.push(("waxwing.content.Content", format!("content {number}"), content.encode().unwrap()));
    }
    all
}

/// Every file and its cases.
pub(crate) fn files() -> Vec<(&'static str, Value)> {
    vec![
        ("12-sealed.json", sealed_cases()),
        ("13-frames.json", frame_cases()),
        ("14-derivations.json", derivations()),
        ("14-relay.json", messages("waxwing.relay.")),
        ("15-keyserver.json", messages("waxwing.keyserver.")),
        ("16-content.json", messages("waxwing.content.")),
    ]
}

/// Gives the bytes of a salt, and nothing after that.
pub(crate) struct Salt(pub(crate) [u8; 32]);

impl TryRng for Salt {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        panic!("only a salt is drawn")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        panic!("only a salt is drawn")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.copy_from_slice(&self.0);
        Ok(())
    }
}

impl TryCryptoRng for Salt {}

fn sealed_cases() -> Value {
    let names = ["reach entry", "profile", "blob", "register change", "register snapshot", "provisioning", "backup"];
    let secret = ObjectSecret::from_bytes(&[0x5e; 32]);
    let mut cases = Vec::new();
    for (number, (purpose, name)) in Purpose::ALL.into_iter().zip(names).enumerate() {
        for (context, length) in [(&b""[..], 0), (b"place", 700)] {
            let content: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            let object = sealed::seal(&secret, purpose, context, &content, &mut Salt([number as u8 + 1; 32])).unwrap();
            cases.push(sealed_case(&format!("{name}, {length} bytes"), name, context, &content, &object, None));
        }
    }
    let long: Vec<u8> = (0..200_000).map(|index| (index % 251) as u8).collect();
    let blob = sealed::seal(&secret, Purpose::Blob, b"place", &long, &mut Salt([0x2a; 32])).unwrap();
    cases.push(sealed_case("four segments", "blob", b"place", &long, &blob, None));
    let phrase = Passphrase::new(b"correct horse").unwrap();
    let least = Parameters::new(65_536, 3, 1).unwrap();
    let backup =
        sealed::seal_with_passphrase(&phrase, least, Purpose::Backup, &long[..700], &mut Salt([0x2b; 32])).unwrap();
    cases.push(sealed_case("passphrase", "backup", b"", &long[..700], &backup, None));

    let small = sealed::seal(&secret, Purpose::Change, b"place", b"hello", &mut Salt([9; 32])).unwrap();
    let with = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut object = small.clone();
        edit(&mut object);
        object
    };
    let parameters = |memory: u32, passes: u8, lanes: u8| {
        [&[2][..], &memory.to_be_bytes(), &[passes, lanes], &[7; 64], &[0; 441]].concat()
    };
    let broken: Vec<(&str, Vec<u8>, &str)> = vec![
        ("nothing", vec![], "Header"),
        ("a header cut short", small[..64].to_vec(), "Header"),
        ("format 0", with(&|object| object[0] = 0), "UnknownFormat"),
        ("format 3", with(&|object| object[0] = 3), "UnknownFormat"),
        ("a passphrase object where a secret is due", parameters(65_536, 3, 1), "UnknownFormat"),
        ("memory below the floor", parameters(65_535, 3, 1), "Parameters"),
        ("memory above the ceiling", parameters(104_857_600, 3, 1), "Parameters"),
        ("too few passes", parameters(65_536, 2, 1), "Parameters"),
        ("too many passes", parameters(65_536, 11, 1), "Parameters"),
        ("no lane", parameters(65_536, 3, 0), "Parameters"),
        ("too much work", parameters(1_048_576, 5, 1), "Parameters"),
        ("salt altered", with(&|object| object[1] ^= 1), "Commitment"),
        ("commitment altered", with(&|object| object[64] ^= 0x80), "Commitment"),
        ("ciphertext altered", with(&|object| object[65] ^= 1), "Forged"),
        ("padding altered", with(&|object| object[400] ^= 1), "Forged"),
        ("tag altered", with(&|object| object[511] ^= 1), "Forged"),
        ("cut by a byte", small[..511].to_vec(), "Forged"),
        ("a header alone", small[..65].to_vec(), "TooLong"),
        ("a byte more", [&small[..], &[0]].concat(), "Forged"),
    ];
    for (name, object, error) in broken {
        cases.push(sealed_case(name, "register change", b"place", b"hello", &object, Some(error)));
    }
    for (name, purpose, context) in
        [("another purpose", "profile", &b"place"[..]), ("another context", "register change", b"elsewhere")]
    {
        cases.push(sealed_case(name, purpose, context, b"hello", &small, Some("Commitment")));
    }
    let segment = |number: usize| blob[number * 65_536..(number + 1) * 65_536].to_vec();
    for (name, order, error) in [
        ("segments swapped", [0, 2, 1, 3], "Forged"),
        ("a segment twice", [0, 1, 1, 3], "Forged"),
        ("the last segment before its turn", [0, 1, 3, 2], "Forged"),
        ("the last segment in the middle", [0, 3, 2, 1], "Forged"),
    ] {
        let object: Vec<u8> = order.into_iter().flat_map(segment).collect();
        let mut case = sealed_case(name, "blob", b"place", &[], &object, Some(error));
        case["segments of"] = json!("four segments");
        case["order"] = json!(order);
        cases.push(case);
    }
    json!(cases)
}

/// Long objects stand as their hash: whoever has the construction makes them again from the other fields.
fn sealed_case(name: &str, purpose: &str, context: &[u8], content: &[u8], object: &[u8], error: Option<&str>) -> Value {
    let mut case = json!({
        "name": name, "purpose": purpose, "context": hex::encode(context), "size": object.len(),
        "sha256": hex::encode(Sha256::digest(object)),
    });
    case["object"] = if object.len() <= 4_096 { json!(hex::encode(object)) } else { Value::Null };
    if object.first() == Some(&2) && object.len() > 71 {
        case["passphrase"] = json!("correct horse");
    } else {
        case["secret"] = json!(hex::encode([0x5e; 32]));
    }
    match error {
        Some(error) => case["error"] = json!(error),
        None => {
            let at = if object[0] == 1 { 1 } else { 7 };
            case["salt"] = json!(hex::encode(&object[at..at + 32]));
            case["length"] = json!(content.len());
            case["content"] = json!("byte i is i mod 251");
        }
    }
    case
}

fn frame_cases() -> Value {
    let mut encoder = FrameEncoder::new(Ceiling::BLOB);
    [&b"a"[..], b"bc", &[7; 1_024]].iter().for_each(|payload| encoder.push(payload).unwrap());
    let stream = encoder.bytes().to_vec();
    let case = |name: &str, stream: &[u8], frames: usize, error: Option<&str>| {
        let mut case = json!({"name": name, "ceiling": 1_024, "stream": hex::encode(stream), "frames": frames});
        if let Some(error) = error {
            case["error"] = json!(error);
        }
        case
    };
    json!([
        case("three frames", &stream, 3, None),
        case("nothing", &[], 0, None),
        case("a length that is not whole", &[0, 0, 0], 0, None),
        case("a frame that is not whole", &stream[..12], 2, None),
        case("an empty frame", &[0, 0, 0, 0], 0, Some("13.2.1")),
        case("an empty frame after two", &[&stream[..11], &[0, 0, 0, 0]].concat(), 2, Some("13.2.1")),
        case("one byte above the ceiling", &[0, 0, 4, 1], 0, Some("13.2.2")),
        case("four gigabytes", &[0xff; 4], 0, Some("13.2.2")),
        case("a length in the other order", &[1, 0, 0, 0, 9], 0, Some("13.2.2")),
        case(
            "after two frames, a length above the ceiling",
            &[&stream[..11], &[0, 1, 0, 0]].concat(),
            2,
            Some("13.2.2")
        ),
    ])
}

fn derivations() -> Value {
    let mailbox = relay::mailbox_id(&[0x0e; 32]);
    let key = DeliverySecret::from_bytes(&[0x5c; 32]).key_for(Grant::Audience, &mailbox);
    let token = DeliverySecret::from_bytes(&[0x5c; 32]).key_for(Grant::Introduction, &mailbox);
    let envelope = super::envelope(waxwing_wire::padding::EnvelopeSize::B2560);
    let challenge = Challenge::from_bytes([0xc4; 32]);
    let bits = Difficulty::try_from(16).unwrap();
    let solve = |puzzle: Puzzle| puzzle.solve(0..1 << 24).unwrap().0;
    let verifier = |kind| hex::encode(Capability::from_bytes([0xca; 32]).verifier(kind, &[0x26; 16]).as_bytes());
    let register = waxwing_wire::id::RegisterId::from_bytes([0x26; 16]);
    let snapshot = relay::RegisterEntry::new(relay::EntryKind::Snapshot, vec![0x5a; 4_096]).unwrap();
    let change = relay::RegisterEntry::new(relay::EntryKind::Change, vec![0x5b; 512]).unwrap();
    let first = relay::VersionHash::NONE.next(&register, 1, &snapshot);
    let second = first.next(&register, 2, &change);
    let ids = keyserver::PrekeyIds::new(Some(7), None, vec![900, 5, 70_000], vec![]).unwrap();
    let reach = ObjectSecret::of_reach_entry(&[0x7e; 32], 5.try_into().unwrap(), 9);
    json!([
        {"name": "mailbox id", "owner_key": hex::encode([0x0e; 32]), "out": hex::encode(mailbox.as_bytes())},
        {"name": "delivery key", "secret": hex::encode([0x5c; 32]), "mailbox": hex::encode(mailbox.as_bytes()),
         "out": hex::encode(key.expose())},
        {"name": "introduction key", "secret": hex::encode([0x5c; 32]), "mailbox": hex::encode(mailbox.as_bytes()),
         "out": hex::encode(token.expose())},
        {"name": "lane hash", "mailbox": hex::encode(mailbox.as_bytes()), "key": hex::encode(key.expose()),
         "out": hex::encode(LaneHash::of(&mailbox, key.expose()).as_bytes())},
        {"name": "envelope hash", "envelope": "2,560 times e5", "out": hex::encode(envelope.hash().as_bytes())},
        {"name": "owner transcript", "exporter": hex::encode([0xe0; 32]), "mailbox": hex::encode(mailbox.as_bytes()),
         "out": hex::encode(relay::owner_transcript(&Exporter::from_bytes([0xe0; 32]), &mailbox))},
        {"name": "proof of work", "kind": 1, "challenge": hex::encode([0xc4; 32]), "a": hex::encode(mailbox.as_bytes()),
         "b": hex::encode(envelope.hash().as_bytes()), "bits": 16,
         "first nonce": solve(Puzzle::put(&challenge, &mailbox, &envelope.hash(), bits))},
        {"name": "proof of work", "kind": 2, "challenge": hex::encode([0xc4; 32]), "a": hex::encode(mailbox.as_bytes()),
         "b": hex::encode([0; 32]), "bits": 16, "first nonce": solve(Puzzle::mailbox(&challenge, &mailbox, bits))},
        {"name": "proof of work", "kind": 3, "challenge": hex::encode([0xc4; 32]), "a": hex::encode([0x26; 16]),
         "b": hex::encode([0; 32]), "bits": 16, "first nonce": solve(Puzzle::storage(&challenge, &[0x26; 16], bits))},
        {"name": "proof of work", "kind": 4, "challenge": hex::encode([0xc4; 32]), "a": hex::encode([0; 16]),
         "b": hex::encode([0xac; 32]), "bits": 16,
         "first nonce": solve(Puzzle::account(&challenge, &AccountId::from_bytes([0xac; 32]), bits))},
        {"name": "verifier", "label": "register write verifier", "id": hex::encode([0x26; 16]),
         "capability": hex::encode([0xca; 32]), "out": verifier(VerifierKind::WriteRegister)},
        {"name": "verifier", "label": "register read verifier", "id": hex::encode([0x26; 16]),
         "capability": hex::encode([0xca; 32]), "out": verifier(VerifierKind::ReadRegister)},
        {"name": "verifier", "label": "register seal verifier", "id": hex::encode([0x26; 16]),
         "capability": hex::encode([0xca; 32]), "out": verifier(VerifierKind::SealRegister)},
        {"name": "verifier", "label": "blob write verifier", "id": hex::encode([0x26; 16]),
         "capability": hex::encode([0xca; 32]), "out": verifier(VerifierKind::WriteBlob)},
        {"name": "verifier", "label": "blob read verifier", "id": hex::encode([0x26; 16]),
         "capability": hex::encode([0xca; 32]), "out": verifier(VerifierKind::ReadBlob)},
        {"name": "register version", "register": hex::encode([0x26; 16]), "version": 1, "kind": 2, "before": hex::encode([0; 32]),
         "entry": "4,096 times 5a", "out": hex::encode(first.as_bytes())},
        {"name": "register version", "register": hex::encode([0x26; 16]), "version": 2, "kind": 1,
         "before": hex::encode(first.as_bytes()), "entry": "512 times 5b", "out": hex::encode(second.as_bytes())},
        {"name": "prekey batch", "prekeys": ["170 times 9e", "1,700 times 9f"],
         "out": hex::encode(keyserver::batch_hash(&[vec![0x9e; 170], vec![0x9f; 1_700]]))},
        {"name": "prekey digest", "signed": 7, "last resort": 0, "one-time": [5, 900, 70_000], "one-time Kyber": [],
         "out": hex::encode(ids.digest())},
        {"name": "reach entry secret", "reach_key": hex::encode([0x7e; 32]), "device": 5, "number": 9,
         "out": hex::encode(reach.expose())},
        {"name": "content chain", "content": "000102", "out": hex::encode(waxwing_wire::content::Content::chain_hash(&[0, 1, 2]).as_bytes())},
    ])
}

fn messages(prefix: &str) -> Value {
    let mut cases = Vec::new();
    for (kind, name, bytes) in encoded().into_iter().filter(|(kind, ..)| kind.starts_with(prefix)) {
        cases.push(json!({"name": name, "type": kind, "bytes": hex::encode(&bytes)}));
        for (what, broken, rule) in general(&bytes) {
            cases.push(json!({
                "name": format!("{name}: {what}"), "type": kind, "bytes": hex::encode(broken), "error": rule,
            }));
        }
    }
    for (what, kind, bytes, rule) in particular().into_iter().filter(|(_, kind, ..)| kind.starts_with(prefix)) {
        cases.push(json!({"name": what, "type": kind, "bytes": hex::encode(bytes), "error": rule}));
    }
    json!(cases)
}

/// What can be done to any message. Long ones are left out, so that the files stay readable.
fn general(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    if bytes.len() > 700 || bytes.is_empty() {
        return vec![];
    }
    let (key, first) = first_field(bytes);
    let key_not_minimal = [&bytes[..key - 1], &[bytes[key - 1] | 0x80, 0], &bytes[key..]].concat();
    vec![
        ("cut by a byte", bytes[..bytes.len() - 1].to_vec(), "10.4.1"),
        ("key not minimal", key_not_minimal, "10.4.2"),
        (
            "first field again at the end",
            [bytes, &bytes[..first]].concat(),
            if first == bytes.len() { "10.4.4" } else { "10.4.3" },
        ),
        ("an unknown field", [bytes, &[0xb8, 0x3e, 1]].concat(), "10.4.11"),
        ("an unknown critical field", [bytes, &[0xc0, 0x3e, 1]].concat(), "10.4.10"),
    ]
}

/// Bytes of the first field's key, and of the whole field.
fn first_field(bytes: &[u8]) -> (usize, usize) {
    let varint = |at: usize| {
        let length = 1 + bytes[at..].iter().take_while(|byte| **byte & 0x80 != 0).count();
        let value = (0..length).fold(0, |value, index| value | usize::from(bytes[at + index] & 0x7f) << (7 * index));
        (value, at + length)
    };
    let (_, key) = varint(0);
    let (value, end) = varint(key);
    (key, if bytes[0] & 7 == 2 { end + value } else { end })
}

/// What is wrong with one message only. Made with the independent writer, which writes anything.
fn particular() -> Vec<(&'static str, &'static str, Vec<u8>, &'static str)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let set = protox::compile(["relay.proto", "keyserver.proto", "content.proto"], [folder]).unwrap();
    let pool = DescriptorPool::from_file_descriptor_set(set).unwrap();
    let samples = encoded();
    // Edits a field, by its path, of the first sample that has it.
    let edit = |kind: &'static str, path: &str, value: Option<Field>| {
        let descriptor = pool.get_message_by_name(kind).unwrap();
        let messages = samples.iter().filter(|(of, ..)| *of == kind).map(|(.., bytes)| bytes.as_slice());
        for bytes in messages {
            let mut message = DynamicMessage::decode(descriptor.clone(), bytes).unwrap();
            if set_at(&mut message, path, value.clone()) {
                return message.encode_to_vec();
            }
        }
        panic!("no sample of {kind} has {path}")
    };
    let bytes = |length: usize| Some(Field::Bytes(vec![7; length].into()));
    let (request, reply) = ("waxwing.relay.Request", "waxwing.relay.Reply");
    let (ks_request, ks_reply, content) =
        ("waxwing.keyserver.Request", "waxwing.keyserver.Reply", "waxwing.content.Content");
    let mut cases = vec![
        ("no id", request, edit(request, "id", None), "10.4.7"),
        ("no body", request, vec![0x08, 1], "13.3.2"),
        ("a forward, which is reserved", request, vec![0x08, 1, 0x6a, 0], "10.4.11"),
        ("mailbox id of 15 bytes", request, edit(request, "put.mailbox", bytes(15)), "10.4.8"),
        ("mailbox id of 17 bytes", request, edit(request, "put.mailbox", bytes(17)), "10.4.8"),
        ("no mailbox", request, edit(request, "put.mailbox", None), "10.4.7"),
        ("no delivery id", request, edit(request, "put.delivery", None), "10.4.7"),
        ("a ttl of none of the three", request, edit(request, "put.ttl", Some(Field::U32(4))), "10.4.8"),
        ("no ttl", request, edit(request, "put.ttl", None), "10.4.7"),
        ("neither key nor work", request, edit(request, "put.key", None), "13.3.2"),
        ("delivery key of 17 bytes", request, edit(request, "put.key", bytes(17)), "10.4.8"),
        ("an envelope of 2,559 bytes", request, edit(request, "put.envelope", bytes(2_559)), "14.2"),
        ("an envelope of 2,561 bytes", request, edit(request, "put.envelope", bytes(2_561)), "14.2"),
        ("an envelope of 1 byte", request, edit(request, "put.envelope", bytes(1)), "14.2"),
        ("an envelope of 65,537 bytes", request, edit(request, "put.envelope", bytes(65_537)), "10.4.8"),
        ("a shared part as long as an envelope", request, edit(request, "fan_out.shared", bytes(2_560)), "14.2"),
        ("recipients of 79 bytes", request, edit(request, "fan_out.recipients", bytes(79)), "14.6.3"),
        ("one mailbox twice", request, edit(request, "fan_out.recipients", bytes(160)), "14.6.4"),
        ("no recipients", request, edit(request, "fan_out.recipients", None), "10.4.7"),
        (
            "recipients descending",
            request,
            edit(request, "fan_out.recipients", Some(Field::Bytes([[9; 80], [8; 80]].concat().into()))),
            "14.6.4",
        ),
        ("a contacts lane with a parent", request, edit(request, "add_lane.parent", Some(Field::U32(3))), "14.5.3"),
        ("a lane of kind 6", request, edit(request, "add_lane.kind", Some(Field::U32(6))), "10.4.8"),
        ("an introduction without an end", request, edit(request, "add_lane.kind", Some(Field::U32(4))), "14.5.4"),
        ("a split without a parent", request, edit(request, "add_lane.kind", Some(Field::U32(5))), "14.5.3"),
        ("a window of 0", request, edit(request, "subscribe.window", None), "10.4.7"),
        ("a window of 1,025", request, edit(request, "subscribe.window", Some(Field::U32(1_025))), "10.4.8"),
        ("an ack of nothing", request, vec![0x08, 1, 0x7a, 0], "14.9.3"),
        (
            "an ack that descends",
            request,
            edit(request, "ack.also", Some(Field::List(vec![Field::U64(305), Field::U64(302)]))),
            "14.9.3",
        ),
        (
            "an ack below its mark",
            request,
            edit(request, "ack.also", Some(Field::List(vec![Field::U64(300)]))),
            "14.9.3",
        ),
        (
            "an ack of 257 numbers",
            request,
            edit(request, "ack.also", Some(Field::List((301..558).map(Field::U64).collect()))),
            "10.4.9",
        ),
        ("a signature of 63 bytes", request, edit(request, "authenticate.signature", bytes(63)), "10.4.8"),
        ("no admission", request, edit(request, "create_mailbox.admission", None), "10.4.7"),
        ("an invitation of 15 bytes", request, edit(request, "create_mailbox.admission.invite", bytes(15)), "10.4.8"),
        ("an admission of no kind", request, edit(request, "create_mailbox.admission.invite", None), "13.3.2"),
        ("a change of 513 bytes", request, edit(request, "write_register.entry.sealed", bytes(513)), "14.7.2"),
        ("a change of 32,768 bytes", request, edit(request, "write_register.entry.sealed", bytes(32_768)), "14.7.2"),
        ("a snapshot of 512 bytes", request, edit(request, "write_register.entry.kind", Some(Field::U32(2))), "14.7.2"),
        ("a first snapshot of 4,095 bytes", request, edit(request, "create_register.snapshot", bytes(4_095)), "14.7.2"),
        ("an entry of kind 4", request, edit(request, "write_register.entry.kind", Some(Field::U32(4))), "10.4.8"),
        ("version 0", request, edit(request, "write_register.version", None), "10.4.7"),
        (
            "patience of more than a minute",
            request,
            edit(request, "await_register.patience", Some(Field::U32(60_001))),
            "10.4.8",
        ),
        ("chunks of a fifth size", request, edit(request, "create_blob.chunk", Some(Field::U32(5))), "10.4.8"),
        ("a blob without chunks", request, edit(request, "create_blob.count", None), "10.4.7"),
        ("an answer without an id", reply, edit(reply, "info.id", None), "13.3.1"),
        (
            "a push with an id",
            reply,
            [&[0x08, 1][..], &edit(reply, "backlog_end.sequence", Some(Field::U64(4)))].concat(),
            "13.3.1",
        ),
        ("an error without a code", reply, edit(reply, "error.code", None), "10.4.7"),
        ("an error code beyond 16 bits", reply, edit(reply, "error.code", Some(Field::U32(65_536))), "10.4.8"),
        (
            "an outcome of no kind",
            reply,
            edit(reply, "outcomes.outcomes", Some(Field::Bytes(vec![1, 6].into()))),
            "14.6.5",
        ),
        ("a page past its head", reply, edit(reply, "register_page.first", Some(Field::U64(2))), "14.7.3"),
        ("a page of entries from 0", reply, edit(reply, "register_page.first", None), "14.7.3"),
        ("more written than there is", reply, edit(reply, "blob_state.written", Some(Field::U32(10))), "14.8.3"),
        ("a difficulty of 41", reply, edit(reply, "info.price.strangers", Some(Field::U32(41))), "10.4.8"),
        ("a delivery of 100 bytes", reply, edit(reply, "delivery.envelope", bytes(100)), "14.2"),
        ("no body", ks_request, vec![0x08, 1], "13.3.2"),
        ("no account", ks_request, edit(ks_request, "fetch_account.account", None), "10.4.7"),
        ("an account id of 31 bytes", ks_request, edit(ks_request, "fetch_account.account", bytes(31)), "10.4.8"),
        (
            "a name in upper case",
            ks_request,
            edit(ks_request, "lookup.name", Some(Field::String("Alice".into()))),
            "11.13.1",
        ),
        (
            "a name in other letters",
            ks_request,
            edit(ks_request, "lookup.name", Some(Field::String("аlice".into()))),
            "11.13.1",
        ),
        (
            "a name of 33 characters",
            ks_request,
            edit(ks_request, "lookup.name", Some(Field::String("a".repeat(33)))),
            "10.4.8",
        ),
        (
            "device 0",
            ks_request,
            edit(ks_request, "fetch_bundles.devices", Some(Field::List(vec![Field::U32(0)]))),
            "10.3.4",
        ),
        (
            "device 128",
            ks_request,
            edit(ks_request, "fetch_bundles.devices", Some(Field::List(vec![Field::U32(128)]))),
            "10.4.8",
        ),
        (
            "devices descending",
            ks_request,
            edit(ks_request, "fetch_bundles.devices", Some(Field::List(vec![Field::U32(3), Field::U32(1)]))),
            "15.5.3",
        ),
        (
            "a device twice",
            ks_request,
            edit(ks_request, "fetch_bundles.devices", Some(Field::List(vec![Field::U32(3), Field::U32(3)]))),
            "15.5.3",
        ),
        (
            "203 prekeys",
            ks_request,
            edit(ks_request, "bound.prekeys", Some(Field::List(vec![Field::Bytes(vec![7].into()); 203]))),
            "10.4.9",
        ),
        (
            "a prekey of 2,131 bytes",
            ks_request,
            edit(ks_request, "bound.prekeys", Some(Field::List(vec![Field::Bytes(vec![7; 2_131].into())]))),
            "10.4.8",
        ),
        (
            "a manifest of 16,461 bytes",
            ks_request,
            edit(ks_request, "publish_manifest.manifest", bytes(16_461)),
            "10.4.8",
        ),
        ("a reply without an id", ks_reply, edit(ks_reply, "id", None), "10.4.7"),
        ("a padded part of another size", ks_reply, edit(ks_reply, "lookup", bytes(1_279)), "13.4.1"),
        ("a padded part that holds more than itself", ks_reply, edit(ks_reply, "lookup", bytes(1_280)), "13.4.1"),
        (
            "a padded part that ends in ones",
            ks_reply,
            edit(ks_reply, "lookup", Some(Field::Bytes([&[0; 1_279][..], &[1]].concat().into()))),
            "13.4.1",
        ),
        (
            "a padded part larger than it must be",
            ks_reply,
            edit(ks_reply, "reach", Some(Field::Bytes(vec![0; 16_384].into()))),
            "13.4.1",
        ),
        (
            "prekey ids descending",
            ks_reply,
            edit(ks_reply, "prekey_ids.one_time", Some(Field::List(vec![Field::U32(9), Field::U32(8)]))),
            "15.5.1",
        ),
        ("format 0", content, edit(content, "format", None), "10.4.7"),
        ("format 2", content, edit(content, "format", Some(Field::U32(2))), "10.4.8"),
        ("no name", content, edit(content, "id", None), "10.4.7"),
        ("sequence 0 with a predecessor", content, edit(content, "sequence", None), "16.1.4"),
        ("no conversation", content, edit(content, "conversation", None), "10.4.7"),
        ("a conversation with nobody", content, edit(content, "conversation.account", None), "13.3.2"),
        ("no manifest", content, edit(content, "own_manifest", None), "10.4.7"),
        ("no kind", content, edit(content, "kind_number", None), "13.3.2"),
        ("kind 0", content, edit(content, "kind_number", Some(Field::U32(0))), "16.2.1"),
        ("version 0", content, edit(content, "version", None), "10.4.7"),
        (
            "a timer of more than a year",
            content,
            edit(content, "expires_after", Some(Field::U32(31_536_001))),
            "10.4.8",
        ),
        (
            "a fallback of 1,025 bytes",
            content,
            edit(content, "fallback", Some(Field::String("x".repeat(1_025)))),
            "10.4.8",
        ),
        (
            "a kind in upper case",
            content,
            edit(content, "kind_name", Some(Field::String("com.Example/x".into()))),
            "16.2.2",
        ),
        (
            "a kind without a domain",
            content,
            edit(content, "kind_name", Some(Field::String("example/x".into()))),
            "16.2.2",
        ),
        (
            "a kind without a name",
            content,
            edit(content, "kind_name", Some(Field::String("com.example/".into()))),
            "16.2.2",
        ),
        (
            "a kind with two names",
            content,
            edit(content, "kind_name", Some(Field::String("com.example/x/y".into()))),
            "16.2.2",
        ),
        (
            "a text with an unknown field",
            content,
            edit(content, "body", Some(Field::Bytes(vec![0xb8, 0x3e, 1].into()))),
            "10.4.11",
        ),
        (
            "a text that is not UTF-8",
            content,
            edit(content, "body", Some(Field::Bytes(vec![0x0a, 1, 0xff].into()))),
            "10.4.5",
        ),
        ("an identity block of nothing", content, edit(content, "extensions", Some(extension(&pool, &[1]))), "10.4.7"),
        ("extensions descending", content, edit(content, "extensions", Some(extension(&pool, &[8, 7]))), "16.1.3"),
        ("an extension twice", content, edit(content, "extensions", Some(extension(&pool, &[7, 7]))), "16.1.3"),
        ("17 extensions", content, edit(content, "extensions", Some(extension(&pool, &[2; 17]))), "10.4.9"),
    ];
    for (what, start, length) in [("a mention past the end", 7_u8, 5_u8), ("a mention inside a character", 2, 3)] {
        let mention = [&[0x0a, 32][..], &[0xac; 32], &[0x10, start, 0x18, length]].concat();
        let text = "héllo @bob".as_bytes();
        let body = [&[0x0a, text.len() as u8][..], text, &[0x12, mention.len() as u8], &mention].concat();
        cases.push((what, content, edit(content, "body", Some(Field::Bytes(body.into()))), "16.3.2"));
    }
    let names = [
        ("a contact's name with a space before it", " Bob".to_owned()),
        ("an empty contact's name", String::new()),
        ("a contact's name of 65 characters", "x".repeat(65)),
        ("a contact's name that turns the text", "Bob\u{202e}".to_owned()),
    ];
    for (what, name) in names {
        let notes = [&[0x12, name.len() as u8], name.as_bytes()].concat();
        let copy = [&[0x0a, 32][..], &[0xac; 32], &[0x10, 3, 0x18, 1], &[0x5a, notes.len() as u8], &notes].concat();
        let copied = edit(content, "kind_number", Some(Field::U32(19)));
        let descriptor = pool.get_message_by_name(content).unwrap();
        let mut message = DynamicMessage::decode(descriptor, copied.as_slice()).unwrap();
        assert!(set_at(&mut message, "body", Some(Field::Bytes(copy.into()))));
        cases.push((what, content, message.encode_to_vec(), "16.7.4"));
    }
    cases
}

fn extension(pool: &DescriptorPool, numbers: &[u32]) -> Field {
    let descriptor = pool.get_message_by_name("waxwing.content.Extension").unwrap();
    let one = |number: &u32| {
        let mut message = DynamicMessage::new(descriptor.clone());
        message.set_field_by_name("number", Field::U32(*number));
        Field::Message(message)
    };
    Field::List(numbers.iter().map(one).collect())
}

/// Sets or clears the field at `path` if the messages on the way to it are there, and the field itself (where presence shows).
fn set_at(message: &mut DynamicMessage, path: &str, value: Option<Field>) -> bool {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    // `info.id` is the id of a message whose body is info.
    let Some(field) = message.descriptor().get_field_by_name(name) else { return false };
    match rest {
        Some("id") if message.has_field(&field) => set_at(message, "id", value),
        Some(rest) if message.has_field(&field) => match message.get_field_mut(&field) {
            Field::Message(inside) => set_at(inside, rest, value),
            _ => false,
        },
        Some(_) => false,
        None => {
            let in_choice = field.containing_oneof().is_some() && !name.starts_with("kind_name");
            if in_choice && !message.has_field(&field) {
                return false;
            }
            match value {
                Some(value) => message.set_field(&field, value),
                None => message.clear_field(&field),
            }
            true
        }
    }
}
