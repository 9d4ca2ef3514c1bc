//! Both stores do the same, whatever is asked in whatever order, and what is on disk obeys every rule (spec/19-keyserver.md §19.2
//! to §19.7). The one in memory is small enough to be read; so it is the other's model.
use std::collections::BTreeMap;

use proptest::prelude::*;
use waxwing_keyserver::{
    service::invite_hash,
    store::{Batch, InviteId, NewAccount, NewInvitation, NewManifest, NewName, Store, Take},
};
use waxwing_wire::{
    frame::InviteToken,
    id::{AccountId, DeviceId, Generation, Sequence},
    listing::Listing,
    manifest::Manifest,
    name::Name,
    prekey::PrekeyKind,
    reach::ReachRecord,
    signer::Signer,
    time::Timestamp,
};

use crate::{
    conformance::{Kind, Memory, Sqlite},
    people::{DAY, Person, at, device_id, name, server_key},
};

/// What is asked of a store; numbers choose among three people, four devices, three names.
#[derive(Clone, Copy, Debug)]
enum Act {
    Create(u8, Option<u8>),
    Add(u8),
    Remove(u8, u8),
    Renew(u8),
    Restart(u8),
    Delete(u8),
    /// By somebody who looked at another version.
    PublishLate(u8),
    Upload(u8, u8, u8, u8),
    Ids(u8, u8),
    /// Of the devices of a mask; none of them means all.
    Fetch(u8, u8, bool),
    Reach(u8, u8, u8, u8),
    Claim(u8, u8, u8),
    Release(u8, u8, u8),
    List(u8, u8, u8, u8),
    Unlist(u8, u8, u8),
    Lookup(u8),
    Mint(Option<u8>),
    Revoke(u8),
    /// Days pass, and what rested long enough is forgotten.
    Expire(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let (person, device, small, text) = (0_u8..3, 1_u8..5, 0_u8..6, 0_u8..3);
    prop_oneof![
        3 => (person.clone(), prop::option::of(small.clone())).prop_map(|(p, i)| Act::Create(p, i)),
        4 => person.clone().prop_map(Act::Add),
        2 => (person.clone(), device.clone()).prop_map(|(p, d)| Act::Remove(p, d)),
        1 => person.clone().prop_map(Act::Renew),
        1 => person.clone().prop_map(Act::Restart),
        1 => person.clone().prop_map(Act::Delete),
        1 => person.clone().prop_map(Act::PublishLate),
        8 => (person.clone(), device.clone(), 1_u8..40, small.clone()).prop_map(|(p, d, f, n)| Act::Upload(p, d, f, n)),
        2 => (person.clone(), device.clone()).prop_map(|(p, d)| Act::Ids(p, d)),
        9 => (person.clone(), 0_u8..16, any::<bool>()).prop_map(|(p, m, o)| Act::Fetch(p, m, o)),
        3 => (person.clone(), device.clone(), text.clone(), small.clone()).prop_map(|(p, d, k, n)| Act::Reach(p, d, k, n)),
        3 => (person.clone(), text.clone(), small.clone()).prop_map(|(p, t, i)| Act::Claim(p, t, i)),
        2 => (person.clone(), device.clone(), text.clone()).prop_map(|(p, d, t)| Act::Release(p, d, t)),
        3 => (person.clone(), device.clone(), text.clone(), small.clone()).prop_map(|(p, d, t, n)| Act::List(p, d, t, n)),
        1 => (person, device, text.clone()).prop_map(|(p, d, t)| Act::Unlist(p, d, t)),
        2 => text.prop_map(Act::Lookup),
        2 => prop::option::of(small.clone()).prop_map(Act::Mint),
        1 => small.prop_map(Act::Revoke),
        1 => (0_u8..120).prop_map(Act::Expire),
    ]
}

const NAMES: [&str; 3] = ["modern-vole", "rnodern-vole", "carol"];

/// What was signed so far: the same for both stores, since they are asked alike and answer alike.
struct World {
    people: Vec<Person>,
    /// With how many manifests were published before it.
    current: BTreeMap<u8, (u64, Manifest)>,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        Self { people: (1..=3).map(Person::new).collect(), current: BTreeMap::new(), now: at(0) }
    }

    fn person(&self, which: u8) -> &Person {
        &self.people[usize::from(which)]
    }

    /// What a step publishes next, if it can.
    fn next(&self, act: Act) -> Option<(u8, NewManifest)> {
        let (Act::Add(which)
        | Act::Remove(which, _)
        | Act::Renew(which)
        | Act::Restart(which)
        | Act::Delete(which)
        | Act::PublishLate(which)) = act
        else {
            return None;
        };
        let (version, current) = self.current.get(&which)?;
        let (person, version) = (self.person(which), *version);
        let step = |version, manifest| NewManifest { version, statement: None, manifest };
        let is_final = current.content().is_final();
        let made = match act {
            Act::Restart(_) => {
                let generation = current.content().generation().0 + 1;
                let statement = Some(person.statement(generation));
                NewManifest { version, statement, manifest: person.first(generation) }
            }
            _ if is_final => return None,
            Act::Add(_) if current.content().devices().len() < 4 => step(version, person.with_device(current)),
            Act::Remove(_, device) if current.content().devices().len() > 1 => {
                current.device(device_id(device.into()))?;
                step(version, person.without_device(current, device.into()))
            }
            Act::Renew(_) => step(version, person.renewed(current, self.now.max(current.issued()))),
            Act::Delete(_) => step(version, person.deleted(current)),
            Act::PublishLate(_) => step(version + 1, person.with_device(current)),
            _ => return None,
        };
        Some((which, made))
    }

    fn generation(&self, which: u8) -> u32 {
        self.current.get(&which).map_or(0, |(_, manifest)| manifest.content().generation().0)
    }

    /// The manifest to sign under as this device; none if it is not listed, and so cannot.
    fn listing_manifest(&self, which: u8, device: u8) -> Option<&Manifest> {
        let (_, manifest) = self.current.get(&which)?;
        manifest.device(device_id(device.into())).map(|_| manifest)
    }
}

/// An act, signed: once, so that both stores are asked with the same bytes.
#[expect(clippy::large_enum_variant, reason = "steps of a test are few")]
enum Asked {
    Create(Box<NewAccount>),
    Publish(u8, Box<NewManifest>),
    Upload(Batch),
    Ids(Signer),
    Fetch(AccountId, Vec<DeviceId>, Take),
    Reach(ReachRecord),
    Claim(NewName),
    Release(Signer, Name),
    List(Listing),
    Unlist(Signer, Name),
    Lookup(Name),
    Mint(NewInvitation, Option<InviteId>),
    Revoke(InviteId),
    Expire,
}

impl World {
    /// What is asked; nothing if it cannot be signed.
    fn sign(&self, act: Act, minted: u8) -> Option<Asked> {
        let signer = |which, device: u8| self.person(which).signer(self.generation(which), device.into());
        let text = |which: u8| name(NAMES[usize::from(which)]);
        Some(match act {
            Act::Create(which, invite) => {
                let person = self.person(which);
                let first = self.current.get(&which).map_or_else(|| person.first(0), |(_, manifest)| manifest.clone());
                Asked::Create(Box::new(NewAccount { invite: invite.map(token), ..person.new_account(&first) }))
            }
            Act::Add(_) | Act::Remove(..) | Act::Renew(_) | Act::Restart(_) | Act::Delete(_) | Act::PublishLate(_) => {
                let (which, step) = self.next(act)?;
                Asked::Publish(which, Box::new(step))
            }
            Act::Upload(which, device, first, count) => {
                let manifest = self.listing_manifest(which, device)?;
                let mut batch = self.person(which).batch(manifest, device.into(), first.into(), count.into());
                batch.most = 9;
                // One kind alone, so that it runs out at another time than the other.
                match first % 4 {
                    1 => batch.prekeys.retain(|prekey| prekey.facts().kind != PrekeyKind::OneTimeKyber1024),
                    2 => batch.prekeys.retain(|prekey| prekey.facts().kind != PrekeyKind::OneTimeX25519),
                    _ => {}
                }
                Asked::Upload(batch)
            }
            Act::Ids(which, device) => Asked::Ids(signer(which, device)),
            Act::Fetch(which, mask, one_time) => {
                let devices = (1_u32..5).filter(|device| mask & (1 << (device - 1)) != 0).map(device_id).collect();
                let take = if one_time { Take::OneTime } else { Take::LastResort };
                Asked::Fetch(self.person(which).id(), devices, take)
            }
            Act::Reach(which, device, reach_key, number) => {
                let manifest = self.listing_manifest(which, device)?;
                Asked::Reach(self.person(which).reach(manifest, device.into(), reach_key.into(), number.into()))
            }
            Act::Claim(which, called, invite) => {
                let account = self.person(which).id();
                let invite = (invite > 2).then(|| token(invite));
                Asked::Claim(NewName { name: text(called), account, most: 2, invite })
            }
            Act::Release(which, device, called) => Asked::Release(signer(which, device), text(called)),
            Act::List(which, device, called, number) => {
                let manifest = self.listing_manifest(which, device)?;
                Asked::List(self.person(which).listing(manifest, device.into(), &text(called), number.into()))
            }
            Act::Unlist(which, device, called) => Asked::Unlist(signer(which, device), text(called)),
            Act::Lookup(called) => Asked::Lookup(text(called)),
            // An invitation is made of random bytes: the same does not come twice.
            Act::Mint(below) if minted < 6 => {
                let below = below.map(|below| InviteId(below.into()));
                Asked::Mint(NewInvitation { hash: token(minted) }, below)
            }
            Act::Mint(_) => return None,
            Act::Revoke(invitation) => Asked::Revoke(InviteId(invitation.into())),
            Act::Expire(_) => Asked::Expire,
        })
    }
}

fn token(seed: u8) -> [u8; 32] {
    invite_hash(&InviteToken::from_bytes([seed; 16]))
}

/// What a store says, as text.
async fn ask<S: Store>(store: &S, asked: &Asked, now: Timestamp) -> String {
    match asked {
        Asked::Create(account) => format!("{:?}", store.create_account(NewAccount::clone(account), now).await),
        Asked::Publish(_, step) => format!("{:?}", store.publish(NewManifest::clone(step), now).await),
        Asked::Upload(batch) => format!("{:?}", store.upload(batch.clone()).await),
        Asked::Ids(device) => format!("{:?}", store.prekey_ids(*device).await),
        Asked::Fetch(account, devices, take) => format!("{:?}", store.bundles(account, devices, *take).await),
        Asked::Reach(record) => format!("{:?}", store.store_reach(record).await),
        Asked::Claim(claim) => format!("{:?}", store.claim_name(claim.clone(), now).await),
        Asked::Release(by, name) => format!("{:?}", store.release_name(*by, name, now).await),
        Asked::List(listing) => format!("{:?}", store.set_listing(listing).await),
        Asked::Unlist(by, name) => format!("{:?}", store.unlist(*by, name).await),
        Asked::Lookup(name) => format!("{:?}", store.lookup(name).await),
        Asked::Mint(invitation, below) => format!("{:?}", store.mint(&[*invitation], *below, now).await),
        Asked::Revoke(invitation) => format!("{:?}", store.revoke(*invitation).await),
        Asked::Expire => format!("{:?}", store.expire(now).await),
    }
}

/// All that is to be seen.
async fn seen<S: Store>(store: &S, world: &World) -> String {
    let mut all = format!("{:?} {:?}", store.stats(world.now).await, store.changes(0, 10_000).await);
    all += &format!("{:?}", store.invitations(InviteId(0), 1_000).await);
    for (which, person) in (0..).zip(&world.people) {
        all += &format!("{:?}", store.account(&person.id()).await);
        all += &format!("{:?}", store.history(&person.id(), (Generation(0), Sequence(0)), 1_000).await);
        all += &format!("{:?}", store.reach(&person.id()).await);
        for device in 1..5 {
            all += &format!("{:?}", store.prekey_ids(person.signer(world.generation(which), device)).await);
        }
    }
    for text in NAMES {
        all += &format!("{:?}", store.lookup(&name(text)).await);
    }
    all
}

async fn compare(acts: Vec<Act>) -> Result<(), TestCaseError> {
    let ((memory, ()), (disk, _folder)) = (Memory::open().await, Sqlite::open().await);
    let (mut world, mut minted) = (World::new(), 0);
    for act in acts {
        if let Act::Expire(days) = act {
            world.now = Timestamp(world.now.0 + u64::from(days) * DAY);
        }
        let Some(asked) = world.sign(act, minted) else { continue };
        let (expected, found) = (ask(&memory, &asked, world.now).await, ask(&disk, &asked, world.now).await);
        prop_assert_eq!(&expected, &found, "{:?}", act);
        match (act, asked) {
            (Act::Create(which, _), Asked::Create(account)) if expected == "Ok(())" => {
                world.current.entry(which).or_insert((0, account.manifest));
            }
            (_, Asked::Publish(which, step)) if expected == "Ok(())" => {
                world.current.insert(which, (step.version + 1, step.manifest));
            }
            (_, Asked::Mint(..)) => minted += 1,
            _ => {}
        }
    }
    prop_assert_eq!(seen(&memory, &world).await, seen(&disk, &world).await);
    prop_assert_eq!(disk.verify(&server_key().public_key()).await.unwrap(), vec![]);
    Ok(())
}

/// 48 cases, or `WAXWING_CASES`.
fn cases() -> ProptestConfig {
    let cases = std::env::var("WAXWING_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_store_on_disk_answers_as_the_one_in_memory_whatever_is_asked(
        acts in prop::collection::vec(act(), 1..80),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(compare(acts))?;
    }
}
