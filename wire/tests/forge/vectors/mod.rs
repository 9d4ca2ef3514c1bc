//! The vectors of spec §11.14, made by the forge. Each file is a list of cases: a name, what to do with which input, and
//! either what must be read or the rule that must be named.
mod chain;
mod device_signed;
mod manifest;
mod text;

use serde_json::{Value, json};

use super::Account;

/// S of the account that all vectors are about: the published BIP-39 vector 0x7f….
pub(crate) const ALICE: Account = Account([0x7f; 32]);
/// Another account.
pub(crate) const MALLORY: Account = Account([0x80; 32]);

/// Every file with its content.
pub(crate) fn files() -> Vec<(&'static str, Value)> {
    vec![
        ("11-words.json", json!(text::words())),
        ("11-keys.json", json!(text::keys())),
        ("11-addresses.json", json!(text::addresses())),
        ("11-links.json", json!(text::links())),
        ("11-names.json", json!(text::names())),
        ("11-statements.json", json!(manifest::statements())),
        ("11-manifests.json", json!(manifest::manifests())),
        ("11-steps.json", json!(chain::steps())),
        ("11-histories.json", json!(chain::histories())),
        ("11-reach.json", json!(device_signed::reach())),
        ("11-listings.json", json!(device_signed::listings())),
        ("11-moved.json", json!(device_signed::moved())),
        ("11-prekeys.json", json!(device_signed::prekeys())),
        ("11-requests.json", json!(device_signed::requests())),
    ]
}

/// `{name, …input, ok}`.
fn good(name: &str, input: Value, ok: Value) -> Value {
    case(name, input, "ok", ok)
}

/// `{name, …input, error}`.
fn bad(name: &str, input: Value, rule: &str) -> Value {
    case(name, input, "error", json!(rule))
}

fn case(name: &str, input: Value, key: &str, expected: Value) -> Value {
    let mut case = json!({ "name": name });
    let fields = case.as_object_mut().unwrap();
    fields.extend(input.as_object().unwrap().clone());
    fields.insert(key.to_owned(), expected);
    case
}
