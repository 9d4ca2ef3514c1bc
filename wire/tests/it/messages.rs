//! Messages (spec/13 to spec/16): one form each, whatever the bytes; `prost-reflect`, which reads the .proto files at run
//! time and shares no code with the scanner or the generated types, agrees on every sample.
use std::{path::Path, sync::LazyLock};

use proptest::prelude::*;
use prost_reflect::{DescriptorPool, DynamicMessage};
use waxwing_wire::{content, keyserver, message::DecodeError, relay};

use crate::samples;

/// Decodes, encodes again, decodes again: the bytes and the value must be the same ones.
type Again = fn(&[u8]) -> Result<Vec<u8>, DecodeError>;

macro_rules! again {
    ($type:ty) => {
        |bytes| {
            let value = <$type>::decode(bytes)?;
            let encoded = value.encode().expect("what was decoded is encodable");
            assert_eq!(<$type>::decode(&encoded).expect("what was encoded is decodable"), value);
            Ok(encoded)
        }
    };
}

/// Every message that is decoded by itself: its type in the .proto files, and how it is read.
pub(crate) const TYPES: [(&str, Again); 8] = [
    ("waxwing.relay.Request", again!(relay::Request)),
    ("waxwing.relay.Reply", again!(relay::ServerFrame)),
    ("waxwing.relay.Put", again!(relay::Put)),
    ("waxwing.relay.FanOut", again!(relay::FanOut)),
    ("waxwing.keyserver.Request", again!(keyserver::Request)),
    ("waxwing.keyserver.Reply", again!(keyserver::Reply)),
    ("waxwing.keyserver.DeviceRequest", again!(keyserver::DeviceRequest)),
    ("waxwing.content.Content", again!(content::Content)),
];

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let files = ["relay.proto", "keyserver.proto", "content.proto"];
    let set = protox::compile(files, [folder]).expect("the .proto files compile");
    DescriptorPool::from_file_descriptor_set(set).unwrap()
});

fn dynamic(name: &str, bytes: &[u8]) -> DynamicMessage {
    DynamicMessage::decode(POOL.get_message_by_name(name).unwrap(), bytes).unwrap()
}

fn all_samples() -> Vec<(String, usize, Vec<u8>)> {
    samples::vectors::encoded().into_iter().map(|(name, case, bytes)| (case, index(name), bytes)).collect()
}

fn index(name: &str) -> usize {
    TYPES.iter().position(|(known, _)| *known == name).unwrap()
}

#[test]
fn every_message_is_what_it_was_after_the_wire() {
    let samples = all_samples();
    assert!(samples.len() > 100, "{}", samples.len());
    for (case, index, bytes) in samples {
        assert!(TYPES[index].1(&bytes).expect(&case) == bytes, "{case}");
    }
}

#[test]
fn every_choice_has_a_sample() {
    let samples = all_samples();
    for (name, field) in [
        ("waxwing.relay.Request", "body"),
        ("waxwing.relay.Reply", "body"),
        ("waxwing.keyserver.Request", "body"),
        ("waxwing.keyserver.Reply", "body"),
        ("waxwing.keyserver.DeviceRequest", "body"),
    ] {
        let oneof = POOL.get_message_by_name(name).unwrap().oneofs().find(|oneof| oneof.name() == field).unwrap();
        for member in oneof.fields() {
            let has = |(_, at, bytes): &(String, usize, Vec<u8>)| {
                TYPES[*at].0 == name && dynamic(name, bytes).has_field(&member)
            };
            assert!(samples.iter().any(has), "{name}.{} has no sample", member.name());
        }
    }
}

#[test]
fn an_independent_reader_of_the_proto_files_agrees_on_every_sample() {
    use prost_reflect::prost::Message;
    for (case, index, bytes) in all_samples() {
        let message = dynamic(TYPES[index].0, &bytes);
        assert_eq!(message.unknown_fields().count(), 0, "{case}");
        assert!(message.encode_to_vec() == bytes, "{case}");
    }
}

#[test]
fn every_cut_is_refused_or_a_content_without_its_last_parts() {
    for (case, index, bytes) in all_samples() {
        // Long runs of content are all alike: the ends, and every 97th byte.
        for length in (0..bytes.len()).filter(|length| *length < 300 || length + 300 > bytes.len() || length % 97 == 0)
        {
            let outcome = TYPES[index].1(&bytes[..length]);
            // A content's body and extensions may be absent; everything else ends in something required.
            let shorter = TYPES[index].0 == "waxwing.content.Content" && outcome == Ok(bytes[..length].to_vec());
            assert!(outcome.is_err() || shorter, "{case} cut at {length}");
        }
    }
}

#[test]
fn every_flipped_bit_gives_another_message_or_none_and_never_a_second_form() {
    for (case, index, bytes) in all_samples() {
        for bit in (0..bytes.len() * 8).filter(|bit| *bit < 2_000 || bit % 997 == 0) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(again) = TYPES[index].1(&flipped) {
                assert!(again == flipped, "{case} bit {bit}");
            }
        }
    }
}

#[test]
fn d3_answers_that_differ_in_what_they_hold_have_the_same_length() {
    let lookup = |listing| keyserver::Reply {
        id: samples::id(1),
        result: Ok(keyserver::KeyserverReply::LookedUp(keyserver::LookedUp { listing })),
    };
    let lengths: Vec<_> =
        [None, Some(vec![1]), Some(vec![1; 1_100])].map(|one| lookup(one).encode().unwrap().len()).into();
    assert!(lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
    assert!(lookup(Some(vec![1; 1_101])).encode().is_err());
    let account = |bytes: usize| keyserver::Reply {
        id: samples::id(1),
        result: Ok(keyserver::KeyserverReply::Account(keyserver::AccountObjects {
            recovery_key: [1; 32],
            statement: vec![2; 190],
            manifest: vec![3; bytes],
        })),
    };
    let lengths: std::collections::BTreeSet<_> =
        (300..16_000).map(|bytes| account(bytes).encode().unwrap().len()).collect();
    assert_eq!(lengths.len(), 4, "{lengths:?}");
}

#[test]
fn d3_receipts_edits_and_texts_fit_the_smallest_envelope() {
    for body in samples::bodies() {
        let encoded = samples::content(body).encode().unwrap();
        // What sealed sender, ratchet and certificate take of 2,560 is under 900.
        assert!(encoded.len() < 1_660, "{}", encoded.len());
    }
}

#[test]
fn d3_put_frames_of_one_size_have_one_length() {
    let put = |ttl, mailbox: u8| {
        let put = relay::Put {
            mailbox: waxwing_wire::id::MailboxId::from_bytes([mailbox; 16]),
            delivery: waxwing_wire::id::DeliveryId::from_bytes([mailbox; 16]),
            ttl,
            by: relay::Credential::Key(waxwing_wire::delivery::DeliveryKey::from_bytes([mailbox; 16])),
            envelope: samples::envelope(waxwing_wire::padding::EnvelopeSize::B2560),
        };
        put.encode().unwrap().len()
    };
    assert_eq!(put(relay::Ttl::Fortnight, 0), put(relay::Ttl::OnlineOnly, 255));
}

#[test]
fn e2_an_owner_signature_is_bound_to_its_connection() {
    use waxwing_wire::request::Exporter;
    let mailbox = relay::mailbox_id(&[1; 32]);
    let one = relay::owner_transcript(&Exporter::from_bytes([1; 32]), &mailbox);
    assert_ne!(one, relay::owner_transcript(&Exporter::from_bytes([2; 32]), &mailbox));
}

#[test]
fn an_unknown_kind_version_or_critical_extension_is_kept_and_read_by_its_fallback() {
    use waxwing_wire::content::{Body, Content, Extension, UnknownReason};
    let known = Content { fallback: "shown instead".into(), ..samples::contents().remove(0) };
    let bytes = known.encode().unwrap();
    let edit = |field: &str, value: u32| {
        use prost_reflect::{Value, prost::Message};
        let mut message = dynamic("waxwing.content.Content", &bytes);
        message.set_field_by_name(field, Value::U32(value));
        message.encode_to_vec()
    };
    for (bytes, reason) in [
        (edit("kind_number", 999), UnknownReason::Kind),
        (edit("version", 2), UnknownReason::Version),
        (
            Content { extensions: vec![Extension { number: 1_000, value: vec![] }], ..samples::content(Body::Empty) }
                .encode()
                .unwrap(),
            UnknownReason::Extension(1_000),
        ),
    ] {
        let content = Content::decode(&bytes).unwrap();
        let Body::Unknown(unknown) = &content.body else { panic!("{reason:?}: {content:?}") };
        assert_eq!(unknown.reason(), reason);
        assert_eq!(content.encode().unwrap(), bytes, "{reason:?}");
    }
    let plain =
        Content { extensions: vec![Extension { number: 999, value: vec![1] }], ..samples::content(Body::Empty) };
    assert_eq!(Content::decode(&plain.encode().unwrap()), Ok(plain));
}

#[test]
fn content_limits_are_exact() {
    use waxwing_wire::content::{Body, Content, ContentError, SentCopy, Text};
    let text = |length: usize| {
        Body::Text(Text { text: "x".repeat(length), mentions: vec![], attachments: vec![], view_once: false })
    };
    assert!(samples::content(text(32_768)).encode().is_ok());
    assert!(matches!(samples::content(text(32_769)).encode(), Err(ContentError::Encode(_))));
    let copy = |length: usize| samples::content(Body::SentCopy(SentCopy { content: vec![1; length] })).encode();
    assert!(copy(Content::MOST).is_ok(), "the longest content fits a copy");
    assert!(copy(Content::MOST + 1).is_err());
    let custom = |length: usize| {
        let name = content::KindName::new("com.example/x".into()).unwrap();
        samples::content(Body::Custom(content::CustomBody { name, version: 1, bytes: vec![1; length] })).encode()
    };
    assert!(custom(56_000).is_ok());
    assert_eq!(custom(56_320), Err(ContentError::TooLong));
}

#[test]
fn secrets_do_not_print() {
    let requests = samples::relay_requests();
    let printed = format!("{requests:?}{:?}{:?}", samples::contents(), samples::keyserver_requests());
    // Delivery keys, capabilities, invitations, object secrets of the samples, as decimal lists or hexadecimal.
    for byte in [0xde_u8, 0xca, 0x17, 0x5e, 0xcc, 0x5c, 0x7e] {
        assert!(!printed.contains(&format!("{byte}, {byte}, {byte}")), "{byte:#x}");
        assert!(!printed.contains(&format!("{byte:02x}").repeat(8)), "{byte:#x}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_or_have_one_form(bytes in prop::collection::vec(any::<u8>(), 0..600), index in 0..TYPES.len()) {
        if let Ok(again) = TYPES[index].1(&bytes) {
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn mutated_messages_are_refused_or_have_one_form(
        sample in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..6),
    ) {
        static SAMPLES: LazyLock<Vec<(String, usize, Vec<u8>)>> = LazyLock::new(all_samples);
        let (case, index, bytes) = sample.get(&SAMPLES);
        let mut bytes = bytes.clone();
        for (place, byte, edit) in edits {
            // Most of what is interesting stands at the beginning.
            let place = if edit % 2 == 0 { place.index(bytes.len().min(60)) } else { place.index(bytes.len()) };
            match edit {
                0 | 1 => bytes[place] = byte,
                2 => bytes.insert(place, byte),
                _ => drop(bytes.remove(place)),
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
        if let Ok(again) = TYPES[*index].1(&bytes) {
            prop_assert!(again == bytes, "{}", case);
        }
    }
}
