//! First messages and bundles that were changed, cut, mixed or made of odd keys: refused, with nothing consumed.

use waxwing_tests::peer::MessageType::PreKey;
use waxwing_tests::peer::Peer;

use crate::{
    Peers,
    agreement::{suite_name, with_article},
    edit::{self, flipped, inner_edited, inner_with, odd_keys, other_key},
    stage::{Setup, Stage},
    transcript::{
        Initiator::{Library, Us},
        Transcript,
    },
    witness::{Field, Fields},
};

pub fn record(peers: &Peers) -> Vec<Transcript> {
    let (old, new) = (&peers.v0_72_1, &peers.v0_90_0);
    vec![
        flipped_bits(old, 3),
        flipped_bits(new, 4),
        cut_and_extended(old, 3),
        cut_and_extended(new, 4),
        missing_fields(old, 3),
        missing_fields(new, 4),
        wrong_suite_for_x3dh(old),
        wrong_suite_for_pqxdh(new),
        rewritten_version(new),
        wrong_prekeys(new),
        used_prekeys(new),
        odd_key(old, 3, 2, "base_key"),
        odd_key(old, 3, 3, "identity_key"),
        odd_key(new, 4, 2, "base_key"),
        odd_ratchet_key(new),
        exchanged_keys(new),
        other_kyber_ciphertext(new),
        spoiled_bundles(old, 3),
        spoiled_bundles(new, 4),
    ]
}

/// One bit in every part of a first message; then the genuine one, for which nothing was consumed.
fn flipped_bits(peer: &Peer, suite: u8) -> Transcript {
    let name = format!("{} first message of {} with a flipped bit is refused", with_article(suite), peer.version());
    let mut s = Stage::new(peer, &name, &Setup::new(suite, Library));
    s.library_initiates();
    let first = s.library_seals(b"untouched");
    let genuine = s.body(first);
    let forged = "AcceptError::Open(Forged)";
    let flip_field = |number| {
        let mut value = edit::bytes_of(&genuine, number);
        let at = value.len() / 2;
        value[at] ^= 4;
        edit::with_bytes(&genuine, number, &value)
    };
    let inner = |number| {
        inner_edited(&genuine, PreKey, |message| {
            let mut value = message.fields.bytes(number).unwrap().to_vec();
            let at = value.len() / 2;
            value[at] ^= 4;
            edit::put(&mut message.fields, number, Field::Bytes(value));
        })
    };
    let inner_version = inner_edited(&genuine, PreKey, |message| message.version ^= 1);
    let counter = inner_with(&genuine, PreKey, 2, Field::Number(1));
    let previous = inner_with(&genuine, PreKey, 3, Field::Number(1));
    let mac = |at: usize| inner_edited(&genuine, PreKey, |message| message.mac[at] ^= 0x80);
    s.refuse_changed(first, "message: low nibble of its version", &inner_version, forged);
    s.refuse_changed(first, "message: counter", &counter, forged);
    s.refuse_changed(first, "message: previous_counter", &previous, forged);
    s.refuse_changed(first, "message: ciphertext", &inner(4), forged);
    s.refuse_changed(first, "message: first byte of the MAC", &mac(0), forged);
    s.refuse_changed(first, "message: last byte of the MAC", &mac(7), forged);
    if suite == 4 {
        s.refuse_changed(first, "kyber_ciphertext", &flip_field(8), forged);
        let mut ciphertext = edit::bytes_of(&genuine, 8);
        ciphertext[0] ^= 1;
        let typed = edit::with_bytes(&genuine, 8, &ciphertext);
        s.refuse_changed(first, "kyber_ciphertext: type", &typed, "DecodeError::KyberCiphertext(KeyType { got: 9 })");
    }
    let ids = [(1, "pre_key_id", "OneTimePrekey { expected: Some(OneTimePrekeyId(20)) }")];
    for (number, what, error) in ids {
        let changed = edit::with(&genuine, number, Field::Number(20));
        s.refuse_changed(first, what, &changed, &format!("AcceptError::Respond({error})"));
    }
    for (version, error) in [
        (genuine[0] ^ 0x80, format!("DecodeError::UnknownVersion {{ got: {} }}", (genuine[0] ^ 0x80) >> 4)),
        (0x24, "DecodeError::LegacyVersion { got: 2 }".into()),
        (0x04, "DecodeError::LegacyVersion { got: 0 }".into()),
    ] {
        s.refuse_changed(first, "version", &[&[version], &genuine[1..]].concat(), &error);
    }
    s.open(first);
    s.send(b"answer");
    s.done()
}

fn cut_and_extended(peer: &Peer, suite: u8) -> Transcript {
    let name = format!("{} first message that is cut or extended is refused", with_article(suite));
    let mut s = Stage::new(peer, &name, &Setup::new(suite, Library));
    s.library_initiates();
    let first = s.library_seals(b"whole");
    let genuine = s.body(first);
    s.refuse_changed(first, "nothing at all", &[], "DecodeError::TooShort { got: 0 }");
    let missing = "DecodeError::Missing { field: \"base_key\" }";
    s.refuse_changed(first, "the version byte alone", &genuine[..1], missing);
    s.refuse_changed(first, "cut in the middle of a field", &genuine[..50], "DecodeError::Protobuf");
    s.refuse_changed(first, "the last byte cut", &genuine[..genuine.len() - 1], "DecodeError::Protobuf");
    let inner = edit::bytes_of(&genuine, 4);
    let shorter = edit::with_bytes(&genuine, 4, &inner[..inner.len() - 1]);
    s.refuse_changed(first, "message: its last byte cut", &shorter, "DecodeError::Protobuf");
    let frame = edit::with_bytes(&genuine, 4, &inner[..8]);
    s.refuse_changed(first, "message: shorter than its frame", &frame, "DecodeError::TooShort { got: 8 }");
    let longer = edit::with_bytes(&genuine, 4, &[&*inner, &[0]].concat());
    s.refuse_changed(first, "message: a zero byte behind", &longer, "DecodeError::Protobuf");
    let behind = [&*genuine, &[0]].concat();
    s.refuse_changed(first, "a zero byte behind", &behind, "DecodeError::Protobuf");
    if suite == 4 {
        let ciphertext = edit::bytes_of(&genuine, 8);
        let shorter = edit::with_bytes(&genuine, 8, &ciphertext[..1568]);
        let error = "DecodeError::KyberCiphertext(Length { got: 1568 })";
        s.refuse_changed(first, "kyber_ciphertext: its last byte cut", &shorter, error);
        let longer = edit::with_bytes(&genuine, 8, &[&*ciphertext, &[0]].concat());
        let error = "DecodeError::KyberCiphertext(Length { got: 1570 })";
        s.refuse_changed(first, "kyber_ciphertext: a byte behind", &longer, error);
    }
    s.open(first);
    s.send(b"answer");
    s.done()
}

fn missing_fields(peer: &Peer, suite: u8) -> Transcript {
    let name = format!("{} first message without a required field is refused", with_article(suite));
    let mut s = Stage::new(peer, &name, &Setup::new(suite, Library));
    s.library_initiates();
    let first = s.library_seals(b"complete");
    let genuine = s.body(first);
    let mut fields = vec![(2, "base_key"), (3, "identity_key"), (4, "message"), (6, "signed_pre_key_id")];
    if suite == 4 {
        fields.extend([(7, "kyber_pre_key_id"), (8, "kyber_ciphertext")]);
    }
    for (number, field) in fields {
        let error = format!("DecodeError::Missing {{ field: \"{field}\" }}");
        s.refuse_changed(first, &format!("without {field}"), &edit::without(&genuine, number), &error);
    }
    for (number, field) in [(1, "ratchet_key"), (2, "counter"), (4, "ciphertext")] {
        let without = inner_edited(&genuine, PreKey, |message| message.fields.0.retain(|(found, _)| *found != number));
        let error = format!("DecodeError::Missing {{ field: \"{field}\" }}");
        s.refuse_changed(first, &format!("message: without {field}"), &without, &error);
    }
    s.refuse_changed(
        first,
        "without pre_key_id: another agreement",
        &edit::without(&genuine, 1),
        "AcceptError::Open(Forged)",
    );
    s.open(first);
    s.send(b"answer");
    s.done()
}

fn wrong_suite_for_x3dh(peer: &Peer) -> Transcript {
    let name = "X3DH is not accepted unless it is asked for";
    let mut s = Stage::new(peer, name, &Setup::new(3, Library));
    s.library_initiates();
    let first = s.library_seals(b"classical");
    s.ask_for(4);
    s.refuse(first, "AcceptError::Respond(ClassicalSuite)");
    s.ask_for(3);
    s.open(first);
    s.send(b"answer");
    s.done()
}

fn wrong_suite_for_pqxdh(peer: &Peer) -> Transcript {
    let name = "PQXDH is not accepted where X3DH is asked for";
    let mut s = Stage::new(peer, name, &Setup::new(4, Library));
    s.library_initiates();
    let first = s.library_seals(b"post-quantum");
    s.ask_for(3);
    s.refuse(first, "AcceptError::Respond(PostQuantumSuite)");
    s.ask_for(4);
    s.open(first);
    s.send(b"answer");
    s.done()
}

fn rewritten_version(peer: &Peer) -> Transcript {
    let name = "a PQXDH first message cannot be rewritten to X3DH";
    let mut s = Stage::new(peer, name, &Setup::new(4, Library));
    s.library_initiates();
    let first = s.library_seals(b"no downgrade");
    let genuine = s.body(first);
    let outer = [&[0x34], &genuine[1..]].concat();
    let with_kyber = "DecodeError::Invalid { field: \"kyber_pre_key_id\" }";
    s.refuse_changed(first, "version 3 outside, Kyber fields kept", &outer, with_kyber);
    let stripped = edit::without(&edit::without(&outer, 7), 8);
    let inner = "DecodeError::Invalid { field: \"message\" }";
    s.refuse_changed(first, "version 3 outside, Kyber fields removed", &stripped, inner);
    let both = inner_edited(&stripped, PreKey, |message| message.version = 0x34);
    s.refuse_changed(
        first,
        "version 3 everywhere, Kyber fields removed",
        &both,
        "AcceptError::Respond(ClassicalSuite)",
    );
    s.ask_for(3);
    s.refuse_changed(first, "the same where X3DH is asked for", &both, "AcceptError::Open(Forged)");
    s.ask_for(4);
    s.open(first);
    s.send(b"answer");
    s.done()
}

fn wrong_prekeys(peer: &Peer) -> Transcript {
    let name = "a first message that names prekeys which we do not have is refused";
    let mut s = Stage::new(peer, name, &Setup { one_time: 2, kyber: 2, ..Setup::new(4, Library) });
    s.library_initiates();
    let first = s.library_seals(b"the right prekeys");
    let genuine = s.body(first);
    let respond = |error: &str| format!("AcceptError::Respond({error})");
    for (what, number, id, error) in [
        ("another signed prekey", 6, 12, respond("SignedPrekey { expected: SignedPrekeyId(12) }")),
        ("a one-time prekey that never was", 1, 29, respond("OneTimePrekey { expected: Some(OneTimePrekeyId(29)) }")),
        ("a Kyber prekey that never was", 7, 39, respond("KyberPrekey { expected: Some(KyberPrekeyId(39)) }")),
        ("the other one-time prekey", 1, 22, "AcceptError::Open(Forged)".into()),
        ("the other Kyber prekey", 7, 32, "AcceptError::Open(Forged)".into()),
    ] {
        s.refuse_changed(first, what, &edit::with(&genuine, number, Field::Number(id)), &error);
    }
    s.open(first);
    s.send(b"answer");
    s.done()
}

fn used_prekeys(peer: &Peer) -> Transcript {
    let name = "one-time prekeys answer once, whatever became of the session";
    let mut s = Stage::new(peer, name, &Setup::new(4, Library));
    s.library_initiates();
    let first = s.receive(b"once");
    s.forget();
    s.refuse(first, "AcceptError::Respond(OneTimePrekey { expected: Some(OneTimePrekeyId(21)) })");
    s.done()
}

/// Field `number` of a first message, in a strict role.
fn odd_key(peer: &Peer, suite: u8, number: u32, field: &str) -> Transcript {
    let name = format!("{} first message with an odd {field} is refused", with_article(suite));
    let mut s = Stage::new(peer, &name, &Setup::new(suite, Library));
    s.library_initiates();
    let first = s.library_seals(b"an honest key");
    let genuine = s.body(first);
    for (what, key) in odd_keys(&edit::bytes_of(&genuine, number)) {
        let error = public_key_error(what, &key, Strictness::Strict);
        let error = format!("DecodeError::PublicKey {{ field: \"{field}\", error: {error} }}");
        s.refuse_changed(first, &format!("{field}: {what}"), &edit::with_bytes(&genuine, number, &key), &error);
    }
    let other = edit::with_bytes(&genuine, number, &other_key(1));
    s.refuse_changed(first, &format!("{field}: somebody else's"), &other, "AcceptError::Open(Forged)");
    s.open(first);
    s.send(b"answer");
    s.done()
}

/// Ratchet keys are looked at when they are new, and a component of small order shows in the MAC.
fn odd_ratchet_key(peer: &Peer) -> Transcript {
    let name = "a first message with an odd ratchet key is refused";
    let mut s = Stage::new(peer, name, &Setup::new(4, Library));
    s.library_initiates();
    let first = s.library_seals(b"an honest key");
    let genuine = s.body(first);
    let inner = edit::bytes_of(&genuine, 4);
    let ratchet_key = Fields::parse(&inner[1..inner.len() - 8]).bytes(1).unwrap().to_vec();
    for (what, key) in odd_keys(&ratchet_key) {
        let error = public_key_error(what, &key, Strictness::Ratchet);
        let error = match error.as_str() {
            "" => "AcceptError::Open(Forged)".into(),
            "SmallOrder" | "NotOnCurve" => format!("AcceptError::Open(RatchetKey({error}))"),
            _ => format!("DecodeError::PublicKey {{ field: \"ratchet_key\", error: {error} }}"),
        };
        let changed = inner_with(&genuine, PreKey, 1, Field::Bytes(key));
        s.refuse_changed(first, &format!("ratchet_key: {what}"), &changed, &error);
    }
    s.open(first);
    s.send(b"answer");
    s.done()
}

#[derive(Clone, Copy, PartialEq)]
pub enum Strictness {
    Strict,
    Ratchet,
}

/// What spec §1.2 says of [`odd_keys`]; empty where the MAC has to notice.
pub fn public_key_error(what: &str, key: &[u8], strictness: Strictness) -> String {
    match what {
        "of order 2 (zero)" | "of order 4 (one)" | "of order 8" => "SmallOrder".into(),
        "with a component of order 8" if strictness == Strictness::Strict => "MixedOrder".into(),
        "with a component of order 8" => String::new(),
        "on the twist" => "NotOnCurve".into(),
        "of type 6" => "KeyType { expected: 5, got: 6 }".into(),
        _ if key.len() != 33 => format!("Length {{ expected: 33, got: {} }}", key.len()),
        _ => "NonCanonical".into(),
    }
}

fn exchanged_keys(peer: &Peer) -> Transcript {
    let name = "parts of two first messages cannot be mixed";
    let mut s = Stage::new(peer, name, &Setup { one_time: 0, kyber: 2, ..Setup::new(4, Library) });
    s.library_initiates();
    let other = s.library_seals(b"one agreement");
    let other = s.body(other);
    s.library_initiates();
    let first = s.library_seals(b"another agreement");
    let genuine = s.body(first);
    let forged = "AcceptError::Open(Forged)";
    for (number, field) in [(2, "base_key"), (4, "message"), (8, "kyber_ciphertext")] {
        let mixed = edit::with_bytes(&genuine, number, &edit::bytes_of(&other, number));
        s.refuse_changed(first, &format!("{field} of the other"), &mixed, forged);
    }
    s.open(first);
    s.send(b"answer");
    s.done()
}

fn other_kyber_ciphertext(peer: &Peer) -> Transcript {
    let name = "a Kyber ciphertext for another prekey is refused, and only the MAC says so";
    let mut s = Stage::new(peer, name, &Setup { one_time: 0, kyber: 2, ..Setup::new(4, Library) });
    let keys = s.engine.device.keys();
    let second = keys.bundle(&s.setup.us, crate::stage::SIGNED, None, Some(crate::stage::KYBER + 1));
    s.library_initiates_from(&second);
    let other = s.library_seals(b"for the second Kyber prekey");
    let other_ciphertext = edit::bytes_of(&s.body(other), 8);
    s.library_initiates();
    let first = s.library_seals(b"for the first Kyber prekey");
    let genuine = s.body(first);
    let forged = "AcceptError::Open(Forged)";
    let mixed = edit::with_bytes(&genuine, 8, &other_ciphertext);
    s.refuse_changed(first, "kyber_ciphertext for the second prekey", &mixed, forged);
    let zeros = edit::with_bytes(&genuine, 8, &[&[8][..], &[0; 1568]].concat());
    s.refuse_changed(first, "kyber_ciphertext of zeros", &zeros, forged);
    s.refuse_changed(first, "kyber_pre_key_id of the second", &edit::with(&genuine, 7, Field::Number(32)), forged);
    s.open(first);
    s.open(other);
    s.done()
}

fn spoiled_bundles(peer: &Peer, suite: u8) -> Transcript {
    let name = format!("a spoiled {} bundle of {} is refused", suite_name(suite), peer.version());
    let mut s = Stage::new(peer, &name, &Setup::new(suite, Us));
    let genuine = s.peer_bundle();
    let mut refuse = |what: &str, error: &str, spoil: &dyn Fn(&mut crate::transcript::Bundle)| {
        let mut bundle = genuine.clone();
        spoil(&mut bundle);
        s.we_refuse_bundle(what, bundle, error);
    };
    let signature = "BundleError::SignedPrekeySignature";
    refuse("signed prekey: a flipped bit of its signature", signature, &|bundle| {
        bundle.signed.signature = bundle.signed.signature.clone().map(|bytes| (&flipped(&bytes, 40, 1)).into());
    });
    refuse("signed prekey: somebody else's key under its signature", signature, &|bundle| {
        bundle.signed.public = (&other_key(2)).into();
    });
    refuse("the identity is somebody else's", signature, &|bundle| bundle.identity = (&other_key(3)).into());
    refuse("identity key of order 2", "BundleError::IdentityKey(SmallOrder)", &|bundle| {
        bundle.identity = (&[&[5][..], &[0; 32]].concat()).into();
    });
    refuse(
        "identity key with a byte behind",
        "BundleError::IdentityKey(Length { expected: 33, got: 34 })",
        &|bundle| {
            bundle.identity = (&[&*bundle.identity, &[0]].concat()).into();
        },
    );
    refuse("one-time prekey with a component of order 8", "BundleError::OneTimePrekey(MixedOrder)", &|bundle| {
        let one_time = bundle.one_time.as_mut().unwrap();
        one_time.public = (&crate::witness::with_torsion(&one_time.public)).into();
    });
    refuse("one-time prekey of order 4", "BundleError::OneTimePrekey(SmallOrder)", &|bundle| {
        let u = std::array::from_fn::<u8, 33, _>(|i| [5, 1].get(i).copied().unwrap_or(0));
        bundle.one_time.as_mut().unwrap().public = (&u).into();
    });
    if suite == 4 {
        let signature = "BundleError::KyberPrekeySignature";
        refuse("Kyber prekey: signed prekey's signature", signature, &|bundle| {
            bundle.kyber.as_mut().unwrap().signature = bundle.signed.signature.clone();
        });
        refuse("Kyber prekey: a flipped bit of its key", signature, &|bundle| {
            // The last 32 bytes are a seed, and canonical whatever they are.
            let kyber = bundle.kyber.as_mut().unwrap();
            kyber.public = (&flipped(&kyber.public, 1568, 1)).into();
        });
    }
    s.we_initiate();
    s.send(b"first");
    s.done()
}
