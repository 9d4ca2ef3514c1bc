//! Where we refuse what the library accepts, each with its reason. Nothing else may differ.

use std::collections::BTreeSet;

use super::case::{KeyCase, MessageCase};
use super::transcript::{Change, Step, Transcript};

/// What the library's verdict is if it accepts.
const ACCEPTS: &str = "accepts";

struct Difference {
    /// Part of the case's name, or of the description of a change.
    case: &'static str,
    /// Part of our error.
    error: &'static str,
    /// The rule of the specification.
    because: &'static str,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        case: "byte behind", error: "Length", because: "§1.2: one encoding of one key; bytes after the 33rd"
    },
    Difference { case: "top bit", error: "NonCanonical", because: "§1.2: one encoding of one key; the top bit" },
    Difference {
        case: "second encoding",
        error: "NonCanonical",
        because: "§1.2: one encoding of one key; u below the prime",
    },
    Difference { case: "order", error: "SmallOrder", because: "§1.2: agreements with it are a constant" },
    Difference { case: "order 8", error: "MixedOrder", because: "§1.2: eight keys that lead to the same agreements" },
    Difference { case: "twist", error: "NotOnCurve", because: "§1.2: no honest key is on the twist" },
    Difference {
        case: "s + l",
        error: "Signature",
        because: "§1.5: s below the order, one signature has one encoding",
    },
    Difference { case: "R of order", error: "Signature", because: "§1.5: no honest commitment has small order" },
    Difference { case: "coefficient", error: "NonCanonical", because: "§1.6: coefficients below 3,329" },
    Difference { case: "Kyber secret", error: "Inconsistent", because: "§1.6: the hash inside is the public key's" },
    Difference {
        case: "addresses:",
        error: "Forged",
        because: "§4.6: these versions of the library do not know the field",
    },
    Difference {
        case: "message of another version",
        error: "Invalid",
        because: "§4.4: the message inside has the version outside; the library notices when it opens it",
    },
    Difference { case: "bytes in all", error: "TooLong", because: "§4.2: a ceiling before anything is read" },
];

/// One case on which both gave a verdict.
#[derive(Debug)]
struct Verdicts {
    case: String,
    library: String,
    /// None if we accept.
    ours: Option<String>,
}

#[test]
fn we_accept_nothing_that_the_library_refuses_and_refuse_more_for_known_reasons_only() {
    let (mut unexplained, mut seen) = (Vec::new(), BTreeSet::new());
    let verdicts = verdicts();
    assert!(verdicts.len() >= 400, "{} verdicts", verdicts.len());
    for Verdicts { case, library, ours } in verdicts {
        match (library == ACCEPTS, ours) {
            (true, None) | (false, Some(_)) => {}
            (false, None) => unexplained.push(format!("{case}: we accept, and the library {library}")),
            (true, Some(error)) => {
                let explains = |known: &Difference| case.contains(known.case) && error.contains(known.error);
                match DIFFERENCES.iter().position(explains) {
                    Some(row) => drop(seen.insert(row)),
                    None => unexplained.push(format!("{case}: the library accepts, and we say {error}")),
                }
            }
        }
    }
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    for (row, Difference { because, .. }) in DIFFERENCES.iter().enumerate() {
        assert!(seen.contains(&row), "no case shows: {because}");
    }
}

/// Of all files.
fn verdicts() -> Vec<Verdicts> {
    let mut verdicts = Vec::new();
    let keys: Vec<KeyCase> = super::read("01-keys.json");
    verdicts.extend(keys.iter().filter_map(on_key));
    let messages: Vec<MessageCase> = super::read("04-messages.json");
    verdicts.extend(
        messages.into_iter().map(|MessageCase { name: case, verdict: library, error: ours, .. }| Verdicts {
            case,
            library,
            ours,
        }),
    );
    for file in ["03-agreement.json", "05-sessions.json", "06-sessions.json"] {
        let transcripts: Vec<Transcript> = super::read(file);
        verdicts.extend(transcripts.iter().flat_map(|transcript| &transcript.steps).filter_map(on_step));
    }
    verdicts
}

fn on_key(case: &KeyCase) -> Option<Verdicts> {
    match case {
        KeyCase::PublicKey { name, verdict, strict: error, .. }
        | KeyCase::Signature { name, verdict, error, .. }
        | KeyCase::KyberPublicKey { name, verdict, error, .. }
        | KeyCase::KyberSecretKey { name, verdict, error, .. } => {
            Some(Verdicts { case: name.clone(), library: verdict.clone(), ours: error.clone() })
        }
        KeyCase::KeyPair { .. } | KeyCase::KyberPrekey { .. } => None,
    }
}

fn on_step(step: &Step) -> Option<Verdicts> {
    match step {
        Step::WeInitiate { changed: Some(case), library: Some(library), error, .. }
        | Step::WeOpen { change: Some(Change { what: case, .. }), library: Some(library), error, .. } => {
            Some(Verdicts { case: case.clone(), library: library.clone(), ours: error.clone() })
        }
        _ => None,
    }
}

/// The table in spec/vectors/README.md is this one.
#[test]
fn the_documented_differences_are_the_tested_ones() {
    let readme = std::fs::read_to_string(super::folder().join("README.md")).unwrap();
    let (_, table) = readme.split_once("## Where we refuse more").expect("the section");
    let (table, _) = table.split_once("\n## ").unwrap_or((table, ""));
    let rows = table.lines().filter(|line| line.starts_with("| §")).count();
    assert_eq!(rows, DIFFERENCES.len(), "rows in the README");
    for Difference { because, .. } in DIFFERENCES {
        let (section, reason) = because.split_once(": ").unwrap();
        assert!(table.contains(&format!("| {section} | {reason} |")), "not in the README: {because}");
    }
}
