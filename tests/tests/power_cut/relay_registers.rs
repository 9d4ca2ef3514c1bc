//! The register that the store's power-cut and fault tests write: version `n` is made of `n`, so that whatever comes back can be told.
use waxwing_relay::store::{NewRegister, RegisterCreateError, RegisterWriteError, Registers, Unavailable};
use waxwing_wire::{
    id::RegisterId,
    relay::{Capability, EntryKind, RegisterEntry, RegisterHead, VerifierKind, VersionHash, WriteRegister},
};

use super::relay_store::NOW;

const ID: RegisterId = RegisterId::from_bytes([9; 16]);

fn capability(kind: VerifierKind) -> Capability {
    Capability::from_bytes(match kind {
        VerifierKind::WriteRegister => [1; 32],
        VerifierKind::SealRegister => [2; 32],
        _ => [3; 32],
    })
}

/// Every fifth is a snapshot.
fn entry(version: u64) -> RegisterEntry {
    let (kind, size) = if version % 5 == 1 { (EntryKind::Snapshot, 4_096) } else { (EntryKind::Change, 512) };
    RegisterEntry::new(kind, vec![u8::try_from(version % 251).unwrap(); size]).unwrap()
}

/// The hash of a version and all before it.
fn hash(version: u64) -> VersionHash {
    (1..=version).fold(VersionHash::NONE, |hash, version| hash.next(&ID, version, &entry(version)))
}

/// Makes the register; the same again is no error.
pub(crate) async fn make(store: &impl Registers) -> Result<(), Unavailable> {
    let verifier = |kind| capability(kind).verifier(kind, ID.as_bytes());
    let new = NewRegister {
        register: ID,
        write_verifier: verifier(VerifierKind::WriteRegister),
        read_verifier: verifier(VerifierKind::ReadRegister),
        seal_verifier: verifier(VerifierKind::SealRegister),
        snapshot: entry(1),
        invite: None,
    };
    store.create_register(new, NOW).await.map_err(|error| match error {
        RegisterCreateError::Unavailable(unavailable) => unavailable,
        other => panic!("{other}"),
    })
}

/// The newest version, if there is a register.
pub(crate) fn newest(store: &impl Registers) -> Option<u64> {
    let head: RegisterHead = store.register_head(&ID, &capability(VerifierKind::ReadRegister)).ok()?;
    assert!(head.hash == hash(head.version), "the head of version {} is another's", head.version);
    Some(head.version)
}

/// Writes the version after `newest`. An hour passes with every one, so that none is above the hourly limit.
pub(crate) async fn write(store: &impl Registers, newest: u64) -> Result<(), Unavailable> {
    let next = newest + 1;
    let entry = entry(next);
    let kind = match entry.kind() {
        EntryKind::Change => VerifierKind::WriteRegister,
        _ => VerifierKind::SealRegister,
    };
    let write =
        WriteRegister { register: ID, capability: capability(kind), version: newest, hash: hash(newest), entry };
    let now = waxwing_wire::time::Timestamp(NOW.0 + next * 3_600_000);
    match store.write_register(&write, now).await {
        Ok(head) => assert_eq!((head.version, head.hash), (next, hash(next))),
        Err(RegisterWriteError::Unavailable(unavailable)) => return Err(unavailable),
        Err(other) => panic!("{other}"),
    }
    Ok(())
}

/// What is there is one chain of the versions that were written, up to the newest.
pub(crate) async fn check(store: &impl Registers) -> Result<(), String> {
    let Some(newest) = newest(store) else { return Ok(()) };
    let (mut from, capability) = (1, capability(VerifierKind::ReadRegister));
    while from <= newest {
        let page = store.read_register(&ID, &capability, from).await.map_err(|error| error.to_string())?;
        if page.entries.is_empty() || page.first < from {
            return Err(format!("version {from} is missing"));
        }
        if page.before != hash(page.first - 1) {
            return Err(format!("version {} builds on another", page.first));
        }
        from = page.first;
        for got in &page.entries {
            if *got != entry(from) {
                return Err(format!("version {from} came back otherwise"));
            }
            from += 1;
        }
    }
    Ok(())
}
