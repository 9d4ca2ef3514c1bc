//! Links that others can write by.
use std::time::Duration;

use data_encoding::BASE32_NOPAD;
use waxwing_client::{
    CommandFailed,
    engine::{Command, CommandError, LinkId, LinkUses, OpenLink as Open},
};

use super::Service;
use crate::api::{ApiError, Call, Code, Done, Invite, InviteAnswer, Links, LinksAnswer, OpenLink, RevokeLink};

impl Service {
    async fn open_links(&self) -> Result<Vec<Open>, ApiError> {
        Ok(self.client.look(|engine| engine.health().open_links).await?)
    }
}

impl Call for Invite {
    type Answer = InviteAnswer;

    async fn perform(self, service: &Service) -> Result<InviteAnswer, ApiError> {
        let lifetime = Duration::from_secs(u64::from(self.days.unwrap_or(USUAL_DAYS)).saturating_mul(DAY));
        let uses = if self.once { LinkUses::Once } else { LinkUses::Many };
        let link = match service.client.make_link(lifetime, uses).await {
            Err(CommandFailed::Refused(CommandError::TooManyLinks)) => {
                let first_end = service.open_links().await?.iter().map(|open| open.ends).min();
                return Err(ApiError::from(CommandError::TooManyLinks).at(first_end));
            }
            link => link?,
        };
        let id = LinkId::of(&link);
        let known = move |open: &[Open]| open.iter().find(|open| Some(open.id) == id).copied();
        // It is given away: better if it works by then.
        let mut changes = service.client.changes();
        let waited = async {
            loop {
                changes.now();
                match known(&service.open_links().await?) {
                    Some(open) if !open.ready && changes.next().await.is_ok() => {}
                    open => return Ok::<_, ApiError>(open),
                }
            }
        };
        let open = match tokio::time::timeout(PATIENCE, waited).await {
            Ok(open) => open?,
            Err(_) => known(&service.open_links().await?),
        };
        let open = open.ok_or_else(|| ApiError::new(Code::Internal, "the link is gone"))?;
        let OpenLink { id, ends, once, ready } = tell(&open);
        let qr = self.qr.then(|| link.to_qr_text().to_string());
        Ok(InviteAnswer { id, link: link.to_text().to_string(), qr, ends, once, ready })
    }
}

impl Call for Links {
    type Answer = LinksAnswer;

    async fn perform(self, service: &Service) -> Result<LinksAnswer, ApiError> {
        Ok(LinksAnswer { links: service.open_links().await?.iter().map(tell).collect() })
    }
}

impl Call for RevokeLink {
    type Answer = Done;

    async fn perform(self, service: &Service) -> Result<Done, ApiError> {
        let id = parse(&self.link)
            .ok_or_else(|| ApiError::new(Code::UnknownLink, "no such link: `waxwing links` shows ids"))?;
        service.client.command(Command::RevokeLink { link: id }).await?;
        Ok(Done {})
    }
}

fn tell(open: &Open) -> OpenLink {
    OpenLink {
        id: BASE32_NOPAD.encode(open.id.as_bytes()).to_lowercase(),
        ends: open.ends.0,
        once: open.uses == LinkUses::Once,
        ready: open.ready,
    }
}

fn parse(text: &str) -> Option<LinkId> {
    let bytes = BASE32_NOPAD.decode(text.to_uppercase().as_bytes()).ok()?;
    Some(LinkId::from_bytes(bytes.try_into().ok()?))
}

const USUAL_DAYS: u32 = 7;
const DAY: u64 = 86_400;
/// How long a new link is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
