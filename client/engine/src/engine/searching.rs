//! Adding somebody by a name. Implements spec/20-client.md §20.18.
//!
//! ```text
//! name ─▶ listing ─▶ account: do they belong together? ─▶ a contact, as by a link without a token
//! ```
//! Invariants: one anonymous connection for each search; nobody is added whom the listing's own signature does not name.
use rand_core::CryptoRng;
use waxwing_wire::{
    address::ServerAddress,
    content::ContactName,
    frame::{ErrorCode, ServerError},
    id::AccountId,
    keys::ReachKey,
    keyserver::{AccountObjects, FetchAccount, KeyserverReply, KeyserverRequest, Lookup},
    link::ContactLink,
    listing::{Listing, ListingIn},
    name::Name,
    time::Timestamp,
};

use super::{Engine, replies::forged};
use crate::{
    contacts::Objects,
    interface::{CommandError, Event, Link, NotFound, Purpose, SearchView},
    names::{SearchId, Sought},
    task::Task,
};

/// Somebody whom a name led to.
pub(super) struct Found {
    objects: Objects,
    name: Name,
}

/// Why a listing leads to nobody.
enum Apart {
    /// The account that it names is deleted.
    Deleted,
    /// The account did not sign it, or there is no such account.
    Differ,
}

impl Engine {
    pub(super) fn add_by_name(
        &mut self,
        name: Name,
        server: Option<ServerAddress>,
        now: Timestamp,
    ) -> Result<(), CommandError> {
        let server = server.or_else(|| self.own.key_server().cloned()).ok_or(CommandError::UnknownName)?;
        if !self.may_ask(&server) {
            return Err(CommandError::PrivateServer);
        }
        if self.searches.begin(name, server, now, &mut self.stage) {
            Ok(())
        } else {
            Err(CommandError::TooManySearches)
        }
    }

    /// The names that are being looked for.
    #[must_use]
    pub fn searches(&self) -> Vec<SearchView> {
        self.searches.views()
    }

    /// Asks what the searches need to know next.
    pub(super) fn search(&mut self, now: Timestamp) {
        for id in self.searches.overdue(now) {
            self.end_search(&id, Err(NotFound::NoAnswer));
        }
        for Sought { id, server, listing } in self.searches.open() {
            let question = match listing.and_then(|listing| ListingIn::decode(&listing).ok()) {
                None => (Task::Lookup(id), KeyserverRequest::Lookup(Lookup { name: id.name })),
                Some(listing) => {
                    let account = listing.signer().account;
                    (Task::FetchListed(id), KeyserverRequest::FetchAccount(FetchAccount { account }))
                }
            };
            let (task, request) = question;
            let link = link_of(&id);
            if self.links.may(link, &server, &task, now, &mut self.stage) {
                self.links.ask_keyserver(link, task, request, now, &mut self.stage);
            }
        }
    }

    /// What a server answers to a search.
    pub(super) fn on_search_reply(
        &mut self,
        id: &SearchId,
        result: Result<KeyserverReply, ServerError>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<(), ServerError> {
        match result {
            Ok(KeyserverReply::LookedUp(found)) => match found.listing {
                None => self.end_search(id, Err(NotFound::NotListed)),
                Some(listing) if ListingIn::decode(&listing).is_ok() => self.searches.shown(id, listing),
                Some(_) => self.end_search(id, Err(NotFound::NotGenuine)),
            },
            Ok(KeyserverReply::Account(objects)) => match self.listed(id, &objects, now) {
                Ok((listing, objects)) => {
                    let result = self.add_listed(&listing, objects, now, rng);
                    self.end_search(id, result);
                }
                Err(Apart::Deleted) => self.end_search(id, Err(NotFound::Deleted)),
                Err(Apart::Differ) => self.differs(id),
            },
            Ok(_) => return Err(forged()),
            Err(error) if error.code == ErrorCode::NoSuchAccount => self.differs(id),
            Err(error) if error.code == ErrorCode::AccountDeleted => self.end_search(id, Err(NotFound::Deleted)),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The listing of a search and the account it names, if they belong together.
    fn listed(&mut self, id: &SearchId, objects: &AccountObjects, now: Timestamp) -> Result<(Listing, Objects), Apart> {
        let listing = self.searches.take_listing(id).ok_or(Apart::Differ)?;
        let listing = ListingIn::decode(&listing).map_err(|_| Apart::Differ)?;
        let verified = objects.verify(&listing.signer().account, now).map_err(|_| Apart::Differ)?;
        let objects = Objects::from(verified);
        // It lists no device any more, whoever signed the listing.
        if objects.manifest.content().is_final() {
            return Err(Apart::Deleted);
        }
        let server = self.searches.server(id).ok_or(Apart::Differ)?.key();
        let listing = listing.verify(&id.name, server, &objects.manifest).map_err(|_| Apart::Differ)?;
        Ok((listing, objects))
    }

    /// Looked up anew, since the account may have changed between the two answers; but once only.
    fn differs(&mut self, id: &SearchId) {
        if self.searches.differed(id) {
            self.end_search(id, Err(NotFound::NotGenuine));
        }
    }

    /// As by a link that has no token (FLOWS b).
    fn add_listed(
        &mut self,
        listing: &Listing,
        objects: Objects,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Result<AccountId, NotFound> {
        let account = listing.signer().account;
        let key_servers = objects.manifest.content().key_servers().to_vec();
        let reach_key = ReachKey::from_bytes(listing.reach_key().as_bytes());
        let link = ContactLink::new(account, reach_key, None, key_servers).map_err(|_| NotFound::NotGenuine)?;
        let found = Found { objects, name: *listing.name() };
        match self.add(&link, Some(found), now, rng) {
            Ok(()) => Ok(account),
            Err(CommandError::OwnAccount) => Err(NotFound::OwnAccount),
            Err(CommandError::Blocked) => Err(NotFound::Blocked),
            Err(CommandError::PrivateServer) => Err(NotFound::PrivateServer),
            Err(_) => Err(NotFound::ServiceIdTaken),
        }
    }

    /// What was shown and verified with the name need not be asked for again. Whoever has no other name is called by this one.
    pub(super) fn take_found(&mut self, account: &AccountId, found: Found, now: Timestamp, rng: &mut impl CryptoRng) {
        let Found { objects, name } = found;
        // The other devices get one copy, after this.
        self.quiet = true;
        self.take_objects(account, objects, now, rng);
        self.quiet = false;
        self.want(account, false, true);
        let called: Option<ContactName> = name.as_str().parse().ok();
        if let Some(contact) = self.contacts.get_mut(account).filter(|contact| contact.notes.name.value().is_none()) {
            contact.notes.name.set(called);
            contact.save(&mut self.stage);
        }
    }

    fn end_search(&mut self, id: &SearchId, result: Result<AccountId, NotFound>) {
        let Some(server) = self.searches.end(id, &mut self.stage) else { return };
        let name = id.name;
        self.stage.notify(match result {
            Ok(account) => Event::NameFound { name, server, account },
            Err(reason) => Event::NameNotFound { name, server, reason },
        });
        // After the save that ends it.
        self.links.close(link_of(id), &mut self.stage);
    }

    /// Whether a server that other people name may be asked (spec §11.12.4).
    fn may_ask(&self, server: &ServerAddress) -> bool {
        self.settings.allow_private_servers || server.is_public()
    }
}

fn link_of(id: &SearchId) -> Link {
    Link { server: id.server, purpose: Purpose::Name(id.name) }
}
