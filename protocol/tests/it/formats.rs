//! The five formats (spec §4): what is required, what is refused, each case by name.

use waxwing_protocol::{
    DecodeError, DecryptionErrorMessage, MAX_MESSAGE_LEN, PlaintextContent, PreKeySignalMessage,
    SenderKeyDistributionMessage, SenderKeyMessage, SignalMessage,
};

use crate::initiator::{encoded, public_of};
use crate::proto::{Field, Framed, Value, bytes, varint};

/// A format, as one function for all: what it decodes to does not matter here.
pub struct Format {
    pub name: &'static str,
    pub decode: fn(&[u8]) -> Result<(), DecodeError>,
    /// A message that decodes.
    pub example: Framed,
    pub required: &'static [(u32, &'static str)],
    /// The high nibbles that decode; none if it has another frame.
    pub versions: &'static [u8],
    pub trailer: usize,
}

pub fn key(seed: u8) -> [u8; 33] {
    encoded(&public_of(&[seed; 32]))
}

pub fn signal(version: u8) -> Framed {
    let fields = vec![bytes(1, key(1)), varint(2, 7_u32), varint(3, 0_u32), bytes(4, [4; 32]), bytes(6, [6; 36])];
    Framed { version, fields, trailer: vec![8; 8] }
}

pub fn prekey(version: u8) -> Framed {
    let mut fields = vec![varint(1, 11_u32), bytes(2, key(2)), bytes(3, key(3)), bytes(4, signal(version).write())];
    fields.extend([varint(5, 55_u32), varint(6, 66_u32)]);
    if version >> 4 == 4 {
        fields.extend([varint(7, 77_u32), bytes(8, [8; 1569])]);
    }
    Framed { version, fields, trailer: Vec::new() }
}

pub fn sender_key() -> Framed {
    let fields = vec![bytes(1, [1; 16]), varint(2, 2_u32), varint(3, 3_u32), bytes(4, [4; 16])];
    Framed { version: 0x33, fields, trailer: vec![9; 64] }
}

pub fn distribution() -> Framed {
    let fields = vec![bytes(1, [1; 16]), varint(2, 2_u32), varint(3, 3_u32), bytes(4, [4; 32]), bytes(5, key(5))];
    Framed { version: 0x33, fields, trailer: Vec::new() }
}

pub fn plaintext() -> Framed {
    let error = [bytes(1, key(1)), varint(2, 1_700_000_000_000_u64), varint(3, 3_u32)];
    Framed { version: 0xC0, fields: vec![bytes(8, crate::proto::write(&error))], trailer: vec![0x80] }
}

pub fn formats() -> Vec<Format> {
    vec![
        Format {
            name: "SignalMessage",
            decode: |bytes| SignalMessage::decode(bytes).map(|_| ()),
            example: signal(0x44),
            required: &[(1, "ratchet_key"), (2, "counter"), (4, "ciphertext")],
            versions: &[3, 4],
            trailer: 8,
        },
        Format {
            name: "PreKeySignalMessage, PQXDH",
            decode: |bytes| PreKeySignalMessage::decode(bytes).map(|_| ()),
            example: prekey(0x44),
            required: &[
                (2, "base_key"),
                (3, "identity_key"),
                (4, "message"),
                (6, "signed_pre_key_id"),
                (7, "kyber_pre_key_id"),
                (8, "kyber_ciphertext"),
            ],
            // What is inside has a version too, which must be the same.
            versions: &[4],
            trailer: 0,
        },
        Format {
            name: "PreKeySignalMessage, X3DH",
            decode: |bytes| PreKeySignalMessage::decode(bytes).map(|_| ()),
            example: prekey(0x34),
            required: &[(2, "base_key"), (3, "identity_key"), (4, "message"), (6, "signed_pre_key_id")],
            versions: &[3],
            trailer: 0,
        },
        Format {
            name: "SenderKeyMessage",
            decode: |bytes| SenderKeyMessage::decode(bytes).map(|_| ()),
            example: sender_key(),
            required: &[(1, "distribution_uuid"), (2, "chain_id"), (3, "iteration"), (4, "ciphertext")],
            versions: &[3],
            trailer: 64,
        },
        Format {
            name: "SenderKeyDistributionMessage",
            decode: |bytes| SenderKeyDistributionMessage::decode(bytes).map(|_| ()),
            example: distribution(),
            required: &[
                (1, "distribution_uuid"),
                (2, "chain_id"),
                (3, "iteration"),
                (4, "chain_key"),
                (5, "signing_key"),
            ],
            versions: &[3],
            trailer: 0,
        },
        Format {
            name: "PlaintextContent",
            decode: |bytes| PlaintextContent::decode(bytes).map(|_| ()),
            example: plaintext(),
            required: &[(8, "decryption_error_message")],
            versions: &[],
            trailer: 1,
        },
    ]
}

#[test]
fn each_format_refuses_a_message_without_a_required_field_and_no_other() {
    for Format { name, decode, example, required, .. } in formats() {
        assert_eq!(decode(&example.write()), Ok(()), "{name}");
        for number in example.fields.iter().map(|field| field.number) {
            let expected = required
                .iter()
                .find(|(required, _)| *required == number)
                .map_or(Ok(()), |(_, field)| Err(DecodeError::Missing { field }));
            let refused = decode(&example.without(&[number]).write());
            // A distribution message without a key is shorter than any good one.
            let expected = match refused {
                Err(DecodeError::TooShort { got }) if got < 65 => refused,
                _ => expected,
            };
            assert_eq!(refused, expected, "{name} without field {number}");
        }
    }
}

#[test]
fn each_format_refuses_a_known_field_of_another_wire_type() {
    for Format { name, decode, example, .. } in formats() {
        for field in &example.fields {
            let others = [
                Value::Fixed32([0; 4]),
                Value::Fixed64([0; 8]),
                Value::Group(Vec::new()),
                match field.value {
                    Value::Varint(_) => Value::Bytes(vec![1]),
                    _ => Value::Varint(1),
                },
            ];
            for value in others {
                let fields = crate::proto::with(&example.fields, field.number, &value);
                let refused = decode(&Framed { fields, ..example.clone() }.write());
                // A distribution message without a key is shorter than any good one.
                let is_short = matches!(refused, Err(DecodeError::TooShort { got }) if got < 65);
                let expected = if is_short { refused } else { Err(DecodeError::Protobuf) };
                assert_eq!(refused, expected, "{name}: field {} as {value:?}", field.number);
            }
        }
    }
}

#[test]
fn each_format_accepts_its_versions_only() {
    for Format { name, decode, example, versions, .. } in formats() {
        for version in 0..=255_u8 {
            let decoded = decode(&Framed { version, ..example.clone() }.write());
            if versions.is_empty() {
                assert_eq!(decoded.is_ok(), version == 0xC0, "{name}: {version:#04x}");
            } else {
                assert_eq!(decoded.is_ok(), versions.contains(&(version >> 4)), "{name}: {version:#04x}");
            }
        }
    }
}

#[test]
fn each_format_refuses_every_truncation() {
    for Format { name, decode, example, trailer, .. } in formats() {
        let bytes = example.write();
        for len in 0..bytes.len() {
            let refused = decode(&bytes[..len]);
            // Where the frame has a trailer, the missing bytes are those of the protobuf; a cut between two fields that leaves
            // all required ones is a shorter message, which is why a MAC or signature follows.
            let last_required_end = bytes.len() - trailer;
            assert!(refused.is_err() || len + trailer >= last_required_end.saturating_sub(40), "{name}: {len} bytes");
        }
    }
}

/// The ceiling holds before anything is parsed: one byte more, and even a good message is refused.
#[test]
fn each_format_refuses_more_than_256_kib_unread() {
    for Format { name, decode, example, .. } in formats() {
        let len = example.write().len();
        // An unknown field that fills the message up to the ceiling: key of 2 bytes, length of 3.
        let filled = |total: usize| {
            let mut example = example.clone();
            example.fields.insert(0, bytes(100, vec![0; total - len - 5]));
            example.write()
        };
        let (at, above) = (filled(MAX_MESSAGE_LEN), filled(MAX_MESSAGE_LEN + 1));
        assert_eq!((at.len(), above.len()), (MAX_MESSAGE_LEN, MAX_MESSAGE_LEN + 1));
        assert_eq!(decode(&at), Ok(()), "{name}");
        assert_eq!(decode(&above), Err(DecodeError::TooLong { got: MAX_MESSAGE_LEN + 1 }), "{name}");
        assert!(decode(&vec![0x44; 10 * MAX_MESSAGE_LEN]).is_err(), "{name}");
    }
}

/// A length prefix that promises more than there is must not reserve it.
#[test]
fn each_format_refuses_a_length_beyond_the_message() {
    for Format { name, decode, example, .. } in formats() {
        for promised in [1_u64 << 20, 1 << 31, (1 << 32) - 1, 1 << 40, u64::MAX] {
            let mut body = vec![example.version, 0x22];
            let key = crate::proto::write(&[varint(1, promised)]);
            body.extend(&key[1..]);
            body.extend([0; 100]);
            body.extend(&example.trailer);
            assert!(decode(&body).is_err(), "{name}: {promised} bytes promised");
        }
    }
}

#[test]
fn sizes_that_a_format_fixes_are_checked() {
    type Case = (&'static str, fn(&[u8]) -> Result<(), DecodeError>, Framed, u32, &'static [usize], DecodeError);
    let sender_key_decode: fn(&[u8]) -> Result<(), DecodeError> = |bytes| SenderKeyMessage::decode(bytes).map(|_| ());
    let distribution_decode: fn(&[u8]) -> Result<(), DecodeError> =
        |bytes| SenderKeyDistributionMessage::decode(bytes).map(|_| ());
    let invalid = |field| DecodeError::Invalid { field };
    let cases: [Case; 3] = [
        ("sender key", sender_key_decode, sender_key(), 1, &[0, 15, 17, 32], invalid("distribution_uuid")),
        ("distribution", distribution_decode, distribution(), 1, &[0, 15, 17, 32], invalid("distribution_uuid")),
        ("distribution", distribution_decode, distribution(), 4, &[16, 31, 33, 64], invalid("chain_key")),
    ];
    for (name, decode, example, number, lens, error) in cases {
        for len in lens {
            assert_eq!(
                decode(&example.with(number, vec![1; *len]).write()),
                Err(error),
                "{name}: {number}, {len} bytes"
            );
        }
    }
}

#[test]
fn a_plaintext_content_must_end_in_its_boundary_and_carry_nothing_else() {
    let honest = plaintext();
    assert!(PlaintextContent::decode(&honest.write()).is_ok());
    for trailer in [vec![], vec![0x81], vec![0x00], vec![0x80, 0x00]] {
        let refused = PlaintextContent::decode(&Framed { trailer, ..honest.clone() }.write());
        assert!(refused.is_err());
    }
    // Content that must never travel in the clear: a data message (field 1) and no error.
    let data = Framed { fields: vec![bytes(1, b"hello")], ..honest.clone() };
    let missing = DecodeError::Missing { field: "decryption_error_message" };
    assert_eq!(PlaintextContent::decode(&data.write()), Err(missing));
    let no_timestamp = crate::proto::write(&[varint(3, 1_u32)]);
    assert_eq!(DecryptionErrorMessage::decode(&no_timestamp), Err(DecodeError::Missing { field: "timestamp" }));
}

/// What follows the field that decides must not be believed to be another message.
#[test]
fn a_prekey_message_refuses_an_inner_message_of_the_other_suite() {
    for (outer, inner) in [(0x44, 0x34), (0x34, 0x44)] {
        let spoiled = prekey(outer).with(4, signal(inner).write());
        assert_eq!(PreKeySignalMessage::decode(&spoiled.write()), Err(DecodeError::Invalid { field: "message" }));
    }
    let mut with_kyber = prekey(0x34);
    with_kyber.fields.push(Field { number: 7, value: Value::Varint(1) });
    let error = DecodeError::Invalid { field: "kyber_pre_key_id" };
    assert_eq!(PreKeySignalMessage::decode(&with_kyber.write()), Err(error));
}
