//! Records what Signal's library makes of groups, safety numbers, decryption errors and alternate identities into
//! `spec/vectors/`, so that `cargo test` replays it without Node (`protocol/tests/it/group_vectors.rs`).
//!
//! ```sh
//! cargo run -p waxwing-tests --bin record_groups
//! ```
//! Keys are the library's and fresh, so every run records other bytes. Negative cases are made of the recorded ones.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a panic is the report"
)]

use std::{error::Error, fs, path::PathBuf};

use serde_json::{Value, json};

use waxwing_tests::peer::{Address, Bytes, FingerprintInput, Party, PartyOptions, Peer, Version};

const DISTRIBUTION: &str = "d1d1d1d1-7000-11eb-b32a-33b8a8a487a6";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let (mut groups, mut numbers, mut errors, mut identities) = (vec![], vec![], vec![], vec![]);
    for version in Version::ALL {
        let peer = Peer::start(version)?;
        groups.extend(group_cases(&peer)?);
        numbers.extend(safety_numbers(&peer)?);
        errors.extend(decryption_errors(&peer)?);
        identities.extend(alternate_identities(&peer)?);
    }
    write("07-sender-keys.json", &groups)?;
    write("09-safety-numbers.json", &numbers)?;
    write("04-decryption-errors.json", &errors)?;
    write("01-alternate-identities.json", &identities)
}

fn write(file: &str, cases: &[Value]) -> Outcome<()> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "spec", "vectors", file].iter().collect();
    fs::create_dir_all(path.parent().expect("a folder"))?;
    println!("{file}: {} cases", cases.len());
    Ok(fs::write(path, serde_json::to_string_pretty(cases)? + "\n")?)
}

/// A case: steps that a fresh receiver takes, each with what the library made of it.
struct Case<'p> {
    name: String,
    version: Version,
    receiver: Party<'p>,
    sender: Address,
    steps: Vec<Value>,
}

impl<'p> Case<'p> {
    fn new(peer: &'p Peer, name: &str, sender: &Party<'_>) -> Outcome<Self> {
        let handle = format!("receiver of {name}");
        let receiver = peer.create_party(&PartyOptions::new(handle, Address::new("receiver", 2)))?;
        let (version, sender) = (peer.version(), sender.address());
        Ok(Self { name: name.into(), version, receiver, sender, steps: Vec::new() })
    }

    fn process(&mut self, message: &Bytes) -> Outcome<()> {
        let outcome = self.receiver.process_distribution(&self.sender, message);
        let verdict = if outcome.is_ok() { "taken" } else { "refused" };
        self.steps.push(json!({ "process": message, "outcome": verdict }));
        Ok(())
    }

    fn open(&mut self, body: &[u8]) -> Outcome<()> {
        let step = match self.receiver.group_decrypt(&self.sender, body) {
            Ok(plaintext) => json!({ "outcome": "opened", "plaintext": plaintext }),
            Err(error) if error.is_duplicate() => json!({ "outcome": "duplicate" }),
            Err(error) => {
                let text = error.to_string();
                let outcome = match () {
                    () if text.contains("invalid signature") => "forged",
                    () if text.contains("missing sender key") => "unknown_chain",
                    () if text.contains("too far into the future") => "too_far_ahead",
                    () if text.contains("decryption failed") => "undecryptable",
                    () => "refused",
                };
                json!({ "outcome": outcome })
            }
        };
        let mut step = step;
        step["open"] = json!(Bytes::from(body));
        self.steps.push(step);
        Ok(())
    }

    fn import(&mut self) -> Outcome<()> {
        let record = self.receiver.export_sender_key(&self.sender, DISTRIBUTION)?;
        self.steps.push(json!({ "import": record, "outcome": "taken" }));
        Ok(())
    }

    fn done(self) -> Value {
        let name = format!("{}, {}", self.name, self.version);
        json!({ "name": name, "library": self.version.as_str(), "distribution": DISTRIBUTION, "steps": self.steps })
    }
}

fn group_cases(peer: &Peer) -> Outcome<Vec<Value>> {
    let sender = peer.create_party(&PartyOptions::new("sender", Address::new("sender", 1)))?;
    let say = |text: &[u8]| sender.group_encrypt(DISTRIBUTION, text).map(|message| message.body);
    let rotate = || -> Outcome<Bytes> {
        sender.remove_sender_key(&sender.address(), DISTRIBUTION)?;
        Ok(sender.distribute(DISTRIBUTION)?)
    };
    let first = sender.distribute(DISTRIBUTION)?;
    let texts: [&[u8]; 5] = [b"", b"one", &[2; 15], &[3; 16], &[4; 1000]];
    let messages: Vec<Bytes> = texts.iter().map(|text| say(text)).collect::<Result<_, _>>()?;
    let later = sender.distribute(DISTRIBUTION)?;
    let mut cases = Vec::new();

    let mut case = Case::new(peer, "in order", &sender)?;
    case.process(&first)?;
    messages.iter().try_for_each(|message| case.open(message))?;
    cases.push(case.done());

    let mut case = Case::new(peer, "out of order, and each a second time", &sender)?;
    case.process(&first)?;
    for at in [3, 0, 3, 4, 1, 1, 2, 0, 4] {
        case.open(&messages[at])?;
    }
    cases.push(case.done());

    let mut case = Case::new(peer, "a late joiner", &sender)?;
    case.open(&messages[4])?;
    case.process(&later)?;
    case.open(&messages[4])?;
    case.open(&say(b"after joining")?)?;
    cases.push(case.done());

    let mut case = Case::new(peer, "the distribution message again, from the start and from later", &sender)?;
    case.process(&first)?;
    case.open(&messages[2])?;
    case.process(&first)?;
    case.open(&messages[2])?;
    case.process(&later)?;
    case.open(&messages[0])?;
    cases.push(case.done());

    let mut case = Case::new(peer, "forged: every eighth bit of the signature, and the bits of the header", &sender)?;
    case.process(&first)?;
    let forged = &messages[1];
    let signature = (forged.len() - 64) * 8;
    for bit in (signature..forged.len() * 8).step_by(8).chain([0, 3, 160, 168, 175, signature - 1]) {
        let mut bytes = forged.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        case.open(&bytes)?;
    }
    case.open(forged)?;
    cases.push(case.done());

    let mut case = Case::new(peer, "taken over in the middle", &sender)?;
    case.process(&first)?;
    case.open(&messages[3])?;
    case.import()?;
    for message in &messages {
        case.open(message)?;
    }
    cases.push(case.done());

    let mut case = Case::new(peer, "six chains: the first goes", &sender)?;
    let mut chains = vec![];
    for n in 0..6_u8 {
        chains.push((rotate()?, say(&[n])?, say(&[n, n])?));
    }
    for (distribution, message, _) in &chains {
        case.process(distribution)?;
        case.open(message)?;
    }
    chains.iter().try_for_each(|(_, _, message)| case.open(message))?;
    cases.push(case.done());

    let mut case = Case::new(peer, "six chains, the first told again: the second goes", &sender)?;
    for (distribution, ..) in &chains[..5] {
        case.process(distribution)?;
    }
    case.process(&chains[0].0)?;
    case.process(&chains[5].0)?;
    chains.iter().try_for_each(|(_, message, _)| case.open(message))?;
    cases.push(case.done());

    cases.extend(made_cases(peer, &sender)?);
    Ok(cases)
}

/// Messages that no honest sender makes, constructed with the library's own parts.
fn made_cases(peer: &Peer, sender: &Party<'_>) -> Outcome<Vec<Value>> {
    let (pair, other) = (peer.generate_key_pair()?, peer.generate_key_pair()?);
    let distribution = |chain_id: u32, iteration: u32, key: u8, public: &Bytes| {
        let fields = json!({ "version": 3, "distribution": DISTRIBUTION, "chain_id": chain_id, "iteration": iteration,
            "chain_key": Bytes::from(vec![key; 32]), "signing_public": public });
        peer.construct("sender_key_distribution", fields)
    };
    let message = |chain_id: u32, iteration: u32, len: usize, private: &Bytes| {
        let fields = json!({ "version": 3, "distribution": DISTRIBUTION, "chain_id": chain_id, "iteration": iteration,
            "ciphertext": Bytes::from(vec![0xAB; len]), "signing_private": private });
        peer.construct("sender_key", fields)
    };
    let mut cases = Vec::new();

    let mut case = Case::new(peer, "signed by the sender, and not decryptable", sender)?;
    case.process(&distribution(5, 10, 1, &pair.public)?)?;
    for (iteration, len) in [(10, 16), (12, 0), (12, 15), (25_010, 16), (25_011, 16), (9, 16)] {
        case.open(&message(5, iteration, len, &pair.private)?)?;
    }
    cases.push(case.done());

    let mut case = Case::new(peer, "of another member, and of an unknown chain", sender)?;
    case.process(&distribution(5, 0, 1, &pair.public)?)?;
    case.open(&message(5, 0, 16, &other.private)?)?;
    case.open(&message(6, 0, 16, &pair.private)?)?;
    cases.push(case.done());

    let mut case = Case::new(peer, "a chain id with another signing key", sender)?;
    case.process(&distribution(5, 0, 1, &pair.public)?)?;
    case.process(&distribution(5, 7, 9, &other.public)?)?;
    case.open(&message(5, 7, 16, &pair.private)?)?;
    case.open(&message(5, 7, 16, &other.private)?)?;
    case.open(&message(5, 6, 16, &other.private)?)?;
    cases.push(case.done());

    let mut case = Case::new(peer, "malformed distribution messages", sender)?;
    let good = distribution(5, 0, 1, &pair.public)?;
    for len in [0, 1, 30, good.len() - 1] {
        case.process(&good[..len].into())?;
    }
    for byte in [0x23, 0x44] {
        let mut bytes = good.to_vec();
        bytes[0] = byte;
        case.process(&bytes.into())?;
    }
    case.process(&good)?;
    cases.push(case.done());
    Ok(cases)
}

fn safety_numbers(peer: &Peer) -> Outcome<Vec<Value>> {
    let mut cases = Vec::new();
    let sides = [("an empty id", 0), ("account ids", 32), ("long ids", 100)];
    for (at, (what, len)) in sides.into_iter().enumerate() {
        for (iterations, version) in [(2, 1), (5_200, 2)] {
            let (local, remote) = (peer.generate_key_pair()?.public, peer.generate_key_pair()?.public);
            let input = FingerprintInput {
                iterations,
                version,
                local_id: vec![1; len].into(),
                local_key: local,
                remote_id: vec![2; 32].into(),
                remote_key: remote,
            };
            let turned = FingerprintInput {
                local_id: input.remote_id.clone(),
                local_key: input.remote_key.clone(),
                remote_id: input.local_id.clone(),
                remote_key: input.local_key.clone(),
                ..input.clone()
            };
            let (ours, theirs) = (peer.fingerprint(&input)?, peer.fingerprint(&turned)?);
            let mut codes = vec![theirs.scannable.to_vec(), ours.scannable.to_vec()];
            for (bit, at) in [(1, 1), (1, 7), (0x80, 37), (4, 43), (2, 3)] {
                let mut code = theirs.scannable.to_vec();
                code[at] ^= bit;
                codes.push(code);
            }
            codes.push([&theirs.scannable[..], &[0x48, 1]].concat());
            codes.push(theirs.scannable[..37].to_vec());
            codes.push(theirs.scannable[2..].to_vec());
            let scans: Vec<Value> = codes
                .into_iter()
                .map(|code| {
                    let verdict = match peer.compare_fingerprints(&ours.scannable, &code) {
                        Ok(true) => "same",
                        Ok(false) => "different",
                        Err(error) if error.to_string().contains("version number mismatch") => "version",
                        Err(_) => "malformed",
                    };
                    json!({ "code": Bytes::from(code), "verdict": verdict })
                })
                .collect();
            cases.push(json!({ "name": format!("{what} {at}, {iterations} iterations, {}", peer.version()),
                "library": peer.version().as_str(), "input": input, "display": ours.display,
                "scannable": ours.scannable, "scans": scans }));
        }
    }
    Ok(cases)
}

fn decryption_errors(peer: &Peer) -> Outcome<Vec<Value>> {
    let key = peer.generate_key_pair()?.public;
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8], bytes].concat();
    let error = [field(1, &key), vec![0x10, 0xD2, 9, 0x18, 5]].concat();
    let content = field(8, &error);
    let framed = |body: &[u8]| [&[0xC0], body, &[0x80]].concat();
    let with = |error: &[u8]| framed(&field(8, error));
    let all = [
        ("whole", framed(&content)),
        ("for a group message", with(&[0x10, 7, 0x18, 3])),
        ("no device", with(&[0x10, 7])),
        ("everything zero", with(&[0x10, 0, 0x18, 0])),
        ("the widest device id", with(&[0x10, 1, 0x18, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F])),
        ("another field order", with(&[0x18, 5, 0x10, 7])),
        ("an unknown field in the error", with(&[0x10, 7, 0x48, 1])),
        ("other content beside it", framed(&[field(1, b"xx"), content.clone()].concat())),
        ("twice: the last counts", framed(&[content.clone(), field(8, &[0x10, 9])].concat())),
        ("no timestamp", with(&field(1, &key))),
        ("an empty error", with(&[])),
        ("no content", framed(&[])),
        ("other content alone", framed(&field(1, b"xx"))),
        ("no boundary", [&[0xC0], &content[..]].concat()),
        ("two boundaries", [&framed(&content)[..], &[0x80]].concat()),
        ("zeros behind the boundary", [&framed(&content)[..], &[0, 0]].concat()),
        ("another boundary", [&[0xC0], &content[..], &[0x81]].concat()),
        ("another first byte", [&[0xC1], &content[..], &[0x80]].concat()),
        ("a session's first byte", [&[0x44], &content[..], &[0x80]].concat()),
        ("empty", vec![]),
        ("a short key", with(&[field(1, &key[..32]), vec![0x10, 1]].concat())),
        ("an empty key", with(&[field(1, b""), vec![0x10, 1]].concat())),
        ("a key of another type", with(&[field(1, &[&[6], &key[1..]].concat()), vec![0x10, 1]].concat())),
        ("not protobuf", framed(&[0xFF, 0xFF])),
    ];
    let case = |(name, bytes): (&str, Vec<u8>)| {
        let read = peer.plaintext_body(&bytes).and_then(|body| peer.extract_decryption_error(&body));
        let error = read
            .ok()
            .map(|read| json!({ "timestamp": read.timestamp, "device": read.device, "ratchet_key": read.ratchet_key }));
        json!({ "name": format!("{name}, {}", peer.version()), "library": peer.version().as_str(),
            "content": Bytes::from(bytes), "error": error })
    };
    Ok(all.into_iter().map(case).collect())
}

fn alternate_identities(peer: &Peer) -> Outcome<Vec<Value>> {
    let mut cases = Vec::new();
    for n in 0..2 {
        let (one, other) = (peer.generate_key_pair()?, peer.generate_key_pair()?);
        let signature = peer.sign_alternate_identity(&one.private, &other.public)?;
        let plain = peer.sign(&one.private, &other.public)?;
        let mut forged = signature.to_vec();
        forged[40] ^= 1;
        let tries = [
            ("good", &one, &other, signature.clone()),
            ("the other direction", &other, &one, signature.clone()),
            ("of itself", &one, &one, signature.clone()),
            ("a bit flipped", &one, &other, forged.into()),
            ("a signature over the bare key", &one, &other, plain),
        ];
        for (name, signer, acknowledged, signature) in tries {
            let valid = peer.verify_alternate_identity(&signer.public, &acknowledged.public, &signature)?;
            cases.push(json!({ "name": format!("{name} {n}, {}", peer.version()), "library": peer.version().as_str(),
                "identity": signer.public, "other": acknowledged.public, "signature": signature, "valid": valid }));
        }
    }
    Ok(cases)
}
