//! Properties of the five formats (spec §4.2). `WAXWING_CASES` asks for more cases; a failure prints what reproduces it.

use proptest::prelude::*;
use waxwing_protocol::{
    DecryptionErrorMessage, DistributionId, PlaintextContent, PreKeySignalMessage, RatchetKey,
    SenderKeyDistributionMessage, SenderKeyMessage, SignalMessage, Signature, Suite, Timestamp,
};

use crate::formats::{distribution, formats, key, plaintext, prekey, sender_key, signal};
use crate::proto::{Field, Framed, Value, bytes, last, last_bytes, varint};

/// A field that no format knows, of any wire type.
fn unknown() -> impl Strategy<Value = Field> {
    let value = prop_oneof![
        any::<u64>().prop_map(Value::Varint),
        any::<[u8; 8]>().prop_map(Value::Fixed64),
        any::<[u8; 4]>().prop_map(Value::Fixed32),
        any::<Vec<u8>>().prop_map(Value::Bytes),
        any::<Vec<u8>>().prop_map(|inner| Value::Group(vec![bytes(5, inner), varint(6, 1_u32)])),
    ];
    (9..(1_u32 << 29), value).prop_map(|(number, value)| Field { number, value })
}

/// `fields` in another order, between unknown ones, and with stale values before the real ones: what every receiver must read
/// as the same message.
fn disguise(fields: &[Field], unknown: Vec<Field>, order: &[u16]) -> Vec<Field> {
    let mut disguised: Vec<_> = fields.iter().cloned().chain(unknown).enumerate().collect();
    disguised.sort_by_key(|(index, _)| order[index % order.len()].rotate_left(*index as u32 % 16));
    let stale = fields.iter().map(|field| match &field.value {
        Value::Varint(value) => varint(field.number, value ^ 1),
        _ => bytes(field.number, b"stale"),
    });
    stale.chain(disguised.into_iter().map(|(_, field)| field)).collect()
}

fn number(framed: &Framed, field: u32) -> Option<u32> {
    match last(&framed.fields, field) {
        Some(Value::Varint(value)) => Some(*value as u32),
        None => None,
        other => panic!("{other:?}"),
    }
}

/// Compares what the crate read with what stands in the fields.
fn check_signal(framed: &Framed) {
    let encoded = framed.write();
    let message = SignalMessage::decode(&encoded).unwrap();
    assert_eq!(message.as_bytes(), encoded);
    assert_eq!(message.suite().version(), framed.version >> 4);
    assert_eq!(message.ratchet_key().unwrap().to_bytes()[..], *last_bytes(&framed.fields, 1));
    assert_eq!(Some(message.counter()), number(framed, 2));
    assert_eq!(message.previous_counter(), number(framed, 3).unwrap_or(0));
    assert_eq!(message.ciphertext(), last_bytes(&framed.fields, 4));
    let optional = |field| last(&framed.fields, field).map(|_| last_bytes(&framed.fields, field));
    assert_eq!(message.pq_ratchet(), optional(5));
    assert_eq!(message.addresses(), optional(6));
}

fn check_prekey(framed: &Framed) {
    let encoded = framed.write();
    let message = PreKeySignalMessage::decode(&encoded).unwrap();
    assert_eq!(message.as_bytes(), encoded);
    assert_eq!(message.one_time_prekey_id().map(|id| id.0), number(framed, 1));
    assert_eq!(message.base_key().to_bytes()[..], *last_bytes(&framed.fields, 2));
    assert_eq!(message.identity_key().to_bytes()[..], *last_bytes(&framed.fields, 3));
    assert_eq!(message.message().as_bytes(), last_bytes(&framed.fields, 4));
    assert_eq!(message.registration_id().0, number(framed, 5).unwrap_or(0));
    assert_eq!(Some(message.signed_prekey_id().0), number(framed, 6));
    assert_eq!(message.kyber_prekey_id().map(|id| id.0), number(framed, 7));
    assert_eq!(message.suite() == Suite::Pqxdh, message.kyber_prekey_id().is_some());
}

fn check_sender_key(framed: &Framed) {
    let encoded = framed.write();
    let message = SenderKeyMessage::decode(&encoded).unwrap();
    assert_eq!(message.as_bytes(), encoded);
    assert_eq!(message.distribution_id().0[..], *last_bytes(&framed.fields, 1));
    assert_eq!(Some(message.chain_id()), number(framed, 2));
    assert_eq!(Some(message.iteration()), number(framed, 3));
    assert_eq!(message.ciphertext(), last_bytes(&framed.fields, 4));
    assert_eq!(message.signature().as_bytes()[..], framed.trailer);
}

fn check_distribution(framed: &Framed) -> Vec<u8> {
    let encoded = framed.write();
    let message = SenderKeyDistributionMessage::decode(&encoded).unwrap();
    assert_eq!(message.as_bytes(), encoded);
    assert_eq!(message.distribution_id().0[..], *last_bytes(&framed.fields, 1));
    assert_eq!(Some(message.chain_id()), number(framed, 2));
    assert_eq!(Some(message.iteration()), number(framed, 3));
    assert_eq!(message.signing_key()[..], *last_bytes(&framed.fields, 5));
    message.encode().to_vec()
}

fn check_plaintext(framed: &Framed) -> PlaintextContent {
    let encoded = framed.write();
    let message = PlaintextContent::decode(&encoded).unwrap();
    assert_eq!(message.as_bytes(), encoded);
    let inner = Framed { fields: crate::proto::read(last_bytes(&framed.fields, 8)).unwrap(), ..framed.clone() };
    let error = message.decryption_error();
    let ratchet_key = last(&inner.fields, 1).map(|_| last_bytes(&inner.fields, 1));
    assert_eq!(error.ratchet_key.map(|key| key.to_bytes()).as_ref().map(|key| &key[..]), ratchet_key);
    assert_eq!(last(&inner.fields, 2), Some(&Value::Varint(error.timestamp.0)));
    assert_eq!(error.device_id, number(&inner, 3).unwrap_or(0));
    message
}

proptest! {
    #![proptest_config(crate::cases(256))]

    #[test]
    fn a_signal_message_reads_what_was_written(
        seed: u8, counter: u32, previous: Option<u32>, ciphertext: Vec<u8>, pq_ratchet: Option<Vec<u8>>,
        addresses: Option<Vec<u8>>, is_pqxdh: bool, mac: [u8; 8],
        extra in prop::collection::vec(unknown(), 0..4), order in prop::collection::vec(any::<u16>(), 1..20),
    ) {
        let mut fields = vec![bytes(1, key(seed)), varint(2, counter)];
        fields.extend(previous.map(|previous| varint(3, previous)));
        fields.push(bytes(4, ciphertext));
        fields.extend(pq_ratchet.map(|value| bytes(5, value)));
        fields.extend(addresses.map(|value| bytes(6, value)));
        let framed = Framed { version: if is_pqxdh { 0x44 } else { 0x34 }, fields, trailer: mac.to_vec() };
        check_signal(&framed);
        check_signal(&Framed { fields: disguise(&framed.fields, extra, &order), ..framed });
    }

    #[test]
    fn a_prekey_message_reads_what_was_written(
        seeds: [u8; 2], ids: [u32; 3], pre_key_id: Option<u32>, registration_id: Option<u32>, is_pqxdh: bool, kyber: u8,
        extra in prop::collection::vec(unknown(), 0..4), order in prop::collection::vec(any::<u16>(), 1..20),
    ) {
        let version = if is_pqxdh { 0x44 } else { 0x34 };
        let mut fields = Vec::from_iter(pre_key_id.map(|id| varint(1, id)));
        fields.extend([bytes(2, key(seeds[0])), bytes(3, key(seeds[1])), bytes(4, signal(version).write())]);
        fields.extend(registration_id.map(|id| varint(5, id)));
        fields.push(varint(6, ids[0]));
        if is_pqxdh {
            fields.extend([varint(7, ids[1]), bytes(8, [&[8][..], &[kyber; 1568]].concat())]);
        }
        let framed = Framed { version, fields, trailer: Vec::new() };
        check_prekey(&framed);
        check_prekey(&Framed { fields: disguise(&framed.fields, extra, &order), ..framed });
    }

    /// The crate's own encoder writes what an independent one writes.
    #[test]
    fn a_sender_key_message_reads_what_was_written(
        id: [u8; 16], chain_id: u32, iteration: u32, ciphertext: Vec<u8>, signature: [u8; 64],
        extra in prop::collection::vec(unknown(), 0..4), order in prop::collection::vec(any::<u16>(), 1..20),
    ) {
        let fields = vec![bytes(1, id), varint(2, chain_id), varint(3, iteration), bytes(4, &ciphertext)];
        let framed = Framed { version: 0x33, fields, trailer: signature.to_vec() };
        let mut signed = Vec::<u8>::new();
        let ours = SenderKeyMessage::new(DistributionId(id), chain_id, iteration, ciphertext, |covered| {
            signed.extend(covered);
            Signature::from_bytes(signature)
        });
        prop_assert_eq!(ours.as_bytes(), framed.write());
        prop_assert_eq!(&signed, &ours.as_bytes()[..ours.as_bytes().len() - 64]);
        prop_assert_eq!(SenderKeyMessage::decode(ours.as_bytes()).unwrap(), ours);
        check_sender_key(&framed);
        check_sender_key(&Framed { fields: disguise(&framed.fields, extra, &order), ..framed });
    }

    #[test]
    fn a_distribution_message_reads_what_was_written_and_is_encoded_canonically(
        id: [u8; 16], chain_id: u32, iteration: u32, chain_key: [u8; 32], seed: u8,
        extra in prop::collection::vec(unknown(), 0..4), order in prop::collection::vec(any::<u16>(), 1..20),
    ) {
        let fields =
            vec![bytes(1, id), varint(2, chain_id), varint(3, iteration), bytes(4, chain_key), bytes(5, key(seed))];
        let framed = Framed { version: 0x33, fields, trailer: Vec::new() };
        prop_assert_eq!(check_distribution(&framed), framed.write());
        let disguised = Framed { fields: disguise(&framed.fields, extra, &order), ..framed.clone() };
        prop_assert_eq!(check_distribution(&disguised), framed.write());
    }

    #[test]
    fn a_plaintext_content_reads_what_was_written(
        seed: Option<u8>, timestamp: u64, device_id: u32,
        extra in prop::collection::vec(unknown(), 0..4), order in prop::collection::vec(any::<u16>(), 1..20),
    ) {
        let ratchet_key = seed.map(|seed| RatchetKey::parse(&key(seed)).unwrap());
        let error = DecryptionErrorMessage { ratchet_key, timestamp: Timestamp(timestamp), device_id };
        let mut inner = Vec::from_iter(seed.map(|seed| bytes(1, key(seed))));
        inner.extend([varint(2, timestamp), varint(3, device_id)]);
        prop_assert_eq!(error.encode(), crate::proto::write(&inner));
        prop_assert_eq!(&DecryptionErrorMessage::decode(&error.encode()).unwrap(), &error);

        let framed = Framed { version: 0xC0, fields: vec![bytes(8, error.encode())], trailer: vec![0x80] };
        let ours = PlaintextContent::new(error);
        prop_assert_eq!(ours.as_bytes(), framed.write());
        prop_assert_eq!(&check_plaintext(&framed), &ours);
        let disguised = disguise(&inner, extra.clone(), &order);
        let fields = disguise(&[bytes(8, crate::proto::write(&disguised))], extra, &order);
        let disguised = check_plaintext(&Framed { fields, ..framed });
        prop_assert_eq!(disguised.decryption_error(), ours.decryption_error());
    }

    /// Totality; that no panic, overflow or abort lies in it is the test.
    #[test]
    fn any_bytes_are_a_message_or_an_error(bytes: Vec<u8>, version in prop_oneof![Just(0x44_u8), Just(0x34), Just(0x33), Just(0xC0)]) {
        for format in formats() {
            let _ = (format.decode)(&bytes);
            let _ = (format.decode)(&[&[version][..], &bytes, &[0x80]].concat());
        }
    }

    /// As above, from good messages with a few bytes replaced, removed or inserted.
    #[test]
    fn any_spoiled_message_is_a_message_or_an_error(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
    ) {
        let examples = [signal(0x44), prekey(0x44), prekey(0x34), sender_key(), distribution(), plaintext()];
        for (format, example) in formats().iter().zip(examples.map(|example| example.write())) {
            let mut spoiled = example;
            for (index, byte, kind) in &edits {
                let at = index.index(spoiled.len());
                match kind {
                    0 => spoiled[at] = *byte,
                    1 => spoiled.insert(at, *byte),
                    _ => { spoiled.remove(at); }
                }
            }
            let _ = (format.decode)(&spoiled);
        }
    }
}
