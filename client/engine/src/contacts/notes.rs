//! What the person noted of a contact, the same on all own devices. Implements spec/20-client.md §20.7.5 and spec/16-content.md §16.7.4.
//!
//! Invariant: two devices that heard the same copies, in whatever order, note the same.
use core::cmp::Reverse;

use waxwing_wire::{
    content::{ContactName, ContactNotes},
    id::Generation,
    time::Timestamp,
};

use crate::records::NotesRecord;

/// Name, verification, muting.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) name: Noted<Option<ContactName>>,
    /// The generation under which the safety number was compared.
    pub(crate) verified: Noted<Option<Generation>>,
    pub(crate) muted_until: Noted<Option<Timestamp>>,
}

/// A value, and how often it was changed.
#[derive(Debug, Default)]
pub(crate) struct Noted<T> {
    revision: u64,
    value: T,
}

impl<T: Clone + PartialEq> Noted<T> {
    pub(crate) const fn value(&self) -> &T {
        &self.value
    }

    /// The person changed it here. Whether that is another value.
    pub(crate) fn set(&mut self, value: T) -> bool {
        let news = self.value != value;
        if news {
            (self.revision, self.value) = (self.revision.saturating_add(1), value);
        }
        news
    }

    /// Another device has it like that. Of two changes at once, the one of the higher rank counts.
    fn take<R: Ord>(&mut self, revision: u64, value: &T, rank: impl Fn(&T) -> R) -> bool {
        let news = (revision, rank(value)) > (self.revision, rank(&self.value));
        if news {
            (self.revision, self.value) = (revision, value.clone());
        }
        news
    }
}

impl Notes {
    /// What another own device noted. Whether anything changed.
    pub(crate) fn take(&mut self, copy: &ContactNotes) -> bool {
        let name = self.name.take(copy.name_revision, &copy.name, Clone::clone);
        // That somebody is not verified counts before that they are.
        let verified = self.verified.take(copy.verified_revision, &copy.verified, |verified| {
            verified.map_or((1, Reverse(0)), |at| (0, Reverse(at.0)))
        });
        let muted = self.muted_until.take(copy.muted_revision, &copy.muted_until, |until| *until);
        name || verified || muted
    }

    /// None if nothing was ever noted.
    pub(crate) fn copy(&self) -> Option<ContactNotes> {
        let Self { name, verified, muted_until } = self;
        let is_empty = name.revision == 0 && verified.revision == 0 && muted_until.revision == 0;
        (!is_empty).then(|| ContactNotes {
            name_revision: name.revision,
            name: name.value.clone(),
            verified_revision: verified.revision,
            verified: verified.value,
            muted_revision: muted_until.revision,
            muted_until: muted_until.value,
        })
    }

    /// Everything is as if the person had never noted anything, and counts as a change of it.
    pub(crate) fn clear(&mut self) {
        self.name.set(None);
        self.verified.set(None);
        self.muted_until.set(None);
    }

    pub(super) fn record(&self) -> Option<NotesRecord> {
        let copy = self.copy()?;
        Some(NotesRecord {
            name_revision: copy.name_revision,
            name: copy.name.as_ref().map(|name| name.as_str().to_owned()),
            verified_revision: copy.verified_revision,
            verified: copy.verified.map(|generation| generation.0),
            muted_revision: copy.muted_revision,
            muted_until: copy.muted_until.map(|until| until.0),
        })
    }

    /// None: the record is damaged.
    pub(super) fn restore(record: Option<&NotesRecord>) -> Option<Self> {
        let Some(record) = record else { return Some(Self::default()) };
        let name = match &record.name {
            Some(name) => Some(name.parse().ok()?),
            None => None,
        };
        Some(Self {
            name: Noted { revision: record.name_revision, value: name },
            verified: Noted { revision: record.verified_revision, value: record.verified.map(Generation) },
            muted_until: Noted { revision: record.muted_revision, value: record.muted_until.map(Timestamp) },
        })
    }
}
