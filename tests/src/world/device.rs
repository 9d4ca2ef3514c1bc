//! A device: an engine, its store, and a clock that may lie.
use rand_chacha::ChaCha20Rng;
use waxwing_engine::{Engine, Event, NameNews, NotFound, Settings, Witness, store::MemoryStore};
use waxwing_wire::{
    id::{AccountId, MailboxId},
    link::ContactLink,
};

/// Names a device of the world.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DeviceIndex(pub usize);

/// Names somebody with an account.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PersonIndex(pub usize);

pub(super) struct Device {
    /// None while it is off.
    pub(super) engine: Option<Engine>,
    pub(super) store: MemoryStore,
    pub(super) rng: ChaCha20Rng,
    pub(super) account: AccountId,
    pub(super) settings: Settings,
    /// Which life of it this is: what was asked in another one is nobody's.
    pub(super) life: u64,
    /// When it is to be woken, by its own clock.
    pub(super) wakes_at: u64,
    /// Where it takes messages.
    pub(super) mailbox: MailboxId,
    /// Milliseconds that its system's clock is ahead, and that the time is which its engine is given: that never goes back in a life of
    /// it, nor stands still, as the driver sees to (spec §23.2).
    pub(super) system_ahead: i64,
    pub(super) ahead: i64,
    /// Until when its disk takes nothing.
    pub(super) full_until: u64,
    /// What the world keeps to look at what is sealed for it.
    pub(super) witness: Witness,
    /// What the person was told, in short.
    pub(super) told: Vec<Told>,
    pub(super) links: Vec<ContactLink>,
    /// It crashes in the place of the output after so many.
    pub(super) outputs_left: Option<u64>,
    /// How many saves it asked for, and which of them fails.
    pub(super) saves: u64,
    pub(super) failing_save: Option<u64>,
    /// It stays off until it is told otherwise.
    pub(super) is_off: bool,
}

/// What a person was told, as far as tests look at it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Told {
    /// An account asks.
    Request(AccountId),
    /// A contact is of another generation.
    IdentityChanged(AccountId),
    /// A contact has other devices.
    DevicesChanged(AccountId),
    /// An envelope could not be opened.
    Quarantined,
    /// A number is missing.
    Gap(AccountId),
    /// A session was begun anew.
    Repaired(AccountId),
    /// Two histories of an account.
    Fork(AccountId),
    /// Somebody is a contact now.
    Accepted(AccountId),
    /// Clocks are far apart.
    ClockSkew,
    /// A server cannot be reached or does not do what it should.
    Trouble,
    /// This device is off the list.
    Unlisted,
    /// The own mailbox is full.
    MailboxFull,
    /// Somebody was found by a name.
    NameFound(AccountId),
    /// Nobody was added by a name.
    NameNotFound(NotFound),
    /// A name of this account.
    Name(NameNews),
    /// Anything else.
    Other,
}

impl Device {
    /// Whether this is the output in whose place it crashes.
    pub(super) fn count_down(&mut self) -> bool {
        match &mut self.outputs_left {
            Some(0) => {
                self.outputs_left = None;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        let told = match event {
            Event::LinkMade { link } => {
                self.links.push(link);
                Told::Other
            }
            Event::Request { account } => Told::Request(account),
            Event::IdentityChanged(change) => Told::IdentityChanged(change.account),
            Event::DevicesChanged { account } => Told::DevicesChanged(account),
            Event::Quarantined => Told::Quarantined,
            Event::Gap { conversation, .. } => Told::Gap(conversation),
            Event::SessionRepaired { account, .. } => Told::Repaired(account),
            Event::Fork { account } => Told::Fork(account),
            Event::ContactAccepted { account, .. } => Told::Accepted(account),
            Event::ClockSkew { .. } => Told::ClockSkew,
            Event::Trouble { .. } => Told::Trouble,
            Event::Unlisted => Told::Unlisted,
            Event::MailboxFull => Told::MailboxFull,
            Event::NameFound { account, .. } => Told::NameFound(account),
            Event::NameNotFound { reason, .. } => Told::NameNotFound(reason),
            Event::Name { news, .. } => Told::Name(news),
            _ => Told::Other,
        };
        if told != Told::Other {
            self.told.push(told);
        }
    }
}
