//! Replays spec/vectors/ (spec/vectors/README.md has the formats): what Signal's library did, without the library.

mod case;
mod device;
mod differences;
mod engine;
mod hex;
mod keys;
mod library_record;
mod messages;
mod own;
mod own_triple;
mod transcript;

use std::{fs, path::PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use self::engine::Engine;
use self::transcript::{Step, Transcript};

#[test]
fn agreements_with_the_library_replay() {
    replay_all("03-agreement.json", 20);
}

#[test]
fn sessions_with_the_library_replay() {
    replay_all("05-sessions.json", 40);
}

#[test]
fn triple_ratchet_sessions_with_the_library_replay() {
    replay_all("06-sessions.json", 45);
}

/// As above, with the third ratchet. Not in the library's sessions: of its second first message nothing outside the inner
/// message is looked at (spec §5.10).
#[test]
fn a_changed_byte_of_a_part_in_a_transcript_is_noticed() {
    let transcripts: Vec<Value> = read("06-sessions.json");
    let is_short = |it: &&Value| it["initiator"] == "us" && it["steps"].as_array().unwrap().len() < 15;
    assert!(transcripts.iter().filter(is_short).count() >= 2, "with either version");
    for transcript in transcripts.iter().filter(is_short) {
        let name = &transcript["name"];
        for path in byte_strings("", transcript).iter().filter(|path| path.contains("/steps/") || path.contains("seed"))
        {
            let mut changed = transcript.clone();
            flip_in_the_middle(changed.pointer_mut(path).unwrap());
            let changed: Transcript = serde_json::from_value(changed).unwrap();
            assert!(replay(&changed).is_err(), "{name}: nobody noticed a change at {path}");
        }
    }
}

fn replay_all(file: &str, at_least: usize) {
    let transcripts: Vec<Transcript> = read(file);
    assert!(transcripts.len() >= at_least, "{file} has {} transcripts", transcripts.len());
    let mut failures = Vec::new();
    for transcript in &transcripts {
        failures.extend(replay(transcript).err());
    }
    assert!(failures.is_empty(), "{file}:\n{}", failures.join("\n"));
}

fn replay(transcript: &Transcript) -> Result<(), String> {
    let name = &transcript.name;
    let mut engine = Engine::new(transcript).map_err(|error| format!("{name}: {error}"))?;
    for (number, step) in transcript.steps.iter().enumerate() {
        let observed = engine.observe(step).map_err(|error| format!("{name}, step {number}: {error}"))?;
        if observed != *step {
            return Err(format!("{name}, step {number}:\n  recorded {step:?}\n  observed {observed:?}"));
        }
    }
    Ok(())
}

#[test]
fn a_changed_byte_in_a_transcript_is_noticed() {
    let transcripts: Vec<Value> = read("03-agreement.json");
    // In these nothing is lost, so that every byte counts. The first four have both roles, with and without one-time
    // prekeys, and X3DH; the next four PQXDH.
    for transcript in &transcripts[..8] {
        let name = &transcript["name"];
        let mut count = 0;
        for path in byte_strings("", transcript) {
            let mut changed = transcript.clone();
            flip_in_the_middle(changed.pointer_mut(&path).unwrap());
            let changed: Transcript = serde_json::from_value(changed).unwrap();
            assert!(replay(&changed).is_err(), "{name}: nobody noticed a change at {path}");
            count += 1;
        }
        assert!(count >= 12, "{name} has {count} byte strings");
    }
}

#[test]
fn a_changed_chain_key_in_a_record_of_the_library_is_noticed() {
    let transcripts: Vec<Transcript> = read("03-agreement.json");
    let mut engine = Engine::new(&transcripts[0]).unwrap();
    for step in &transcripts[0].steps {
        engine.observe(step).unwrap();
    }
    let Some(Step::LibraryRecord { record, chains, .. }) = transcripts[0].steps.last() else { panic!("no record") };
    let noticed = |at: &usize| {
        let mut record = record.to_vec();
        record[*at] ^= 1;
        library_record::chains_in_common(&record, engine.device.records()) != Ok(*chains)
    };
    // A ratchet key of 32 bytes and a chain key for each chain in common.
    let least = usize::try_from(64 * chains).unwrap();
    assert!((0..record.len()).filter(noticed).count() >= least, "{chains} chains");
}

#[test]
fn our_own_vectors_are_what_the_crate_does() {
    for (file, text) in own::files() {
        let recorded = fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let differing = recorded.lines().zip(text.lines()).position(|(recorded, now)| recorded != now);
        let is_same = recorded == text;
        assert!(is_same, "{file} differs from line {differing:?} on: cargo run -p waxwing-protocol --example vectors");
    }
}

/// JSON pointers to all byte strings, the library's records apart.
fn byte_strings(path: &str, value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if text.len() >= 24 && ::hex::decode(text).is_ok() => vec![path.into()],
        Value::Array(values) => values
            .iter()
            .enumerate()
            .flat_map(|(index, value)| byte_strings(&format!("{path}/{index}"), value))
            .collect(),
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(name, _)| *name != "record");
            fields.flat_map(|(name, value)| byte_strings(&format!("{path}/{name}"), value)).collect()
        }
        _ => Vec::new(),
    }
}

fn flip_in_the_middle(text: &mut Value) {
    let mut bytes = ::hex::decode(text.as_str().unwrap()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    *text = ::hex::encode(bytes).into();
}

fn read<T: DeserializeOwned>(file: &str) -> T {
    let text = fs::read_to_string(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "spec", "vectors"].iter().collect()
}
