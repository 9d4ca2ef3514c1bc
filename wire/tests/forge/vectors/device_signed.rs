//! What devices and servers sign: reach, listings, moved, prekeys, bound requests.
use serde_json::{Value, json};

use super::{ALICE, MALLORY, bad, good};
use crate::forge::{DAY, NOW, Writer, framed, public, server, signed, x25519};

/// The manifest that everything here is verified under: devices 1 and 3 of generation 1; device 2 was removed.
fn under() -> Value {
    let manifest = ALICE.first(1).with_device(2).with_device(3).without_device(2);
    json!({
        "recovery": hex::encode(ALICE.recovery()), "statement": hex::encode(ALICE.statement(1).encode()),
        "object": hex::encode(manifest.encode()),
    })
}

/// Seeds of the signing keys of devices 1 and 2.
const DEVICE: [u8; 32] = [0x41; 32];
const REMOVED: [u8; 32] = [0x42; 32];

/// The beginning of every body that a device signs.
#[derive(Clone, Copy)]
struct Signer {
    format: u64,
    account: [u8; 32],
    generation: u64,
    device: u64,
}

fn signer() -> Signer {
    Signer { format: 1, account: ALICE.id(), generation: 1, device: 1 }
}

impl Signer {
    fn begin(self) -> Writer {
        let Self { format, account, generation, device } = self;
        Writer::default().uint(1, format).bytes(2, &account).uint(3, generation).uint(4, device)
    }
}

/// One kind of object: how a signer's body is written, and what its verifier is given besides.
struct Kind {
    label: &'static str,
    other_label: &'static str,
    body: fn(Signer) -> Vec<u8>,
    input: Value,
}

impl Kind {
    fn input(&self, object: &[u8]) -> Value {
        let mut input = self.input.clone();
        input["object"] = json!(hex::encode(object));
        input["manifest"] = under();
        input
    }

    fn object(&self, signer: Signer) -> Vec<u8> {
        signed(&DEVICE, self.label, &(self.body)(signer))
    }

    fn refuse(&self, name: &str, rule: &str, body: &[u8]) -> Value {
        bad(name, self.input(&signed(&DEVICE, self.label, body)), rule)
    }

    /// What is wrong with any object that a device signs.
    fn refusals(&self) -> Vec<Value> {
        let body = (self.body)(signer());
        let plain = self.object(signer());
        let mut forged = plain.clone();
        *forged.last_mut().unwrap() ^= 1;
        let of = |change: fn(&mut Signer)| {
            let mut signer = signer();
            change(&mut signer);
            self.object(signer)
        };
        let by = |seed: &[u8; 32], label: &str| signed(seed, label, &body);
        let extended = |field| signed(&DEVICE, self.label, &Writer(body.clone()).uint(field, 1).0);
        [
            ("no bytes", "10.4.7", Vec::new()),
            ("truncated", "10.4.1", plain[..plain.len() - 1].to_vec()),
            ("truncated body, signed anew", "10.4.1", signed(&DEVICE, self.label, &body[..body.len() - 1])),
            ("unsigned: a signature of zeros", "11.3.3", framed(&body, &[0; 64])),
            ("the last bit of the signature", "11.3.3", forged),
            ("signed under another label", "11.3.3", by(&DEVICE, self.other_label)),
            ("signed by a device that was removed", "11.3.3", by(&REMOVED, self.label)),
            ("signed by the root key", "11.3.3", by(&ALICE.root_seed(1), self.label)),
            ("another account", "11.3.4", of(|s| s.account = MALLORY.id())),
            ("a lower generation", "11.3.5", of(|s| s.generation = 0)),
            ("a higher generation", "11.3.5", of(|s| s.generation = 2)),
            ("a device that was removed", "11.3.6", of(|s| s.device = 2)),
            ("a device that never was", "11.3.6", of(|s| s.device = 127)),
            ("a device id out of range", "10.4.8", of(|s| s.device = 128)),
            ("device id missing", "10.4.7", of(|s| s.device = 0)),
            ("format 2", "11.3.2", of(|s| s.format = 2)),
            ("unknown critical field 1000", "10.4.10", extended(1000)),
        ]
        .into_iter()
        .map(|(name, rule, object)| bad(name, self.input(&object), rule))
        .collect()
    }
}

fn mailbox(server: &[u8], id: u8) -> Vec<u8> {
    Writer::default().bytes(1, server).bytes(2, &[id; 16]).0
}

pub(super) fn reach() -> Vec<Value> {
    let relay = server(4, &["relay.example.org:4433"]);
    let entry = Kind {
        label: "waxwing/1 reach entry",
        other_label: "waxwing/1 reach record",
        body: |signer| signer.begin().uint(5, 7).bytes(6, &mailbox(&server(4, &["relay.example.org:4433"]), 9)).0,
        input: json!({ "kind": "entry" }),
    };
    let record = Kind {
        label: "waxwing/1 reach record",
        other_label: "waxwing/1 reach entry",
        body: |signer| signer.begin().uint(5, 2).uint(6, 7).bytes(7, &[0x5e; 1024]).0,
        input: json!({ "kind": "record" }),
    };
    let ok = |number: u32, mailboxes: &[u8]| json!({ "device": 1, "number": number, "mailboxes": mailboxes });
    let many = (1..=8).fold(signer().begin(), |body, id| body.bytes(6, &mailbox(&relay, id))).0;
    let extended = Writer(many.clone()).uint(9, 1).0;
    let nine = (1..=9).fold(signer().begin(), |body, id| body.bytes(6, &mailbox(&relay, id))).0;
    let twice = signer().begin().bytes(6, &mailbox(&relay, 1)).bytes(6, &mailbox(&relay, 1)).0;
    let nowhere = signer().begin().bytes(6, &Writer::default().bytes(2, &[1; 16]).0).0;
    let mut cases = vec![
        good("an entry", entry.input(&entry.object(signer())), ok(7, &[9])),
        good(
            "8 mailboxes, number 0",
            entry.input(&signed(&DEVICE, entry.label, &many)),
            ok(0, &[1, 2, 3, 4, 5, 6, 7, 8]),
        ),
        good(
            "an unknown field",
            entry.input(&signed(&DEVICE, entry.label, &extended)),
            ok(0, &[1, 2, 3, 4, 5, 6, 7, 8]),
        ),
        good(
            "a record",
            record.input(&record.object(signer())),
            json!({ "device": 1, "number": 7, "reach_key": 2, "sealed": hex::encode([0x5e; 1024]) }),
        ),
        entry.refuse("no mailbox", "11.7.1", &signer().begin().0),
        entry.refuse("9 mailboxes", "10.4.9", &nine),
        entry.refuse("a mailbox twice", "11.7.1", &twice),
        entry.refuse("a mailbox without server", "10.4.7", &nowhere),
        entry.refuse(
            "a mailbox id of 15 bytes",
            "10.4.8",
            &signer().begin().bytes(6, &Writer::default().bytes(1, &relay).bytes(2, &[1; 15]).0).0,
        ),
        entry.refuse("a server without host", "11.12.2", &signer().begin().bytes(6, &mailbox(&server(4, &[]), 1)).0),
        record.refuse("nothing sealed", "10.4.7", &signer().begin().uint(6, 7).0),
        record.refuse("D3: a size that speaks", "11.7.3", &signer().begin().bytes(7, &[0; 1025]).0),
        record.refuse("too much sealed", "10.4.8", &signer().begin().bytes(7, &[0; 4097]).0),
    ];
    cases.extend(entry.refusals());
    cases.extend(record.refusals());
    cases
}

pub(super) fn listings() -> Vec<Value> {
    fn body_of(signer: Signer, name: &str, server: &[u8], number: u64) -> Vec<u8> {
        let body = Writer::default().uint(1, signer.format).bytes(2, name.as_bytes()).bytes(3, server);
        let body = body.bytes(4, &signer.account).uint(5, signer.generation).uint(6, signer.device);
        body.bytes(7, &[0x55; 32]).uint(8, number).0
    }
    let kind = Kind {
        label: "waxwing/1 listing",
        other_label: "waxwing/1 request",
        body: |signer| body_of(signer, "alice", &public(&[1; 32]), 3),
        input: json!({ "name_asked": "alice", "server": hex::encode(public(&[1; 32])) }),
    };
    let ok = json!({ "device": 1, "number": 3, "reach_key": hex::encode([0x55; 32]) });
    let of = |name: &str, server: &[u8]| body_of(signer(), name, server, 3);
    let mut cases = vec![
        good("a listing", kind.input(&kind.object(signer())), ok),
        kind.refuse("another name", "11.8.1", &of("bob", &public(&[1; 32]))),
        kind.refuse("a name that looks alike", "11.8.1", &of("a1ice", &public(&[1; 32]))),
        kind.refuse("F4: an upper-case name", "11.13.1", &of("Alice", &public(&[1; 32]))),
        kind.refuse("F4: a Cyrillic letter", "11.13.1", &of("\u{430}lice", &public(&[1; 32]))),
        kind.refuse("F4: an invisible character", "11.13.1", &of("ali\u{200b}ce", &public(&[1; 32]))),
        kind.refuse("a name of two letters", "11.13.1", &of("al", &public(&[1; 32]))),
        kind.refuse("a name of 33 letters", "10.4.8", &of(&"a".repeat(33), &public(&[1; 32]))),
        kind.refuse("no name", "10.4.7", &Writer::default().uint(1, 1).bytes(3, &public(&[1; 32])).0),
        kind.refuse("made for another server", "11.8.2", &of("alice", &public(&[2; 32]))),
    ];
    cases.extend(kind.refusals());
    cases
}

pub(super) fn moved() -> Vec<Value> {
    const LABEL: &str = "waxwing/1 moved";
    let (old, new) = ([4; 32], server(5, &["new.example.org:4433"]));
    let input = |now: u64, object: &[u8]| json!({ "from": hex::encode(public(&[4; 32])), "now": now, "object": hex::encode(object) });
    let body = |format: u64, from: &[u8], to: &[u8], expires: u64| {
        Writer::default().uint(1, format).bytes(2, from).bytes(3, to).uint(4, 6).uint(5, expires).0
    };
    let (ends, from) = (NOW + 180 * DAY, public(&old));
    let plain = signed(&old, LABEL, &body(1, &from, &new, ends));
    let ok = json!({ "to": hex::encode(public(&[5; 32])), "number": 6, "expires": ends });
    let mut cases = vec![
        good("a server moved", input(NOW, &plain), ok.clone()),
        good("a clock two days behind", input(NOW - 2 * DAY, &plain), ok.clone()),
        good("the last millisecond", input(ends - 1, &plain), ok),
    ];
    let mut refuse = |name: &str, rule: &str, now: u64, object: &[u8]| cases.push(bad(name, input(now, object), rule));
    refuse("over", "11.9.2", ends, &plain);
    refuse("for too long", "11.9.2", NOW - 2 * DAY - 1, &plain);
    refuse("to the end of time", "11.9.2", NOW, &signed(&old, LABEL, &body(1, &from, &new, u64::MAX)));
    refuse("signed by the new server only", "11.3.3", NOW, &signed(&[5; 32], LABEL, &body(1, &from, &new, ends)));
    refuse("another server's", "11.9.1", NOW, &signed(&[5; 32], LABEL, &body(1, &public(&[5; 32]), &new, ends)));
    refuse("unsigned", "11.3.3", NOW, &framed(&body(1, &from, &new, ends), &[0; 64]));
    refuse("under another label", "11.3.3", NOW, &signed(&old, "waxwing/1 listing", &body(1, &from, &new, ends)));
    refuse("format 2", "11.3.2", NOW, &signed(&old, LABEL, &body(2, &from, &new, ends)));
    refuse("to nowhere", "11.12.2", NOW, &signed(&old, LABEL, &body(1, &from, &server(5, &[]), ends)));
    refuse("to a host without port", "11.12.3", NOW, &signed(&old, LABEL, &body(1, &from, &server(5, &["a.b"]), ends)));
    refuse(
        "without address",
        "10.4.7",
        NOW,
        &signed(&old, LABEL, &Writer::default().uint(1, 1).bytes(2, &from).uint(5, ends).0),
    );
    let critical = Writer(body(1, &from, &new, ends)).uint(1000, 1).0;
    refuse("unknown critical field 1000", "10.4.10", NOW, &signed(&old, LABEL, &critical));
    refuse("truncated", "10.4.1", NOW, &plain[..plain.len() - 1]);
    cases
}

pub(super) fn prekeys() -> Vec<Value> {
    fn body_of(signer: Signer, kind: u64, id: u64, key: &[u8], signature: Option<&[u8]>) -> Vec<u8> {
        let body = signer.begin().uint(5, kind).uint(6, id).bytes(7, key);
        signature.into_iter().fold(body, |body, signature| body.bytes(8, signature)).0
    }
    fn x25519_key() -> Vec<u8> {
        [vec![5], x25519(&[6; 32]).to_vec()].concat()
    }
    let kyber = [vec![8], vec![0xab; 1568]].concat();
    let kind = Kind {
        label: "waxwing/1 prekey",
        other_label: "waxwing/1 device",
        body: |signer| body_of(signer, 1, 77, &x25519_key(), Some(&[3; 64])),
        input: json!({}),
    };
    let of = |number, id, key: &[u8], signature: Option<&[u8]>| body_of(signer(), number, id, key, signature);
    let ec = x25519_key();
    let signature: Option<&[u8]> = Some(&[3; 64]);
    let mut cases = Vec::new();
    for (name, number, key, signature) in [
        ("signed X25519", 1, &ec, signature),
        ("one-time X25519", 2, &ec, None),
        ("one-time Kyber1024", 3, &kyber, signature),
        ("last-resort Kyber1024", 4, &kyber, signature),
    ] {
        let ok =
            json!({ "device": 1, "kind": number, "id": 77, "key": hex::encode(key), "signed": signature.is_some() });
        cases.push(good(name, kind.input(&signed(&DEVICE, kind.label, &of(number, 77, key, signature))), ok));
    }
    let small = [vec![5], vec![0; 32]].concat();
    for (name, rule, body) in [
        ("kind 0", "10.4.7", of(0, 77, &ec, signature)),
        ("kind 5", "10.4.8", of(5, 77, &ec, signature)),
        ("id 0", "10.4.7", of(1, 0, &ec, signature)),
        ("id above 2^32", "10.4.8", of(1, 1 << 32, &ec, signature)),
        ("A2: a Kyber key as signed X25519", "11.10.2", of(1, 77, &kyber, signature)),
        ("A2: an X25519 key as last resort", "11.10.2", of(4, 77, &ec, signature)),
        ("A2: X25519 bytes with Kyber's type", "11.10.2", of(3, 77, &[vec![8], ec[1..].to_vec()].concat(), signature)),
        ("X25519 without type byte", "11.10.2", of(1, 77, &ec[1..], signature)),
        ("X25519 with a byte more", "11.10.2", of(1, 77, &[ec.clone(), vec![0]].concat(), signature)),
        ("X25519 of small order", "11.10.2", of(1, 77, &small, signature)),
        ("Kyber with a byte less", "11.10.2", of(3, 77, &kyber[..1568], signature)),
        ("no key", "10.4.7", signer().begin().uint(5, 1).uint(6, 77).0),
        ("signed X25519 without the identity's signature", "11.10.3", of(1, 77, &ec, None)),
        ("last resort without the identity's signature", "11.10.3", of(4, 77, &kyber, None)),
        ("one-time X25519 with a signature", "11.10.3", of(2, 77, &ec, signature)),
        ("an identity signature of 63 bytes", "10.4.8", of(1, 77, &ec, Some(&[3; 63]))),
    ] {
        cases.push(kind.refuse(name, rule, &body));
    }
    cases.extend(kind.refusals());
    cases
}

pub(super) fn requests() -> Vec<Value> {
    fn body_of(signer: Signer, exporter: &[u8], number: u64, request: &[u8]) -> Vec<u8> {
        signer.begin().bytes(5, exporter).uint(6, number).bytes(7, request).0
    }
    let kind = Kind {
        label: "waxwing/1 request",
        other_label: "waxwing/1 listing",
        body: |signer| body_of(signer, &[0xe1; 32], 2, b"please"),
        input: json!({ "exporter": hex::encode([0xe1; 32]), "number": 2 }),
    };
    let of = |exporter: &[u8], number, request: &[u8]| body_of(signer(), exporter, number, request);
    let mut cases = vec![
        good("a request", kind.input(&kind.object(signer())), json!({ "device": 1, "request": hex::encode("please") })),
        kind.refuse("of another connection", "11.11.1", &of(&[0xe2; 32], 2, b"please")),
        kind.refuse("replayed", "11.11.2", &of(&[0xe1; 32], 1, b"please")),
        kind.refuse("from the future", "11.11.2", &of(&[0xe1; 32], 3, b"please")),
        kind.refuse("an exporter of 16 bytes", "10.4.8", &of(&[0xe1; 16], 2, b"please")),
        kind.refuse("no exporter", "10.4.7", &signer().begin().uint(6, 2).bytes(7, b"please").0),
        kind.refuse("nothing asked", "10.4.7", &signer().begin().bytes(5, &[0xe1; 32]).uint(6, 2).0),
        kind.refuse("too much asked", "10.4.8", &of(&[0xe1; 32], 2, &[0; 65_001])),
    ];
    cases.extend(kind.refusals());
    cases
}
