//! Whether everything that was said is shown, and whether no message key sealed twice.
use std::collections::BTreeSet;

use waxwing_client::engine::Witness;

use super::Wired;
use crate::world::{
    DeviceIndex, Verdict,
    judge::{Case, Shown},
};

impl Wired {
    /// Judges what the disks hold. Every device has to be on.
    pub async fn judge(&self) -> Verdict {
        let mut verdict = self.case().judge(&self.shown());
        let puts: BTreeSet<_> = self.devices.iter().flat_map(|device| device.disk.puts()).collect();
        verdict.faults.extend(self.reused_keys(&puts).await);
        verdict
    }

    fn case(&self) -> Case<'_> {
        let people = self.people.iter().map(|person| (person.account, person.devices.clone()));
        Case { people: people.collect(), said: &self.said }
    }

    fn shown(&self) -> Shown {
        let mut shown = Shown::new();
        for device in (0..self.devices.len()).map(DeviceIndex) {
            for person in &self.people {
                let page = self.devices[device.0].disk.look(|store| store.page_now(&person.account, None, usize::MAX));
                shown.insert((device, person.account), page.into_iter().rev().collect());
            }
        }
        shown
    }

    /// Envelopes that are not the same and were sealed with one key (B6), of all that left a device, also those that never arrived.
    async fn reused_keys(&self, puts: &BTreeSet<([u8; 16], Vec<u8>)>) -> Vec<String> {
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        for device in &self.devices {
            let mine = puts.iter().filter(|(mailbox, _)| mailbox == device.mailbox.as_bytes());
            let envelopes: Vec<_> = mine.map(|(_, envelope)| envelope.clone()).collect();
            let client = device.client.as_ref().expect("the device is on");
            let names = client.look(move |engine| {
                let mut witness = Witness::default();
                let name = |envelope: Vec<u8>| engine.message_key_name(&envelope, &mut witness);
                envelopes.into_iter().filter_map(name).collect::<Vec<_>>()
            });
            for name in names.await.expect("it is on") {
                if !seen.insert(name) {
                    faults.push(format!("a message key for {} sealed twice", device.machine));
                }
            }
        }
        faults
    }

    /// Whether no envelope waits for anybody.
    pub async fn mailboxes_are_empty(&self) -> bool {
        for device in &self.devices {
            for relay in &self.relays {
                if relay.waiting(&device.mailbox).await.is_some_and(|waiting| waiting > 0) {
                    return false;
                }
            }
        }
        true
    }
}
