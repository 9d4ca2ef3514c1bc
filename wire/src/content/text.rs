//! Texts and attachments. Implements spec/16-content.md §16.3 and §16.4.
use alloc::{string::String, vec::Vec};

use super::ContentError;
use crate::{
    address::ServerAddress,
    id::{AccountId, BlobId},
    message::{self, Broken, FromWire, ToWire},
    proto::{content as proto, identity},
    relay::Capability,
    sealed::ObjectSecret,
};

/// A text, perhaps empty, with what belongs to it.
#[derive(Debug, Eq, PartialEq)]
pub struct Text {
    /// UTF-8, at most 32,768 bytes. Markdown as people type it; what is shown of it is the reader's choice.
    pub text: String,
    /// Parts of the text that name accounts; ascending, not overlapping. At most 64.
    pub mentions: Vec<Mention>,
    /// At most 16.
    pub attachments: Vec<Attachment>,
    /// Shown once and forgotten.
    pub view_once: bool,
}
message::message!(Text = proto::Text { text, mentions, attachments, view_once });

impl Text {
    /// Mentions lie in the text, on boundaries of characters, one after the other.
    pub(super) fn check(&self) -> Result<(), ContentError> {
        let mut end = 0;
        for mention in &self.mentions {
            let start = usize::try_from(mention.start).map_err(|_| ContentError::Form)?;
            let length = usize::try_from(mention.length).map_err(|_| ContentError::Form)?;
            let next = start.checked_add(length).ok_or(ContentError::Form)?;
            if start < end || length == 0 || self.text.get(start..next).is_none() {
                return Err(ContentError::Form);
            }
            end = next;
        }
        Ok(())
    }
}

/// An account that a part of the text stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mention {
    /// Who.
    pub account: AccountId,
    /// First byte of the part.
    pub start: u32,
    /// Its bytes; at least 1.
    pub length: u32,
}
message::message!(Mention = proto::Mention { account, start, length });

/// A blob: where it is and how it is opened (spec §16.4). Name, type and sizes are the sender's claims.
#[derive(Debug, Eq, PartialEq)]
pub struct Attachment {
    /// The relay that holds it; refused if it is not public and not configured.
    pub server: ServerAddress,
    /// Which blob.
    pub blob: BlobId,
    /// For reading it.
    pub read_capability: Capability,
    /// For opening it: purpose blob, context the blob id (§12.1).
    pub secret: ObjectSecret,
    /// SHA-256 of the whole sealed object: everybody who has this message has the same object, or none.
    pub digest: [u8; 32],
    /// Bytes of the content; the object's size follows from it.
    pub length: u64,
    /// RFC 6838, at most 127 bytes. A hint.
    pub media_type: String,
    /// For showing only, never for a path. At most 255 bytes.
    pub name: String,
    /// How it is meant.
    pub presentation: Presentation,
    /// Pixels; 0 if it has none.
    pub width: u32,
    /// Pixels; 0 if it has none.
    pub height: u32,
    /// Milliseconds; 0 if it has none.
    pub duration: u32,
    /// Loudness of a voice note, one byte a step; at most 256.
    pub waveform: Vec<u8>,
    /// A small picture; at most 4,096 bytes.
    pub preview: Vec<u8>,
}
message::message!(
    Attachment = proto::Attachment {
        server,
        blob,
        read_capability,
        secret,
        digest,
        length,
        media_type,
        name,
        presentation,
        width,
        height,
        duration,
        waveform,
        preview,
    }
);

/// How an attachment is meant.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Presentation {
    /// A file.
    File,
    /// A picture.
    Image,
    /// A video.
    Video,
    /// A voice note.
    VoiceNote,
    /// A sticker.
    Sticker,
}
message::numbered!(Presentation "§16.4.1" { File = 1, Image = 2, Video = 3, VoiceNote = 4, Sticker = 5 });

impl ToWire<Vec<u8>> for ObjectSecret {
    fn to_wire(&self) -> Vec<u8> {
        self.expose().to_vec()
    }
}

impl FromWire<Vec<u8>> for ObjectSecret {
    fn from_wire(wire: Vec<u8>) -> Result<Self, Broken> {
        let wire = zeroize::Zeroizing::new(wire);
        wire.as_slice().try_into().map(Self::from_bytes).map_err(|_| Broken::rule("§10.4.8"))
    }
}

impl ToWire<Option<identity::ServerAddress>> for ServerAddress {
    fn to_wire(&self) -> Option<identity::ServerAddress> {
        Some(self.to_proto())
    }
}

impl FromWire<Option<identity::ServerAddress>> for ServerAddress {
    fn from_wire(wire: Option<identity::ServerAddress>) -> Result<Self, Broken> {
        Self::parse(&wire.ok_or(Broken::rule("§10.4.7"))?).map_err(|_| Broken::rule("§11.12"))
    }
}
