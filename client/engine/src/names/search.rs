//! Names that the person looks for.
use std::collections::BTreeMap;

use waxwing_wire::{address::ServerAddress, name::Name, time::Timestamp};

use crate::{
    interface::SearchView,
    records::{self, SearchRecord},
    stage::Stage,
    store::Table,
    times,
};

/// Searches at once: a person types them.
const MOST: usize = 16;

/// Names a search: a name at a server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct SearchId {
    /// The server's long-term key.
    pub(crate) server: [u8; 32],
    pub(crate) name: Name,
}

/// All of them, by server and name.
#[derive(Debug, Default)]
pub(crate) struct Searches(BTreeMap<SearchId, Search>);

#[derive(Debug)]
struct Search {
    server: ServerAddress,
    asked: Timestamp,
    /// In memory: the listing that the server showed; asked for anew after a restart.
    listing: Option<Vec<u8>>,
    /// In memory: a listing and an account that did not belong together were shown once.
    differed: bool,
}

/// What a search has to ask next.
#[derive(Debug)]
pub(crate) struct Sought {
    pub(crate) id: SearchId,
    pub(crate) server: ServerAddress,
    /// What the server showed under the name.
    pub(crate) listing: Option<Vec<u8>>,
}

impl Searches {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Begins one; false if there are too many. One that is on its way goes on.
    pub(crate) fn begin(&mut self, name: Name, server: ServerAddress, now: Timestamp, stage: &mut Stage) -> bool {
        let id = SearchId { server: *server.key().as_bytes(), name };
        if self.0.contains_key(&id) {
            return true;
        }
        if self.0.len() >= MOST {
            return false;
        }
        let search = Search { server, asked: now, listing: None, differed: false };
        search.save(&id, stage);
        self.0.insert(id, search);
        true
    }

    /// None: the record is damaged.
    pub(crate) fn restore(&mut self, key: &[u8], record: &[u8]) -> Option<()> {
        let record: SearchRecord = records::decode(record)?;
        let (server, name) = key.split_first_chunk::<32>()?;
        let id = SearchId { server: *server, name: core::str::from_utf8(name).ok()?.parse().ok()? };
        let address: ServerAddress = record.server.parse().ok()?;
        if address.key().as_bytes() != server {
            return None;
        }
        let asked = Timestamp(record.asked);
        self.0.insert(id, Search { server: address, asked, listing: None, differed: false });
        Some(())
    }

    /// What each of them has to ask.
    pub(crate) fn open(&self) -> Vec<Sought> {
        let sought = |(id, search): (&SearchId, &Search)| Sought {
            id: *id,
            server: search.server.clone(),
            listing: search.listing.clone(),
        };
        self.0.iter().map(sought).collect()
    }

    pub(crate) fn server(&self, id: &SearchId) -> Option<&ServerAddress> {
        self.0.get(id).map(|search| &search.server)
    }

    pub(crate) fn views(&self) -> Vec<SearchView> {
        let view = |(id, search): (&SearchId, &Search)| SearchView {
            name: id.name,
            server: search.server.clone(),
            since: search.asked,
        };
        self.0.iter().map(view).collect()
    }

    /// What the server shows under the name.
    pub(crate) fn shown(&mut self, id: &SearchId, listing: Vec<u8>) {
        if let Some(search) = self.0.get_mut(id) {
            search.listing = Some(listing);
        }
    }

    /// The listing, taken out: if its account does not belong to it, it is asked for anew.
    pub(crate) fn take_listing(&mut self, id: &SearchId) -> Option<Vec<u8>> {
        self.0.get_mut(id)?.listing.take()
    }

    /// A listing and its account did not belong together. The first time the account may have changed in between; whether it was
    /// the second.
    pub(crate) fn differed(&mut self, id: &SearchId) -> bool {
        self.0.get_mut(id).is_some_and(|search| core::mem::replace(&mut search.differed, true))
    }

    /// It is over; none if it was before.
    pub(crate) fn end(&mut self, id: &SearchId, stage: &mut Stage) -> Option<ServerAddress> {
        let search = self.0.remove(id)?;
        stage.delete(Table::Search, key(id));
        Some(search.server)
    }

    #[cfg(feature = "conformance")]
    pub(crate) fn save_all(&self, stage: &mut Stage) {
        self.0.iter().for_each(|(id, search)| search.save(id, stage));
    }

    /// Those that got no answer for too long.
    pub(crate) fn overdue(&self, now: Timestamp) -> Vec<SearchId> {
        let overdue = self.0.iter().filter(|(_, search)| now.since(search.asked) >= times::SEARCH);
        overdue.map(|(id, _)| *id).collect()
    }

    pub(crate) fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self.0.values().map(|search| search.asked.saturating_add(times::SEARCH));
        ends.filter(|at| *at > now).min()
    }
}

impl Search {
    fn save(&self, id: &SearchId, stage: &mut Stage) {
        let record = SearchRecord { server: self.server.to_string(), asked: self.asked.0 };
        stage.put_message(Table::Search, key(id), &record);
    }
}

/// server key[32] ‖ name.
fn key(id: &SearchId) -> Vec<u8> {
    id.server.iter().copied().chain(id.name.as_str().bytes()).collect()
}
