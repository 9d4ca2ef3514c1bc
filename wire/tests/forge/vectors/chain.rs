//! Steps from one manifest to another, and which of many counts.
use serde_json::{Value, json};

use super::{ALICE, MALLORY, bad, good};
use crate::forge::{Account, DAY, Device, Manifest, Statement};

/// A manifest with what verifies it.
fn proven(account: &Account, manifest: &Manifest) -> Value {
    proven_by(account, &account.statement(manifest.generation), manifest)
}

fn proven_by(account: &Account, statement: &Statement, manifest: &Manifest) -> Value {
    json!({
        "recovery": hex::encode(account.recovery()), "statement": hex::encode(statement.encode()),
        "object": hex::encode(manifest.encode()),
    })
}

pub(super) fn steps() -> Vec<Value> {
    let one = ALICE.first(0);
    let two = one.with_device(2);
    let three = two.with_device(3);
    let removed = three.without_device(2);
    let next_generation = ALICE.first(1);
    let mut cases = Vec::new();
    let pair = |current: Option<&Manifest>, candidate: &Manifest| {
        let current = current.map(|current| proven(&ALICE, current));
        json!({ "current": current, "candidate": proven(&ALICE, candidate) })
    };
    for (name, current, candidate, step) in [
        ("the first", None, &one, "first"),
        ("the first known is of a later generation", None, &next_generation, "first"),
        ("the same again", Some(&two), &two, "same"),
        ("a device is added", Some(&one), &two, "next"),
        ("a device is removed", Some(&three), &removed, "next"),
        ("a renewal", Some(&two), &two.renewed(20), "renewal"),
        ("the next of a renewed one", Some(&one.renewed(1)), &two.changed(later), "next"),
        ("deletion", Some(&two), &two.deleted(), "next"),
        ("a higher generation", Some(&three), &next_generation, "generation"),
        ("a generation is skipped", Some(&three), &ALICE.first(7), "generation"),
        ("a higher generation after deletion", Some(&two.deleted()), &next_generation, "generation"),
        ("deletion from the words", Some(&two), &deleted(&next_generation), "generation"),
        ("a capability is added", Some(&two), &two.next().changed(|m| m.devices[0].suites = vec![1, 2]), "next"),
    ] {
        cases.push(good(name, pair(current, candidate), json!(step)));
    }
    for (name, current, candidate, rule) in [
        ("nothing known and not the first", None, &two, "11.6.2.3"),
        ("a lower generation", Some(&next_generation), &two, "11.6.2.2"),
        ("a higher generation that does not begin at 0", Some(&two), &next_generation.with_device(9), "11.6.2.3"),
        ("a content is missing in between", Some(&one), &three, "11.6.2.3"),
        ("an older content", Some(&three), &two, "11.6.2.4"),
        ("an older renewal", Some(&two.renewed(20)), &two, "11.6.2.4"),
        ("issued before its predecessor", Some(&one.renewed(1)), &two, "11.6.2.5"),
        ("a fork: another content at the same place", Some(&two), &one.with_device(9), "11.6.3.1"),
        ("a fork: another first content", Some(&one), &one.changed(|m| m.devices[0].suites = vec![2]), "11.6.3.1"),
        ("a fork: another predecessor", Some(&two), &one.with_device(9).with_device(3), "11.6.3.2"),
        ("out of chain: a previous hash of ones", Some(&one), &two.changed(|m| m.previous = vec![1; 32]), "11.6.3.2"),
        ("a content after deletion", Some(&two.deleted()), &revived(&two), "11.6.3.3"),
        ("a removed device's id is given again", Some(&removed), &reused(&removed), "11.6.3.4"),
        ("a removed device returns", Some(&removed), &returned(&removed), "11.6.3.4"),
        ("B8: a ghost device slipped in behind its time", Some(&three), &backdated(&three), "11.6.3.4"),
        ("a device's keys change", Some(&two), &rekeyed(&two), "11.6.3.4"),
        (
            "a device's registration id changes",
            Some(&two),
            &two.next().changed(|m| m.devices[0].registration = 7),
            "11.6.3.4",
        ),
        ("the highest id falls", Some(&removed), &fallen(&removed), "11.6.3.4"),
        ("a suite vanishes", Some(&two), &two.next().changed(|m| m.devices[0].suites = vec![2]), "11.6.3.5"),
        (
            "a content version vanishes",
            Some(&two),
            &two.next().changed(|m| m.devices[1].contents = vec![2]),
            "11.6.3.5",
        ),
    ] {
        cases.push(bad(name, pair(current, candidate), rule));
    }
    let foreign = json!({ "current": proven(&ALICE, &one), "candidate": proven(&MALLORY, &MALLORY.first(1)) });
    cases.push(bad("another account", foreign, "11.6.2.1"));
    cases
}

fn later(manifest: &mut Manifest) {
    manifest.issued += 2 * DAY;
    manifest.expires += 2 * DAY;
}

fn deleted(first: &Manifest) -> Manifest {
    first.changed(|m| {
        (m.is_final, m.last_device) = (true, 0);
        m.devices.clear();
        m.servers.clear();
    })
}

fn revived(two: &Manifest) -> Manifest {
    let after = two.deleted().next();
    two.changed(|m| (m.sequence, m.previous) = (after.sequence, after.previous))
}

fn reused(removed: &Manifest) -> Manifest {
    let mut next = removed.next();
    next.devices.insert(1, Device::new(2, next.sequence, 9));
    next
}

fn returned(removed: &Manifest) -> Manifest {
    let mut next = removed.next();
    next.devices.insert(1, Device::new(2, 1, 2));
    next
}

fn backdated(three: &Manifest) -> Manifest {
    let mut next = three.next();
    next.last_device += 1;
    next.devices.push(Device::new(4, 1, 9));
    next
}

fn rekeyed(two: &Manifest) -> Manifest {
    let mut next = two.next();
    next.devices[1] = Device::new(2, 1, 9);
    next
}

fn fallen(removed: &Manifest) -> Manifest {
    let mut next = removed.without_device(3);
    next.last_device = 1;
    next
}

pub(super) fn histories() -> Vec<Value> {
    let one = ALICE.first(0);
    let two = one.with_device(2);
    let three = two.with_device(3);
    let (other_two, next_generation) = (one.with_device(9), ALICE.first(1));
    let (other_three, other_four) = (other_two.with_device(8), other_two.with_device(8).with_device(7));
    let lower = if two.hash() < other_two.hash() { 1 } else { 2 };
    let restored_twice = {
        let statement = Statement { last_trusted: Some(vec![0x66; 32]), ..ALICE.statement(1) };
        let manifest = next_generation.changed(|m| {
            m.previous = statement.hash().to_vec();
            m.devices = vec![Device::new(1, 0, 5)];
        });
        (statement, manifest)
    };
    let mut cases = Vec::new();
    for (name, manifests, winner, chain, fork) in [
        ("one manifest", vec![&one], 0, vec![0], None),
        ("a chain", vec![&one, &two, &three], 2, vec![2, 1, 0], None),
        ("a chain with a gap", vec![&one, &three], 1, vec![1, 0], None),
        ("a renewal counts for its content", vec![&two, &two.renewed(20)], 1, vec![1], None),
        ("a renewal of an old content does not count", vec![&one.renewed(40), &two], 1, vec![1, 0], None),
        ("a higher generation beats a longer chain", vec![&one, &two, &three, &next_generation], 3, vec![3], None),
        ("a fork of one length: the lower hash", vec![&one, &two, &other_two], lower, vec![lower, 0], Some("11.6.3.1")),
        (
            "a fork: the longer branch",
            vec![&one, &two, &three, &other_two, &other_three, &other_four],
            5,
            vec![5, 4, 3, 0],
            Some("11.6.3.1"),
        ),
        ("a fork seen by its tips only", vec![&two, &other_three], 1, vec![1], Some("11.6.3.2")),
        (
            "deletion beats the longer branch",
            vec![&one, &two.deleted(), &other_two, &other_four],
            1,
            vec![1, 0],
            Some("11.6.3.2"),
        ),
        ("a ghost device behind its time", vec![&three, &backdated(&three)], 1, vec![1], Some("11.6.3.4")),
        (
            "a capability vanished",
            vec![&two, &two.next().changed(|m| m.devices[0].suites = vec![2])],
            1,
            vec![1],
            Some("11.6.3.5"),
        ),
    ] {
        let manifests: Vec<_> = manifests.into_iter().map(|manifest| proven(&ALICE, manifest)).collect();
        let expected = json!({ "winner": winner, "chain": chain, "fork": fork });
        cases.push(good(name, json!({ "manifests": manifests }), expected));
    }
    let (statement, other) = restored_twice;
    let winner = usize::from(other.hash() < next_generation.hash());
    let manifests = [proven(&ALICE, &next_generation), proven_by(&ALICE, &statement, &other)];
    let expected = json!({ "winner": winner, "chain": [winner], "fork": "11.6.3.1" });
    cases.push(good("two restores at once", json!({ "manifests": manifests }), expected));
    cases
}
