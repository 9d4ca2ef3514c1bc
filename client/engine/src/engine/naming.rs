//! Names of this account. Implements spec/20-client.md §20.18.
//!
//! ```text
//! by an invitation, or by what the account has paid for ─refused─▶ by what the server announces: nothing, or work
//! ```
//! Names come last of what the key server is told (`registration`): nobody is found before they can be reached.
use waxwing_wire::{
    frame::{Admission, ErrorCode, InviteToken, ServerError},
    keyserver::{ClaimName, DeviceRequest, KeyserverReply, Lookup, SetListing},
    listing::ListingPlace,
    name::Name,
    time::Timestamp,
};

use super::{Engine, registration::OnlyByInvitation, replies::forged};
use crate::{
    interface::{CommandError, Event, Link, NameNews, NameRefusal, NameView, OwnNameState},
    names::{Shown, Step},
    task::Task,
    times,
};

impl Engine {
    pub(super) fn claim_name(
        &mut self,
        name: Name,
        listed: bool,
        admission: Option<&InviteToken>,
    ) -> Result<(), CommandError> {
        self.needs_primary()?;
        let invite = admission.map(|token| *token.expose());
        let has_room = self.names.claim(name, listed, invite, &mut self.stage);
        if has_room { Ok(()) } else { Err(CommandError::TooManyNames) }
    }

    pub(super) fn release_name(&mut self, name: &Name) -> Result<(), CommandError> {
        self.needs_primary()?;
        if self.names.release(name, &mut self.stage) { Ok(()) } else { Err(CommandError::UnknownName) }
    }

    /// One device speaks for the account's names, so that no two number their listings.
    fn needs_primary(&self) -> Result<(), CommandError> {
        self.own.root.as_ref().map(drop).ok_or(CommandError::NotPrimary)
    }

    /// This account's names, as far as this device has claimed them.
    #[must_use]
    pub fn own_names(&self) -> Vec<NameView> {
        self.names.views()
    }

    /// The first thing that is to be asked for a name and may be asked now.
    pub(super) fn next_name_step(&self, now: Timestamp) -> Option<Task> {
        let current = self.shown_now();
        let steps = self.names.steps(&current);
        steps.map(|(name, step)| task(name, step)).find(|task| self.links.is_due(task, now))
    }

    /// What a listing of now says.
    fn shown_now(&self) -> Shown {
        let generation = self.own.manifest.content().generation();
        Shown { generation, device: self.own.device, reach_key_number: self.own.reach_key_number }
    }

    pub(super) fn ask_for_name(&mut self, link: Link, name: Name, step: Step, now: Timestamp) {
        let request = match step {
            Step::Claim => self.claim_request(name, link, now),
            Step::List => self.listing_request(name),
            Step::Unlist => Some(DeviceRequest::Unlist(Lookup { name })),
            Step::Release => Some(DeviceRequest::ReleaseName(Lookup { name })),
        };
        if let Some(request) = request {
            self.ask_bound(link, task(name, step), &request, Vec::new(), now);
        }
    }

    /// None while it is being found out by what right it is asked for.
    fn claim_request(&mut self, name: Name, link: Link, now: Timestamp) -> Option<DeviceRequest> {
        let admission = if let Some(token) = self.names.invite(&name) {
            Admission::Invite(InviteToken::from_bytes(token))
        } else if self.names.is_to_be_paid(&name) {
            match self.priced(link, now) {
                Ok(admission) => admission?,
                Err(OnlyByInvitation) => {
                    self.refused_name(&name, NameRefusal::NotAdmitted);
                    return None;
                }
            }
        } else {
            Admission::Owner
        };
        Some(DeviceRequest::ClaimName(ClaimName { name, admission }))
    }

    /// Its number is above that of every listing before it, and the clock's at least: so it is also above those of an earlier time in
    /// which this account had the name, of which this device knows nothing.
    fn listing_request(&mut self, name: Name) -> Option<DeviceRequest> {
        let server = *self.own.key_server()?.key();
        let clock = self.own.newest.0.checked_div(1_000).and_then(|seconds| u32::try_from(seconds).ok());
        let number = self.own.listing_number.saturating_add(1).max(clock.unwrap_or_default());
        self.own.listing_number = number;
        self.own.save(&mut self.stage);
        let place = ListingPlace { name: &name, server: &server };
        let listing = self.own.signing.sign_listing(self.own.signer(), &place, &self.own.reach_key, number).ok()?;
        self.names.showing(&name, self.shown_now());
        Some(DeviceRequest::SetListing(SetListing { listing: listing.encode() }))
    }

    /// What the key server answers about a name.
    pub(super) fn on_name_reply(
        &mut self,
        about: Option<(Name, Step)>,
        result: Result<&KeyserverReply, ServerError>,
    ) -> Result<(), ServerError> {
        let Some((name, step)) = about else { return Ok(()) };
        let name = &name;
        let error = match result {
            Ok(KeyserverReply::Done) => {
                self.name_done(name, step);
                return Ok(());
            }
            Ok(_) => forged(),
            Err(error) => error,
        };
        match (step, error.code) {
            (Step::Claim, ErrorCode::NameTaken) => self.refused_name(name, NameRefusal::Taken),
            (Step::Claim, ErrorCode::InvalidName) => self.reserved_name(name),
            (Step::Claim, ErrorCode::QuotaExceeded) if self.has_paid(name) => {
                self.refused_name(name, NameRefusal::TooMany);
            }
            (Step::Claim, ErrorCode::NotAdmitted) if self.has_paid(name) => {
                self.refused_name(name, NameRefusal::NotAdmitted);
            }
            (Step::Claim, ErrorCode::QuotaExceeded | ErrorCode::NotAdmitted) => {
                self.names.pay(name);
                // What was announced when the account was made may have changed.
                (self.own.price, self.own.nonce) = (None, None);
            }
            (Step::Claim, ErrorCode::WorkRequired) => {
                (self.own.price, self.own.nonce) = (None, None);
                return Err(error);
            }
            (Step::List, ErrorCode::StaleNumber) => {
                self.own.listing_number = self.own.listing_number.saturating_add(times::LISTING_STEP);
                self.own.save(&mut self.stage);
                return Err(error);
            }
            (Step::List, ErrorCode::NotYourName) if name.is_reserved() => {
                self.refused_name(name, NameRefusal::Reserved);
            }
            // The server was put back to a day before it was claimed, or its operator took it away.
            (Step::List, ErrorCode::NotYourName) => self.names.lost(name, &mut self.stage),
            (Step::Unlist | Step::Release, ErrorCode::NotYourName) => self.name_done(name, step),
            _ => return Err(error),
        }
        Ok(())
    }

    /// Whether more was offered for a name than what the account has paid for already.
    fn has_paid(&self, name: &Name) -> bool {
        self.names.is_to_be_paid(name) || self.names.invite(name).is_some()
    }

    /// An operator gives such names by hand: whether this one was given shows when it is listed.
    fn reserved_name(&mut self, name: &Name) {
        let is_listed = self.names.views().iter().any(|view| view.name == *name && view.listed);
        if is_listed {
            self.names.done(name, Step::Claim, &mut self.stage);
        } else {
            self.refused_name(name, NameRefusal::Reserved);
        }
    }

    fn name_done(&mut self, name: &Name, step: Step) {
        if !self.names.contains(name) {
            return;
        }
        let state = self.names.done(name, step, &mut self.stage);
        let news = match (step, state) {
            (Step::Claim, Some(OwnNameState::Held)) => NameNews::Held,
            (Step::List, Some(OwnNameState::Listed)) => NameNews::Listed,
            (Step::Unlist, Some(OwnNameState::Held)) => NameNews::Unlisted,
            (Step::Release, None) => NameNews::Released,
            // The person has changed their mind meanwhile; what they want now is asked next.
            _ => return,
        };
        self.stage.notify(Event::Name { name: *name, news });
    }

    fn refused_name(&mut self, name: &Name, refusal: NameRefusal) {
        self.names.remove(name, &mut self.stage);
        self.stage.notify(Event::Name { name: *name, news: NameNews::Refused(refusal) });
    }
}

const fn task(name: Name, step: Step) -> Task {
    match step {
        Step::Claim => Task::ClaimName(name),
        Step::List => Task::SetListing(name),
        Step::Unlist => Task::Unlist(name),
        Step::Release => Task::ReleaseName(name),
    }
}

/// What a task asks for a name; none if it is about none.
pub(super) const fn step_of(task: &Task) -> Option<(Name, Step)> {
    match task {
        Task::ClaimName(name) => Some((*name, Step::Claim)),
        Task::SetListing(name) => Some((*name, Step::List)),
        Task::Unlist(name) => Some((*name, Step::Unlist)),
        Task::ReleaseName(name) => Some((*name, Step::Release)),
        _ => None,
    }
}
