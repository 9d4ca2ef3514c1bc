//! Replays spec/vectors/ for sender keys, safety numbers, decryption errors and alternate identities: what Signal's library
//! made of the same bytes (`tests/src/bin/record_groups.rs` records them).

use serde::Deserialize;
use serde::de::DeserializeOwned;
use waxwing_protocol::{
    Budget, CompareError, DistributionId, Fingerprint, FingerprintVersion, GroupOpenError, IdentityKey, Iterations,
    PeerSenderKeys, PlaintextContent, SafetyNumber, ScannableFingerprint, SenderKey, SenderKeyDistributionMessage,
    SenderKeyMessage, Signature, import,
};

use crate::group::{Records, store};

#[derive(Deserialize)]
struct GroupCase {
    name: String,
    distribution: String,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    process: Option<String>,
    open: Option<String>,
    import: Option<String>,
    outcome: String,
    plaintext: Option<String>,
}

#[test]
fn groups_with_the_library_replay() {
    for case in vectors::<GroupCase>("07-sender-keys.json", 30) {
        let uuid = hex::decode(case.distribution.replace('-', "")).unwrap();
        let id = DistributionId(uuid.try_into().unwrap());
        let mut keys = PeerSenderKeys::new(id);
        let mut records = Records::new();
        for (number, step) in case.steps.iter().enumerate() {
            let outcome = take(id, &mut keys, &mut records, step);
            assert_eq!(outcome, step.outcome, "{}, step {number}", case.name);
            // As after a restart; deltas and records must agree.
            keys = PeerSenderKeys::load(id, &records).unwrap();
        }
    }
}

fn take(id: DistributionId, keys: &mut PeerSenderKeys, records: &mut Records, step: &Step) -> &'static str {
    if let Some(message) = &step.process {
        let Ok(message) = SenderKeyDistributionMessage::decode(&bytes(message)) else { return "refused" };
        let processed = keys.process(&message).unwrap();
        store(records, &processed.delta());
        processed.commit();
        return "taken";
    }
    if let Some(record) = &step.import {
        *keys = import::peer_sender_keys(&bytes(record), id).unwrap();
        *records = keys.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
        return "taken";
    }
    let message = bytes(step.open.as_ref().expect("a step processes, opens or imports"));
    let Ok(message) = SenderKeyMessage::decode(&message) else { return "refused" };
    match keys.open(&message, &mut Budget::default()) {
        Ok(opened) => {
            store(records, &opened.delta());
            let plaintext = opened.commit();
            assert_eq!(Some(hex::encode(plaintext)), step.plaintext);
            "opened"
        }
        Err(GroupOpenError::Duplicate { .. }) => "duplicate",
        Err(GroupOpenError::Forged) => "forged",
        // The library looks its record up by the message's distribution id, and misses it.
        Err(GroupOpenError::UnknownChain { .. } | GroupOpenError::WrongDistribution(_)) => "unknown_chain",
        Err(GroupOpenError::TooFarAhead { .. }) => "too_far_ahead",
        Err(GroupOpenError::Undecryptable { .. }) => "undecryptable",
        Err(error) => panic!("{error}"),
    }
}

#[derive(Deserialize)]
struct NumberCase {
    name: String,
    input: NumberInput,
    display: String,
    scannable: String,
    scans: Vec<Scan>,
}

#[derive(Deserialize)]
struct NumberInput {
    iterations: u32,
    version: u32,
    local_id: String,
    local_key: String,
    remote_id: String,
    remote_key: String,
}

#[derive(Deserialize)]
struct Scan {
    code: String,
    verdict: String,
}

#[test]
fn safety_numbers_of_the_library_replay() {
    for NumberCase { name, input, display, scannable, scans } in vectors("09-safety-numbers.json", 15) {
        let iterations = Iterations::new(input.iterations).unwrap();
        let version = if input.version == 1 { FingerprintVersion::PhoneNumber } else { FingerprintVersion::AccountId };
        let side =
            |key: &str, id: &str| Fingerprint::new(&IdentityKey::parse(&bytes(key)).unwrap(), &bytes(id), iterations);
        let local = side(&input.local_key, &input.local_id);
        let number = SafetyNumber { version, local, remote: side(&input.remote_key, &input.remote_id) };
        assert_eq!(number.display(), display, "{name}");
        assert_eq!(hex::encode(number.scannable().encode()), scannable, "{name}");
        for Scan { code, verdict } in scans {
            let compared = ScannableFingerprint::decode(&bytes(&code)).map(|scanned| number.compare(&scanned));
            let ours = match compared {
                Err(_) => "malformed",
                Ok(Ok(())) => "same",
                Ok(Err(CompareError::Version { .. })) => "version",
                Ok(Err(_)) => "different",
            };
            assert_eq!(ours, verdict, "{name}: {code}");
        }
    }
}

#[derive(Deserialize)]
struct ErrorCase {
    name: String,
    content: String,
    error: Option<ErrorFields>,
}

#[derive(Deserialize)]
struct ErrorFields {
    timestamp: u64,
    device: u32,
    ratchet_key: Option<String>,
}

#[test]
fn decryption_errors_of_the_library_replay() {
    for ErrorCase { name, content, error } in vectors("04-decryption-errors.json", 60) {
        match (PlaintextContent::decode(&bytes(&content)), error) {
            (Ok(content), Some(expected)) => {
                let error = content.decryption_error();
                let key = error.ratchet_key.map(|key| hex::encode(key.to_bytes()));
                assert_eq!(error.timestamp.0, expected.timestamp, "{name}");
                assert_eq!((error.device_id, key), (expected.device, expected.ratchet_key), "{name}");
            }
            (Err(_), None) => {}
            (ours, _) => panic!("{name}: the library decides otherwise than {ours:?}"),
        }
    }
}

#[derive(Deserialize)]
struct IdentityCase {
    name: String,
    identity: String,
    other: String,
    signature: String,
    valid: bool,
}

#[test]
fn alternate_identities_of_the_library_replay() {
    for case in vectors::<IdentityCase>("01-alternate-identities.json", 30) {
        let [identity, other] = [&case.identity, &case.other].map(|key| IdentityKey::parse(&bytes(key)).unwrap());
        let signature = Signature::from_bytes(bytes(&case.signature).try_into().unwrap());
        let valid = identity.verify_alternate_identity(&other, &signature).is_ok();
        assert_eq!(valid, case.valid, "{}", case.name);
    }
}

/// The first version of the records stays readable: these bytes were written by it.
#[test]
fn records_of_version_1_load_and_are_written_back_unchanged() {
    let id = DistributionId([0xD1; 16]);
    let own = [&[1][..], &[0xD1; 16], &[0, 0, 0, 5], &[0x11; 32], &[0, 0, 0, 7], &clamped([0x22; 32])].concat();
    let key = SenderKey::load([(b"o", &own)]).unwrap();
    assert_eq!((key.distribution_id(), key.chain_id(), key.iteration()), (id, 5, 7));
    assert_eq!(key.records().next().unwrap().1.as_slice(), own);
    let u = &key.distribution_message().signing_key()[1..].to_vec();

    let chain = |serial: u8, chain_id: u8| {
        [&[0, 0, 0, serial][..], &[0, 0, 0, chain_id], u, &[0x11; 32], &[0, 0, 0, 7]].concat()
    };
    let chains = [&[1][..], &[0xD1; 16], &[0, 0, 0, 4, 2], &chain(3, 5), &chain(1, 6)].concat();
    let kept = [&[1, 2, 0][..], &[0x33; 32], &[6], &[0x44; 32]].concat();
    let records = Records::from([(b"c".to_vec(), chains), ([&b"k"[..], &[0, 0, 0, 1], &[0, 0, 0, 0]].concat(), kept)]);
    let keys = PeerSenderKeys::load(id, &records).unwrap();
    assert_eq!(keys.chain_ids().collect::<Vec<_>>(), [5, 6]);
    let written: Records = keys.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
    assert_eq!(written, records);
}

fn clamped(mut private: [u8; 32]) -> [u8; 32] {
    private[0] &= 248;
    private[31] = private[31] & 127 | 64;
    private
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn vectors<T: DeserializeOwned>(file: &str, at_least: usize) -> Vec<T> {
    let path = format!("{}/../spec/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let cases: Vec<T> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert!(cases.len() >= at_least, "{file} has {} cases", cases.len());
    cases
}
