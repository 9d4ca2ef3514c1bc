//! People.
use waxwing_client::engine::{Command, ContactName, ContactView, Verification};
use waxwing_wire::{content::Standing, id::AccountId, link::ContactLink, time::Timestamp};

use super::{Service, names::Place};
use crate::{
    api::{
        Add, AddAnswer, ApiError, Call, Code, ContactAccept, ContactAnswer, ContactBlock, ContactList, ContactReject,
        ContactRemove, ContactRename, ContactShow, ContactUnblock, ContactsAnswer, Conversation, Done, List,
        ListAnswer, Mute, Requests, Trust,
    },
    length,
};

impl Service {
    async fn answer(&self, account: &AccountId) -> Result<ContactAnswer, ApiError> {
        Ok(ContactAnswer { contact: self.now(account).await? })
    }

    async fn rename(&self, account: AccountId, name: Option<&str>) -> Result<(), ApiError> {
        let name = name.map(contact_name).transpose()?;
        Ok(self.client.command(Command::Rename { account, name }).await?)
    }

    async fn list_of(&self, wanted: impl Fn(&ContactView) -> bool) -> Result<ContactsAnswer, ApiError> {
        let all = self.views().await?;
        let mut contacts = Vec::new();
        for view in all.iter().filter(|view| wanted(view)) {
            contacts.push(self.view_among(view, &all).await?);
        }
        Ok(ContactsAnswer { contacts })
    }
}

fn contact_name(name: &str) -> Result<ContactName, ApiError> {
    name.parse().map_err(|_| ApiError::new(Code::InvalidParams, "a name has 1 to 64 bytes and no control characters"))
}

impl Call for Add {
    type Answer = AddAnswer;

    async fn perform(self, service: &Service) -> Result<AddAnswer, ApiError> {
        // Before anything changes.
        let name = self.name.as_deref().map(contact_name).transpose()?;
        if !self.is_link() {
            let mut answer = service.add_by_name(Place::parse(&self.link)?, self.wait).await?;
            if let (Some(name), Ok(account)) = (name, answer.contact.account.parse()) {
                service.client.command(Command::Rename { account, name: Some(name) }).await?;
                answer.contact = service.now(&account).await?;
            }
            return Ok(answer);
        }
        let link: ContactLink = self.link.parse().map_err(|error| {
            ApiError::new(
                Code::BadLink,
                format!("{error}: a link is waxwing:contact/1/…, as `waxwing invite` prints it"),
            )
        })?;
        let account = link.account_id();
        service.client.command(Command::Add { link }).await?;
        if let Some(name) = name {
            service.client.command(Command::Rename { account, name: Some(name) }).await?;
        }
        Ok(AddAnswer { contact: service.now(&account).await?, by_name: None })
    }
}

impl Add {
    /// A link has a colon, which neither a name nor its beginning has; a server's address has one behind the `@`.
    fn is_link(&self) -> bool {
        self.link.split('@').next().is_some_and(|beginning| beginning.contains(':'))
    }
}

impl Call for ContactList {
    type Answer = ContactsAnswer;

    async fn perform(self, service: &Service) -> Result<ContactsAnswer, ApiError> {
        service.list_of(|view| self.all || view.standing != Standing::Ignored).await
    }
}

impl Call for Requests {
    type Answer = ContactsAnswer;

    async fn perform(self, service: &Service) -> Result<ContactsAnswer, ApiError> {
        service.list_of(|view| view.standing == Standing::Asking).await
    }
}

impl Call for ContactShow {
    type Answer = ContactAnswer;

    async fn perform(self, service: &Service) -> Result<ContactAnswer, ApiError> {
        let view = service.contact(&self.who).await?;
        Ok(ContactAnswer { contact: service.view(&view).await? })
    }
}

impl Call for ContactAccept {
    type Answer = ContactAnswer;

    async fn perform(self, service: &Service) -> Result<ContactAnswer, ApiError> {
        let account = service.contact(&self.who).await?.account;
        let name = self.name.as_deref().map(contact_name).transpose()?;
        service.client.command(Command::Accept { account }).await?;
        if let Some(name) = name {
            service.client.command(Command::Rename { account, name: Some(name) }).await?;
        }
        service.answer(&account).await
    }
}

/// Methods that are one command about one contact.
macro_rules! about_one {
    ($($params:ident: $command:ident;)+) => { $(
        impl Call for $params {
            type Answer = ContactAnswer;

            async fn perform(self, service: &Service) -> Result<ContactAnswer, ApiError> {
                let account = service.contact(&self.who).await?.account;
                service.client.command(Command::$command { account }).await?;
                service.answer(&account).await
            }
        }
    )+ };
}

about_one! {
    ContactReject: Ignore;
    ContactBlock: Block;
    ContactUnblock: Unblock;
    Trust: AcceptIdentity;
}

impl Call for ContactRename {
    type Answer = ContactAnswer;

    async fn perform(self, service: &Service) -> Result<ContactAnswer, ApiError> {
        let account = service.contact(&self.who).await?.account;
        service.rename(account, self.name.as_deref()).await?;
        service.answer(&account).await
    }
}

impl Call for ContactRemove {
    type Answer = Done;

    async fn perform(self, service: &Service) -> Result<Done, ApiError> {
        let account = service.contact(&self.who).await?.account;
        service.client.command(Command::Remove { account }).await?;
        Ok(Done {})
    }
}

impl Call for Mute {
    type Answer = ContactAnswer;

    async fn perform(self, service: &Service) -> Result<ContactAnswer, ApiError> {
        let account = service.contact(&self.who).await?.account;
        let until = match (self.off, &self.length) {
            (true, _) => None,
            (false, None) => Some(Timestamp(u64::MAX)),
            (false, Some(length)) => {
                let length = length::parse(length)
                    .ok_or_else(|| ApiError::new(Code::InvalidParams, "a length of time is like 30m, 8h, 2d or 1w"))?;
                Some(length::now().saturating_add(length))
            }
        };
        service.client.command(Command::Mute { account, until }).await?;
        service.answer(&account).await
    }
}

impl Call for List {
    type Answer = ListAnswer;

    async fn perform(self, service: &Service) -> Result<ListAnswer, ApiError> {
        let (reader, names) = (service.client.reader(), service.names().await?);
        let all = service.views().await?;
        let mut conversations = Vec::new();
        for view in all.iter().filter(|view| view.standing != Standing::Ignored) {
            let last = reader.page(&view.account, None, 1).await?;
            let contact = service.view_among(view, &all).await?;
            conversations.push(Conversation { contact, last: last.first().map(|message| names.message(message)) });
        }
        conversations.sort_by_key(|one| std::cmp::Reverse(one.last.as_ref().map(|message| message.sent)));
        let unread = conversations.iter().fold(0_u64, |sum, one| sum.saturating_add(one.contact.unread));
        Ok(ListAnswer { conversations, unread })
    }
}

/// Marks a contact as verified or not.
pub(super) async fn set_verified(
    service: &Service,
    account: AccountId,
    verification: Verification,
) -> Result<(), ApiError> {
    Ok(service.client.command(Command::SetVerified { account, verification }).await?)
}
