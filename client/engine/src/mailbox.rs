//! This device's own mailbox. Implements spec/20-client.md §20.6.
//!
//! ```text
//! (none) ─create─▶ lanes: contacts, groups, own, one for each link ─subscribe─▶ live: deliveries come, acks go
//! ```
//! Invariants: an ack names only what was saved; what was acked and comes again in this life is acked again and not looked at.
use std::collections::BTreeSet;

use core::time::Duration;

use rand_core::CryptoRng;
use waxwing_wire::{
    content::{OwnLink, OwnLinks},
    delivery::{DeliverySecret, Grant, LaneHash},
    frame::{Admission, ErrorCode, InviteToken, Price, ServerError, Work},
    id::MailboxId,
    keys::IntroductionToken,
    pow::{Nonce, Puzzle},
    relay::{
        Ack, AddLane, Authenticate, CreateMailbox, EndLane, LaneKind, LaneNumber, MailboxState, NewLane, OwnerKey,
        RelayReply, RelayRequest, RotateLane, Subscribe,
    },
    time::Timestamp,
};

use crate::{
    interface::{ClockSkew, Event, Link, LinkId, LinkUses, OpenLink, Purpose},
    links::Links,
    own::{self, Own},
    records::{self, MailboxRecord, TokenRecord},
    stage::Stage,
    store::Table,
    task::{Lane, Task},
    times,
};

/// Deliveries without an ack; no more than any relay announces.
const WINDOW: u32 = 256;
/// Tokens that a mailbox has at once (FLOWS).
const MOST_TOKENS: usize = 8;

pub(crate) struct Mailbox {
    owner: OwnerKey,
    /// What the owner key makes it; asked for with every input.
    id: MailboxId,
    /// Of the capability that the account's root derives (spec §11.2.5).
    close_hash: [u8; 32],
    created: bool,
    /// The relay's numbers of the contacts', groups' and own lane; 0 until there is one.
    lanes: [u32; 3],
    /// What the relay has for contacts: the hash of the key that was last given to it.
    contacts_hash: Vec<u8>,
    tokens: Vec<Token>,
    /// In memory: the secret for contacts and the hash that it makes, which is compared with every input.
    hashed: Option<(DeliverySecret, LaneHash)>,
    // In memory only: what the connection has come to.
    authenticated: bool,
    /// Up to which number something waited when it subscribed.
    subscribed: Option<u64>,
    /// Up to which number the relay said that it has pushed what waited.
    backlog_ended: Option<u64>,
    price: Option<Price>,
    nonce: Option<Nonce>,
    to_ack: BTreeSet<u64>,
    in_ack: Vec<u64>,
    /// The relay said that it does not know it: what lanes it has is asked.
    is_doubted: bool,
    /// When it was last seen which lanes the relay has, and whether it may have become another relay since: one that was put back.
    seen: Option<Timestamp>,
    is_unseen: bool,
    /// Lanes of links that are over, which the relay has again.
    strays: Vec<u32>,
    /// The hash that the contacts' lane is being given.
    rotating_to: Option<LaneHash>,
}

struct Token {
    secret: IntroductionToken,
    ends: Timestamp,
    /// 0 until the relay knows it.
    lane: u32,
    revoked: bool,
    uses: LinkUses,
}

impl Token {
    fn lane_hash(&self, mailbox: &MailboxId) -> LaneHash {
        DeliverySecret::from_bytes(self.secret.as_bytes()).key_for(Grant::Introduction, mailbox).lane_hash(mailbox)
    }

    /// Names it beyond the order in which tokens come and go.
    fn lane(&self, mailbox: &MailboxId) -> Lane {
        let hash = self.lane_hash(mailbox);
        Lane::Introduction(hash.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

impl Mailbox {
    pub(crate) fn new(owner: OwnerKey, close_hash: [u8; 32]) -> Self {
        Self {
            id: owner.mailbox(),
            owner,
            close_hash,
            created: false,
            lanes: [0; 3],
            contacts_hash: Vec::new(),
            tokens: Vec::new(),
            hashed: None,
            authenticated: false,
            subscribed: None,
            backlog_ended: None,
            price: None,
            nonce: None,
            to_ack: BTreeSet::new(),
            in_ack: Vec::new(),
            is_doubted: false,
            seen: None,
            is_unseen: true,
            strays: Vec::new(),
            rotating_to: None,
        }
    }

    pub(crate) const fn id(&self) -> MailboxId {
        self.id
    }

    /// Whether others can put into it: it and its lanes are there.
    pub(crate) fn is_ready(&self) -> bool {
        self.created && !self.lanes.contains(&0)
    }

    /// Makes a token for a link; none if there are as many as a mailbox takes.
    pub(crate) fn add_token(
        &mut self,
        lifetime: Duration,
        uses: LinkUses,
        now: Timestamp,
        stage: &mut Stage,
        rng: &mut impl CryptoRng,
    ) -> Option<&IntroductionToken> {
        self.forget_ended(now);
        let open = self.tokens.iter().filter(|token| !token.revoked).count();
        if open >= MOST_TOKENS {
            return None;
        }
        let secret = IntroductionToken::from_bytes(&crate::random::bytes(rng));
        self.tokens.push(Token { secret, ends: now.saturating_add(lifetime), lane: 0, revoked: false, uses });
        self.save(stage);
        self.tokens.last().map(|token| &token.secret)
    }

    /// What the other devices of the account are to know of its links.
    pub(crate) fn links(&self) -> OwnLinks {
        let link = |token: &Token| OwnLink {
            token: IntroductionToken::from_bytes(token.secret.as_bytes()),
            ends: token.ends,
            revoked: token.revoked,
            once: token.uses == LinkUses::Once,
        };
        // The newest, should there be more than fit.
        let links = self.tokens.iter().rev().take(OwnLinks::MOST).map(link);
        OwnLinks { links: links.collect() }
    }

    /// Another device of the account says which links there are: each serves at every device.
    pub(crate) fn take_links(&mut self, links: &OwnLinks, now: Timestamp, stage: &mut Stage) {
        self.forget_ended(now);
        for OwnLink { token, ends, revoked, once } in links.links.iter().filter(|link| link.ends > now) {
            if let Some(known) = self.tokens.iter_mut().find(|known| known.secret.as_bytes() == token.as_bytes()) {
                known.revoked |= revoked;
            } else if self.tokens.len() < OwnLinks::MOST {
                let secret = IntroductionToken::from_bytes(token.as_bytes());
                let uses = uses(*once);
                self.tokens.push(Token { secret, ends: *ends, lane: 0, revoked: *revoked, uses });
            }
        }
        self.save(stage);
    }

    /// A relay ends what has ended by itself.
    fn forget_ended(&mut self, now: Timestamp) {
        self.tokens.retain(|token| token.ends > now);
    }

    /// Does the next thing that the mailbox needs.
    pub(crate) fn pump(&mut self, own: &Own, links: &mut Links<Task>, now: Timestamp, stage: &mut Stage) {
        let link = Link { server: *own.relay.key().as_bytes(), purpose: Purpose::Owner(self.id()) };
        if !links.is_up(link, &own.relay, now, stage) {
            self.down();
            return;
        }
        if !self.created {
            self.create(own, link, links, now, stage);
        } else if !self.authenticated {
            let Some((exporter, _)) = links.binding(&link) else { return };
            let authenticate = Authenticate { mailbox: self.id(), signature: self.owner.prove(exporter) };
            ask(links, link, Task::Authenticate, RelayRequest::Authenticate(authenticate), now, stage);
        } else if self.is_doubted {
            ask(links, link, Task::MailboxState, RelayRequest::MailboxState, now, stage);
        } else if let Some((lane, request)) = self.missing_lane(own) {
            if lane == Lane::Contacts {
                self.rotating_to = Some(request.hash);
            }
            ask(links, link, Task::AddLane(lane), RelayRequest::AddLane(request), now, stage);
        } else if self.subscribed.is_none() {
            let subscribe = Subscribe { after: 0, window: WINDOW };
            ask(links, link, Task::Subscribe, RelayRequest::Subscribe(subscribe), now, stage);
        } else {
            self.look_at_lanes(link, links, now, stage);
            self.rotate(own, link, links, now, stage);
            self.end_revoked(link, links, now, stage);
            self.acknowledge(link, links, now, stage);
        }
    }

    fn create(&mut self, own: &Own, link: Link, links: &mut Links<Task>, now: Timestamp, stage: &mut Stage) {
        let Some((exporter, _)) = links.binding(&link) else { return };
        let signature = self.owner.prove(exporter);
        let admission = match (&own.relay_admission, &self.price, self.nonce) {
            (Some(token), _, _) => Admission::Invite(InviteToken::from_bytes(*token)),
            (None, None, _) => return ask(links, link, Task::MailboxInfo, RelayRequest::Info, now, stage),
            (None, Some(price), _) if price.open => Admission::Open,
            (None, Some(price), Some(nonce)) => Admission::Work(Work { challenge: price.challenge, nonce }),
            (None, Some(price), None) => {
                let Some(difficulty) = price.admission else {
                    self.price = None;
                    return;
                };
                if links.is_due(&Task::MailboxWork, now) {
                    let puzzle = Puzzle::mailbox(&price.challenge, &self.id(), difficulty);
                    links.ask_work(Task::MailboxWork, puzzle, now, stage);
                }
                return;
            }
        };
        let (owner_key, close_hash) = (*self.owner.public_key().as_bytes(), self.close_hash);
        let create = CreateMailbox { owner_key, close_hash, admission, signature };
        ask(links, link, Task::CreateMailbox, RelayRequest::CreateMailbox(create), now, stage);
    }

    fn missing_lane(&self, own: &Own) -> Option<(Lane, AddLane)> {
        let id = self.id();
        let audience = |secret: &DeliverySecret| secret.key_for(Grant::Audience, &id).lane_hash(&id);
        let [contacts, groups, own_lane] = self.lanes;
        if contacts == 0 {
            let hash = self.contacts_hash(own);
            return Some((Lane::Contacts, AddLane { lane: NewLane::Contacts, hash, ends: None }));
        }
        if groups == 0 {
            let hash = audience(&own.groups_secret);
            return Some((Lane::Groups, AddLane { lane: NewLane::Groups, hash, ends: None }));
        }
        if own_lane == 0 {
            return Some((Lane::Own, AddLane { lane: NewLane::Own, hash: audience(&own.own_secret), ends: None }));
        }
        let token = self.tokens.iter().find(|token| token.lane == 0 && !token.revoked)?;
        let hash = token.lane_hash(&id);
        Some((token.lane(&id), AddLane { lane: NewLane::Introduction, hash, ends: Some(token.ends) }))
    }

    fn contacts_hash(&self, own: &Own) -> LaneHash {
        let id = self.id();
        own.contacts_secret.key_for(Grant::Audience, &id).lane_hash(&id)
    }

    /// A relay that was put back to an earlier day knows the owner, and not what was agreed since: nobody else would notice.
    fn look_at_lanes(&self, link: Link, links: &mut Links<Task>, now: Timestamp, stage: &mut Stage) {
        if self.is_unseen && self.seen.is_none_or(|at| now.since(at) >= times::LOOK_AT_LANES) {
            ask(links, link, Task::MailboxState, RelayRequest::MailboxState, now, stage);
        }
    }

    /// The account has another secret for contacts: the old one ends, at the strangers' share until then (FLOWS g).
    fn rotate(&mut self, own: &Own, link: Link, links: &mut Links<Task>, now: Timestamp, stage: &mut Stage) {
        let hash = match &self.hashed {
            Some((secret, hash)) if *secret == own.contacts_secret => *hash,
            _ => {
                let hash = self.contacts_hash(own);
                self.hashed = Some((DeliverySecret::from_bytes(own.contacts_secret.expose()), hash));
                hash
            }
        };
        let [contacts, ..] = self.lanes;
        if self.contacts_hash != hash.as_bytes() && links.is_due(&Task::RotateLane, now) {
            let old_ends = now.saturating_add(times::OLD_SECRET);
            let rotate = RotateLane { lane: LaneNumber(contacts), hash, old_ends };
            self.rotating_to = Some(hash);
            links.ask_relay(link, Task::RotateLane, RelayRequest::RotateLane(rotate), now, stage);
        }
    }

    fn end_revoked(&self, link: Link, links: &mut Links<Task>, now: Timestamp, stage: &mut Stage) {
        let revoked = self.tokens.iter().filter(|token| token.revoked && token.lane != 0).map(|token| token.lane);
        for lane in revoked.chain(self.strays.iter().copied()) {
            let end = RelayRequest::EndLane(EndLane { lane: LaneNumber(lane), ends: now });
            ask(links, link, Task::EndLane(lane), end, now, stage);
        }
    }

    fn acknowledge(&mut self, link: Link, links: &mut Links<Task>, now: Timestamp, stage: &mut Stage) {
        if self.to_ack.is_empty() || !links.is_due(&Task::Ack, now) {
            return;
        }
        self.in_ack = self.to_ack.iter().take(Ack::MOST).copied().collect();
        let Some(ack) = Ack::new(0, self.in_ack.clone()) else { return };
        links.ask_relay(link, Task::Ack, RelayRequest::Ack(ack), now, stage);
    }

    /// Whether a delivery is one that was dealt with in this life.
    pub(crate) fn is_known(&self, sequence: u64) -> bool {
        self.to_ack.contains(&sequence)
    }

    /// A delivery was dealt with: what came of it is in the batch that is saved before the ack leaves.
    pub(crate) fn dealt_with(&mut self, sequence: u64) {
        self.to_ack.insert(sequence);
    }

    /// The connection is over.
    pub(crate) fn down(&mut self) {
        self.unsubscribed();
        self.is_unseen = true;
        (self.authenticated, self.price, self.nonce) = (false, None, None);
    }

    pub(crate) fn replied(
        &mut self,
        task: Task,
        result: Result<RelayReply, ServerError>,
        now: Timestamp,
        stage: &mut Stage,
    ) -> Result<(), ServerError> {
        match (task, result) {
            (Task::MailboxInfo, Ok(RelayReply::Info(info))) => self.price = Some(info.price),
            (Task::CreateMailbox, Ok(RelayReply::Done)) => {
                (self.created, self.authenticated) = (true, true);
                if !self.is_doubted {
                    // It is new: what lanes it has is known.
                    (self.seen, self.is_unseen) = (Some(now), false);
                }
                self.save(stage);
            }
            (Task::CreateMailbox, Err(error)) => {
                // The challenge may have ended: ask again.
                (self.price, self.nonce) = (None, None);
                return Err(error);
            }
            (Task::Authenticate, Ok(RelayReply::Done)) => self.authenticated = true,
            (Task::Authenticate, Err(error)) if error.code == ErrorCode::Refused => {
                // The relay lost it. The same owner key makes the same mailbox again; one that was closed stays so.
                (self.created, self.is_doubted) = (false, true);
                self.save(stage);
                return Err(error);
            }
            (Task::AddLane(lane), Ok(RelayReply::LaneAdded(added))) => self.added(lane, added.lane.0, stage),
            (Task::RotateLane, Ok(RelayReply::LaneAdded(added))) => self.added(Lane::Contacts, added.lane.0, stage),
            (Task::MailboxState, Ok(RelayReply::MailboxState(state))) => self.take_state(&state, now, stage),
            (Task::AddLane(_), Err(error)) if error.code == ErrorCode::LaneExists => {
                // An answer was lost, with what it said.
                self.is_doubted = true;
                return Err(error);
            }
            (Task::Subscribe, Ok(RelayReply::Subscribed(subscribed))) => self.subscribed = Some(subscribed.newest),
            (Task::Ack, Ok(RelayReply::Done)) => {
                for sequence in self.in_ack.drain(..) {
                    self.to_ack.remove(&sequence);
                }
            }
            (Task::EndLane(lane), Ok(RelayReply::Done) | Err(ServerError { code: ErrorCode::NoSuchLane, .. })) => {
                // The token stays known as revoked, lest another device's list bring it back.
                if let Some(token) = self.tokens.iter_mut().find(|token| token.lane == lane) {
                    token.lane = 0;
                }
                self.strays.retain(|stray| *stray != lane);
                self.save(stage);
            }
            (_, Err(error)) => return Err(error),
            // An answer to something else: a server that is broken. Asked again after a wait, not at once for ever.
            (_, Ok(_)) => return Err(ErrorCode::Unexpected.into()),
        }
        Ok(())
    }

    /// What the relay has is what counts: lanes that it does not know are made again, and those of links that are over end again.
    fn take_state(&mut self, state: &MailboxState, now: Timestamp, stage: &mut Stage) {
        let number = |wanted: LaneKind, known: u32| {
            let mut open = state.lanes.iter().filter(|lane| lane.kind == wanted && lane.ends.is_none());
            let same = open.clone().any(|lane| lane.lane.0 == known);
            if same { known } else { open.next().map_or(0, |lane| lane.lane.0) }
        };
        let [contacts, groups, own] = self.lanes;
        let of_contacts = number(LaneKind::Contacts, contacts);
        if of_contacts != contacts {
            // Whatever key it takes: it gets the one that counts.
            self.contacts_hash.clear();
        }
        self.lanes = [of_contacts, number(LaneKind::Groups, groups), number(LaneKind::Own, own)];
        let of_links: Vec<u32> =
            state.lanes.iter().filter(|lane| is_of_link(lane, now)).map(|lane| lane.lane.0).collect();
        self.tokens.iter_mut().filter(|token| !of_links.contains(&token.lane)).for_each(|token| token.lane = 0);
        self.is_doubted = false;
        // A lane that is not known may be one whose making was not answered: it is made first, which tells its number.
        if self.tokens.iter().all(|token| token.revoked || token.lane != 0) {
            let is_known = |lane: &u32| self.tokens.iter().any(|token| token.lane == *lane);
            self.strays = of_links.into_iter().filter(|lane| !is_known(lane)).collect();
            (self.seen, self.is_unseen) = (Some(now), false);
        }
        self.save(stage);
    }

    pub(crate) fn solved(&mut self, nonce: Nonce) {
        self.nonce = Some(nonce);
    }

    /// The relay says that somebody else took the subscription, or that it goes: begin anew.
    pub(crate) fn unsubscribed(&mut self) {
        (self.subscribed, self.backlog_ended) = (None, None);
    }

    /// What had waited up to that number is taken. It may come before the answer to the subscription that it follows.
    pub(crate) fn backlog_ended(&mut self, sequence: u64) {
        self.backlog_ended = Some(sequence);
    }

    /// Whether everything is here that had waited at the relay.
    pub(crate) fn is_drained(&self) -> bool {
        self.subscribed.is_some_and(|newest| self.backlog_ended.is_some_and(|ended| ended >= newest))
    }

    fn added(&mut self, lane: Lane, number: u32, stage: &mut Stage) {
        let id = self.id();
        let [contacts, groups, own] = &mut self.lanes;
        match lane {
            Lane::Contacts => {
                *contacts = number;
                if let Some(hash) = self.rotating_to.take() {
                    self.contacts_hash = hash.as_bytes().to_vec();
                }
            }
            Lane::Groups => *groups = number,
            Lane::Own => *own = number,
            Lane::Introduction(_) => {
                // A relay that was put back gives numbers again.
                self.strays.retain(|stray| *stray != number);
                if let Some(token) = self.tokens.iter_mut().find(|token| token.lane(&id) == lane) {
                    token.lane = number;
                }
            }
        }
        self.save(stage);
    }

    /// Whoever came by that token comes by it no more.
    pub(crate) fn revoke_by_lane(&mut self, lane: u32, stage: &mut Stage) {
        if let Some(token) = self.tokens.iter_mut().find(|token| token.lane == lane && lane != 0) {
            token.revoked = true;
            self.save(stage);
        }
    }

    /// Somebody who came by that lane was accepted: a link for one has served. Whether it was one.
    pub(crate) fn served(&mut self, lane: u32, stage: &mut Stage) -> bool {
        let is_it = |token: &Token| token.lane == lane && lane != 0 && token.uses == LinkUses::Once && !token.revoked;
        let is_once = self.tokens.iter().any(is_it);
        if is_once {
            self.revoke_by_lane(lane, stage);
        }
        is_once
    }

    /// Ends a link; false if there is none of that name that is open.
    pub(crate) fn revoke(&mut self, link: LinkId, now: Timestamp, stage: &mut Stage) -> bool {
        let mut open = self.tokens.iter_mut().filter(|token| !token.revoked && token.ends > now);
        let Some(token) = open.find(|token| LinkId::of_token(&token.secret) == link) else { return false };
        token.revoked = true;
        self.save(stage);
        true
    }

    /// The links by which others can write.
    pub(crate) fn open_links(&self, now: Timestamp) -> Vec<OpenLink> {
        let open = self.tokens.iter().filter(|token| !token.revoked && token.ends > now);
        let view = |token: &Token| OpenLink {
            id: LinkId::of_token(&token.secret),
            ends: token.ends,
            uses: token.uses,
            ready: token.lane != 0,
        };
        open.map(view).collect()
    }

    /// Whether the relay knows every link that is open, and none that was revoked.
    pub(crate) fn knows_links(&self, now: Timestamp) -> bool {
        // One that ends meanwhile ends at the relay by itself.
        self.tokens.iter().filter(|token| token.ends > now).all(|token| token.revoked == (token.lane == 0))
    }

    /// Whether a lane is the contacts' of now.
    pub(crate) fn is_of_contacts(&self, lane: u32) -> bool {
        let [contacts, ..] = self.lanes;
        lane == contacts
    }

    pub(crate) fn save(&self, stage: &mut Stage) {
        let [contacts, groups, own] = self.lanes;
        let tokens = self.tokens.iter().map(|token| TokenRecord {
            token: token.secret.as_bytes().to_vec(),
            ends: token.ends.0,
            lane: token.lane,
            revoked: token.revoked,
            once: token.uses == LinkUses::Once,
        });
        let record = MailboxRecord {
            owner_seed: self.owner.seed().to_vec(),
            close_hash: self.close_hash.to_vec(),
            created: self.created,
            contacts_hash: self.contacts_hash.clone(),
            contacts,
            groups,
            own,
            tokens: tokens.collect(),
        };
        stage.put_message(Table::Mailbox, self.id().as_bytes().to_vec(), &record);
    }

    pub(crate) fn restore(record: &[u8]) -> Option<Self> {
        let record: MailboxRecord = records::decode(record)?;
        let owner = OwnerKey::from_seed(&*own::seed(&record.owner_seed)?);
        let mut mailbox = Self::new(owner, record.close_hash.as_slice().try_into().ok()?);
        mailbox.created = record.created;
        mailbox.contacts_hash.clone_from(&record.contacts_hash);
        mailbox.lanes = [record.contacts, record.groups, record.own];
        for token in &record.tokens {
            mailbox.tokens.push(Token {
                secret: IntroductionToken::from_bytes(&*own::seed(&token.token)?),
                ends: Timestamp(token.ends),
                lane: token.lane,
                revoked: token.revoked,
                uses: uses(token.once),
            });
        }
        Some(mailbox)
    }
}

/// Whether it lets in whoever has a link.
fn is_of_link(lane: &waxwing_wire::relay::Lane, now: Timestamp) -> bool {
    lane.kind == LaneKind::Introduction && lane.ends.is_none_or(|ends| ends > now)
}

const fn uses(once: bool) -> LinkUses {
    if once { LinkUses::Once } else { LinkUses::Many }
}

/// Names a token on all devices and tells nothing of it: the hash that its lane would have at a mailbox that nobody has.
pub(crate) fn token_name(token: &IntroductionToken) -> [u8; 8] {
    let nowhere = MailboxId::from_bytes([0; 16]);
    let key = DeliverySecret::from_bytes(token.as_bytes()).key_for(Grant::Introduction, &nowhere);
    key.lane_hash(&nowhere).as_bytes().first_chunk().copied().unwrap_or_default()
}

fn ask(links: &mut Links<Task>, link: Link, task: Task, request: RelayRequest, now: Timestamp, stage: &mut Stage) {
    if links.is_due(&task, now) {
        links.ask_relay(link, task, request, now, stage);
    }
}

/// The relay's clock and ours.
pub(crate) fn tell_skew(server: Timestamp, now: Timestamp, stage: &mut Stage) -> Option<ClockSkew> {
    let apart = server.since(now).max(now.since(server));
    (apart > times::SKEW_SHOWN).then(|| {
        stage.notify(Event::ClockSkew { server });
        ClockSkew { server, here: now }
    })
}
