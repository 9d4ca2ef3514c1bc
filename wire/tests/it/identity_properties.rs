//! What holds for every history, every object and every byte of it (spec/11-identity.md; attacks B8, E5).
use std::{cmp::Ordering, collections::BTreeMap};

use proptest::prelude::*;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use waxwing_wire::{
    address::ServerAddress,
    history::{self, History, Inserted, Step, StepError},
    id::{DeviceId, MailboxId},
    keys::ServerKey,
    link::ContactLink,
    listing::{ListingIn, ListingPlace},
    manifest::{Capabilities, Draft, DraftError, Manifest, ManifestError, ManifestIn},
    moved::MovedIn,
    prekey::{PrekeyFacts, PrekeyIn, PrekeyKind},
    reach::{MailboxAddress, ReachEntryIn, ReachRecordIn},
    request::{BoundRequestIn, Exporter},
    signature::Signature,
    statement::GenerationStatementIn,
    time::Timestamp,
};

use crate::{
    account::{Owner, device_key, join, server_address, server_key},
    forge::{self, DAY, NOW, vectors::ALICE},
};

/// What a primary, a thief of its root key, or the words do next. Numbers choose among what is possible.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Any known manifest of the newest generation gets a successor: more than one if chosen twice, a fork.
    AddDevice(usize, u8),
    RemoveDevice(usize, usize),
    AddSuite(usize, u16),
    DropSuite(usize),
    Renew(usize, u64),
    Delete(usize),
    NewGeneration(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (any::<usize>(), 1u8..60).prop_map(|(from, seed)| Act::AddDevice(from, seed)),
        3 => (any::<usize>(), any::<usize>()).prop_map(|(from, which)| Act::RemoveDevice(from, which)),
        2 => (any::<usize>(), 2u16..9).prop_map(|(from, suite)| Act::AddSuite(from, suite)),
        1 => any::<usize>().prop_map(Act::DropSuite),
        2 => (any::<usize>(), 1u64..40).prop_map(|(from, days)| Act::Renew(from, days)),
        1 => any::<usize>().prop_map(Act::Delete),
        1 => (1u8..60).prop_map(Act::NewGeneration),
    ]
}

/// Plays the acts with the forge, honest and not, and verifies what comes out.
fn world(acts: &[Act], honest: bool) -> Vec<Manifest> {
    let mut made = vec![ALICE.first(0)];
    for act in acts {
        let generation = made.iter().map(|manifest| manifest.generation).max().unwrap();
        let possible: Vec<_> =
            made.iter().filter(|manifest| manifest.generation == generation && !manifest.is_final).collect();
        let pick = |from: usize| {
            let tip = possible.iter().max_by_key(|manifest| manifest.sequence).copied();
            let deleted = made.iter().any(|manifest| manifest.generation == generation && manifest.is_final);
            if honest { tip.filter(|_| !deleted) } else { possible.get(from % possible.len().max(1)).copied() }
        };
        let next = match *act {
            Act::AddDevice(from, seed) => pick(from)
                .filter(|manifest| manifest.devices.len() < 16)
                .filter(|manifest| manifest.devices.iter().all(|device| device.registration != 1000 + u64::from(seed)))
                .map(|manifest| manifest.with_device(seed)),
            Act::RemoveDevice(from, which) => pick(from)
                .filter(|manifest| manifest.devices.len() > 1)
                .map(|manifest| manifest.without_device(manifest.devices[which % manifest.devices.len()].id)),
            Act::AddSuite(from, suite) => pick(from).map(|manifest| {
                manifest.next().changed(|m| {
                    m.devices[0].suites.push(u64::from(suite));
                    m.devices[0].suites.sort_unstable();
                    m.devices[0].suites.dedup();
                    m.devices[0].suites.truncate(8);
                })
            }),
            Act::DropSuite(_) if honest => None,
            Act::DropSuite(from) => {
                pick(from).map(|manifest| manifest.next().changed(|m| m.devices[0].suites = vec![9]))
            }
            Act::Renew(from, days) => pick(from).map(|manifest| manifest.renewed(days)),
            Act::Delete(from) => pick(from).map(forge::Manifest::deleted),
            Act::NewGeneration(seed) => {
                Some(ALICE.first(generation + 1).changed(|m| m.devices = vec![forge::Device::new(1, 0, seed)]))
            }
        };
        made.extend(next);
    }
    made.iter().map(verified).collect()
}

fn verified(made: &forge::Manifest) -> Manifest {
    let owner = waxwing_wire::keys::RecoveryPublicKey::from_bytes(&ALICE.recovery()).unwrap();
    let statement = GenerationStatementIn::decode(&ALICE.statement(made.generation).encode()).unwrap();
    let statement = statement.verify(&owner).unwrap();
    ManifestIn::decode(&made.encode()).unwrap().verify(&statement, Timestamp(NOW + 10_000 * DAY)).unwrap()
}

fn history_of(manifests: &[Manifest]) -> History {
    let (first, rest) = manifests.split_first().unwrap();
    let mut history = History::new(first.clone());
    for manifest in rest {
        history.insert(manifest.clone()).unwrap();
    }
    history
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    #[test]
    fn b8_order_of_arrival_never_changes_the_winner_the_chain_or_the_fork(
        acts in prop::collection::vec(act(), 1..14), shuffle in any::<u64>(), leave_out in any::<u16>(),
    ) {
        let mut manifests = world(&acts, false);
        // Some never arrive, so that gaps are in it too.
        let mut bits = leave_out;
        manifests.retain(|_| { bits = bits.rotate_left(1); bits & 3 != 3 });
        prop_assume!(!manifests.is_empty());
        let forwards = history_of(&manifests);
        let mut shuffled = manifests.clone();
        let mut state = shuffle | 1;
        for index in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(index, usize::try_from(state >> 33).unwrap() % (index + 1));
        }
        // Everything arrives twice, which changes nothing either.
        let backwards = history_of(&[shuffled.clone(), shuffled].concat());
        prop_assert_eq!(forwards.winner(), backwards.winner());
        prop_assert_eq!(forwards.chain(), backwards.chain());
        prop_assert_eq!(forwards.fork(), backwards.fork());
        let best = manifests.iter().max_by(|one, other| history::precedence(one, other));
        prop_assert_eq!(forwards.winner(), best);
    }

    #[test]
    fn any_set_of_verified_manifests_is_one_chain_of_contents_per_generation(acts in prop::collection::vec(act(), 1..14)) {
        let manifests = world(&acts, false);
        let mut generations: BTreeMap<_, Vec<Manifest>> = BTreeMap::new();
        for manifest in manifests {
            generations.entry(manifest.content().generation()).or_default().push(manifest);
        }
        for set in generations.into_values() {
            let history = history_of(&set);
            let chain = history.chain();
            prop_assert_eq!(chain.first().copied(), history.winner());
            for pair in chain.windows(2) {
                let (later, earlier) = (pair[0].content(), pair[1].content());
                // A final content leads the chain whatever its sequence; everything else descends.
                prop_assert!(earlier.sequence() < later.sequence());
                if earlier.sequence().next() == Some(later.sequence()) {
                    prop_assert_eq!(later.previous(), pair[1].content_hash());
                }
            }
            // What is left out contradicts the chain, and the fork is reported.
            let left_out = set.iter().any(|manifest| {
                chain.iter().all(|member| member.content_hash() != manifest.content_hash())
            });
            prop_assert!(!left_out || history.fork().is_some());
        }
    }

    #[test]
    fn an_honest_history_steps_and_never_forks(acts in prop::collection::vec(act(), 1..20)) {
        let mut current: Option<Manifest> = None;
        let manifests = world(&acts, true);
        for manifest in &manifests {
            match history::step(current.as_ref(), manifest) {
                Ok(_) => current = Some(manifest.clone()),
                // A renewal of fewer days than an earlier one, or a successor dated before a renewal, is refused.
                Err(StepError::Older | StepError::Dates | StepError::Gap) => {}
                Err(error) => prop_assert!(false, "{error}"),
            }
        }
        let history = history_of(&manifests);
        prop_assert_eq!(history.fork(), None);
    }

    #[test]
    fn precedence_is_a_total_order(acts in prop::collection::vec(act(), 1..10)) {
        let manifests = world(&acts, false);
        for one in &manifests {
            for other in &manifests {
                let order = history::precedence(one, other);
                prop_assert_eq!(order, history::precedence(other, one).reverse());
                prop_assert_eq!(order == Ordering::Equal, one == other);
                for third in &manifests {
                    if order != Ordering::Less && history::precedence(other, third) != Ordering::Less {
                        prop_assert_ne!(history::precedence(one, third), Ordering::Less);
                    }
                }
            }
        }
    }

    #[test]
    fn whatever_a_draft_signs_verifies_and_is_the_next_step(
        choices in prop::collection::vec((0u8..5, any::<u8>()), 1..24),
    ) {
        let owner = Owner::new(1);
        let mut manifest = owner.first(0, 1);
        let mut seed = 1;
        for chunk in choices.chunks(3) {
            let mut draft = Draft::after(&manifest).unwrap();
            for (choice, number) in chunk {
                let id = DeviceId::try_from(u32::from(number % 20)).unwrap_or(DeviceId::MIN);
                match choice {
                    0 | 1 if draft.place().is_ok() => { seed += 1; join(&mut draft, seed); }
                    2 => { let _ = draft.remove(id); }
                    3 => { let _ = draft.set_capabilities(id, Capabilities::new(&[1, 2], &[1, 3]).unwrap()); }
                    _ => draft.set_key_servers(&[server_address(1 + number % 3)]),
                }
            }
            match draft.sign(&owner.root(0), Timestamp(NOW)) {
                Ok(signed) => {
                    let next = signed.verify(&owner.statement(0), Timestamp(NOW)).unwrap();
                    prop_assert_eq!(history::step(Some(&manifest), &next), Ok(Step::Next));
                    manifest = next;
                }
                Err(error) => prop_assert!(error.to_string().starts_with("§11.5.8: 0 devices"), "{error}"),
            }
        }
    }

    #[test]
    fn e5_no_bytes_make_a_decoder_panic_and_what_decodes_encodes_again(bytes: Vec<u8>, cut in any::<prop::sample::Index>()) {
        let made = ALICE.first(0).encode();
        let cut = cut.index(made.len());
        for bytes in [bytes.clone(), [&made[..cut], &bytes].concat()] {
            macro_rules! same { ($($decoded:expr),*) => {$(
                if let Ok(read) = $decoded { prop_assert_eq!(read.encode(), bytes.clone()); }
            )*}}
            same!(
                ManifestIn::decode(&bytes), GenerationStatementIn::decode(&bytes), ReachEntryIn::decode(&bytes),
                ReachRecordIn::decode(&bytes), ListingIn::decode(&bytes), MovedIn::decode(&bytes),
                PrekeyIn::decode(&bytes), BoundRequestIn::decode(&bytes)
            );
            let text = String::from_utf8_lossy(&bytes);
            let _ = (text.parse::<ServerAddress>().is_ok(), text.parse::<ContactLink>().is_ok());
        }
    }
}

/// Calls `verify` with every copy of `object` that differs in one bit, and with every shorter one.
fn every_flip_and_cut(name: &str, object: &[u8], verify: &dyn Fn(&[u8]) -> bool) {
    assert!(verify(object), "{name} verifies as it is");
    for bit in 0..object.len() * 8 {
        let mut flipped = object.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!verify(&flipped), "{name}: bit {bit} flipped and accepted");
    }
    for length in 0..object.len() {
        assert!(!verify(&object[..length]), "{name}: cut to {length} bytes and accepted");
    }
}

#[test]
fn every_bit_of_every_signed_object_counts() {
    let owner = Owner::new(2);
    let (statement, manifest) = (owner.statement(0), owner.with_device(&owner.first(0, 1), 2));
    let (signer, key, now) = (owner.signer(0, 2), device_key(2), Timestamp(NOW));
    let server = server_key(9);
    let mailbox = MailboxAddress { server: server_address(3), mailbox: MailboxId::from_bytes([7; 16]) };
    let entry = key.sign_reach_entry(signer, 4, &[mailbox]).unwrap();
    let record = key.sign_reach_record(signer, 0, 4, &[0x5e; 1024]).unwrap();
    let name = "alice".parse().unwrap();
    let place = ListingPlace { name: &name, server: &server };
    let reach_key = owner.root(0).reach_key(0);
    let listing = key.sign_listing(signer, &place, &reach_key, 4).unwrap();
    let moved = ServerKey::from_seed(&[9; 32]).sign_moved(&server_address(3), 1, Timestamp(NOW + DAY)).unwrap();
    let public = [vec![5], forge::x25519(&[8; 32]).to_vec()].concat();
    let signature = Some(Signature::from_bytes([3; 64]));
    let facts = PrekeyFacts { kind: PrekeyKind::SignedX25519, id: 77, key: public, identity_signature: signature };
    let prekey = key.sign_prekey(signer, &facts).unwrap();
    let exporter = Exporter::from_bytes([1; 32]);
    let request = key.sign_request(signer, &exporter, 0, b"please").unwrap();

    every_flip_and_cut("statement", &statement.encode(), &|bytes| {
        GenerationStatementIn::decode(bytes).is_ok_and(|object| object.verify(&owner.recovery).is_ok())
    });
    every_flip_and_cut("manifest", &manifest.encode(), &|bytes| {
        ManifestIn::decode(bytes).is_ok_and(|object| object.verify(&statement, now).is_ok())
    });
    every_flip_and_cut("reach entry", &entry.encode(), &|bytes| {
        ReachEntryIn::decode(bytes).is_ok_and(|object| object.verify(&manifest).is_ok())
    });
    every_flip_and_cut("reach record", &record.encode(), &|bytes| {
        ReachRecordIn::decode(bytes).is_ok_and(|object| object.verify(&manifest).is_ok())
    });
    every_flip_and_cut("listing", &listing.encode(), &|bytes| {
        ListingIn::decode(bytes).is_ok_and(|object| object.verify(&name, &server, &manifest).is_ok())
    });
    every_flip_and_cut("moved", &moved.encode(), &|bytes| {
        MovedIn::decode(bytes).is_ok_and(|object| object.verify(&server, now).is_ok())
    });
    every_flip_and_cut("prekey", &prekey.encode(), &|bytes| {
        PrekeyIn::decode(bytes).is_ok_and(|object| object.verify(&manifest).is_ok())
    });
    every_flip_and_cut("request", &request.encode(), &|bytes| {
        BoundRequestIn::decode(bytes).is_ok_and(|object| object.verify(&manifest, &exporter, 0).is_ok())
    });
}

#[test]
fn b8_a_server_can_withhold_but_never_add_a_device_or_go_back() {
    let owner = Owner::new(3);
    let statement = owner.statement(0);
    let (one, two) = (owner.first(0, 1), owner.with_device(&owner.first(0, 1), 2));
    let mut history = History::new(two.clone());

    // An older list is no news, and changes nothing.
    assert_eq!(history.insert(one.clone()), Ok(Inserted::Old));
    assert_eq!(history.winner(), Some(&two));

    // A ghost device: the server's own root key, its own statement, another account's manifest.
    let (mallory, now) = (Owner::new(4), Timestamp(NOW));
    let mut draft = Draft::after(&two).unwrap();
    join(&mut draft, 66);
    let ghost = draft.sign(&mallory.root(0), now).unwrap();
    assert!(matches!(ghost.verify(&statement, now), Err(ManifestError::Signature(_))));
    let foreign = ManifestIn::decode(&mallory.first(0, 66).encode()).unwrap();
    assert_eq!(foreign.verify(&statement, now), Err(ManifestError::Account));
    let own_statement =
        mallory.secret.recovery_key().sign_statement(two.content().generation(), &mallory.root(0).public_key(), None);
    assert!(own_statement.verify(&owner.recovery).is_err());

    // A rollback after a restore: the old generation's newest manifest stays old.
    let restored = owner.first(1, 5);
    assert_eq!(history.insert(restored.clone()), Ok(Inserted::NewGeneration));
    let three = owner.with_device(&two, 3);
    assert_eq!(history.insert(three), Ok(Inserted::Old));
    assert_eq!(history.winner(), Some(&restored));
    assert_eq!(restored.content().devices().len(), 1, "nobody but the device that holds the words");
    assert!(history.insert(mallory.first(7, 66)).is_err());
}

#[test]
fn a_renewal_keeps_the_content_and_unknown_fields_byte_for_byte() {
    let made =
        ALICE.first(0).changed(|m| m.content_extra = forge::Writer::default().bytes(99, b"from a newer version").0);
    let manifest = verified(&made);
    let owner = waxwing_wire::keys::RootKey::from_seed(&ALICE.root_seed(0));
    let renewed = manifest.renew(&owner, Timestamp(NOW + 20 * DAY)).unwrap();
    assert_eq!(renewed.encode(), made.renewed(20).encode(), "as the forge writes it");
}

#[test]
fn a_draft_refuses_what_a_verifier_would() {
    let owner = Owner::new(5);
    let manifest = owner.first(0, 1);
    let mut draft = Draft::after(&manifest).unwrap();
    let listed = manifest.content().devices()[0].clone();
    assert_eq!(draft.add(listed), Err(DraftError::Place));
    assert_eq!(draft.remove(DeviceId::MAX), Err(DraftError::Unknown));
    let fewer = Capabilities::new(&[2], &[1]).unwrap();
    assert_eq!(draft.set_capabilities(DeviceId::MIN, fewer), Err(DraftError::Capabilities));
    draft.delete();
    let deleted = owner.sign(0, &draft, NOW);
    assert!(deleted.content().is_final());
    assert_eq!(Draft::after(&deleted).err(), Some(DraftError::Final));
    let mut full = manifest;
    for seed in 2..=16 {
        full = owner.with_device(&full, seed);
    }
    assert_eq!(Draft::after(&full).unwrap().place().err(), Some(DraftError::Full));
}

#[test]
fn ids_of_devices_end_at_127_and_never_return() {
    let owner = Owner::new(6);
    let mut manifest = owner.first(0, 1);
    for seed in 2..=127 {
        let mut draft = Draft::after(&manifest).unwrap();
        draft.remove(DeviceId::try_from(u32::from(seed) - 1).unwrap()).unwrap();
        assert_eq!(join(&mut draft, seed).value(), seed);
        manifest = owner.sign(0, &draft, NOW);
    }
    assert_eq!(Draft::after(&manifest).unwrap().place().err(), Some(DraftError::Exhausted));
}

#[test]
fn d3_a_reach_entry_opens_for_the_reach_key_only_and_its_size_is_a_class() {
    let owner = Owner::new(7);
    let manifest = owner.first(0, 1);
    let (signer, key, mut rng) = (owner.signer(0, 1), device_key(1), ChaCha20Rng::seed_from_u64(1));
    let (reach, later) = (owner.root(0).reach_key(0), owner.root(0).reach_key(1));
    let labels = ["a".repeat(60), "b".repeat(60), "c".repeat(60)].join(".");
    let hosts = |count: u16| (1..=count).map(|port| format!("{labels}.example:{port}").parse().unwrap()).collect();
    let wide = |count| ServerAddress::new(server_key(3), hosts(count)).unwrap();
    for (count, size, server) in
        [(1, 1024, server_address(3)), (8, 1024, server_address(3)), (4, 2048, wide(1)), (8, 4096, wide(1))]
    {
        let mailbox = |id| MailboxAddress { server: server.clone(), mailbox: MailboxId::from_bytes([id; 16]) };
        let mailboxes: Vec<_> = (0..count).map(mailbox).collect();
        let entry = key.sign_reach_entry(signer, 4, &mailboxes).unwrap().verify(&manifest).unwrap();
        let sealed = entry.seal(&reach, &mut rng).unwrap();
        assert_eq!(sealed.len(), size);
        let record = key.sign_reach_record(signer, 0, 4, &sealed).unwrap().verify(&manifest).unwrap();
        assert_eq!(record.open(&reach, &manifest), Ok(entry.clone()));
        assert!(record.open(&later, &manifest).unwrap_err().to_string().starts_with("§12.3"));
        // The same ciphertext under another number is another place.
        let moved = key.sign_reach_record(signer, 0, 5, &sealed).unwrap().verify(&manifest).unwrap();
        assert!(moved.open(&reach, &manifest).is_err());
    } // Whatever can be signed can be sealed, up to the ceiling of an entry.
    let mut refused = 0;
    for (count, hosts) in (1..=8).flat_map(|count| (1..=4).map(move |hosts| (count, hosts))) {
        let mailbox = |id| MailboxAddress { server: wide(hosts), mailbox: MailboxId::from_bytes([id; 16]) };
        match key.sign_reach_entry(signer, 4, &(0..count).map(mailbox).collect::<Vec<_>>()) {
            Ok(entry) => assert!(entry.verify(&manifest).unwrap().seal(&reach, &mut rng).is_ok(), "{count} {hosts}"),
            Err(error) => {
                assert!(error.to_string().starts_with("§10.4.8"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && refused < 20, "{refused}");
}
