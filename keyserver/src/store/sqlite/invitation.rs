//! Invitations: a tree, each serving once. Implements spec/19-keyserver.md §19.8.4.
use sqlx::SqliteConnection;
use waxwing_wire::time::Timestamp;

use super::{
    Done,
    number::{Columns as _, millis},
};
use crate::store::{Invitation, InvitationState, InviteId, NewInvitation, OperatorError};

/// Whether the invitation could serve; now it cannot any more.
pub(super) async fn spend(connection: &mut SqliteConnection, hash: &[u8; 32]) -> Result<bool, sqlx::Error> {
    let spend = sqlx::query("UPDATE invitation SET state = ? WHERE hash = ? AND state = ?");
    let spend = spend.bind(number_of(InvitationState::Spent)).bind(hash.as_slice());
    Ok(spend.bind(number_of(InvitationState::Open)).execute(connection).await?.rows_affected() == 1)
}

pub(super) async fn mint(
    connection: &mut SqliteConnection,
    invitations: Vec<NewInvitation>,
    below: Option<InviteId>,
    now: Timestamp,
) -> Done<Vec<InviteId>, OperatorError> {
    if let Some(parent) = below {
        let parent = sqlx::query("SELECT state FROM invitation WHERE number = ?").bind(row(parent));
        match parent.fetch_optional(&mut *connection).await?.map(|row| row.number(0)).transpose()? {
            None => return Ok(Err(OperatorError::NoInvitation)),
            Some(state) if state == number_of(InvitationState::Revoked) => return Ok(Err(OperatorError::Revoked)),
            Some(_) => {}
        }
    }
    let mut ids = Vec::with_capacity(invitations.len());
    for NewInvitation { hash } in invitations {
        let insert = sqlx::query("INSERT INTO invitation (hash, below, minted, state) VALUES (?, ?, ?, ?)");
        let insert = insert.bind(hash.to_vec()).bind(below.map(row)).bind(millis(now));
        let insert = insert.bind(number_of(InvitationState::Open)).execute(&mut *connection).await?;
        ids.push(InviteId(u64::try_from(insert.last_insert_rowid()).unwrap_or(0)));
    }
    Ok(Ok(ids))
}

pub(super) async fn revoke(connection: &mut SqliteConnection, invitation: InviteId) -> Done<u64, OperatorError> {
    let known = sqlx::query("SELECT 1 FROM invitation WHERE number = ?").bind(row(invitation));
    if known.fetch_optional(&mut *connection).await?.is_none() {
        return Ok(Err(OperatorError::NoInvitation));
    }
    let revoke = sqlx::query(REVOKE).bind(row(invitation)).bind(number_of(InvitationState::Revoked));
    Ok(Ok(revoke.bind(number_of(InvitationState::Open)).execute(connection).await?.rows_affected()))
}

pub(super) async fn read(
    connection: &mut SqliteConnection,
    after: InviteId,
    most: u32,
) -> Result<Vec<Invitation>, sqlx::Error> {
    let rows = sqlx::query(READ).bind(row(after)).bind(i64::from(most)).fetch_all(connection).await?;
    let invitations = rows.iter().map(|row| {
        let below = row.maybe_number(1)?.and_then(|below| u64::try_from(below).ok()).map(InviteId);
        let state = match row.number(3)? {
            0 => InvitationState::Open,
            1 => InvitationState::Spent,
            _ => InvitationState::Revoked,
        };
        Ok(Invitation { id: InviteId(row.count(0)?), below, minted: Timestamp(row.count(2)?), state })
    });
    invitations.collect()
}

const fn number_of(state: InvitationState) -> i64 {
    match state {
        InvitationState::Open => 0,
        InvitationState::Spent => 1,
        InvitationState::Revoked => 2,
    }
}

fn row(invitation: InviteId) -> i64 {
    i64::try_from(invitation.0).unwrap_or(i64::MAX)
}

const REVOKE: &str = "WITH RECURSIVE tree (number) AS ( \
         SELECT ?1 UNION SELECT invitation.number FROM invitation JOIN tree ON invitation.below = tree.number) \
     UPDATE invitation SET state = ?2 WHERE state = ?3 AND number IN (SELECT number FROM tree)";

const READ: &str = "SELECT number, below, minted, state FROM invitation WHERE number > ? ORDER BY number LIMIT ?";
