//! Generation statements and manifests.
use serde_json::{Value, json};

use super::{ALICE, MALLORY, bad, good};
use crate::forge::{DAY, Device, Manifest, NOW, Statement, Writer, framed, public, server, signed};

pub(super) fn statements() -> Vec<Value> {
    let first = ALICE.statement(0);
    let third = ALICE.statement(2);
    let input = |object: &[u8]| json!({ "recovery": hex::encode(ALICE.recovery()), "object": hex::encode(object) });
    let ok = |statement: &Statement| {
        json!({
            "account": hex::encode(statement.account), "generation": statement.generation,
            "root": hex::encode(&statement.root), "hash": hex::encode(statement.hash()),
            "last_trusted": statement.last_trusted.as_deref().map(hex::encode),
        })
    };
    let extended = Statement { extra: Writer::default().bytes(999, b"later").0, ..third.clone() };
    let mut cases = vec![
        good("generation 0", input(&first.encode()), ok(&first)),
        good("generation 2 with a last trusted content", input(&third.encode()), ok(&third)),
        good("an unknown field below 1000 is kept", input(&extended.encode()), ok(&extended)),
    ];
    let mut refuse = |name: &str, rule: &str, object: &[u8]| cases.push(bad(name, input(object), rule));
    let with = |change: &dyn Fn(&mut Statement)| {
        let mut statement = third.clone();
        change(&mut statement);
        statement.encode()
    };
    refuse("no bytes", "10.4.7", &[]);
    refuse("truncated", "10.4.1", &first.encode()[..100]);
    refuse("a byte after the end", "10.4.1", &[first.encode(), vec![0x98]].concat());
    refuse("an unknown field in the frame", "10.4.11", &Writer(first.encode()).uint(3, 1).0);
    refuse("unknown critical field 1000", "10.4.10", &with(&|s| s.extra = Writer::default().uint(1000, 1).0));
    refuse("format 2", "11.3.2", &with(&|s| s.format = 2));
    refuse("format missing", "10.4.7", &with(&|s| s.format = 0));
    refuse("unsigned: a signature of zeros", "11.3.3", &framed(&first.body(), &[0; 64]));
    refuse("signed by the root key", "11.3.3", &with(&|s| s.seed = ALICE.root_seed(2)));
    refuse("signed by another account", "11.3.3", &with(&|s| s.seed = MALLORY.recovery_seed()));
    refuse("signed under the manifest's label", "11.3.3", &with(&|s| s.label = "waxwing/1 manifest"));
    refuse("another account's statement", "11.4.1", &MALLORY.statement(2).encode());
    refuse("another account's id under our signature", "11.4.1", &with(&|s| s.account = MALLORY.id()));
    refuse("the recovery key as root key", "11.4.2", &with(&|s| s.root = ALICE.recovery().to_vec()));
    refuse("a root key of small order", "11.4.2", &with(&|s| s.root = vec![0; 32]));
    refuse("a root key of 31 bytes", "10.4.8", &with(&|s| s.root = vec![9; 31]));
    refuse("generation 0 with a last trusted content", "11.4.3", &with(&|s| s.generation = 0));
    refuse("a last trusted hash of 33 bytes", "10.4.8", &with(&|s| s.last_trusted = Some(vec![1; 33])));
    refuse("too long", "10.4.8", &with(&|s| s.extra = Writer::default().bytes(99, &[0; 1000]).0));
    let body = Writer::default().uint(1, 1).bytes(2, &third.account).bytes(4, &third.root).uint(3, 2).0;
    refuse("fields out of order", "10.4.3", &signed(&third.seed, third.label, &body));
    let twice = Writer::default().uint(1, 1).uint(1, 1).bytes(2, &third.account).bytes(4, &third.root).0;
    refuse("a field twice", "10.4.4", &signed(&third.seed, third.label, &twice));
    let zero = Writer::default().uint(1, 1).bytes(2, &first.account).spelled(3, 0).bytes(4, &first.root).0;
    refuse("generation 0 spelled out", "10.4.6", &signed(&first.seed, first.label, &zero));
    let long = Writer::default().raw(&[0x08, 0x81, 0x00]).bytes(2, &first.account).bytes(4, &first.root).0;
    refuse("a varint of two bytes where one suffices", "10.4.2", &signed(&first.seed, first.label, &long));
    let wrong = Writer::default().bytes(1, &[1]).bytes(2, &first.account).bytes(4, &first.root).0;
    refuse("a wrong wire type", "10.4.5", &signed(&first.seed, first.label, &wrong));
    cases
}

/// What a verifier is given.
fn input(statement: &[u8], now: u64, object: &[u8]) -> Value {
    json!({
        "recovery": hex::encode(ALICE.recovery()), "statement": hex::encode(statement), "now": now,
        "object": hex::encode(object),
    })
}

fn ok(manifest: &Manifest, validity: &str) -> Value {
    json!({
        "account": hex::encode(manifest.account), "generation": manifest.generation, "sequence": manifest.sequence,
        "previous": hex::encode(&manifest.previous), "content_hash": hex::encode(manifest.hash()),
        "issued": manifest.issued, "expires": manifest.expires, "final": manifest.is_final,
        "devices": manifest.devices.iter().map(|device| device.id).collect::<Vec<_>>(), "validity": validity,
    })
}

pub(super) fn sixteen() -> Manifest {
    (2..=16).fold(ALICE.first(0), |manifest, seed| manifest.with_device(seed))
}

pub(super) fn manifests() -> Vec<Value> {
    let statement = ALICE.statement(0).encode();
    let (one, two) = (ALICE.first(0), ALICE.first(0).with_device(2));
    let mut cases = Vec::new();
    let mut accept = |name: &str, manifest: &Manifest, now: u64, validity: &str| {
        let statement = ALICE.statement(manifest.generation).encode();
        cases.push(good(name, input(&statement, now, &manifest.encode()), ok(manifest, validity)));
    };
    accept("the first of an account", &one, NOW, "fresh");
    accept("two devices", &two, NOW + DAY, "fresh");
    accept("sixteen devices", &sixteen(), NOW, "fresh");
    accept("a device removed", &two.without_device(1), NOW, "fresh");
    accept("the first of generation 3", &ALICE.first(3), NOW, "fresh");
    accept("20 days old: to be renewed", &one, NOW + 20 * DAY, "renewal due");
    accept("a renewal", &two.renewed(20), NOW + 21 * DAY, "fresh");
    accept("its last millisecond", &one, NOW + 60 * DAY - 1, "renewal due");
    accept("expired, and still verified", &one, NOW + 60 * DAY, "expired");
    accept("issued two days ahead of the clock", &one, NOW - 2 * DAY, "fresh");
    accept("final: the account is deleted", &two.deleted(), NOW, "fresh");
    accept("final as the first of a generation", &deleted_from_words(), NOW, "fresh");
    accept("unknown fields below 1000 everywhere", &extended(), NOW, "fresh");
    accept("other servers, one with three hosts", &elsewhere(), NOW, "fresh");
    let refusals = outer(&two).into_iter().chain(content(&two)).chain(devices(&two));
    for (name, rule, object) in refusals {
        cases.push(bad(name, input(&statement, NOW, &object), rule));
    }
    let other = |name, rule, statement: &Statement| bad(name, input(&statement.encode(), NOW, &two.encode()), rule);
    cases.push(other("a statement of another generation", "11.5.2", &ALICE.statement(1)));
    let early = input(&statement, NOW - 2 * DAY - 1, &two.encode());
    cases.push(bad("issued more than two days ahead of the clock", early, "11.5.4"));
    cases
}

fn deleted_from_words() -> Manifest {
    ALICE.first(1).changed(|m| {
        (m.is_final, m.last_device) = (true, 0);
        m.devices.clear();
        m.servers.clear();
    })
}

fn extended() -> Manifest {
    ALICE.first(0).changed(|m| {
        m.extra = Writer::default().bytes(999, b"later").0;
        m.content_extra = Writer::default().uint(10, 7).uint(10, 8).raw(&[0x5d, 1, 2, 3, 4]).0;
        m.devices[0].extra = Writer::default().bytes(10, b"later").0;
        m.servers[0] = Writer(m.servers[0].clone()).uint(3, 5).0;
    })
}

fn elsewhere() -> Manifest {
    let hosts = ["keys.example.org:4433", "192.0.2.7:1", "[2001:db8::7]:65535"];
    ALICE.first(0).next().changed(|m| m.servers = vec![server(1, &hosts), server(2, &["a.example:443"])])
}

type Refusal = (&'static str, &'static str, Vec<u8>);

/// What is wrong with frame, dates and signature.
fn outer(two: &Manifest) -> Vec<Refusal> {
    let with = |change: fn(&mut Manifest)| two.changed(change).encode();
    let raw = |body: &[u8]| signed(&two.seed, two.label, body);
    let mut forged = two.encode();
    *forged.last_mut().unwrap() ^= 0x01;
    let foreign = MALLORY.first(0).encode();
    let content = two.content();
    let twice = Writer::default().uint(1, 1).bytes(2, &content).uint(3, NOW).uint(3, NOW).uint(4, NOW + DAY).0;
    let no_content = Writer::default().uint(1, 1).uint(3, NOW).uint(4, NOW + DAY).0;
    let group = Writer::default().raw(&[0x7b, 0x7c]).0;
    vec![
        ("no bytes", "10.4.7", Vec::new()),
        ("truncated in the frame", "10.4.1", two.encode()[..300].to_vec()),
        ("truncated body, signed anew", "10.4.1", raw(&two.body()[..two.body().len() - 1])),
        ("unsigned: no signature", "10.4.7", Writer::default().bytes(1, &two.body()).0),
        ("unsigned: a signature of zeros", "11.3.3", framed(&two.body(), &[0; 64])),
        ("a signature of 63 bytes", "10.4.8", framed(&two.body(), &[7; 63])),
        ("the last bit of the signature", "11.3.3", forged),
        ("signed by a device", "11.3.3", with(|m| m.seed = m.devices[0].signing_seed)),
        ("signed by the recovery key", "11.3.3", with(|m| m.seed = ALICE.recovery_seed())),
        ("signed by the root key of another generation", "11.3.3", with(|m| m.seed = ALICE.root_seed(1))),
        ("signed under the statement's label", "11.3.3", with(|m| m.label = "waxwing/1 generation statement")),
        ("signed without a label", "11.3.3", with(|m| m.label = "")),
        ("another account's manifest", "11.5.1", foreign),
        ("another account's id under our signature", "11.5.1", with(|m| m.account = MALLORY.id())),
        ("a higher generation than the statement's", "11.5.2", with(|m| m.generation = 1)),
        ("format 2", "11.3.2", with(|m| m.format = 2)),
        ("format missing", "10.4.7", with(|m| m.format = 0)),
        ("unknown critical field 1000", "10.4.10", with(|m| m.extra = Writer::default().uint(1000, 1).0)),
        ("unknown critical field 5000", "10.4.10", with(|m| m.extra = Writer::default().bytes(5000, b"x").0)),
        ("an unknown field in the frame", "10.4.11", Writer(two.encode()).uint(9, 1).0),
        ("expires before issued", "11.5.3", with(|m| m.expires = m.issued - 1)),
        ("expires when issued", "11.5.3", with(|m| m.expires = m.issued)),
        ("valid for 60 days and a millisecond", "11.5.3", with(|m| m.expires += 1)),
        ("valid to the end of time", "11.5.3", with(|m| m.expires = u64::MAX)),
        ("issued at the end of time", "11.5.4", with(|m| (m.issued, m.expires) = (u64::MAX - 1, u64::MAX))),
        ("no issue date", "10.4.7", with(|m| m.issued = 0)),
        ("a field after its place", "10.4.3", with(|m| m.content_extra = Writer::default().uint(6, 2).0)),
        (
            "an unknown field before its place",
            "10.4.3",
            with(|m| m.extra = Writer::default().uint(11, 1).uint(10, 1).0),
        ),
        ("a date twice", "10.4.4", raw(&twice)),
        ("no content", "10.4.7", raw(&no_content)),
        ("a group", "10.4.5", raw(&Writer(two.body()).raw(&group).0)),
        ("a body above its ceiling", "10.4.8", with(|m| m.extra = Writer::default().bytes(99, &[0; 16_384]).0)),
    ]
}

/// What is wrong with the content.
fn content(two: &Manifest) -> Vec<Refusal> {
    let with = |change: fn(&mut Manifest)| two.changed(change).encode();
    let first = |change: fn(&mut Manifest)| ALICE.first(0).changed(change).encode();
    let cut = &two.content()[..two.content().len() - 1];
    let raw = signed(&two.seed, two.label, &two.body_of(cut));
    vec![
        ("truncated content", "10.4.1", raw),
        ("content format 2", "11.3.2", with(|m| m.content_format = 2)),
        (
            "unknown critical field in the content",
            "10.4.10",
            with(|m| m.content_extra = Writer::default().uint(1000, 1).0),
        ),
        ("a previous hash of 31 bytes", "10.4.8", with(|m| m.previous = vec![1; 31])),
        ("sequence 0 that names no statement", "11.5.8", first(|m| m.previous = vec![1; 32])),
        ("sequence 0 after a content", "11.5.8", first(|m| m.previous = ALICE.first(0).hash().to_vec())),
        (
            "sequence 0 with two devices",
            "11.5.8",
            first(|m| {
                m.devices.push(Device::new(2, 0, 2));
                m.last_device = 2;
            }),
        ),
        ("no device and not final", "11.5.8", with(|m| m.devices.clear())),
        (
            "17 devices",
            "10.4.9",
            with(|m| {
                m.devices = (1..=17).map(|id| Device::new(id, 1, id as u8)).collect();
                m.last_device = 17;
            }),
        ),
        ("no key server", "11.5.7", with(|m| m.servers.clear())),
        ("five key servers", "10.4.9", with(|m| m.servers = (1..=5).map(|seed| server(seed, &["a.b:1"])).collect())),
        (
            "two key servers with one key",
            "11.5.7",
            with(|m| m.servers = vec![server(1, &["a.b:1"]), server(1, &["c.d:1"])]),
        ),
        ("a key server without host", "11.12.2", with(|m| m.servers = vec![server(1, &[])])),
        ("a key server with an upper-case host", "11.12.3", with(|m| m.servers = vec![server(1, &["A.b:1"])])),
        (
            "a key server with a host that is not UTF-8",
            "10.4.5",
            with(|m| {
                m.servers = vec![Writer::default().bytes(1, &public(&[1; 32])).bytes(2, &[0xff, b':', b'1']).0];
            }),
        ),
        (
            "a key server with a key of small order",
            "11.12.1",
            with(|m| {
                m.servers = vec![Writer::default().bytes(1, &[0; 32]).bytes(2, b"a.b:1").0];
            }),
        ),
        ("final with a device", "11.5.9", with(|m| (m.is_final, m.servers) = (true, Vec::new()))),
        ("final with a key server", "11.5.9", with(|m| (m.is_final, m.devices) = (true, Vec::new()))),
        ("final spelled 2", "10.4.8", with(|m| m.content_extra = Writer::default().uint(9, 2).0)),
        ("not final spelled out", "10.4.6", with(|m| m.content_extra = Writer::default().spelled(9, 0).0)),
    ]
}

/// What is wrong with a device.
fn devices(two: &Manifest) -> Vec<Refusal> {
    let with = |change: fn(&mut Device)| two.changed(|m| change(&mut m.devices[1])).encode();
    let all = |change: fn(&mut Manifest)| two.changed(change).encode();
    vec![
        ("B8: a ghost device without counter-signature", "11.5.12", with(|d| d.counter_signature = Some(vec![0; 64]))),
        ("B8: a ghost device counter-signed by the root key", "11.5.12", with(|d| d.signing_seed = ALICE.root_seed(0))),
        ("B8: another account's device", "11.5.12", with(|d| d.elsewhere = Some((MALLORY.id(), 0, 2, 1)))),
        ("a device of another generation", "11.5.12", with(|d| d.elsewhere = Some((ALICE.id(), 1, 2, 1)))),
        ("a device under another id", "11.5.12", with(|d| d.elsewhere = Some((ALICE.id(), 0, 3, 1)))),
        ("a device that joined at another time", "11.5.12", with(|d| d.elsewhere = Some((ALICE.id(), 0, 2, 0)))),
        (
            "a device with another's identity key",
            "11.5.11",
            all(|m| m.devices[1].identity = m.devices[0].identity.clone()),
        ),
        (
            "a device with another's signing key",
            "11.5.11",
            all(|m| {
                m.devices[1].signing = m.devices[0].signing.clone();
                m.devices[1].signing_seed = m.devices[0].signing_seed;
            }),
        ),
        ("one key for identity and certificates", "11.5.11", with(|d| d.certificate = d.identity.clone())),
        (
            "a device that signs with the root key",
            "11.5.11",
            with(|d| {
                d.signing_seed = ALICE.root_seed(0);
                d.signing = public(&d.signing_seed).to_vec();
            }),
        ),
        ("an identity key of small order", "11.5.11", with(|d| d.identity = vec![0; 32])),
        ("an identity key that is not reduced", "11.5.11", with(|d| d.identity = vec![0xff; 32])),
        ("a signing key of small order", "11.5.11", with(|d| d.signing = vec![0; 32])),
        ("a signing key that is no point", "11.5.11", with(|d| d.signing = [&[2][..], &[0; 31]].concat())),
        ("an identity key of 33 bytes", "10.4.8", with(|d| d.identity.push(5))),
        ("device id missing", "10.4.7", with(|d| d.id = 0)),
        ("device id 128", "10.4.8", with(|d| d.id = 128)),
        ("the same device twice", "11.5.10", all(|m| m.devices[1] = m.devices[0].clone())),
        ("devices out of order", "11.5.10", all(|m| m.devices.reverse())),
        ("joined after this content", "11.5.10", with(|d| d.joined = 2)),
        ("an id above the highest ever given", "11.5.10", all(|m| m.last_device = 1)),
        ("a highest id of 128", "10.4.8", all(|m| m.last_device = 128)),
        ("no registration id", "10.4.7", with(|d| d.registration = 0)),
        ("registration id 16384", "10.4.8", with(|d| d.registration = 16_384)),
        ("no suites", "11.5.13", with(|d| d.suites.clear())),
        ("suites that do not ascend", "11.5.13", with(|d| d.suites = vec![2, 1])),
        ("a suite twice", "11.5.13", with(|d| d.suites = vec![1, 1])),
        ("suite 0", "11.5.13", with(|d| d.suites = vec![0, 1])),
        ("suite 65536", "10.4.8", with(|d| d.suites = vec![65_536])),
        ("nine suites", "10.4.9", with(|d| d.suites = (1..=9).collect())),
        ("no content versions", "11.5.13", with(|d| d.contents.clear())),
        ("unknown critical field in a device", "10.4.10", with(|d| d.extra = Writer::default().uint(1000, 1).0)),
        ("a device above 400 bytes", "10.4.8", with(|d| d.extra = Writer::default().bytes(99, &[0; 300]).0)),
    ]
}
