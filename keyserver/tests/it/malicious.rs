//! A key server that lies, and a client that believes nothing it cannot verify (spec/19-keyserver.md §19.11; attacks A1, B8).
//!
//! The double has everything a server has: all objects that were ever published, of honest people and of its own accounts. It has
//! no key of anybody else's. What it answers is checked by the verifiers of `waxwing-wire` alone, and by what a client remembers.
use waxwing_wire::{
    history::{History, Inserted},
    keys::ServerKey,
    keyserver::{AccountError, AccountObjects, Bundle, Bundles, BundlesError},
    listing::{ListingError, ListingIn, ListingPlace},
    manifest::{Capabilities, Device, DeviceKeys, Draft, Manifest, ManifestError, RegistrationId, Validity},
    prekey::{Prekey, PrekeyError, PrekeyKind},
    reach::{ReachError, ReachRecordIn},
    signer::SignerError,
};

use crate::people::{NOW, Person, at, device_id, name, server_key};

/// Bob with two devices, everything he ever published, and the server's own account.
struct Evil {
    bob: Person,
    /// Generation 0: one device, two, three, two; and a renewal of the last.
    published: Vec<Manifest>,
    eve: Person,
    eves: Manifest,
}

impl Evil {
    fn new() -> Self {
        let (bob, eve) = (Person::new(2), Person::new(666));
        let first = bob.first(0);
        let second = bob.with_device(&first);
        let third = bob.with_device(&second);
        let fourth = bob.without_device(&third, 3);
        let renewed = bob.renewed(&fourth, at(25));
        let eves = eve.with_device(&eve.first(0));
        Self { published: vec![first, second, third, fourth, renewed], bob, eve, eves }
    }

    fn current(&self) -> &Manifest {
        self.published.last().unwrap()
    }

    fn objects(&self, manifest: &Manifest) -> AccountObjects {
        let statement = self.bob.statement(manifest.content().generation().0).encode();
        AccountObjects { recovery_key: *self.bob.recovery.as_bytes(), statement, manifest: manifest.encode() }
    }

    fn bundle(&self, device: u32) -> Bundle {
        let key = |kind, id| self.bob.prekey(self.current(), device, kind, id).encode();
        Bundle {
            device: device_id(device),
            signed: key(PrekeyKind::SignedX25519, 1),
            one_time: Some(key(PrekeyKind::OneTimeX25519, 2)),
            kyber: key(PrekeyKind::OneTimeKyber1024, 3),
            last_resort: false,
        }
    }

    fn honest(&self) -> Bundles {
        Bundles { account: self.objects(self.current()), bundles: vec![self.bundle(1), self.bundle(2)] }
    }

    fn refused(&self, bundles: &Bundles) -> BundlesError {
        bundles.verify(&self.bob.id(), &[], at(26)).unwrap_err()
    }
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

#[test]
fn an_honest_answer_verifies() {
    let evil = Evil::new();
    let verified = evil.honest().verify(&evil.bob.id(), &[], at(26)).unwrap();
    assert_eq!(verified.bundles.len(), 2);
    assert!(evil.honest().verify(&evil.bob.id(), &[device_id(1), device_id(2)], at(26)).is_ok());
}

#[test]
fn a1_no_bit_of_a_bundle_can_be_changed() {
    let evil = Evil::new();
    let honest = evil.honest();
    let fields: [fn(&mut Bundle) -> &mut Vec<u8>; 3] =
        [|bundle| &mut bundle.signed, |bundle| bundle.one_time.as_mut().unwrap(), |bundle| &mut bundle.kyber];
    for field in fields {
        let length = field(&mut honest.bundles[0].clone()).len() * 8;
        // Every bit of the short ones, every 37th of the Kyber key.
        for bit in (0..length).step_by(if length > 8_000 { 37 } else { 1 }) {
            let mut altered = honest.clone();
            let bytes = field(&mut altered.bundles[0]);
            *bytes = flipped(bytes, bit);
            let error = evil.refused(&altered);
            assert!(matches!(error, BundlesError::Prekey { .. }), "bit {bit}: {error}");
        }
    }
}

#[test]
fn b8_no_bit_of_an_account_can_be_changed() {
    let evil = Evil::new();
    let objects = evil.objects(evil.current());
    let verify = |objects: &AccountObjects| objects.verify(&evil.bob.id(), at(26));
    verify(&objects).unwrap();
    for bit in 0..256 {
        let mut altered = objects.clone();
        altered.recovery_key = flipped(&objects.recovery_key, bit).try_into().unwrap();
        assert!(matches!(verify(&altered), Err(AccountError::Account | AccountError::Key(_))), "{bit}");
    }
    for bit in 0..objects.statement.len() * 8 {
        let altered = AccountObjects { statement: flipped(&objects.statement, bit), ..objects.clone() };
        assert!(matches!(verify(&altered), Err(AccountError::Statement(_))), "{bit}");
    }
    for bit in 0..objects.manifest.len() * 8 {
        let altered = AccountObjects { manifest: flipped(&objects.manifest, bit), ..objects.clone() };
        assert!(matches!(verify(&altered), Err(AccountError::Manifest(_))), "{bit}");
    }
}

#[test]
fn b8_a_ghost_device_is_never_listed() {
    let evil = Evil::new();
    let (bob, eve) = (&evil.bob, &evil.eve);
    // The server makes a device of its own for Bob's account, at the place where one would join.
    let mut draft = Draft::after(evil.current()).unwrap();
    let place = draft.place().unwrap();
    let key = eve.device_key(9, 9);
    let keys = DeviceKeys {
        signing: key.public_key(),
        registration: RegistrationId::try_from(7).unwrap(),
        ..*evil.eves.device(device_id(1)).unwrap().keys()
    };
    draft.add(Device::joining(&key, place, keys, Capabilities::new(&[1], &[1]).unwrap())).unwrap();
    // It signs with what it has: its own roots. Then the statement is another's, or the signature.
    let ghost = draft.sign(&eve.root(0), at(26)).unwrap();
    let mut bundles = evil.honest();
    bundles.account.manifest = ghost.encode();
    let error = evil.refused(&bundles);
    assert!(matches!(error, BundlesError::Account(AccountError::Manifest(ManifestError::Signature(_)))), "{error}");
    bundles.account.statement = eve.statement(0).encode();
    let error = evil.refused(&bundles);
    assert!(matches!(error, BundlesError::Account(AccountError::Statement(_))), "{error}");
    bundles.account.recovery_key = *eve.recovery.as_bytes();
    assert_eq!(evil.refused(&bundles), BundlesError::Account(AccountError::Account));
    // A bundle for a device that the genuine manifest lacks.
    let mut bundles = evil.honest();
    let mut ghost = evil.bundle(2);
    ghost.device = device_id(4);
    bundles.bundles.push(ghost);
    assert_eq!(evil.refused(&bundles), BundlesError::Place { device: device_id(4) });
    // Or its own keys under Bob's device.
    let mut bundles = evil.honest();
    bundles.bundles[0].signed = eve.prekey(&evil.eves, 1, PrekeyKind::SignedX25519, 1).encode();
    let error = BundlesError::Prekey { device: device_id(1), error: PrekeyError::Signer(SignerError::Account) };
    assert_eq!(evil.refused(&bundles), error);
    // A device that was removed does not come back with its old prekeys.
    let third = &evil.published[2];
    let mut removed = evil.bundle(2);
    removed.device = device_id(3);
    removed.signed = bob.prekey(third, 3, PrekeyKind::SignedX25519, 1).encode();
    removed.one_time = None;
    let mut bundles = evil.honest();
    bundles.bundles.push(removed);
    let error = SignerError::Device { device: device_id(3) };
    assert_eq!(
        evil.refused(&bundles),
        BundlesError::Prekey { device: device_id(3), error: PrekeyError::Signer(error) }
    );
}

/// What an evil server does to a good answer.
type Swap = fn(&mut Bundles);

#[test]
fn a1_prekeys_are_not_swapped_between_devices_kinds_generations_or_accounts() {
    let evil = Evil::new();
    let honest = evil.honest();
    let swaps: [(&str, Swap); 8] = [
        ("signed keys of two devices", |b| {
            let (one, two) = b.bundles.split_at_mut(1);
            std::mem::swap(&mut one[0].signed, &mut two[0].signed);
        }),
        ("one-time keys of two devices", |b| {
            let (one, two) = b.bundles.split_at_mut(1);
            std::mem::swap(&mut one[0].one_time, &mut two[0].one_time);
        }),
        ("Kyber keys of two devices", |b| {
            let (one, two) = b.bundles.split_at_mut(1);
            std::mem::swap(&mut one[0].kyber, &mut two[0].kyber);
        }),
        ("a signed key as a one-time key", |b| b.bundles[0].one_time = Some(b.bundles[0].signed.clone())),
        ("a one-time key as the signed key", |b| b.bundles[0].signed = b.bundles[0].one_time.clone().unwrap()),
        ("a one-time Kyber key as the last resort", |b| b.bundles[0].last_resort = true),
        ("an X25519 key as the Kyber key", |b| b.bundles[0].kyber = b.bundles[0].signed.clone()),
        ("whole bundles", |b| {
            b.bundles[0].device = device_id(2);
            b.bundles[1].device = device_id(3);
        }),
    ];
    for (what, swap) in swaps {
        let mut swapped = honest.clone();
        swap(&mut swapped);
        assert!(matches!(evil.refused(&swapped), BundlesError::Place { .. }), "{what}");
    }
    // A last-resort key that is not said to be one.
    let mut hidden = honest.clone();
    hidden.bundles[0].kyber = evil.bob.prekey(evil.current(), 1, PrekeyKind::LastResortKyber1024, 9).encode();
    assert_eq!(evil.refused(&hidden), BundlesError::Place { device: device_id(1) });
    hidden.bundles[0].last_resort = true;
    hidden.verify(&evil.bob.id(), &[], at(26)).unwrap();
    // Of another generation of the same account, with the same device id.
    let next = evil.bob.first(1);
    let mut old = honest.clone();
    old.bundles[0].kyber = evil.bob.prekey(&next, 1, PrekeyKind::OneTimeKyber1024, 3).encode();
    let error = PrekeyError::Signer(SignerError::Generation);
    assert_eq!(evil.refused(&old), BundlesError::Prekey { device: device_id(1), error });
}

#[test]
fn bundles_that_were_not_asked_for_stand_twice_or_out_of_order_are_refused() {
    let evil = Evil::new();
    let honest = evil.honest();
    let verify = |bundles: &Bundles, asked: &[u32]| {
        let asked: Vec<_> = asked.iter().map(|id| device_id(*id)).collect();
        bundles.verify(&evil.bob.id(), &asked, at(26)).map(drop)
    };
    assert_eq!(verify(&honest, &[1]), Err(BundlesError::Device { device: device_id(2) }));
    let mut twice = honest.clone();
    twice.bundles[1] = twice.bundles[0].clone();
    assert_eq!(verify(&twice, &[]), Err(BundlesError::Device { device: device_id(1) }));
    let mut reversed = honest;
    reversed.bundles.reverse();
    assert_eq!(verify(&reversed, &[]), Err(BundlesError::Device { device: device_id(1) }));
}

#[test]
fn b8_an_old_manifest_or_generation_loses_against_what_a_client_knows() {
    let evil = Evil::new();
    let mut known = History::new(evil.current().clone());
    for old in &evil.published[..4] {
        // Genuine, so it verifies; and loses.
        let shown = evil.objects(old).verify(&evil.bob.id(), at(26)).unwrap().manifest;
        assert_eq!(known.insert(shown).unwrap(), Inserted::Old);
        assert_eq!(known.winner(), Some(evil.current()));
    }
    assert!(known.fork().is_none(), "old is not forked");
    // A generation that is over does not come back, however long its branch.
    let restored = evil.bob.first(1);
    assert_eq!(known.insert(restored.clone()).unwrap(), Inserted::NewGeneration);
    for old in &evil.published {
        assert_eq!(known.insert(old.clone()).unwrap(), Inserted::Old);
        assert_eq!(known.winner(), Some(&restored));
    }
}

#[test]
fn b8_an_old_manifest_ends_for_who_knows_nothing_and_begins_no_session() {
    let evil = Evil::new();
    // Issued on day 0: shown to a stranger it verifies, until day 60.
    let old = &evil.published[1];
    let mut bundles = evil.honest();
    bundles.account = evil.objects(old);
    bundles.verify(&evil.bob.id(), &[], at(59)).unwrap();
    assert_eq!(bundles.verify(&evil.bob.id(), &[], at(60)).unwrap_err(), BundlesError::Expired);
    assert_eq!(old.validity(at(60)), Validity::Expired);
}

#[test]
fn b8_a_fork_shows_as_soon_as_one_client_sees_both_branches() {
    let evil = Evil::new();
    // For this the server needs the root key: a thief's, who works with it.
    let branch = evil.bob.with_device(&evil.published[1]);
    assert_ne!(branch.content_hash(), evil.published[2].content_hash());
    let mut alice = History::new(evil.published[2].clone());
    alice.insert(branch.clone()).unwrap();
    assert!(alice.fork().is_some());
    // In whatever order, and the winner is the same.
    let mut carol = History::new(branch);
    carol.insert(evil.published[2].clone()).unwrap();
    assert!(carol.fork().is_some());
    assert_eq!(alice.winner(), carol.winner());
}

#[test]
fn a_history_without_its_statements_out_of_order_or_of_another_is_refused() {
    let evil = Evil::new();
    let page = |statements: Vec<Vec<u8>>, manifests: &[&Manifest]| waxwing_wire::keyserver::History {
        statements,
        manifests: manifests.iter().map(|manifest| manifest.encode()).collect(),
        more: false,
    };
    let statement = || vec![evil.bob.statement(0).encode()];
    let [first, second, ..] = &*evil.published else { panic!() };
    let verify = |page: waxwing_wire::keyserver::History| page.verify(&evil.bob.recovery, at(26)).map(|_| ());
    assert_eq!(verify(page(statement(), &[first, second])), Ok(()));
    assert_eq!(verify(page(vec![], &[first])), Err(AccountError::NoStatement));
    assert_eq!(verify(page(vec![evil.bob.statement(1).encode()], &[first])), Err(AccountError::NoStatement));
    assert_eq!(verify(page(statement(), &[second, first])), Err(AccountError::Order));
    assert_eq!(verify(page(statement(), &[first, first])), Err(AccountError::Order));
    assert!(matches!(verify(page(vec![evil.eve.statement(0).encode()], &[first])), Err(AccountError::Statement(_))));
    assert!(matches!(verify(page(statement(), &[&evil.eves])), Err(AccountError::Manifest(_))));
}

#[test]
fn a_listing_of_another_name_server_account_or_removed_device_is_refused() {
    let evil = Evil::new();
    let (bob, current, bobs) = (&evil.bob, evil.current(), name("bob-vole"));
    let server = server_key().public_key();
    let listing = bob.listing(current, 1, &bobs, 1).encode();
    let verify = |bytes: &[u8], name: &_, manifest| ListingIn::decode(bytes)?.verify(name, &server, manifest).map(drop);
    assert_eq!(verify(&listing, &bobs, current), Ok(()));
    assert_eq!(verify(&listing, &name("alice"), current), Err(ListingError::Name));
    // Eve's account under Bob's name is hers: the name says nothing about whose it is. Shown with Bob's manifest it fails.
    let hers = evil.eve.listing(&evil.eves, 1, &bobs, 1).encode();
    assert_eq!(verify(&hers, &bobs, current), Err(ListingError::Signer(SignerError::Account)));
    let elsewhere = ServerKey::from_seed(&[9; 32]).public_key();
    let place = ListingPlace { name: &bobs, server: &elsewhere };
    let foreign = bob.device_key(0, 1).sign_listing(bob.signer(0, 1), &place, &bob.root(0).reach_key(0), 1).unwrap();
    assert_eq!(verify(&foreign.encode(), &bobs, current), Err(ListingError::Server));
    let removed = bob.listing(&evil.published[2], 3, &bobs, 1).encode();
    let error = SignerError::Device { device: device_id(3) };
    assert_eq!(verify(&removed, &bobs, current), Err(ListingError::Signer(error)));
}

#[test]
fn a_reach_record_of_another_device_account_or_number_does_not_open() {
    let evil = Evil::new();
    let (bob, current) = (&evil.bob, evil.current());
    let verify = |bytes: &[u8]| ReachRecordIn::decode(bytes)?.verify(current).map(drop);
    let record = bob.reach(current, 1, 0, 1);
    assert_eq!(verify(&record.encode()), Ok(()));
    let hers = evil.eve.reach(&evil.eves, 1, 0, 1).encode();
    assert_eq!(verify(&hers), Err(ReachError::Signer(SignerError::Account)));
    let removed = bob.reach(&evil.published[2], 3, 0, 1).encode();
    assert!(matches!(verify(&removed), Err(ReachError::Signer(SignerError::Device { .. }))));
    // Under another reach key it is shut.
    assert!(record.open(&bob.root(0).reach_key(1), current).is_err());
    assert!(record.open(&bob.root(0).reach_key(0), current).is_ok());
}

#[test]
fn a_request_replayed_by_the_server_is_good_nowhere() {
    use waxwing_wire::request::{BoundRequestIn, Exporter, RequestError};
    let evil = Evil::new();
    let (here, there) = (Exporter::from_bytes([1; 32]), Exporter::from_bytes([2; 32]));
    let request = evil.bob.device_key(0, 1).sign_request(evil.bob.signer(0, 1), &here, 0, b"request").unwrap().encode();
    let verify =
        |exporter, number| BoundRequestIn::decode(&request)?.verify(evil.current(), exporter, number).map(drop);
    assert_eq!(verify(&here, 0), Ok(()));
    assert_eq!(verify(&there, 0), Err(RequestError::Connection), "at another server, or on another connection");
    assert_eq!(verify(&here, 1), Err(RequestError::Number { found: 0, expected: 1 }));
}

#[test]
fn a_key_that_is_handed_out_twice_or_lost_shows_in_the_devices_digest() {
    use waxwing_wire::keyserver::PrekeyIds;
    let own = PrekeyIds::new(Some(1), Some(2), vec![11, 12, 13], vec![21, 22]).unwrap();
    // What the device knows to be used: 11. The server lost 12 as well, or kept 11.
    let expected = PrekeyIds::new(Some(1), Some(2), vec![12, 13], vec![21, 22]).unwrap();
    let lost = PrekeyIds::new(Some(1), Some(2), vec![13], vec![21, 22]).unwrap();
    let digests = [own.digest(), expected.digest(), lost.digest()];
    assert!(digests.iter().enumerate().all(|(index, digest)| !digests[..index].contains(digest)));
    let swapped = PrekeyIds::new(Some(2), Some(1), vec![12, 13], vec![21, 22]).unwrap();
    assert_ne!(swapped.digest(), expected.digest());
}

#[test]
fn prekeys_of_one_upload_name_their_place() {
    // What the checks above rest on: nothing in a bundle can be read in two ways.
    let evil = Evil::new();
    let of = |device, kind| -> Prekey { evil.bob.prekey(evil.current(), device, kind, 1) };
    let (one, two) = (of(1, PrekeyKind::SignedX25519), of(2, PrekeyKind::SignedX25519));
    assert_ne!(one.signer(), two.signer());
    assert_eq!(one.signer().account, evil.bob.id());
    let _ = NOW;
}
