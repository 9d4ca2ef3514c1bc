//! 04-messages.json: bytes and fields of every format.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use waxwing_protocol::{
    DecodeError, DecryptionErrorMessage, PlaintextContent, PreKeySignalMessage, SenderKeyDistributionMessage,
    SenderKeyMessage, SignalMessage,
};

use super::case::{Format, MessageCase};

type Fields = BTreeMap<String, Value>;

#[test]
fn messages_mean_what_the_library_means_by_them() {
    let cases: Vec<MessageCase> = super::read("04-messages.json");
    assert!(cases.len() >= 80, "{} cases", cases.len());
    for case in &cases {
        let MessageCase { name, format, fields, canonical, error, .. } = case;
        let bytes = case.message();
        let decoded = decode(*format, &bytes);
        let ours = decoded.as_ref().err().map(|error| format!("DecodeError::{error:?}"));
        assert_eq!(ours, *error, "{name}");
        let Ok(decoded) = decoded else { continue };
        assert_eq!(Some(&decoded.fields), fields.as_ref(), "{name}");
        if let Some(encoded) = decoded.encoded {
            assert_eq!(Some(encoded == bytes), *canonical, "{name}: encoded again");
        }
    }
}

struct Decoded {
    fields: Fields,
    /// For formats that the public API encodes; transcripts prove the other two.
    encoded: Option<Vec<u8>>,
}

fn decode(format: Format, bytes: &[u8]) -> Result<Decoded, DecodeError> {
    match format {
        Format::Signal => {
            let message = SignalMessage::decode(bytes)?;
            Ok(Decoded { fields: signal(&message)?, encoded: None })
        }
        Format::PrekeySignal => {
            let message = PreKeySignalMessage::decode(bytes)?;
            Ok(Decoded { fields: prekey_signal(&message), encoded: None })
        }
        Format::SenderKey => {
            let message = SenderKeyMessage::decode(bytes)?;
            let (id, chain_id, iteration) = (message.distribution_id(), message.chain_id(), message.iteration());
            let ciphertext = message.ciphertext().to_vec();
            let anew = SenderKeyMessage::new(id, chain_id, iteration, ciphertext, |_| *message.signature());
            let fields = named([
                ("distribution_uuid", text(&id.0)),
                ("chain_id", json!(chain_id)),
                ("iteration", json!(iteration)),
                ("ciphertext", text(message.ciphertext())),
                ("signature", text(message.signature().as_bytes())),
            ]);
            Ok(Decoded { fields, encoded: Some(anew.as_bytes().to_vec()) })
        }
        Format::SenderKeyDistribution => {
            let message = SenderKeyDistributionMessage::decode(bytes)?;
            // The chain key has no accessor: it shows in what is encoded again.
            let fields = named([
                ("distribution_uuid", text(&message.distribution_id().0)),
                ("chain_id", json!(message.chain_id())),
                ("iteration", json!(message.iteration())),
                ("signing_key", text(&message.signing_key())),
            ]);
            Ok(Decoded { fields, encoded: Some(message.encode().to_vec()) })
        }
        Format::DecryptionError => {
            let message = DecryptionErrorMessage::decode(bytes)?;
            Ok(Decoded { fields: decryption_error(&message), encoded: Some(message.encode()) })
        }
        Format::PlaintextContent => {
            let content = PlaintextContent::decode(bytes)?;
            let anew = PlaintextContent::new(content.decryption_error().clone());
            Ok(Decoded {
                fields: decryption_error(content.decryption_error()),
                encoded: Some(anew.as_bytes().to_vec()),
            })
        }
    }
}

fn signal(message: &SignalMessage) -> Result<Fields, DecodeError> {
    let mut fields = named([
        ("version", json!(message.suite().version())),
        ("ratchet_key", text(&message.ratchet_key()?.to_bytes())),
        ("counter", json!(message.counter())),
        ("previous_counter", json!(message.previous_counter())),
        ("ciphertext", text(message.ciphertext())),
    ]);
    fields.extend(message.pq_ratchet().map(|bytes| ("pq_ratchet".into(), text(bytes))));
    fields.extend(message.addresses().map(|bytes| ("addresses".into(), text(bytes))));
    Ok(fields)
}

fn prekey_signal(message: &PreKeySignalMessage) -> Fields {
    let mut fields = named([
        ("version", json!(message.suite().version())),
        ("base_key", text(&message.base_key().to_bytes())),
        ("identity_key", text(&message.identity_key().to_bytes())),
        ("message", text(message.message().as_bytes())),
        ("registration_id", json!(message.registration_id().0)),
        ("signed_pre_key_id", json!(message.signed_prekey_id().0)),
    ]);
    fields.extend(message.one_time_prekey_id().map(|id| ("pre_key_id".into(), json!(id.0))));
    fields.extend(message.kyber_prekey_id().map(|id| ("kyber_pre_key_id".into(), json!(id.0))));
    fields
}

fn decryption_error(message: &DecryptionErrorMessage) -> Fields {
    let mut fields = named([("timestamp", json!(message.timestamp.0)), ("device_id", json!(message.device_id))]);
    fields.extend(message.ratchet_key.map(|key| ("ratchet_key".into(), text(&key.to_bytes()))));
    fields
}

fn named<const N: usize>(fields: [(&str, Value); N]) -> Fields {
    fields.into_iter().map(|(name, value)| (name.into(), value)).collect()
}

/// Hex, or how many zeros it is if it is too long for that.
fn text(bytes: &[u8]) -> Value {
    let is_long = bytes.len() > 10_000 && bytes.iter().all(|byte| *byte == 0);
    if is_long { json!({ "zeros": bytes.len() }) } else { hex::encode(bytes).into() }
}
