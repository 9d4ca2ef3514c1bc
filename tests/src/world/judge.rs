//! Whether everything that was said is shown: once, everywhere, in order.
use std::collections::{BTreeMap, BTreeSet};

use waxwing_engine::{State, store::StoredMessage};
use waxwing_wire::{content::MessageId, id::AccountId};

use super::{DeviceIndex, Person, PersonIndex, World};

/// Something that a person said.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) by: DeviceIndex,
    pub(crate) to: PersonIndex,
    pub(crate) id: MessageId,
    pub(crate) text: String,
    pub(crate) fate: Fate,
    /// Whose it is, and the devices that are to show it: those that there were.
    pub(crate) author: PersonIndex,
    pub(crate) ours: Vec<DeviceIndex>,
    pub(crate) theirs: Vec<DeviceIndex>,
}

/// What is to become of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    /// Its recipient sees it, and its author hears of that.
    Delivered,
    /// Its recipient sees it, as a request perhaps; its author hears nothing.
    Shown,
    /// Its recipient does not see it.
    Lost,
}

/// What the judge found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Verdict {
    /// Sentences, each something that is not as it has to be.
    pub faults: Vec<String>,
}

impl Verdict {
    /// Panics with everything that is wrong.
    ///
    /// # Panics
    /// If anything is.
    #[track_caller]
    pub fn assert(&self) {
        assert!(self.faults.is_empty(), "{}", self.faults.join("\n"));
    }
}

/// A page of one device's conversation, oldest first.
pub(crate) type Shown = BTreeMap<(DeviceIndex, AccountId), Vec<StoredMessage>>;

impl World {
    /// Judges what is shown at the moment, by everybody's stores.
    #[must_use]
    pub fn judge(&self) -> Verdict {
        let mut shown = Shown::new();
        for device in self.people.iter().flat_map(|person| &person.devices) {
            for person in &self.people {
                let mut page = self.devices[device.0].store.page_now(&person.account, None, usize::MAX);
                page.reverse();
                shown.insert((*device, person.account), page);
            }
        }
        let mut verdict = self.judge_shown(&shown);
        if self.observer.reused > 0 {
            verdict.faults.push(format!("{} envelopes of the same bytes went to two places", self.observer.reused));
        }
        if self.observer.reused_keys > 0 {
            verdict.faults.push(format!("{} envelopes were sealed with the key of another", self.observer.reused_keys));
        }
        verdict.faults.extend(self.observer.rash.iter().cloned());
        verdict
    }

    /// The judgement itself, of what is handed to it: tests plant faults here.
    pub(super) fn judge_shown(&self, shown: &Shown) -> Verdict {
        let person = |person: &'_ Person| (person.account, person.devices.clone());
        Case { people: self.people.iter().map(person).collect(), said: &self.said }.judge(shown)
    }
}

/// Who there is with which devices, and what they said.
pub(crate) struct Case<'w> {
    pub(crate) people: Vec<(AccountId, Vec<DeviceIndex>)>,
    pub(crate) said: &'w [Said],
}

impl Case<'_> {
    /// What is not as it has to be.
    pub(crate) fn judge(&self, shown: &Shown) -> Verdict {
        let mut verdict = Verdict::default();
        let mut expected: BTreeMap<(DeviceIndex, AccountId), BTreeSet<MessageId>> = BTreeMap::new();
        for said in self.said {
            self.judge_said(said, shown, &mut expected, &mut verdict);
        }
        for (place, page) in shown {
            let known = expected.remove(place).unwrap_or_default();
            for message in page.iter().filter(|message| !known.contains(&message.id) && !self.may_show(place, message))
            {
                verdict.faults.push(format!("{place:?} shows {:?}, which nobody said there", message.text));
            }
            judge_order(place, page, &mut verdict);
        }
        verdict
    }

    /// A device that joined later may get what was on its way.
    fn may_show(&self, (device, conversation): &(DeviceIndex, AccountId), message: &StoredMessage) -> bool {
        self.said.iter().filter(|said| said.id == message.id && said.text == message.text).any(|said| {
            let owner = self.people.iter().position(|(_, devices)| devices.contains(device)).map(PersonIndex);
            let owner = owner.expect("every device is somebody's");
            let (author, to) = (self.people[said.author.0].0, self.people[said.to.0].0);
            let here = if owner == said.author { to } else { author };
            let joined = !said.ours.contains(device) && !said.theirs.contains(device);
            let is_party = owner == said.author || (owner == said.to && said.fate != Fate::Lost);
            is_party && joined && here == *conversation && message.author == author
        })
    }

    fn judge_said(
        &self,
        said: &Said,
        shown: &Shown,
        expected: &mut BTreeMap<(DeviceIndex, AccountId), BTreeSet<MessageId>>,
        verdict: &mut Verdict,
    ) {
        let (author, recipient) = (self.people[said.author.0].0, self.people[said.to.0].0);
        let listed = |person: PersonIndex, device: &DeviceIndex| self.people[person.0].1.contains(device);
        let theirs = said.theirs.iter().filter(|device| said.fate != Fate::Lost && listed(said.to, device));
        let theirs = theirs.map(|device| (*device, author));
        let ours = said.ours.iter().filter(|device| listed(said.author, device)).map(|device| (*device, recipient));
        for (device, conversation) in theirs.chain(ours) {
            let place = (device, conversation);
            expected.entry(place).or_default().insert(said.id);
            let page = shown.get(&place).map_or(&[][..], Vec::as_slice);
            let found: Vec<_> = page.iter().filter(|message| message.id == said.id).collect();
            match found.as_slice() {
                [one] if one.text == said.text && one.author == author => {
                    let receipts = device == said.by && said.fate == Fate::Delivered;
                    if receipts && one.state < State::Delivered {
                        verdict.faults.push(format!("{:?} is only {:?} at {device:?}", said.text, one.state));
                    }
                }
                [_] => verdict.faults.push(format!("{:?} is another message at {device:?}", said.text)),
                [] => verdict.faults.push(format!("{:?} by {:?} is not shown at {device:?}", said.text, said.by)),
                many => {
                    verdict.faults.push(format!("{:?} is shown {} times at {device:?}", said.text, many.len()));
                }
            }
        }
    }
}

/// What one device wrote stands in the order in which it wrote it.
fn judge_order(place: &(DeviceIndex, AccountId), page: &[StoredMessage], verdict: &mut Verdict) {
    let mut last = BTreeMap::new();
    for message in page {
        let before = last.insert((message.author, message.device), message.sequence);
        if before.is_some_and(|before| before >= message.sequence) {
            let stand = |message: &StoredMessage| (message.device.value(), message.sequence, message.sent.0);
            let stands: Vec<_> = page.iter().filter(|other| other.author == message.author).map(stand).collect();
            verdict.faults.push(format!("{place:?} shows {:?} out of order: {stands:?}", message.text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small world in which something was said, and what it shows.
    fn scene() -> (World, Shown) {
        let mut world = World::new(1, 1);
        let (alice, bob) = world.two_friends(2, 2);
        for text in ["one", "two", "three"] {
            world.say(world.device(alice, 0), bob, text);
        }
        world.settle();
        world.judge().assert();
        let mut shown = Shown::new();
        for (index, device) in world.devices.iter().enumerate() {
            for person in &world.people {
                let mut page = device.store.page_now(&person.account, None, usize::MAX);
                page.reverse();
                shown.insert((DeviceIndex(index), person.account), page);
            }
        }
        assert!(world.judge_shown(&shown).faults.is_empty());
        (world, shown)
    }

    fn pages(shown: &mut Shown) -> &mut Vec<StoredMessage> {
        // The greeting by which they became friends, and three.
        shown.values_mut().find(|page| page.len() == 4).expect("somebody sees four messages")
    }

    #[test]
    fn a_lost_message_is_found() {
        let (world, mut shown) = scene();
        pages(&mut shown).remove(1);
        assert!(world.judge_shown(&shown).faults.iter().any(|fault| fault.contains("is not shown")));
    }

    #[test]
    fn a_message_that_is_shown_twice_is_found() {
        let (world, mut shown) = scene();
        let page = pages(&mut shown);
        let again = page[1].clone();
        page.push(again);
        assert!(world.judge_shown(&shown).faults.iter().any(|fault| fault.contains("2 times")));
    }

    #[test]
    fn another_order_is_found() {
        let (world, mut shown) = scene();
        pages(&mut shown).swap(0, 1);
        assert!(world.judge_shown(&shown).faults.iter().any(|fault| fault.contains("out of order")));
    }

    #[test]
    fn a_message_that_nobody_wrote_is_found() {
        let (world, mut shown) = scene();
        let page = pages(&mut shown);
        let mut forged = page[2].clone();
        (forged.id, forged.sequence) = (MessageId::from_bytes([9; 16]), 99);
        page.push(forged);
        assert!(world.judge_shown(&shown).faults.iter().any(|fault| fault.contains("nobody said")));
    }

    #[test]
    fn a_text_that_was_changed_is_found() {
        let (world, mut shown) = scene();
        pages(&mut shown)[0].text = "another".into();
        assert!(world.judge_shown(&shown).faults.iter().any(|fault| fault.contains("another message")));
    }

    #[test]
    fn a_message_key_that_seals_twice_is_found() {
        let (mut world, _) = scene();
        world.observer.sealed(b"name".to_vec(), [1; 32]);
        world.observer.sealed(b"name".to_vec(), [1; 32]);
        assert!(world.judge().faults.is_empty(), "the same envelope again is no other one");
        world.observer.sealed(b"name".to_vec(), [2; 32]);
        assert!(!world.judge().faults.is_empty());
    }

    #[test]
    fn every_envelope_is_watched() {
        let (world, _) = scene();
        let puts = world.observed().iter().filter(|seen| matches!(seen.what, crate::world::What::Put { .. }));
        assert_eq!(world.observer.keys_seen(), puts.count(), "in calm weather each goes once");
    }

    #[test]
    fn a_server_that_is_contacted_because_of_a_stranger_is_found() {
        let (mut world, _) = scene();
        world.observer.rash.push("somebody did".into());
        assert!(!world.judge().faults.is_empty());
    }

    #[test]
    fn an_envelope_that_goes_to_two_places_is_found() {
        let (mut world, _) = scene();
        world.observer.reused = 1;
        assert!(!world.judge().faults.is_empty());
    }
}
