//! A content without what its message says anyway. Implements spec/21-client-store.md §21.4.4.
//!
//! ```text
//! content ─▶ frame: conversation, manifests, what else is the same in many (stored once)
//!        └─▶ rest: the hash of the content before                     id, sent, sequence, text: columns of the message
//! ```
//! Invariant: a content is taken apart only if what is kept gives every byte of it again; all others are kept as they came.
use waxwing_engine::store::{StoredMessage, count_of};
use waxwing_wire::{
    content::{Body, ChainHash, Content, MessageId},
    time::Timestamp,
};

use super::StoreError;

/// What is kept of a content beside the columns of its message.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Parts {
    /// The same for many.
    pub(super) frame: Vec<u8>,
    /// This one's own.
    pub(super) rest: Vec<u8>,
}

/// Takes a content apart; none for what is more than a text, or differs from its message's columns.
pub(super) fn take_apart(message: &StoredMessage) -> Option<Parts> {
    // Later times are kept as the last one that there is.
    i64::try_from(message.sent.0).ok()?;
    let mut content = Content::decode(&message.content).ok()?;
    let is_usual = content.reply_to.is_none() && content.fallback.is_empty() && content.extensions.is_empty();
    let Body::Text(text) = &mut content.body else { return None };
    if !is_usual || !text.mentions.is_empty() || !text.attachments.is_empty() {
        return None;
    }
    text.text = String::new();
    let previous = content.previous;
    (content.id, content.sent, content.sequence) = (NO_ID, NO_TIME, 0);
    content.previous = ChainHash::NONE;
    let frame = content.encode().ok()?;
    let rest = if previous == ChainHash::NONE { Vec::new() } else { previous.as_bytes().to_vec() };
    let whole = fill(content, message, previous)?;
    (whole == message.content).then_some(Parts { frame, rest })
}

/// The content again.
pub(super) fn put_together(frame: &[u8], rest: &[u8], message: &StoredMessage) -> Result<Vec<u8>, StoreError> {
    let content = Content::decode(frame).map_err(|_| StoreError::Damaged)?;
    let previous = match rest {
        [] => ChainHash::NONE,
        rest => ChainHash::from_bytes(rest.try_into().map_err(|_| StoreError::Damaged)?),
    };
    fill(content, message, previous).ok_or(StoreError::Damaged)
}

fn fill(mut frame: Content, message: &StoredMessage, previous: ChainHash) -> Option<Vec<u8>> {
    let Body::Text(text) = &mut frame.body else { return None };
    text.text.clone_from(&message.text);
    (frame.id, frame.sent, frame.sequence) = (message.id, message.sent, count_of(message.sequence));
    frame.previous = previous;
    frame.encode().ok()
}

/// What stands in a frame for what a message has itself.
const NO_ID: MessageId = MessageId::from_bytes([0; 16]);
const NO_TIME: Timestamp = Timestamp(1);

#[cfg(test)]
pub(super) mod tests {
    use waxwing_engine::{State, store::sequence_in};
    use waxwing_wire::{
        content::{Conversation, MessageReference, Text},
        id::{AccountId, DeviceId, Generation, Sequence},
        manifest::{ContentHash, ManifestReference},
    };

    use super::*;

    const PEER: AccountId = AccountId::from_bytes([0xb0; 32]);

    pub(in crate::store) fn content(sequence: u64, text: &str) -> Content {
        let manifest = |byte| ManifestReference {
            generation: Generation(2),
            sequence: Sequence(3),
            content: ContentHash::from_bytes([byte; 32]),
        };
        let text = Text { text: text.into(), mentions: Vec::new(), attachments: Vec::new(), view_once: false };
        Content {
            id: MessageId::from_bytes([9; 16]),
            sent: Timestamp(1_700_000_000_000),
            sequence,
            previous: if sequence > 1 { ChainHash::from_bytes([5; 32]) } else { ChainHash::NONE },
            conversation: Conversation::Account(AccountId::from_bytes([0xa1; 32])),
            own_manifest: manifest(1),
            your_manifest: Some(manifest(2)),
            expires_after: 0,
            reply_to: None,
            fallback: String::new(),
            body: Body::Text(text),
            identity: None,
            extensions: Vec::new(),
        }
    }

    pub(in crate::store) fn stored(content: &Content) -> StoredMessage {
        let Body::Text(text) = &content.body else { panic!("a text") };
        StoredMessage {
            conversation: PEER,
            id: content.id,
            author: PEER,
            device: DeviceId::MIN,
            sequence: sequence_in(Generation(2), content.sequence),
            sent: content.sent,
            stored: content.sent,
            state: State::Delivered,
            text: text.text.clone(),
            content: content.encode().unwrap(),
        }
    }

    #[test]
    fn a_text_leaves_the_hash_before_it_and_a_frame_that_others_have() {
        let first = stored(&content(1, "hello"));
        let second = StoredMessage { id: MessageId::from_bytes([8; 16]), ..stored(&content(2, "and more")) };
        let parts = take_apart(&first).unwrap();
        assert!(parts.rest.is_empty(), "nothing is before the first");
        assert_eq!(put_together(&parts.frame, &parts.rest, &first).unwrap(), first.content);
        let other = stored(&content(2, "and more"));
        let others = take_apart(&other).unwrap();
        assert_eq!((&others.frame, others.rest.len()), (&parts.frame, 32));
        assert_eq!(put_together(&others.frame, &others.rest, &other).unwrap(), other.content);
        assert_eq!(take_apart(&second), None, "its content has another id than the message");
    }

    #[test]
    fn what_its_columns_do_not_give_again_is_kept_as_it_came() {
        let usual = content(2, "hello");
        let reply = MessageReference { author: PEER, id: MessageId::from_bytes([7; 16]) };
        for unusual in [
            Content { reply_to: Some(reply), ..content(2, "hello") },
            Content { fallback: "text".into(), ..content(2, "hello") },
            Content { body: Body::Empty, ..content(2, "") },
        ] {
            let message = StoredMessage { content: unusual.encode().unwrap(), ..stored(&usual) };
            assert_eq!(take_apart(&message), None, "{unusual:?}");
        }
        for message in [
            StoredMessage { sent: Timestamp(1), ..stored(&usual) },
            StoredMessage { sequence: 7, ..stored(&usual) },
            stored(&Content { sent: Timestamp(u64::MAX), ..content(2, "hello") }),
            StoredMessage { text: "hallo".into(), ..stored(&usual) },
            StoredMessage { content: b"no content".to_vec(), ..stored(&usual) },
        ] {
            assert_eq!(take_apart(&message), None, "{message:?}");
        }
    }

    #[test]
    fn a_frame_that_is_none_is_damage() {
        let message = stored(&content(2, "hello"));
        let parts = take_apart(&message).unwrap();
        assert_eq!(put_together(b"no frame", &parts.rest, &message), Err(StoreError::Damaged));
        assert_eq!(put_together(&parts.frame, b"short", &message), Err(StoreError::Damaged));
        let empty = Content { body: Body::Empty, ..content(2, "") }.encode().unwrap();
        assert_eq!(put_together(&empty, &parts.rest, &message), Err(StoreError::Damaged));
    }
}
