//! Replays `spec/vectors/11-*.json` against the crate (spec §11.14), and checks that the files are what the forge makes.
use std::fmt::Display;

use serde_json::{Value, json};
use waxwing_wire::{
    address::ServerAddress,
    history::{self, History, Step},
    id::{Generation, MailboxId},
    keys::{RecoveryPublicKey, ServerPublicKey},
    link::ContactLink,
    listing::ListingIn,
    manifest::{Manifest, ManifestIn, Validity},
    moved::MovedIn,
    name::Name,
    prekey::PrekeyIn,
    reach::{ReachEntryIn, ReachRecordIn},
    request::{BoundRequestIn, Exporter},
    statement::{GenerationStatement, GenerationStatementIn},
    time::Timestamp,
    words::AccountSecret,
};

use crate::forge::{self, NOW};

/// What a case leads to: what was read, or the text of the error.
type Outcome = Result<Value, String>;

#[test]
fn every_vector_holds() {
    let (mut positive, mut negative, mut wrong) = (0, 0, Vec::new());
    for (file, cases) in files() {
        for case in cases.as_array().unwrap() {
            let name = format!("{file}: {}", case["name"].as_str().unwrap());
            match (replay(&file, case), case.get("ok"), case["error"].as_str()) {
                (Ok(read), Some(expected), None) if &read == expected => positive += 1,
                (Err(error), None, Some(rule)) if error.starts_with(&format!("§{rule}:")) => negative += 1,
                (outcome, expected, rule) => wrong.push(format!("{name}: {outcome:?}, expected {expected:?} {rule:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(negative > positive && positive > 50, "{positive} positive and {negative} negative cases");
}

#[test]
fn the_vector_files_are_what_the_generator_makes() {
    for ((file, stored), (made, cases)) in files().into_iter().zip(forge::vectors::files()) {
        assert_eq!(file, made);
        assert!(stored == cases, "{file} differs: cargo run -p waxwing-wire --example identity_vectors");
    }
}

fn files() -> Vec<(String, Value)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/vectors");
    let read = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name.to_owned(), serde_json::from_str(&text).unwrap())
    };
    forge::vectors::files().into_iter().map(|(name, _)| read(name)).collect()
}

fn replay(file: &str, case: &Value) -> Outcome {
    match file {
        "11-words.json" => words(case),
        "11-keys.json" => keys(case),
        "11-addresses.json" => address(case),
        "11-links.json" => link(case),
        "11-names.json" => name(case),
        "11-statements.json" => statement(case),
        "11-manifests.json" => manifest(case),
        "11-steps.json" => step(case),
        "11-histories.json" => histories(case),
        "11-reach.json" => reach(case),
        "11-listings.json" => listing(case),
        "11-moved.json" => moved(case),
        "11-prekeys.json" => prekey(case),
        "11-requests.json" => request(case),
        _ => panic!("{file} has no replay"),
    }
}

fn text<E: Display>(error: E) -> String {
    error.to_string()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn words(case: &Value) -> Outcome {
    let secret = AccountSecret::from_words(case["words"].as_str().unwrap()).map_err(text)?;
    Ok(json!({ "account": hex::encode(secret.recovery_key().public_key().account_id().as_bytes()) }))
}

fn keys(case: &Value) -> Outcome {
    let secret = AccountSecret::from_words(case["words"].as_str().unwrap()).map_err(text)?;
    let recovery = secret.recovery_key().public_key();
    let mailbox = MailboxId::from_bytes(array(&case["mailbox"]));
    let generations: Vec<_> = [0, 1, 4_000_000_000]
        .map(|generation| {
            let root = secret.root_key(Generation(generation));
            let close = root.close_capability(mailbox);
            json!({
                "generation": generation, "root": hex::encode(root.public_key().as_bytes()),
                "reach_key_0": hex::encode(root.reach_key(0).as_bytes()),
                "reach_key_258": hex::encode(root.reach_key(258).as_bytes()),
                "close_capability": hex::encode(close.as_bytes()), "close_hash": hex::encode(close.hash()),
            })
        })
        .into();
    Ok(json!({
        "recovery": hex::encode(recovery.as_bytes()), "account": hex::encode(recovery.account_id().as_bytes()),
        "service": hex::encode(recovery.account_id().service_id().as_bytes()),
        "montgomery": hex::encode(recovery.to_montgomery()), "generations": generations,
    }))
}

fn address(case: &Value) -> Outcome {
    let address: ServerAddress = case["text"].as_str().unwrap().parse().map_err(text)?;
    assert_eq!(address.to_string().parse(), Ok(address.clone()));
    let hosts: Vec<_> = address.hosts().iter().map(ToString::to_string).collect();
    Ok(json!({ "key": hex::encode(address.key().as_bytes()), "hosts": hosts, "public": address.is_public() }))
}

fn link(case: &Value) -> Outcome {
    let given = case["text"].as_str().unwrap();
    let link: ContactLink = given.parse().map_err(text)?;
    assert_eq!(link.to_text().as_str(), given.to_lowercase());
    Ok(json!({
        "account": hex::encode(link.account_id().as_bytes()), "reach_key": hex::encode(link.reach_key().as_bytes()),
        "token": link.token().map(|token| hex::encode(token.as_bytes())), "servers": link.key_servers().len(),
    }))
}

fn name(case: &Value) -> Outcome {
    let name: Name = case["text"].as_str().unwrap().parse().map_err(text)?;
    Ok(json!({ "skeleton": name.skeleton().as_str(), "reserved": name.is_reserved() }))
}

fn verified_statement(recovery: &Value, object: &Value) -> Result<GenerationStatement, String> {
    let recovery = RecoveryPublicKey::from_bytes(&bytes(recovery)).map_err(text)?;
    let object = bytes(object);
    let statement = GenerationStatementIn::decode(&object).map_err(text)?;
    assert_eq!(statement.encode(), object);
    let statement = statement.verify(&recovery).map_err(text)?;
    assert_eq!(statement.encode(), object);
    Ok(statement)
}

fn statement(case: &Value) -> Outcome {
    let statement = verified_statement(&case["recovery"], &case["object"])?;
    Ok(json!({
        "account": hex::encode(statement.account_id().as_bytes()), "generation": statement.generation().0,
        "root": hex::encode(statement.root_key().as_bytes()), "hash": hex::encode(statement.hash().as_bytes()),
        "last_trusted": statement.last_trusted().map(|hash| hex::encode(hash.as_bytes())),
    }))
}

fn verified_manifest(proven: &Value, now: u64) -> Result<Manifest, String> {
    let statement = verified_statement(&proven["recovery"], &proven["statement"]).expect("the statement verifies");
    let object = bytes(&proven["object"]);
    let manifest = ManifestIn::decode(&object).map_err(text)?;
    assert_eq!(manifest.encode(), object);
    let manifest = manifest.verify(&statement, Timestamp(now)).map_err(text)?;
    assert_eq!(manifest.encode(), object);
    Ok(manifest)
}

fn manifest(case: &Value) -> Outcome {
    let now = case["now"].as_u64().unwrap();
    let manifest = verified_manifest(case, now)?;
    let content = manifest.content();
    let validity = match manifest.validity(Timestamp(now)) {
        Validity::Fresh => "fresh",
        Validity::RenewalDue => "renewal due",
        Validity::Expired => "expired",
    };
    Ok(json!({
        "account": hex::encode(content.account_id().as_bytes()), "generation": content.generation().0,
        "sequence": content.sequence().0, "previous": hex::encode(content.previous().as_bytes()),
        "content_hash": hex::encode(manifest.content_hash().as_bytes()), "issued": manifest.issued().0,
        "expires": manifest.expires().0, "final": content.is_final(),
        "devices": content.devices().iter().map(|device| device.id().value()).collect::<Vec<_>>(), "validity": validity,
    }))
}

/// Steps and histories are not about dates: a clock after all of them.
const LATER: u64 = NOW + 1_000 * forge::DAY;

fn step(case: &Value) -> Outcome {
    let known = Some(&case["current"]).filter(|current| !current.is_null());
    let current = known.map(|current| verified_manifest(current, LATER).expect("the current one verifies"));
    let candidate = verified_manifest(&case["candidate"], LATER).expect("the candidate verifies");
    let step = history::step(current.as_ref(), &candidate).map_err(text)?;
    Ok(json!(match step {
        Step::First => "first",
        Step::Same => "same",
        Step::Renewal => "renewal",
        Step::Next => "next",
        Step::Generation => "generation",
    }))
}

fn histories(case: &Value) -> Outcome {
    let proven = case["manifests"].as_array().unwrap();
    let manifests: Vec<_> =
        proven.iter().map(|proven| verified_manifest(proven, LATER).expect("it verifies")).collect();
    let index = |wanted: &Manifest| manifests.iter().position(|manifest| manifest == wanted).unwrap();
    let mut outcome = None;
    // Forwards, backwards and rotated: the order of arrival changes nothing.
    let mut order: Vec<_> = manifests.iter().collect();
    for turn in 0..2 * order.len() {
        order.rotate_left(1);
        if turn == order.len() {
            order.reverse();
        }
        let mut history = History::new(order[0].clone());
        for manifest in &order[1..] {
            history.insert((*manifest).clone()).unwrap();
        }
        let chain: Vec<_> = history.chain().into_iter().map(index).collect();
        let fork = history.fork().map(|(_, _, rule)| text(rule)[2..].split(':').next().unwrap().to_owned());
        let found = json!({ "winner": history.winner().map(index), "chain": chain, "fork": fork });
        assert_eq!(outcome.get_or_insert_with(|| found.clone()), &found, "order of arrival");
    }
    Ok(outcome.unwrap())
}

fn under(case: &Value) -> Manifest {
    verified_manifest(&case["manifest"], NOW).expect("the manifest verifies")
}

fn reach(case: &Value) -> Outcome {
    let object = bytes(&case["object"]);
    if case["kind"] == "record" {
        let record = ReachRecordIn::decode(&object).map_err(text)?.verify(&under(case)).map_err(text)?;
        assert_eq!(record.encode(), object);
        return Ok(json!({
            "device": record.signer().device.value(), "number": record.number(), "reach_key": record.reach_key(),
            "sealed": hex::encode(record.sealed()),
        }));
    }
    let entry = ReachEntryIn::decode(&object).map_err(text)?.verify(&under(case)).map_err(text)?;
    assert_eq!(entry.encode(), object);
    let mailboxes: Vec<_> = entry.mailboxes().iter().map(|address| address.mailbox.as_bytes()[0]).collect();
    Ok(json!({ "device": entry.signer().device.value(), "number": entry.number(), "mailboxes": mailboxes }))
}

fn listing(case: &Value) -> Outcome {
    let object = bytes(&case["object"]);
    let name: Name = case["name_asked"].as_str().unwrap().parse().unwrap();
    let server = ServerPublicKey::from_bytes(&bytes(&case["server"])).unwrap();
    let listing = ListingIn::decode(&object).map_err(text)?.verify(&name, &server, &under(case)).map_err(text)?;
    assert_eq!(listing.encode(), object);
    let (device, reach_key) = (listing.signer().device.value(), hex::encode(listing.reach_key().as_bytes()));
    Ok(json!({ "device": device, "number": listing.number(), "reach_key": reach_key }))
}

fn moved(case: &Value) -> Outcome {
    let object = bytes(&case["object"]);
    let from = ServerPublicKey::from_bytes(&bytes(&case["from"])).unwrap();
    let now = Timestamp(case["now"].as_u64().unwrap());
    let moved = MovedIn::decode(&object).map_err(text)?.verify(&from, now).map_err(text)?;
    assert_eq!(moved.encode(), object);
    let to = hex::encode(moved.to().key().as_bytes());
    Ok(json!({ "to": to, "number": moved.number(), "expires": moved.expires().0 }))
}

fn prekey(case: &Value) -> Outcome {
    let object = bytes(&case["object"]);
    let prekey = PrekeyIn::decode(&object).map_err(text)?.verify(&under(case)).map_err(text)?;
    assert_eq!(prekey.encode(), object);
    let facts = prekey.facts();
    Ok(json!({
        "device": prekey.signer().device.value(), "kind": facts.kind.number(), "id": facts.id,
        "key": hex::encode(&facts.key), "signed": facts.identity_signature.is_some(),
    }))
}

fn request(case: &Value) -> Outcome {
    let object = bytes(&case["object"]);
    let exporter = Exporter::from_bytes(array(&case["exporter"]));
    let number = u32::try_from(case["number"].as_u64().unwrap()).unwrap();
    let request = BoundRequestIn::decode(&object).map_err(text)?;
    let request = request.verify(&under(case), &exporter, number).map_err(text)?;
    Ok(json!({ "device": request.signer().device.value(), "request": hex::encode(request.request()) }))
}
