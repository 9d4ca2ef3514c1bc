//! The operator's verbs over a Unix socket. Implements spec/19-keyserver.md §19.9.
//!
//! Invariants: answers hold no name, account, key or
//! address but an invitation that was just made and whatever the operator wrote themself.
use std::{fmt::Write as _, sync::Arc};

use tokio::sync::Notify;
use waxwing_net::{
    Listener,
    process::{Operator, Scraped},
};
use waxwing_wire::{
    frame::InviteToken,
    id::AccountId,
    keys::ServerPublicKey,
    name::{Name, NameError},
};

use crate::{
    metrics,
    server::Surroundings,
    service::{Keyserver, invite_hash},
    store::{ClaimError, InvitationState, InviteId, NewInvitation, NewName, OperatorError, Stats, Store, Unavailable},
};

/// What an operator can do to a running server.
#[derive(Debug)]
pub struct Admin<S> {
    keyserver: Keyserver<S>,
    key: ServerPublicKey,
    surroundings: Surroundings,
    listener: Arc<Listener>,
    drain: Notify,
}

impl<S: Store> Admin<S> {
    /// For this server.
    #[must_use]
    pub fn new(
        keyserver: Keyserver<S>,
        key: ServerPublicKey,
        surroundings: Surroundings,
        listener: Arc<Listener>,
    ) -> Self {
        Self { keyserver, key, surroundings, listener, drain: Notify::new() }
    }

    /// Resolves when the operator asks the server to stop.
    pub async fn drain_asked(&self) {
        self.drain.notified().await;
    }

    async fn obey(&self, line: &str) -> Result<String, VerbError> {
        let words: Vec<_> = line.split_whitespace().collect();
        match *words.as_slice() {
            ["health"] => self.health().await,
            ["stats"] => Ok(stats(&self.keyserver.store().stats(self.surroundings.clock.now()).await?)),
            ["metrics"] => Ok(self.metrics()),
            ["verify"] => self.verify().await,
            ["drain"] => {
                self.drain.notify_one();
                Ok("draining\n".into())
            }
            ["invite", "mint"] => self.mint("1", None).await,
            ["invite", "mint", count] => self.mint(count, None).await,
            ["invite", "mint", count, "below", parent] => self.mint(count, Some(parent)).await,
            ["invite", "revoke", id] => {
                let ended = self.keyserver.store().revoke(invite_id(id)?).await?;
                Ok(format!("{ended} invitations ended\n"))
            }
            ["invite", "list"] => self.list().await,
            ["name", "give", name, account] => self.give(name, account).await,
            _ => Err(VerbError::Unknown),
        }
    }

    async fn health(&self) -> Result<String, VerbError> {
        // A change would have to be durable; a read shows that the file is there and ours.
        self.keyserver.store().secret().await?;
        Ok("serving\n".into())
    }

    async fn verify(&self) -> Result<String, VerbError> {
        let findings = self.keyserver.store().verify(&self.key).await?;
        let mut answer = String::new();
        for finding in &findings {
            let _ = writeln!(answer, "{}: {}", finding.place, finding.what);
        }
        if findings.is_empty() { Ok("everything verifies\n".into()) } else { Err(VerbError::Findings(answer)) }
    }

    async fn mint(&self, count: &str, below: Option<&str>) -> Result<String, VerbError> {
        let count = count.parse().ok().filter(|count| (1..=MOST_MINTED).contains(count)).ok_or(VerbError::Count)?;
        let below = below.map(invite_id).transpose()?;
        let mut tokens = Vec::with_capacity(count);
        for _ in 0..count {
            let mut token = [0; 16];
            getrandom::fill(&mut token).map_err(|_| VerbError::Entropy)?;
            tokens.push(token);
        }
        let new = tokens.iter().map(|token| NewInvitation { hash: invite_hash(&InviteToken::from_bytes(*token)) });
        let new: Vec<_> = new.collect();
        let ids = self.keyserver.store().mint(&new, below, self.surroundings.clock.now()).await?;
        let mut answer = String::new();
        for (InviteId(id), token) in ids.iter().zip(tokens) {
            let _ = write!(answer, "{id} ");
            for byte in token {
                let _ = write!(answer, "{byte:02x}");
            }
            answer.push('\n');
        }
        Ok(answer)
    }

    async fn list(&self) -> Result<String, VerbError> {
        let (mut answer, mut after) = (String::new(), InviteId(0));
        loop {
            let page = self.keyserver.store().invitations(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(answer) };
            after = last.id;
            for invitation in &page {
                let state = match invitation.state {
                    InvitationState::Open => "open",
                    InvitationState::Spent => "spent",
                    InvitationState::Revoked => "revoked",
                };
                let _ = write!(answer, "{} {state}", invitation.id.0);
                if let Some(InviteId(parent)) = invitation.below {
                    let _ = write!(answer, " below {parent}");
                }
                answer.push('\n');
            }
        }
    }

    async fn give(&self, name: &str, account: &str) -> Result<String, VerbError> {
        let name: Name = name.parse()?;
        let account: AccountId = account.parse().map_err(|_| VerbError::Account)?;
        let claim = NewName { name, account, most: u32::MAX, invite: None };
        self.keyserver.store().claim_name(claim, self.surroundings.clock.now()).await?;
        Ok("given\n".into())
    }
}

impl<S: Store> Operator for Admin<S> {
    async fn execute(&self, line: &str) -> Result<String, String> {
        self.obey(line).await.map_err(|error| error.to_string())
    }
}

impl<S: Store> Scraped for Admin<S> {
    fn metrics(&self) -> String {
        metrics::text(self.keyserver.counters(), &self.surroundings.latencies, &self.listener.counts())
    }

    async fn is_healthy(&self) -> bool {
        self.health().await.is_ok()
    }
}

fn stats(stats: &Stats) -> String {
    let Stats { accounts, deleted, devices, names, resting, one_time_keys, open_invitations, changes } = stats;
    format!(
        "accounts {accounts}\ndeleted {deleted}\ndevices {devices}\nnames {names}\nresting {resting}\n\
         one_time_keys {one_time_keys}\nopen_invitations {open_invitations}\nchanges {changes}\n"
    )
}

fn invite_id(text: &str) -> Result<InviteId, VerbError> {
    text.parse().map(InviteId).map_err(|_| VerbError::Number)
}

/// Why a verb did nothing.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum VerbError {
    /// Not a verb.
    #[error("verbs: {VERBS}")]
    Unknown,
    /// Not a count.
    #[error("how many: 1 to {MOST_MINTED}")]
    Count,
    /// Not an invitation's number.
    #[error("an invitation is named by its number, which `invite list` shows")]
    Number,
    /// Not an account id.
    #[error("an account is named by its id, wxa-...")]
    Account,
    /// Not a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The store says no.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The store says no.
    #[error(transparent)]
    Invitation(#[from] OperatorError),
    /// See [`Unavailable`].
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The operating system has no randomness.
    #[error("the operating system has no randomness")]
    Entropy,
    /// What `verify` found, a line each.
    #[error("the store does not verify\n{0}")]
    Findings(String),
}

/// What there is to say.
pub const VERBS: &str = "health, stats, metrics, verify, drain, invite mint [COUNT [below ID]], invite revoke ID, invite list, \
     name give NAME ACCOUNT";
const MOST_MINTED: usize = 1_000;
const PAGE: u32 = 1_000;
