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
    delivery::{DeliverySecret, Grant},
    frame::{Admission, ErrorCode, InviteToken, Price, ServerError, Work},
    id::MailboxId,
    keys::IntroductionToken,
    pow::{Nonce, Puzzle},
    relay::{
        Ack, AddLane, Authenticate, CreateMailbox, EndLane, LaneNumber, NewLane, OwnerKey, RelayReply, RelayRequest,
        Subscribe,
    },
    time::Timestamp,
};

use crate::{
    interface::{Event, Link, Purpose},
    links::Links,
    own::{self, Own},
    records::{self, MailboxRecord, TokenRecord},
    stage::Stage,
    store::Table,
    task::{Lane, Task},
};

/// Deliveries without an ack; no more than any relay announces.
const WINDOW: u32 = 256;
/// Tokens that a mailbox has at once (FLOWS).
const MOST_TOKENS: usize = 8;

pub(crate) struct Mailbox {
    owner: OwnerKey,
    /// Of the capability that the account's root derives (spec §11.2.5).
    close_hash: [u8; 32],
    created: bool,
    lanes: [bool; 3],
    tokens: Vec<Token>,
    // In memory only: what the connection has come to.
    authenticated: bool,
    subscribed: bool,
    price: Option<Price>,
    nonce: Option<Nonce>,
    to_ack: BTreeSet<u64>,
    in_ack: Vec<u64>,
}

struct Token {
    secret: IntroductionToken,
    ends: Timestamp,
    /// 0 until the relay knows it.
    lane: u32,
    revoked: bool,
}

impl Mailbox {
    pub(crate) const fn new(owner: OwnerKey, close_hash: [u8; 32]) -> Self {
        Self {
            owner,
            close_hash,
            created: false,
            lanes: [false; 3],
            tokens: Vec::new(),
            authenticated: false,
            subscribed: false,
            price: None,
            nonce: None,
            to_ack: BTreeSet::new(),
            in_ack: Vec::new(),
        }
    }

    pub(crate) fn id(&self) -> MailboxId {
        self.owner.mailbox()
    }

    /// Whether others can put into it: it and its lanes are there.
    pub(crate) fn is_ready(&self) -> bool {
        self.created && self.lanes == [true; 3]
    }

    /// Makes a token for a link; none if there are as many as a mailbox takes.
    pub(crate) fn add_token(
        &mut self,
        lifetime: Duration,
        now: Timestamp,
        stage: &mut Stage,
        rng: &mut impl CryptoRng,
    ) -> Option<&IntroductionToken> {
        self.tokens.retain(|token| token.ends > now);
        let open = self.tokens.iter().filter(|token| !token.revoked).count();
        if open >= MOST_TOKENS {
            return None;
        }
        let secret = IntroductionToken::from_bytes(&crate::random::bytes(rng));
        self.tokens.push(Token { secret, ends: now.saturating_add(lifetime), lane: 0, revoked: false });
        self.save(stage);
        self.tokens.last().map(|token| &token.secret)
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
        } else if let Some((lane, request)) = self.missing_lane(own) {
            ask(links, link, Task::AddLane(lane), RelayRequest::AddLane(request), now, stage);
        } else if !self.subscribed {
            let subscribe = Subscribe { after: 0, window: WINDOW };
            ask(links, link, Task::Subscribe, RelayRequest::Subscribe(subscribe), now, stage);
        } else {
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
        if !contacts {
            let hash = audience(&own.contacts_secret);
            return Some((Lane::Contacts, AddLane { lane: NewLane::Contacts, hash, ends: None }));
        }
        if !groups {
            let hash = audience(&own.groups_secret);
            return Some((Lane::Groups, AddLane { lane: NewLane::Groups, hash, ends: None }));
        }
        if !own_lane {
            return Some((Lane::Own, AddLane { lane: NewLane::Own, hash: audience(&own.own_secret), ends: None }));
        }
        let (index, token) = self.tokens.iter().enumerate().find(|(_, token)| token.lane == 0 && !token.revoked)?;
        let secret = DeliverySecret::from_bytes(token.secret.as_bytes());
        let hash = secret.key_for(Grant::Introduction, &id).lane_hash(&id);
        Some((Lane::Introduction(index), AddLane { lane: NewLane::Introduction, hash, ends: Some(token.ends) }))
    }

    fn end_revoked(&self, link: Link, links: &mut Links<Task>, now: Timestamp, stage: &mut Stage) {
        for token in self.tokens.iter().filter(|token| token.revoked && token.lane != 0) {
            let end = RelayRequest::EndLane(EndLane { lane: LaneNumber(token.lane), ends: now });
            ask(links, link, Task::EndLane(token.lane), end, now, stage);
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
        (self.authenticated, self.subscribed, self.price, self.nonce) = (false, false, None, None);
    }

    pub(crate) fn replied(
        &mut self,
        task: Task,
        result: Result<RelayReply, ServerError>,
        stage: &mut Stage,
    ) -> Result<(), ServerError> {
        match (task, result) {
            (Task::MailboxInfo, Ok(RelayReply::Info(info))) => self.price = Some(info.price),
            (Task::CreateMailbox, Ok(RelayReply::Done)) => {
                (self.created, self.authenticated) = (true, true);
                self.save(stage);
            }
            (Task::CreateMailbox, Err(error)) => {
                // The challenge may have ended: ask again.
                (self.price, self.nonce) = (None, None);
                return Err(error);
            }
            (Task::Authenticate, Ok(RelayReply::Done)) => self.authenticated = true,
            (Task::AddLane(lane), Ok(RelayReply::LaneAdded(added))) => self.added(lane, added.lane.0, stage),
            (Task::Subscribe, Ok(RelayReply::Subscribed(_))) => self.subscribed = true,
            (Task::Ack, Ok(RelayReply::Done)) => {
                for sequence in self.in_ack.drain(..) {
                    self.to_ack.remove(&sequence);
                }
            }
            (Task::EndLane(lane), Ok(RelayReply::Done) | Err(ServerError { code: ErrorCode::NoSuchLane, .. })) => {
                self.tokens.retain(|token| token.lane != lane);
                self.save(stage);
            }
            (_, Err(error)) => return Err(error),
            // An answer to something else: a server that is broken. Asked again after a wait, not at once for ever.
            (_, Ok(_)) => return Err(ErrorCode::Unexpected.into()),
        }
        Ok(())
    }

    pub(crate) fn solved(&mut self, nonce: Nonce) {
        self.nonce = Some(nonce);
    }

    /// The relay says that somebody else took the subscription, or that it goes: begin anew.
    pub(crate) fn unsubscribed(&mut self) {
        self.subscribed = false;
    }

    fn added(&mut self, lane: Lane, number: u32, stage: &mut Stage) {
        let [contacts, groups, own] = &mut self.lanes;
        match lane {
            Lane::Contacts => *contacts = true,
            Lane::Groups => *groups = true,
            Lane::Own => *own = true,
            Lane::Introduction(index) => {
                if let Some(token) = self.tokens.get_mut(index) {
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

    pub(crate) fn save(&self, stage: &mut Stage) {
        let [contacts, groups, own] = self.lanes;
        let tokens = self.tokens.iter().map(|token| TokenRecord {
            token: token.secret.as_bytes().to_vec(),
            ends: token.ends.0,
            lane: token.lane,
            revoked: token.revoked,
        });
        let record = MailboxRecord {
            owner_seed: self.owner.seed().to_vec(),
            close_hash: self.close_hash.to_vec(),
            created: self.created,
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
        mailbox.lanes = [record.contacts, record.groups, record.own];
        for token in &record.tokens {
            mailbox.tokens.push(Token {
                secret: IntroductionToken::from_bytes(&*own::seed(&token.token)?),
                ends: Timestamp(token.ends),
                lane: token.lane,
                revoked: token.revoked,
            });
        }
        Some(mailbox)
    }
}

fn ask(links: &mut Links<Task>, link: Link, task: Task, request: RelayRequest, now: Timestamp, stage: &mut Stage) {
    if links.is_due(&task, now) {
        links.ask_relay(link, task, request, now, stage);
    }
}

/// The relay's clock and ours.
pub(crate) fn tell_skew(server: Timestamp, now: Timestamp, stage: &mut Stage) {
    let apart = server.since(now).max(now.since(server));
    if apart > crate::times::SKEW_SHOWN {
        stage.notify(Event::ClockSkew { server });
    }
}
