//! A source that puts ten times what it may, and what that costs the others: their p99 beside what it is without it.
use std::{net::Ipv4Addr, path::Path, time::Duration};

use super::{
    load::{Offered, offer},
    place::Place,
};
use crate::service::{Rate, Rates};

/// The p99 of the others while the flood lasts, and before it, in microseconds; and what was offered in the flood, in quotas.
pub(super) struct Flooded {
    pub(super) during: f64,
    pub(super) before: f64,
    pub(super) quotas: f64,
}

/// Each source may put [`QUOTA`] a second; the others put half of that.
pub(super) async fn measure(folder: &Path, people: usize, time: Duration) -> Result<Flooded, String> {
    let rate = Rate { burst: QUOTA, interval: INTERVAL };
    let place = Place::open_at(folder, people, Rates { puts: rate, ..Rates::UNLIMITED }).await?;
    let (clients, others) = place.connect().await?;
    let (flooders, flood) = place.connect_from(ELSEWHERE).await?;
    let before = offer(&others, people, time, QUOTA / 2).await?;
    let (during, flooded) = tokio::join!(
        offer(&others, people, time, QUOTA / 2),
        offer(&flood, people, time, QUOTA.saturating_mul(TIMES)),
    );
    let (during, flooded) = (during?, flooded?);
    drop((others, flood));
    clients.close().await;
    flooders.close().await;
    place.close().await;
    if before.refused > 0 || during.refused > 0 {
        return Err("others were refused for what a flood did".into());
    }
    let Offered { accepted, refused, took } = flooded;
    let allowed = f64::from(QUOTA) * (took.as_secs_f64() + 1.0);
    if accepted.count() > allowed {
        return Err(format!("a flood was not held to its quota: {} accepted", accepted.count()));
    }
    let offered = accepted.count() + super::load::per_second(refused, Duration::from_secs(1));
    let quotas = offered / took.as_secs_f64() / f64::from(QUOTA);
    Ok(Flooded { during: during.accepted.at(99), before: before.accepted.at(99), quotas })
}

/// Puts a second of one source, and as many at once.
const QUOTA: u32 = 200;
const INTERVAL: Duration = Duration::from_millis(5);
/// What a flood offers, in quotas.
const TIMES: u32 = 10;
/// An address of loopback that is another source.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
