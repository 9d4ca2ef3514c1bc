//! What tests ask of what travelled.
use waxwing_engine::{Link, Purpose};
use waxwing_tests::world::{DeviceIndex, Observed, PersonIndex, What, World};
use waxwing_wire::{id::MailboxId, padding::EnvelopeSize};

/// Everything that a device asked of servers, in its order.
pub(crate) fn by(world: &World, device: DeviceIndex) -> Vec<&Observed> {
    world.observed().iter().filter(|seen| seen.device == device).collect()
}

/// Puts of a device into mailboxes of somebody: connection, whether by a key, size.
pub(crate) fn puts(world: &World, device: DeviceIndex, to: PersonIndex) -> Vec<(Link, bool, EnvelopeSize)> {
    let theirs: Vec<_> = world.devices(to).iter().map(|device| world.engine(*device).mailbox_id()).collect();
    puts_into(world, device, &theirs)
}

/// As [`puts`], into mailboxes whose devices may be off.
pub(crate) fn puts_into(world: &World, device: DeviceIndex, theirs: &[MailboxId]) -> Vec<(Link, bool, EnvelopeSize)> {
    let put = |seen: &&Observed| match seen.what {
        What::Put { mailbox, by_key, size, .. } if theirs.contains(&mailbox) => Some((seen.link, by_key, size)),
        _ => None,
    };
    by(world, device).iter().filter_map(put).collect()
}

/// What a device asked key servers about others.
pub(crate) fn lookups(world: &World, device: DeviceIndex) -> Vec<&'static str> {
    let lookup = |seen: &&Observed| match seen.what {
        What::Directory(what, _) => Some(what),
        _ => None,
    };
    by(world, device).iter().filter_map(lookup).collect()
}

/// Lanes and sizes of what was delivered to a device.
pub(crate) fn delivered(world: &World, device: DeviceIndex) -> Vec<(u32, EnvelopeSize)> {
    let to = world.delivered().iter().filter(|delivered| delivered.device == device);
    to.map(|delivered| (delivered.lane, delivered.size)).collect()
}

/// Whether a device's connection is one for its own account: its mailbox, its key server.
pub(crate) fn is_own(link: &Link) -> bool {
    matches!(link.purpose, Purpose::Owner(_) | Purpose::OwnDirectory)
}

pub(crate) const LANE_CONTACTS: u32 = 1;
pub(crate) const LANE_OWN: u32 = 3;
/// Of the first link.
pub(crate) const LANE_LINK: u32 = 4;
