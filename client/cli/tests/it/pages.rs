//! What is made from the table of methods is what is in the repository.
use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use waxwing::api::{Code, Method, document};

use crate::place::Person;

/// Compares with a file of the repository, or writes it if `WAXWING_WRITE` is set.
fn is_in(file: &str, text: &str) {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(file);
    if std::env::var_os("WAXWING_WRITE").is_some() {
        fs::write(&path, text).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == text, "{file} is not what the table says; WAXWING_WRITE=1 writes it");
}

#[test]
fn the_openrpc_document_is_the_one_in_the_spec() {
    let said = Person::new().does(&["rpc", "--openrpc"]);
    is_in("spec/22-openrpc.json", &said.out);
}

#[test]
fn the_reference_page_is_the_one_in_the_docs() {
    is_in("docs/reference.md", &Person::new().does(&["reference"]).out);
}

#[test]
fn every_method_is_verb_method_schema_and_page() {
    let nobody = Person::new();
    let document = document();
    let listed: BTreeSet<&str> =
        document["methods"].as_array().unwrap().iter().map(|method| method["name"].as_str().unwrap()).collect();
    let page = nobody.does(&["reference"]).out;
    let folder = nobody.home().join("man");
    fs::create_dir(&folder).unwrap();
    assert_eq!(nobody.does(&["man", folder.to_str().unwrap()]).code, 0);
    for entry in Method::ALL {
        let words: Vec<String> = entry.words().collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let help = nobody.does(&[&words[..], &["--help"]].concat());
        assert!(help.code == 0 && help.out.contains(entry.summary), "{}: {help:?}", entry.name);
        assert!(listed.contains(entry.name), "{} is not in the OpenRPC document", entry.name);
        assert!(page.contains(&format!("### `waxwing {}`", words.join(" "))), "{} is not on the page", entry.name);
        assert!(page.contains(&format!("Method `{}`.", entry.name)));
        let man = fs::read_to_string(folder.join(format!("waxwing-{}.1", words.join("-")))).unwrap();
        assert!(man.contains(".SH NAME"), "{}", entry.name);
    }
    assert_eq!(listed.len(), Method::ALL.len());
    for code in Code::ALL {
        assert!(page.contains(&format!("`{}`", code.name())), "{} is not on the page", code.name());
    }
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn visit(value: &Value, document: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(path) = fields.get("$ref").and_then(Value::as_str) {
                    assert!(document.pointer(path.trim_start_matches('#')).is_some(), "{path}");
                }
                fields.values().for_each(|value| visit(value, document));
            }
            Value::Array(values) => values.iter().for_each(|value| visit(value, document)),
            _ => {}
        }
    }
    let document = document();
    visit(&document, &document);
    let send = document["methods"].as_array().unwrap().iter().find(|method| method["name"] == "send").unwrap();
    let names: Vec<_> =
        send["params"].as_array().unwrap().iter().map(|param| param["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["text", "to", "wait"]);
    assert_eq!(send["params"][1]["required"], true);
}

#[test]
fn completions_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let said = Person::new().does(&["completions", shell]);
        assert!(said.code == 0 && said.out.contains("mark-read"), "{shell}");
    }
}
