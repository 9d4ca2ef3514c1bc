//! What clients do, over QUIC, with nothing but `waxwing-wire` and `waxwing-net`.
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::task::JoinSet;
use waxwing_net::{RelayConnection, RequestError};
use waxwing_wire::{
    delivery::DeliveryKey,
    frame::ErrorCode,
    id::{DeliveryId, MailboxId},
    padding::{EnvelopeHeader, SharedPart},
    relay::{Ack, FanOut, Outcome, Outcomes, Recipients, RelayPush, RelayReply, RelayRequest, Subscribe, Ttl},
};

use super::{
    Plan, Times,
    place::{BYTES, KEY, Place, mailbox, put},
};

/// Delivery ids of all rows; never one twice.
static NEXT: AtomicU64 = AtomicU64::new(1);

fn next() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    let count = u32::try_from(count).map_or(f64::from(u32::MAX), f64::from);
    count / time.as_secs_f64()
}

/// Durable accepts a second, closed loop.
pub(super) async fn puts(place: &Place, plan: &Plan, in_flight: usize) -> Result<f64, String> {
    let mailboxes: Arc<Vec<_>> = Arc::new((0..place.people).map(mailbox).collect());
    let each = in_flight.checked_div(plan.connections).unwrap_or(1).max(1);
    let mut connections = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        connections.push(place.connect().await?);
    }
    let (begun, mut senders) = (Instant::now(), JoinSet::new());
    for (client, connection) in connections {
        let (mailboxes, time) = (Arc::clone(&mailboxes), plan.time);
        senders.spawn(async move {
            let done = sending(&connection, &mailboxes, each, || begun.elapsed() < time).await;
            drop(connection);
            client.close().await;
            done
        });
    }
    let mut accepted = 0_u64;
    while let Some(done) = senders.join_next().await {
        accepted = accepted.saturating_add(done.map_err(|error| error.to_string())??);
    }
    Ok(per_second(accepted, begun.elapsed()))
}

/// Puts with so many in flight, while it is to go on; how many were accepted.
async fn sending(
    connection: &RelayConnection,
    mailboxes: &[MailboxId],
    in_flight: usize,
    goes_on: impl Fn() -> bool,
) -> Result<u64, String> {
    let (mut open, mut accepted) = (FuturesUnordered::new(), 0_u64);
    loop {
        while goes_on() && open.len() < in_flight {
            let number = next();
            // A walk that visits all mailboxes in no order.
            let walk = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let at = usize::try_from(walk).unwrap_or(0).checked_rem(mailboxes.len()).unwrap_or(0);
            let Some(mailbox) = mailboxes.get(at) else { return Err("no mailbox".into()) };
            let pending = connection.submit(RelayRequest::Put(put(*mailbox, number)?)).await;
            open.push(pending.map_err(|error| error.to_string())?);
        }
        match open.next().await {
            None => return Ok(accepted),
            Some(Ok(RelayReply::Done)) => accepted = accepted.saturating_add(1),
            Some(other) => return Err(format!("not accepted: {other:?}")),
        }
    }
}

/// One put, accepted.
pub(super) async fn put_one(connection: &RelayConnection, mailbox: MailboxId) -> Result<(), String> {
    match connection.request(RelayRequest::Put(put(mailbox, next())?)).await {
        Ok(RelayReply::Done) => Ok(()),
        other => Err(format!("not accepted: {other:?}")),
    }
}

/// Whole cycles a second: accepted, pushed to its owner, acked, and the ack on stable storage.
pub(super) async fn cycles(place: &Place, plan: &Plan) -> Result<f64, String> {
    let owners = plan.connections.min(place.people);
    let (through, mut receivers) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
    let mut mailboxes = Vec::with_capacity(owners);
    for number in 0..owners {
        let (client, connection) = place.owner(number).await?;
        let pushes = connection.pushes().await.ok_or("pushes are taken")?;
        let newest = drain(&connection).await?;
        let through = Arc::clone(&through);
        receivers.spawn(async move {
            let outcome = receiving(&connection, pushes, newest, &through).await;
            client.close().await;
            outcome
        });
        mailboxes.push(mailbox(number));
    }
    let (mut senders, begun) = (JoinSet::new(), Instant::now());
    let mailboxes = Arc::new(mailboxes);
    for _ in 0..plan.connections {
        let (client, connection) = place.connect().await?;
        let (mailboxes, time) = (Arc::clone(&mailboxes), plan.time);
        let each = 256_usize.checked_div(plan.connections).unwrap_or(1).max(1);
        senders.spawn(async move {
            let done = sending(&connection, &mailboxes, each, || begun.elapsed() < time).await;
            drop(connection);
            client.close().await;
            done
        });
    }
    let mut accepted = 0_u64;
    while let Some(done) = senders.join_next().await {
        accepted = accepted.saturating_add(done.map_err(|error| error.to_string())??);
    }
    // Until the last ack is on stable storage.
    while through.load(Ordering::Acquire) < accepted {
        if let Some(Ok(Err(error))) = receivers.try_join_next() {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let elapsed = begun.elapsed();
    receivers.shutdown().await;
    Ok(per_second(accepted, elapsed))
}

/// Subscribes past what waits from rows before; the newest number.
pub(super) async fn drain(connection: &RelayConnection) -> Result<u64, String> {
    let state = match connection.request(RelayRequest::MailboxState).await {
        Ok(RelayReply::MailboxState(state)) => state,
        other => return Err(format!("no state: {other:?}")),
    };
    match connection.request(RelayRequest::Subscribe(Subscribe { after: state.newest, window: 1_024 })).await {
        Ok(RelayReply::Subscribed(subscribed)) => Ok(subscribed.newest),
        other => Err(format!("not subscribed: {other:?}")),
    }
}

async fn receiving(
    connection: &RelayConnection,
    mut pushes: waxwing_net::Pushes,
    mut newest: u64,
    through: &AtomicU64,
) -> Result<(), String> {
    let mut acks = FuturesUnordered::new();
    let (mut came, mut told) = (0_u64, newest);
    loop {
        tokio::select! {
            push = pushes.next() => match push {
                Some(RelayPush::Delivery(delivery)) => {
                    newest = delivery.sequence.0;
                    came = came.saturating_add(1);
                }
                Some(_) => {}
                None => return Err("the connection ended".into()),
            },
            Some((done, count)) = acks.next(), if !acks.is_empty() => {
                let done: Result<RelayReply, RequestError> = done;
                if done != Ok(RelayReply::Done) {
                    return Err(format!("not acked: {done:?}"));
                }
                through.fetch_add(count, Ordering::Release);
            }
        }
        // One ack at a time: whatever came meanwhile is in the next.
        if acks.is_empty() && newest > told {
            let ack = Ack::new(newest, Vec::new()).ok_or("an ack says nothing")?;
            let pending = connection.submit(RelayRequest::Ack(ack)).await.map_err(|error| error.to_string())?;
            let count = std::mem::take(&mut came);
            acks.push(async move { (pending.await, count) });
            told = newest;
        }
    }
}

/// One put at a time: until it is accepted, and until its owner has it.
pub(super) async fn latencies(place: &Place, time: Duration) -> Result<(Times, Times), String> {
    let (owners, owner) = place.owner(0).await?;
    let mut pushes = owner.pushes().await.ok_or("pushes are taken")?;
    drain(&owner).await?;
    let (senders, sender) = place.connect().await?;
    let (mut accepts, mut arrivals) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < time {
        let request = RelayRequest::Put(put(mailbox(0), next())?);
        let sent = Instant::now();
        let accepted = async {
            let outcome = sender.request(request).await;
            (outcome, sent.elapsed())
        };
        let arrived = async {
            loop {
                match pushes.next().await {
                    Some(RelayPush::Delivery(delivery)) => return Some((delivery.sequence.0, sent.elapsed())),
                    Some(_) => {}
                    None => return None,
                }
            }
        };
        let ((outcome, accepted), arrived) = tokio::join!(accepted, arrived);
        let (sequence, arrived) = arrived.ok_or("the owner's connection ended")?;
        if outcome != Ok(RelayReply::Done) {
            return Err(format!("not accepted: {outcome:?}"));
        }
        accepts.push(accepted);
        arrivals.push(arrived);
        let ack = Ack::new(sequence, Vec::new()).ok_or("an ack says nothing")?;
        owner.request(RelayRequest::Ack(ack)).await.map_err(|error| error.to_string())?;
    }
    drop((sender, owner));
    senders.close().await;
    owners.close().await;
    Ok((Times::new(accepts), Times::new(arrivals)))
}

/// Recipients a second, by fan-outs one after another on each of two connections.
pub(super) async fn fan_outs(place: &Place, plan: &Plan) -> Result<f64, String> {
    let most = place.fan_out_recipients();
    let (begun, mut senders) = (Instant::now(), JoinSet::new());
    for _ in 0..plan.connections {
        let (client, connection) = place.connect().await?;
        let time = plan.time;
        senders.spawn(async move {
            let mut accepted = 0_u64;
            while begun.elapsed() < time {
                let outcome = connection.request(RelayRequest::FanOut(fan_out(most)?)).await;
                let Ok(RelayReply::Outcomes(Outcomes { outcomes })) = outcome else {
                    return Err(format!("no outcomes: {outcome:?}"));
                };
                if outcomes.iter().any(|outcome| *outcome != Outcome::Accepted) {
                    return Err("a recipient did not accept".to_owned());
                }
                accepted = accepted.saturating_add(u64::try_from(outcomes.len()).unwrap_or(0));
            }
            drop(connection);
            client.close().await;
            Ok(accepted)
        });
    }
    let mut accepted = 0_u64;
    while let Some(done) = senders.join_next().await {
        accepted = accepted.saturating_add(done.map_err(|error| error.to_string())??);
    }
    Ok(per_second(accepted, begun.elapsed()))
}

fn fan_out(most: usize) -> Result<FanOut, String> {
    let header = EnvelopeHeader::from_bytes([3; 48]);
    let recipients = (0..most).map(|number| (mailbox(number), DeliveryKey::from_bytes(KEY), header)).collect();
    Ok(FanOut {
        delivery: DeliveryId::from_bytes(u128::from(next()).to_be_bytes()),
        ttl: Ttl::Fortnight,
        shared: SharedPart::new(vec![0xe5; BYTES.saturating_sub(48)]).map_err(|error| error.to_string())?,
        recipients: Recipients::new(recipients).map_err(|error| error.to_string())?,
    })
}

/// So many puts a second whatever becomes of them; times from when each was due, so that one that waits is not left out.
pub(super) async fn open_loop(place: &Place, plan: &Plan, rate: u32) -> Result<Times, String> {
    let (client, connection) = place.connect().await?;
    let Offered { accepted, refused, .. } = offer(&connection, place.people, plan.time, rate).await?;
    drop(connection);
    client.close().await;
    if refused > 0 { Err(format!("{refused} were not accepted")) } else { Ok(accepted) }
}

/// What became of an open loop.
pub(super) struct Offered {
    pub(super) accepted: Times,
    /// Came too often.
    pub(super) refused: u64,
    pub(super) took: Duration,
}

/// The same over a connection, to so many mailboxes.
pub(super) async fn offer(
    connection: &RelayConnection,
    people: usize,
    time: Duration,
    rate: u32,
) -> Result<Offered, String> {
    let mut refused = 0_u64;
    let interval = Duration::from_secs(1).checked_div(rate).unwrap_or(Duration::from_secs(1));
    let (begun, mut open, mut times) = (Instant::now(), FuturesUnordered::new(), Vec::new());
    let mut due = begun;
    loop {
        let goes_on = begun.elapsed() < time;
        if !goes_on && open.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(due.into()), if goes_on => {
                let number = next();
                let to = usize::try_from(number).unwrap_or(0).checked_rem(people).unwrap_or(0);
                let pending = connection.submit(RelayRequest::Put(put(mailbox(to), number)?)).await;
                let (pending, since) = (pending.map_err(|error| error.to_string())?, due);
                open.push(async move { (pending.await, since.elapsed()) });
                due = due.checked_add(interval).unwrap_or(due);
            }
            Some((outcome, took)) = open.next(), if !open.is_empty() => match outcome {
                Ok(RelayReply::Done) => times.push(took),
                Err(RequestError::Server(error)) if error.code == ErrorCode::RateLimited => {
                    refused = refused.saturating_add(1);
                }
                other => return Err(format!("not accepted: {other:?}")),
            },
        }
    }
    Ok(Offered { accepted: Times::new(times), refused, took: begun.elapsed() })
}
