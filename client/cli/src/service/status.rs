//! How this device is.
use waxwing_client::{
    Down,
    engine::{ConnectionState, ConnectionView, Engine, Link, Purpose},
};
use waxwing_wire::content::Standing;

use super::{Service, view::Names, wait};
use crate::api::{
    ApiError, Call, Code, Connection, DaemonStop, Done, LookingFor, OwnDevice, Status, StatusAnswer, WaitingMessage,
    Whoami, WhoamiAnswer,
};

impl Call for Status {
    type Answer = StatusAnswer;

    async fn perform(self, service: &Service) -> Result<StatusAnswer, ApiError> {
        let condition = service.client.condition();
        let (names, views) = (service.names().await?, service.views().await?);
        let waiting = service.client.look(Engine::waiting).await?;
        let waiting = waiting.into_iter().map(|waiting| WaitingMessage {
            conversation: names.who(&waiting.conversation),
            id: waiting.id.to_string(),
            reason: wait::name(waiting.reason).into(),
            text: wait::words(waiting.reason).into(),
            next_try: waiting.next_try.map(|at| at.0),
        });
        let searches = service.client.look(Engine::searches).await?;
        let searches = searches.into_iter().map(|search| LookingFor {
            name: search.name.to_string(),
            server: search.server.to_string(),
            since: search.since.0,
        });
        let standing = |wanted: &[Standing]| views.iter().filter(|view| wanted.contains(&view.standing)).count();
        let count = |count| u64::try_from(count).unwrap_or(u64::MAX);
        Ok(StatusAnswer {
            ready: condition.ready,
            quiet: condition.quiet,
            daemon: service.daemon.is_some(),
            failing: condition.failing.map(|error| error.to_string()),
            unread: service.client.reader().unread_in_all().await?,
            requests: count(standing(&[Standing::Asking])),
            contacts: count(standing(&[Standing::Added, Standing::Accepted])),
            waiting: waiting.collect(),
            looking_for: searches.collect(),
            connections: service.connections(&names).await?,
            cursor: condition.newest.0,
        })
    }
}

impl Service {
    pub(super) async fn connections(&self, names: &Names) -> Result<Vec<Connection>, ApiError> {
        let views = self.client.look(Engine::connections).await?;
        let (paths, down) = (self.client.paths().await?, self.client.down().await?);
        let connections = views.iter().map(|view| {
            let path = paths.get(&view.link);
            Connection {
                round_trip_us: path.map(|path| u64::try_from(path.round_trip.as_micros()).unwrap_or(u64::MAX)),
                sent: path.map(|path| path.sent),
                lost: path.map(|path| path.lost),
                ..tell(view, names, down.get(&view.link))
            }
        });
        Ok(connections.collect())
    }
}

fn tell(view: &ConnectionView, names: &Names, down: Option<&Down>) -> Connection {
    let Link { purpose, .. } = view.link;
    let (purpose, contact) = match purpose {
        Purpose::Owner(_) => ("own_relay", None),
        Purpose::OwnDirectory => ("own_keyserver", None),
        Purpose::Conversation(account) => ("relay", Some(account)),
        Purpose::Receipts(account) => ("receipts", Some(account)),
        Purpose::Directory(account) => ("keyserver", Some(account)),
        Purpose::Name(_) => ("name", None),
    };
    let (state, at) = match view.state {
        ConnectionState::Up { since } => ("up", since),
        ConnectionState::Connecting { since } => ("connecting", since),
        ConnectionState::Down { next_try } => ("down", next_try),
    };
    let reason = down.filter(|_| state != "up").map(|down| down.reason.to_string());
    Connection {
        purpose: purpose.into(),
        contact: contact.map(|account| names.who(&account)),
        server: view.server.to_string(),
        state: state.into(),
        at: at.0,
        failures: view.failures,
        reason,
        round_trip_us: None,
        sent: None,
        lost: None,
    }
}

impl Call for Whoami {
    type Answer = WhoamiAnswer;

    async fn perform(self, service: &Service) -> Result<WhoamiAnswer, ApiError> {
        let (servers, health) = service
            .client
            .look(|engine| (engine.own_servers().map(ToString::to_string).collect::<Vec<_>>(), engine.health()))
            .await?;
        let (relay, key_servers) =
            servers.split_first().map(|(relay, rest)| (relay.clone(), rest.to_vec())).unwrap_or_default();
        let devices = health.devices.iter().map(|device| OwnDevice {
            device: device.device.value(),
            this: device.is_this,
            primary: device.is_primary,
        });
        Ok(WhoamiAnswer {
            account: service.client.account_id().to_string(),
            device: service.client.device_id().value(),
            devices: devices.collect(),
            relay,
            key_servers,
            profile: service.folder.display().to_string(),
            receipts: health.receipts,
        })
    }
}

impl Call for DaemonStop {
    type Answer = Done;

    async fn perform(self, service: &Service) -> Result<Done, ApiError> {
        let stop = service.daemon.as_ref();
        let stop = stop.ok_or_else(|| ApiError::new(Code::Refused, "no daemon is at work on this profile"))?;
        stop.notify_one();
        Ok(Done {})
    }
}
