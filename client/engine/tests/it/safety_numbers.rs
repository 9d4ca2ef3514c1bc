//! What two people compare.
use waxwing_engine::ScanError;
use waxwing_protocol::{Fingerprint, FingerprintVersion, IdentityKey, Iterations, SafetyNumber};

use crate::town::Town;

#[test]
fn both_sides_see_one_number_and_each_takes_the_others_code() {
    let town = Town::with_two_friends();
    let (alice, bob) = (town.account(0), town.account(1));
    let ours = town.residents[0].engine().safety_number(&bob).unwrap();
    let theirs = town.residents[1].engine().safety_number(&alice).unwrap();
    assert_eq!(ours.digits(), theirs.digits());
    assert_eq!(ours.compare(&theirs.scannable()), Ok(()));
    assert_eq!(theirs.compare(&ours.scannable()), Ok(()));
    assert_eq!(ours.compare(&ours.scannable()), Err(ScanError::Different), "one's own screen is not the other's");
    let groups: Vec<String> = ours.to_string().split(' ').map(str::to_owned).collect();
    assert!(groups.len() == 12 && groups.iter().all(|group| group.len() == 5));
    assert_eq!(groups.concat(), ours.digits());
}

#[test]
fn another_account_has_another_number() {
    let mut town = Town::with_two_friends();
    let carol = town.settle_in(3);
    town.befriend(0, carol);
    let engine = town.residents[0].engine();
    let bobs = engine.safety_number(&town.account(1)).unwrap();
    let carols = engine.safety_number(&town.account(carol)).unwrap();
    assert_ne!(bobs.digits(), carols.digits());
    let scanned = town.residents[carol].engine().safety_number(&town.account(0)).unwrap().scannable();
    assert_eq!(bobs.compare(&scanned), Err(ScanError::Different));
    assert_eq!(bobs.compare(b"https://example.org"), Err(ScanError::NotASafetyNumber));
    // Version 1 instead of 2.
    let mut older = scanned;
    assert_eq!(older[..2], [0x08, 2]);
    older[1] = 1;
    assert_eq!(carols.compare(&older), Err(ScanError::Version { ours: 2, theirs: 1 }));
}

#[test]
fn the_number_is_the_protocols_of_recovery_keys_and_account_ids() {
    let town = Town::with_two_friends();
    let half = |index: usize| {
        let account = town.account(index);
        let objects = town.objects_of(&account).verify(&account, town.now).unwrap();
        let key = IdentityKey::from_ed25519(objects.recovery_key.as_bytes()).unwrap();
        Fingerprint::new(&key, account.as_bytes(), Iterations::STANDARD)
    };
    let expected = SafetyNumber { version: FingerprintVersion::AccountId, local: half(0), remote: half(1) };
    let number = town.residents[0].engine().safety_number(&town.account(1)).unwrap();
    assert_eq!(number.digits(), expected.display());
    assert_eq!(number.scannable(), expected.scannable().encode());
}
