//! What a call is for.
use waxwing_wire::{
    content::MessageId,
    id::{AccountId, DeviceId},
    name::Name,
};

use crate::names::SearchId;

/// Names what is asked; each is asked once at a time.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Task {
    /// Mailbox: its price and limits.
    MailboxInfo,
    /// Mailbox: work for its admission.
    MailboxWork,
    CreateMailbox,
    Authenticate,
    /// Which lanes there are.
    MailboxState,
    AddLane(Lane),
    /// The contacts' lane gets the secret that counts.
    RotateLane,
    EndLane(u32),
    Subscribe,
    Ack,
    /// Key server: its price.
    AccountInfo,
    AccountWork,
    CreateAccount,
    Publish,
    StoreReach,
    UploadPrekeys,
    PrekeyIds,
    ClaimName(Name),
    SetListing(Name),
    Unlist(Name),
    ReleaseName(Name),
    Lookup(SearchId),
    /// Who a listing says that the name is.
    FetchListed(SearchId),
    FetchAccount(AccountId),
    FetchReach(AccountId),
    FetchBundles(AccountId),
    Put(Destination),
    /// The price of the relay that a put goes to by work.
    PutInfo(Destination),
    PutWork(Destination),
}

/// A lane of one's own mailbox.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Lane {
    Contacts,
    Groups,
    Own,
    /// By the beginning of its lane hash.
    Introduction([u8; 8]),
}

/// One message for one device.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Destination {
    /// Whose conversation it belongs to.
    pub(crate) conversation: AccountId,
    /// Which message.
    pub(crate) id: MessageId,
    /// Whose device.
    pub(crate) account: AccountId,
    /// Which.
    pub(crate) device: DeviceId,
}
