//! Replays `spec/vectors/12-*.json` to `16-*.json`, and checks that the files are what the generator makes.
use serde_json::Value;
use waxwing_wire::{
    frame::{Ceiling, FrameDecoder},
    sealed::{self, ObjectSecret, OpenError, Passphrase, Purpose},
};

use crate::{messages::TYPES, samples};

fn file(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))).unwrap()
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    hex::decode(case[field].as_str().unwrap()).unwrap()
}

#[test]
fn the_message_vector_files_are_what_the_generator_makes() {
    for (name, cases) in samples::vectors::files() {
        assert!(file(name) == cases, "{name} differs: cargo run -p waxwing-wire --example message_vectors");
    }
}

#[test]
fn every_message_vector_holds_and_every_negative_names_its_rule() {
    let (mut positive, mut negative, mut wrong) = (0, 0, Vec::new());
    for name in ["14-relay.json", "15-keyserver.json", "16-content.json"] {
        for case in file(name).as_array().unwrap() {
            let label = format!("{name}: {}", case["name"].as_str().unwrap());
            let encoded = bytes(case, "bytes");
            let decode = TYPES.iter().find(|(kind, _)| *kind == case["type"].as_str().unwrap()).unwrap().1;
            match (decode(&encoded), case.get("error").and_then(Value::as_str)) {
                (Ok(again), None) if again == encoded => positive += 1,
                (Err(error), Some(rule)) if error.to_string().starts_with(&format!("§{rule}:")) => negative += 1,
                (outcome, rule) => wrong.push(format!("{label}: {:?}, expected {rule:?}", outcome.map(|_| ()))),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(negative > 2 * positive && positive > 80, "{positive} positive and {negative} negative cases");
}

#[test]
fn every_frame_vector_holds() {
    for case in file("13-frames.json").as_array().unwrap() {
        assert_eq!(case["ceiling"], Ceiling::BLOB.bytes());
        let mut decoder = FrameDecoder::new(Ceiling::BLOB);
        decoder.feed(&bytes(case, "stream"));
        let (mut frames, mut error) = (0, None);
        loop {
            match decoder.next_frame() {
                Ok(Some(_)) => frames += 1,
                Ok(None) => break,
                Err(found) => {
                    error = Some(found.to_string());
                    break;
                }
            }
        }
        assert_eq!(case["frames"], frames, "{}", case["name"]);
        match (case.get("error").and_then(Value::as_str), error) {
            (None, None) => {}
            (Some(rule), Some(error)) if error.starts_with(&format!("§{rule}:")) => {}
            (expected, found) => panic!("{}: {found:?}, expected {expected:?}", case["name"]),
        }
    }
}

#[test]
fn every_sealed_vector_holds() {
    let names = ["reach entry", "profile", "blob", "register change", "register snapshot", "provisioning", "backup"];
    let cases = file("12-sealed.json");
    let whole = {
        let content: Vec<u8> = (0..200_000).map(|index| (index % 251) as u8).collect();
        let rng = &mut samples::vectors::Salt([0x2a; 32]);
        sealed::seal(&ObjectSecret::from_bytes(&[0x5e; 32]), Purpose::Blob, b"place", &content, rng).unwrap()
    };
    for case in cases.as_array().unwrap() {
        let purpose = Purpose::ALL[names.iter().position(|name| case["purpose"] == *name).unwrap()];
        let object = match (&case["object"], case.get("order")) {
            (Value::String(object), _) => hex::decode(object).unwrap(),
            (_, Some(order)) => order
                .as_array()
                .unwrap()
                .iter()
                .map(|at| at.as_u64().unwrap() as usize)
                .flat_map(|at| whole[at * 65_536..(at + 1) * 65_536].to_vec())
                .collect(),
            _ => make(case, purpose),
        };
        assert_eq!(case["size"], object.len(), "{}", case["name"]);
        use sha2::Digest;
        assert_eq!(case["sha256"], hex::encode(sha2::Sha256::digest(&object)), "{}", case["name"]);
        match (case.get("error"), open(case, purpose, &object)) {
            (None, Ok(content)) => {
                let expected: Vec<u8> =
                    (0..case["length"].as_u64().unwrap()).map(|index| (index % 251) as u8).collect();
                assert!(content == expected, "{}", case["name"]);
            }
            (Some(error), Err(found)) => {
                let found = format!("{found:?}");
                assert!(found.starts_with(error.as_str().unwrap()), "{}: {found}", case["name"]);
            }
            (expected, found) => panic!("{}: {:?}, expected {expected:?}", case["name"], found.map(|_| ())),
        }
    }
}

fn make(case: &Value, purpose: Purpose) -> Vec<u8> {
    let content: Vec<u8> = (0..case["length"].as_u64().unwrap()).map(|index| (index % 251) as u8).collect();
    let rng = &mut samples::vectors::Salt(bytes(case, "salt").try_into().unwrap());
    match case.get("passphrase") {
        None => {
            let secret = ObjectSecret::from_bytes(&bytes(case, "secret").try_into().unwrap());
            sealed::seal(&secret, purpose, &bytes(case, "context"), &content, rng).unwrap()
        }
        Some(phrase) => {
            let phrase = Passphrase::new(phrase.as_str().unwrap().as_bytes()).unwrap();
            let least = sealed::Parameters::new(65_536, 3, 1).unwrap();
            sealed::seal_with_passphrase(&phrase, least, purpose, &content, rng).unwrap()
        }
    }
}

fn open(case: &Value, purpose: Purpose, object: &[u8]) -> Result<Vec<u8>, OpenError> {
    // A passphrase object is opened by a passphrase only where the case is a positive one.
    match (case.get("passphrase"), case.get("error")) {
        (Some(phrase), None) => {
            let phrase = Passphrase::new(phrase.as_str().unwrap().as_bytes()).unwrap();
            sealed::open_with_passphrase(&phrase, purpose, object).map(|content| content.to_vec())
        }
        _ => {
            let secret = ObjectSecret::from_bytes(&[0x5e; 32]);
            sealed::open(&secret, purpose, &bytes(case, "context"), object).map(|content| content.to_vec())
        }
    }
}
