//! What is wrong, if something is.
use std::time::Duration;

use waxwing_client::{
    Settled,
    engine::{ContactView, Engine, Health},
};

use super::Service;
use crate::{
    api::{ApiError, Call, Check, Connection, Doctor, DoctorAnswer},
    length, profile,
};

impl Call for Doctor {
    type Answer = DoctorAnswer;

    async fn perform(self, service: &Service) -> Result<DoctorAnswer, ApiError> {
        // A verb that is alone has only begun to connect.
        let settled = service.client.settled(PATIENCE).await;
        let health = service.client.look(Engine::health).await?;
        let names = service.names().await?;
        let connections = service.connections(&names).await?;
        let mut checks = vec![folder(service)];
        checks.push(reachable(settled, &health));
        checks.extend(connections.iter().map(connection));
        checks.push(clock(&health));
        checks.push(prekeys(&health));
        checks.push(queue(service.client.look(|engine| engine.waiting().len()).await?));
        checks.push(quarantine(&health));
        checks.push(manifest(&health));
        checks.push(identities(&service.views().await?));
        if self.database {
            let findings = service.client.check().await?;
            checks.push(match findings.len() {
                0 => ok("database", "every page and reference is as it was written"),
                count => failure("database", format!("{count} findings"), "stop the daemon, and run `waxwing repair`"),
            });
        }
        Ok(DoctorAnswer { checks })
    }
}

fn folder(service: &Service) -> Check {
    match profile::is_ours_alone(&service.folder) {
        Ok(()) => ok("profile folder", "nobody else can write to it"),
        Err(error) => failure("profile folder", error.message, "make it yours alone: chmod 700"),
    }
}

fn reachable(settled: Settled, health: &Health) -> Check {
    let advice = "is the server up, and the network? `waxwing status` says why";
    match (health.mailbox_ready, health.registered, settled) {
        (true, true, _) => ok("reachable", "mailbox and account are in place: others can write to you"),
        (false, _, _) => failure("reachable", "the mailbox is not in place", advice),
        (_, false, _) => failure("reachable", "the key server does not have this account yet", advice),
    }
}

fn connection(connection: &Connection) -> Check {
    let whose = connection.contact.as_ref().map(|contact| format!(" for {}", crate::render::who(contact)));
    let name = format!("{}{}", connection.purpose.replace('_', " "), whose.unwrap_or_default());
    match (connection.state.as_str(), &connection.reason) {
        ("up", _) => {
            let micros = connection.round_trip_us.unwrap_or_default();
            let (sent, lost) = (connection.sent.unwrap_or_default(), connection.lost.unwrap_or_default());
            let detail =
                format!("up, round trip {}.{:03} ms, {lost} of {sent} packets lost", micros / 1_000, micros % 1_000);
            // A twentieth is felt.
            if lost.saturating_mul(20) > sent && lost > 5 {
                warning(&name, detail, "the network loses much; nothing is lost by it but time")
            } else {
                ok(&name, detail)
            }
        }
        ("down", Some(reason)) => failure(&name, format!("down: {reason}"), "it is tried again by itself"),
        (state, _) => warning(&name, state, "ask again in a moment"),
    }
}

fn clock(health: &Health) -> Check {
    match &health.clock_skew {
        None => ok("clock", "within five minutes of the servers'"),
        Some(skew) => {
            let apart = skew.server.since(skew.here).max(skew.here.since(skew.server));
            warning("clock", format!("{} s apart from a server's", apart.as_secs()), "set this machine's clock")
        }
    }
}

fn prekeys(health: &Health) -> Check {
    let keys = &health.prekeys;
    let detail = format!("{} and {} one-time keys at the key server", keys.listed, keys.listed_kyber);
    if keys.last_resort_in_use {
        warning(
            "prekeys",
            format!("{detail}; they had run out"),
            "none; new ones go up within hours, and sessions begun meanwhile are safe but for their first message's forward secrecy",
        )
    } else {
        ok("prekeys", detail)
    }
}

fn queue(waiting: usize) -> Check {
    match waiting {
        0 => ok("queue", "nothing waits"),
        count => warning("queue", format!("{count} messages wait"), "`waxwing status` says why each"),
    }
}

fn quarantine(health: &Health) -> Check {
    match health.quarantined {
        0 => ok("quarantine", "every message could be opened"),
        count => warning(
            "quarantine",
            format!("{count} messages could not be opened"),
            "if one is missing, ask for it again",
        ),
    }
}

fn manifest(health: &Health) -> Check {
    let left = health.manifest_expires.since(length::now());
    let detail = format!("valid for {} more days", left.as_secs() / 86_400);
    if left.is_zero() {
        failure("manifest", "it has expired: nobody begins a new session with you", "connect the primary device")
    } else if left < SOON {
        warning("manifest", detail, "connect the primary device, which renews it")
    } else {
        ok("manifest", detail)
    }
}

fn identities(views: &[ContactView]) -> Check {
    match views.iter().filter(|view| view.identity_change.is_some() || view.forked).count() {
        0 => ok("identities", "nobody's changed unseen"),
        count => warning("identities", format!("of {count} contacts changed"), "`waxwing contact list` marks them"),
    }
}

fn ok(name: &str, detail: impl Into<String>) -> Check {
    Check { name: name.into(), outcome: "ok".into(), detail: detail.into(), advice: None }
}

fn warning(name: &str, detail: impl Into<String>, advice: &str) -> Check {
    Check { outcome: "warning".into(), advice: Some(advice.into()), ..ok(name, detail) }
}

fn failure(name: &str, detail: impl Into<String>, advice: &str) -> Check {
    Check { outcome: "failure".into(), advice: Some(advice.into()), ..ok(name, detail) }
}

const PATIENCE: Duration = Duration::from_secs(8);
const SOON: Duration = Duration::from_secs(20 * 86_400);
