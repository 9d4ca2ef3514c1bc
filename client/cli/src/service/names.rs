//! Names at key servers: people who are found by one, and names of this account. Implements spec/22-client-api.md §22.4.
use std::time::Duration;

use waxwing_client::{
    Cursor, Event,
    engine::{Command, NameView, OwnNameState},
};
use waxwing_wire::{address::ServerAddress, name::Name};

use super::Service;
use crate::{
    api::{
        AddAnswer, ApiError, ByName, Call, Code, Done, NameAnswer, NameClaim, NameList, NameRelease, NamesAnswer,
        OwnName,
    },
    server_line::invitation,
};

/// A name, and where it is looked for; none: at the own key server.
#[derive(Debug)]
pub(super) struct Place {
    name: Name,
    server: Option<ServerAddress>,
}

impl Place {
    /// Reads `NAME` or `NAME@wxs-…`.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let (name, server) = match text.split_once('@') {
            None => (text, None),
            Some((name, server)) => {
                let server = server.parse().map_err(|error| {
                    ApiError::new(
                        Code::BadName,
                        format!("{error}: behind the @ stands the whole address of a key server, wxs-…"),
                    )
                })?;
                (name, Some(server))
            }
        };
        Ok(Self { name: parse(name)?, server })
    }
}

/// As it is typed: capitals are no other letters.
fn parse(name: &str) -> Result<Name, ApiError> {
    let name = name.trim().to_ascii_lowercase();
    name.parse().map_err(|error| ApiError::new(Code::BadName, format!("{error}")))
}

impl Service {
    /// Adds whoever has a name, and waits until it is clear who that is.
    pub(super) async fn add_by_name(&self, place: Place, wait: Option<u32>) -> Result<AddAnswer, ApiError> {
        let Place { name, server } = place;
        let before = self.client.reader().newest_event().await?;
        let server = match server {
            Some(server) => server,
            None => self.key_server().await?,
        };
        let command = Command::AddByName { name, server: Some(server.clone()) };
        self.client.command(command).await?;
        let (name, server) = (name.to_string(), server.to_string());
        let answered = |event: &Event| match event {
            Event::NameFound { name: found, server: at, account } if *found == name && *at == server => {
                Some(Ok(*account))
            }
            Event::NameNotFound { name: sought, server: at, reason } if *sought == name && *at == server => {
                Some(Err(not_found(reason)))
            }
            _ => None,
        };
        let account = self.told(before, wait, answered).await?.ok_or_else(|| {
            let text = "the key server has not answered yet; the name is looked for until it does, for a day, as long as a daemon runs \
                        or with the next verb";
            ApiError::new(Code::NotConnected, text)
        })??;
        let number = self.client.look(move |engine| engine.safety_number(&account)).await?;
        let by_name = ByName { name, server, safety_number: number.map(|number| number.to_string()) };
        Ok(AddAnswer { contact: self.now(&account).await?, by_name: Some(by_name) })
    }

    async fn key_server(&self) -> Result<ServerAddress, ApiError> {
        let own = self.client.look(|engine| engine.own_servers().nth(1).cloned()).await?;
        own.ok_or_else(|| ApiError::new(Code::Refused, "this account has no key server"))
    }

    /// The first event after a cursor that says it; none if that takes too long.
    async fn told<T>(
        &self,
        after: Cursor,
        wait: Option<u32>,
        says: impl Fn(&Event) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let mut events = self.client.events(after);
        let told = async {
            while let Some((_, event)) = events.next().await? {
                if let Some(said) = says(&event) {
                    return Ok(Some(said));
                }
            }
            Ok(None)
        };
        let patience = wait.map_or(PATIENCE, |seconds| Duration::from_secs(seconds.into()));
        tokio::time::timeout(patience, told).await.unwrap_or(Ok(None))
    }

    async fn own_names(&self) -> Result<Vec<OwnName>, ApiError> {
        let views = self.client.look(|engine| engine.own_names()).await?;
        let server = self.key_server().await?;
        Ok(views.iter().map(|view| tell(view, &server)).collect())
    }
}

fn tell(view: &NameView, server: &ServerAddress) -> OwnName {
    let state = match view.state {
        OwnNameState::Claiming => "claiming",
        OwnNameState::Held => "held",
        OwnNameState::Listed => "listed",
        OwnNameState::Releasing => "releasing",
        _ => "other",
    };
    let name = view.name.to_string();
    OwnName { address: format!("{name}@{server}"), name, state: state.into(), listed: view.listed }
}

impl Call for NameClaim {
    type Answer = NameAnswer;

    async fn perform(self, service: &Service) -> Result<NameAnswer, ApiError> {
        let name = parse(&self.name)?;
        let admission = self.invitation.as_deref().map(invitation).transpose();
        let admission = admission.map_err(|error| ApiError::new(Code::InvalidParams, error))?;
        let before = service.client.reader().newest_event().await?;
        let listed = !self.unlisted;
        service.client.command(Command::ClaimName { name, listed, admission }).await?;
        let wanted = if listed { "listed" } else { "held" };
        let found = |names: &[OwnName]| names.iter().find(|own| own.name == name.as_str()).cloned();
        let is_done = |own: &OwnName| own.state == wanted;
        let now = found(&service.own_names().await?);
        if let Some(name) = now.filter(is_done) {
            return Ok(NameAnswer { name });
        }
        let says = |event: &Event| match event {
            Event::Name { name: of, news, reason } if of == name.as_str() => match (news.as_str(), reason) {
                ("refused", reason) => Some(Err(refused(reason.as_deref().unwrap_or_default()))),
                ("unlisted", _) if !listed => Some(Ok(())),
                (news, _) => (news == wanted).then_some(Ok(())),
            },
            _ => None,
        };
        match service.told(before, self.wait, says).await? {
            Some(said) => said?,
            None => {
                return Err(ApiError::new(
                    Code::NotConnected,
                    "the key server has not answered yet; it is asked again as long as a daemon runs, or with the next verb",
                ));
            }
        }
        let name = found(&service.own_names().await?);
        Ok(NameAnswer { name: name.ok_or_else(|| ApiError::new(Code::UnknownName, "it was released meanwhile"))? })
    }
}

impl Call for NameList {
    type Answer = NamesAnswer;

    async fn perform(self, service: &Service) -> Result<NamesAnswer, ApiError> {
        Ok(NamesAnswer { names: service.own_names().await? })
    }
}

impl Call for NameRelease {
    type Answer = Done;

    async fn perform(self, service: &Service) -> Result<Done, ApiError> {
        let name = parse(&self.name)?;
        let before = service.client.reader().newest_event().await?;
        service.client.command(Command::ReleaseName { name }).await?;
        let says = |event: &Event| match event {
            Event::Name { name: of, news, .. } => (of == name.as_str() && news == "released").then_some(()),
            _ => None,
        };
        // What is not done now goes on by itself.
        service.told(before, self.wait, says).await?.map(|()| Done {}).ok_or_else(|| {
            let text = "the key server has not answered yet; it is asked again as long as a daemon runs, or with the next verb";
            ApiError::new(Code::NotConnected, text)
        })
    }
}

/// Of a reason of an event.
fn not_found(reason: &str) -> ApiError {
    let (code, text) = match reason {
        "not_listed" => (
            Code::NameNotFound,
            "nobody has that name there, or whoever has it does not want to be found: ask them for a link",
        ),
        "not_genuine" => (
            Code::NotGenuine,
            "the key server showed something that the account it names did not sign: do not believe that server, ask them for a link",
        ),
        "own_account" => (Code::OwnAccount, "that is this account itself"),
        "blocked" => (Code::Blocked, "the contact is blocked: `waxwing contact unblock` first"),
        "deleted" => (Code::AccountDeleted, "the account is deleted, which is for ever"),
        "private_server" => (
            Code::PrivateServer,
            "a key server of theirs is in a private network: if you know that network, set allow_private_servers in the profile's \
             settings.json",
        ),
        "no_answer" => {
            (Code::NotConnected, "the key server did not answer for a day: ask again, or ask them for a link")
        }
        _ => (Code::Refused, "nobody was added"),
    };
    ApiError::new(code, text)
}

fn refused(reason: &str) -> ApiError {
    let text = match reason {
        "taken" => {
            "somebody has that name or one that looks like it, or gave it up less than 90 days ago: choose another"
        }
        "reserved" => "the operator alone gives that name: ask them, or choose another",
        "too_many" => {
            "this account has as many names there as the key server gives: `waxwing name release` gives one up"
        }
        "not_admitted" => {
            "the key server wants an invitation for it, or does not know the one that was given: ask its operator for one"
        }
        _ => "the key server does not give that name",
    };
    ApiError::new(Code::NameRefused, text)
}

/// How long a key server is waited for.
const PATIENCE: Duration = Duration::from_secs(15);
