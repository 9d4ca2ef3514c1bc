//! Names of this account at its key server. The primary device claims and lists them.
use std::collections::BTreeMap;

use waxwing_wire::{
    id::{DeviceId, Generation},
    name::Name,
};
use zeroize::Zeroizing;

use crate::{
    interface::{NameView, OwnNameState},
    records::{self, NameRecord, ShownRecord},
    stage::Stage,
    store::Table,
};

/// Names that one account asks for; servers give 4 by default.
const MOST: usize = 16;

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct OwnNames(BTreeMap<Name, OwnName>);

struct OwnName {
    state: State,
    /// Whether whoever looks the name up is to find this account.
    listed: bool,
    /// For a server that gives names to whoever was invited; until it was spent.
    invite: Option<Zeroizing<[u8; 16]>>,
    /// What the server shows.
    shown: Option<Shown>,
    /// In memory: what the account has paid for did not cover it, or there was nothing.
    to_be_paid: bool,
    /// In memory: what the server is being given.
    showing: Option<Shown>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Claiming,
    Held,
    Releasing,
}

/// Stored by their places, from 1.
const STATES: [State; 3] = [State::Claiming, State::Held, State::Releasing];

/// Under what a name is listed: another of these, and it has to be listed anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Shown {
    pub(crate) generation: Generation,
    pub(crate) device: DeviceId,
    pub(crate) reach_key_number: u32,
}

/// What is to be asked for a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    Claim,
    List,
    Unlist,
    Release,
}

impl OwnNames {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Wants a name, or wants it listed or not; false if there are too many.
    pub(crate) fn claim(&mut self, name: Name, listed: bool, invite: Option<[u8; 16]>, stage: &mut Stage) -> bool {
        if !self.0.contains_key(&name) && self.0.len() >= MOST {
            return false;
        }
        let own = self.0.entry(name).or_insert_with(|| OwnName::new(listed));
        own.listed = listed;
        if own.state != State::Held {
            own.state = State::Claiming;
            own.invite = invite.map(Zeroizing::new).or(own.invite.take());
        }
        own.save(&name, stage);
        true
    }

    /// Wants a name no more; false if it is not there.
    pub(crate) fn release(&mut self, name: &Name, stage: &mut Stage) -> bool {
        let Some(own) = self.0.get_mut(name) else { return false };
        own.state = State::Releasing;
        own.save(name, stage);
        true
    }

    /// None: the record is damaged.
    pub(crate) fn restore(&mut self, key: &[u8], record: &[u8]) -> Option<()> {
        let name = core::str::from_utf8(key).ok()?.parse().ok()?;
        self.0.insert(name, OwnName::restore(&records::decode(record)?)?);
        Some(())
    }

    /// What is to be asked, if a listing is to be as `current`; in the order of names.
    pub(crate) fn steps(&self, current: &Shown) -> impl Iterator<Item = (Name, Step)> {
        self.0.iter().filter_map(|(name, own)| Some((*name, own.step(current)?)))
    }

    /// The invitation for a name.
    pub(crate) fn invite(&self, name: &Name) -> Option<[u8; 16]> {
        self.0.get(name)?.invite.as_ref().map(|token| **token)
    }

    pub(crate) fn is_to_be_paid(&self, name: &Name) -> bool {
        self.0.get(name).is_some_and(|own| own.to_be_paid)
    }

    /// The account's own admission does not cover it: it is asked for once more, with something else.
    pub(crate) fn pay(&mut self, name: &Name) {
        if let Some(own) = self.0.get_mut(name) {
            own.to_be_paid = true;
        }
    }

    /// The server is being shown it like that.
    pub(crate) fn showing(&mut self, name: &Name, shown: Shown) {
        if let Some(own) = self.0.get_mut(name) {
            own.showing = Some(shown);
        }
    }

    /// The server did what was asked. What the name is now; none if it is no more.
    pub(crate) fn done(&mut self, name: &Name, step: Step, stage: &mut Stage) -> Option<OwnNameState> {
        let own = self.0.get_mut(name)?;
        match step {
            // Unless the person has let it go meanwhile.
            Step::Claim if own.state == State::Claiming => {
                own.state = State::Held;
                own.invite = None;
            }
            Step::Claim => {}
            Step::List => own.shown = own.showing.take(),
            Step::Unlist => own.shown = None,
            Step::Release if own.state == State::Releasing => {
                self.remove(name, stage);
                return None;
            }
            // The person wants it back.
            Step::Release => own.shown = None,
        }
        own.save(name, stage);
        Some(own.view())
    }

    /// The server says that it is not this account's: claimed anew.
    pub(crate) fn lost(&mut self, name: &Name, stage: &mut Stage) {
        let Some(own) = self.0.get_mut(name) else { return };
        (own.state, own.shown) = (State::Claiming, None);
        own.save(name, stage);
    }

    /// The account has to do without it.
    pub(crate) fn remove(&mut self, name: &Name, stage: &mut Stage) {
        if self.0.remove(name).is_some() {
            stage.delete(Table::Name, name.as_str().into());
        }
    }

    #[cfg(feature = "conformance")]
    pub(crate) fn save_all(&self, stage: &mut Stage) {
        self.0.iter().for_each(|(name, own)| own.save(name, stage));
    }

    pub(crate) fn contains(&self, name: &Name) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn views(&self) -> Vec<NameView> {
        self.0.iter().map(|(name, own)| NameView { name: *name, state: own.view(), listed: own.listed }).collect()
    }
}

impl OwnName {
    const fn new(listed: bool) -> Self {
        Self { state: State::Claiming, listed, invite: None, shown: None, to_be_paid: false, showing: None }
    }

    fn step(&self, current: &Shown) -> Option<Step> {
        match self.state {
            State::Claiming => Some(Step::Claim),
            State::Releasing => Some(Step::Release),
            State::Held if self.listed => (self.shown.as_ref() != Some(current)).then_some(Step::List),
            State::Held => self.shown.is_some().then_some(Step::Unlist),
        }
    }

    fn view(&self) -> OwnNameState {
        match self.state {
            State::Claiming => OwnNameState::Claiming,
            State::Releasing => OwnNameState::Releasing,
            State::Held if self.shown.is_some() => OwnNameState::Listed,
            State::Held => OwnNameState::Held,
        }
    }

    fn save(&self, name: &Name, stage: &mut Stage) {
        let shown = self.shown.map(|shown| ShownRecord {
            generation: shown.generation.0,
            device: shown.device.value().into(),
            reach_key_number: shown.reach_key_number,
        });
        let record = NameRecord {
            state: STATES
                .iter()
                .zip(1..)
                .find_map(|(known, number)| (*known == self.state).then_some(number))
                .unwrap_or(0),
            listed: self.listed,
            invite: self.invite.as_ref().map(|token| token.to_vec()),
            shown,
        };
        stage.put_message(Table::Name, name.as_str().into(), &record);
    }

    fn restore(record: &NameRecord) -> Option<Self> {
        let shown = |shown: &ShownRecord| {
            Some(Shown {
                generation: Generation(shown.generation),
                device: DeviceId::try_from(shown.device).ok()?,
                reach_key_number: shown.reach_key_number,
            })
        };
        let invite = |token: &[u8]| Some(Zeroizing::new(token.try_into().ok()?));
        Some(Self {
            state: STATES.into_iter().zip(1..).find_map(|(state, known)| (known == record.state).then_some(state))?,
            listed: record.listed,
            invite: match record.invite.as_deref() {
                None => None,
                Some(token) => Some(invite(token)?),
            },
            shown: match &record.shown {
                None => None,
                Some(record) => Some(shown(record)?),
            },
            to_be_paid: false,
            showing: None,
        })
    }
}

impl core::fmt::Debug for OwnName {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { state, listed, invite: _, shown, to_be_paid: _, showing: _ } = self;
        f.debug_struct("OwnName")
            .field("state", state)
            .field("listed", listed)
            .field("shown", shown)
            .finish_non_exhaustive()
    }
}
