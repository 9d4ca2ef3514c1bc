//! Recorded transcripts: `spec/vectors/08-sealed-sender.json`, made with Signal's published library (its README says how).

use serde::Deserialize;
use waxwing_protocol::sealed::{
    CertificateError, CertificateKey, Content, ContentHint, ContentKind, EnvelopeSize, OpenError, OwnDevice, Padding,
    Recipient, SealedMessage, SentMessage, ServerCertificateIn, Trust, VerifiedContent, VerifyError,
};
use waxwing_protocol::{DeviceAddress, DeviceId, IdentityKey, IdentityKeyPair, RegistrationId, ServiceId, Timestamp};

use super::scene::received;

pub const FILE: &str = include_str!("../../../../spec/vectors/08-sealed-sender.json");

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

#[derive(Clone, Deserialize)]
struct Case {
    name: String,
    /// `v1`, `received`, `sent`, `envelope`.
    form: String,
    #[serde(with = "hex::serde")]
    bytes: Vec<u8>,
    recipient: Own,
    trust_roots: Vec<Hex>,
    servers: Vec<Hex>,
    time: u64,
    expect: Expect,
    remake: Option<Remake>,
}

#[derive(Clone, Deserialize)]
struct Hex(#[serde(with = "hex::serde")] Vec<u8>);

#[derive(Clone, Deserialize)]
struct Own {
    service_id: String,
    device: u32,
    e164: Option<String>,
    identity_private: Hex,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Expect {
    Opens(Opens),
    Fails { error: String },
}

#[derive(Clone, Deserialize)]
struct Opens {
    sender: SenderOf,
    kind: u8,
    hint: u32,
    group_id: Option<Hex>,
    message: Hex,
}

#[derive(Clone, Deserialize)]
struct SenderOf {
    service_id: String,
    device: u32,
    e164: Option<String>,
    identity: Hex,
    expires: u64,
}

/// What leads to the same bytes again.
#[derive(Clone, Deserialize)]
struct Remake {
    sender_private: Hex,
    /// Version 2's; version 1's ephemeral key is unknown, and remade inside the crate.
    message_key: Option<Hex>,
    #[serde(default)]
    recipients: Vec<To>,
    #[serde(default)]
    excluded: Vec<String>,
    padding: Option<usize>,
}

#[derive(Clone, Deserialize)]
struct To {
    service_id: String,
    identity: Hex,
    devices: Vec<(u32, u32)>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str::<File>(FILE).unwrap().cases
}

fn identity(private: &Hex) -> IdentityKeyPair {
    IdentityKeyPair::from_private_key(private.0[..].try_into().unwrap())
}

impl Case {
    fn trust(&self) -> Trust {
        let roots: Vec<_> = self.trust_roots.iter().map(|root| CertificateKey::parse(&root.0).unwrap()).collect();
        let mut trust = Trust::new(&roots);
        for server in &self.servers {
            trust.add_server(&ServerCertificateIn::decode(&server.0).unwrap()).unwrap();
        }
        trust
    }

    fn open(&self) -> Result<VerifiedContent, String> {
        let own = &self.recipient;
        let service_id = ServiceId::parse(&own.service_id).unwrap();
        let decode = |error| format!("decode: {error}");
        let message = match self.form.as_str() {
            "envelope" => SealedMessage::from_envelope(&self.bytes).map_err(decode)?,
            "sent" => {
                let sent = SentMessage::decode(&self.bytes).map_err(decode)?;
                let received = sent.received_by(service_id).map_err(|_| "not_addressed")?;
                SealedMessage::decode(&received).map_err(decode)?
            }
            "v1" | "received" => SealedMessage::decode(&self.bytes).map_err(decode)?,
            other => panic!("{}: form {other}", self.name),
        };
        let content = message.open(&identity(&own.identity_private)).map_err(|error| match error {
            OpenError::Forged => "forged".to_owned(),
            other => format!("content: {other}"),
        })?;
        let address = DeviceAddress { service_id, device_id: DeviceId::new(own.device).unwrap() };
        let own = OwnDevice { address, e164: own.e164.as_deref() };
        content.verify(&self.trust(), Timestamp(self.time), own).map_err(|error| name(error).to_owned())
    }

    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        match (&self.expect, self.open()) {
            (Expect::Opens(expect), Ok(opened)) => expect.check(&opened).map_err(|what| format!("{name}: {what}")),
            (Expect::Fails { error }, Err(got)) if got.split(':').next() == Some(error) => Ok(()),
            (Expect::Opens(_), Err(got)) => Err(format!("{name}: {got}")),
            (Expect::Fails { error }, got) => Err(format!("{name}: expected {error}, got {got:?}")),
        }
    }
}

fn name(error: VerifyError) -> &'static str {
    match error {
        VerifyError::SentByUs => "sent_by_us",
        VerifyError::Certificate(CertificateError::UntrustedServer) => "untrusted_server",
        VerifyError::Certificate(CertificateError::RevokedServer { .. }) => "revoked_server",
        VerifyError::Certificate(CertificateError::UnknownServer { .. }) => "unknown_server",
        VerifyError::Certificate(CertificateError::ForgedSender) => "forged_sender",
        VerifyError::Certificate(CertificateError::Expired { .. }) => "expired",
        _ => "new error",
    }
}

fn kind_number(kind: ContentKind) -> u8 {
    match kind {
        ContentKind::PreKey => 1,
        ContentKind::Signal => 2,
        ContentKind::SenderKey => 7,
        ContentKind::Plaintext => 8,
    }
}

fn hint(number: u32) -> ContentHint {
    match number {
        0 => ContentHint::Default,
        1 => ContentHint::Resendable,
        2 => ContentHint::Implicit,
        other => ContentHint::Unknown(other),
    }
}

impl Opens {
    fn check(&self, opened: &VerifiedContent) -> Result<(), String> {
        let sender = opened.sender();
        let facts = [
            (
                "service id",
                sender.address.service_id.to_text() == self.sender.service_id.to_lowercase().replace("pni:", "PNI:"),
            ),
            ("device", u32::from(sender.address.device_id.get()) == self.sender.device),
            ("e164", sender.e164 == self.sender.e164),
            ("identity", sender.identity_key.to_bytes()[..] == self.sender.identity.0),
            ("expires", sender.expires.0 == self.sender.expires),
            ("kind", kind_number(opened.kind()) == self.kind),
            ("hint", opened.hint() == hint(self.hint)),
            ("group id", opened.group_id() == self.group_id.as_ref().map(|id| &id.0[..])),
            ("message", opened.message() == self.message.0),
        ];
        facts.into_iter().find(|(_, holds)| !holds).map_or(Ok(()), |(what, _)| Err(format!("{what} differs")))
    }
}

#[test]
fn recorded_messages_open_or_fail_as_recorded() {
    let cases = cases();
    let failures: Vec<_> = cases.iter().filter_map(|case| case.check().err()).collect();
    assert_eq!(failures, Vec::<String>::new());
    let negative = cases.iter().filter(|case| matches!(case.expect, Expect::Fails { .. })).count();
    assert!(cases.len() >= 20 && negative >= 10, "{} transcripts, {negative} of them negative", cases.len());
    for error in ["untrusted_server", "expired", "revoked_server", "forged", "decode", "sent_by_us", "unknown_server"] {
        let has = |case: &Case| matches!(&case.expect, Expect::Fails { error: of } if of == error);
        assert!(cases.iter().any(has), "no transcript fails with {error}");
    }
}

#[test]
fn the_same_message_key_leads_to_the_official_library_s_bytes() {
    let mut remade = 0;
    for case in cases() {
        let Some(remake @ Remake { message_key: Some(key), .. }) = &case.remake else { continue };
        let opened = case.open().unwrap_or_else(|error| panic!("{}: {error}", case.name));
        let padding = remake.padding.map_or(Padding::None, |size| Padding::To(EnvelopeSize::of(size).unwrap()));
        let content = Content::new(opened.certificate(), opened.kind(), opened.message())
            .with_hint(opened.hint())
            .with_group_id(opened.group_id().unwrap_or_default())
            .with_padding(padding);
        let (sender, mut rng) = (identity(&remake.sender_private), Fixed(key.0.clone()));
        let devices: Vec<Vec<_>> = remake
            .recipients
            .iter()
            .map(|to| to.devices.iter().map(|(id, reg)| (DeviceId::new(*id).unwrap(), RegistrationId(*reg))).collect())
            .collect();
        let to = |(to, devices): (&To, _)| Recipient {
            service_id: ServiceId::parse(&to.service_id).unwrap(),
            identity_key: IdentityKey::parse(&to.identity.0).unwrap(),
            devices,
        };
        let bytes = match case.form.as_str() {
            "sent" => {
                let devices: Vec<&[_]> = devices.iter().map(Vec::as_slice).collect();
                let to: Vec<_> = remake.recipients.iter().zip(devices).map(to).collect();
                let excluded: Vec<_> = remake.excluded.iter().map(|id| ServiceId::parse(id).unwrap()).collect();
                content.seal_sent(&sender, &to, &excluded, &mut rng).unwrap()
            }
            form => {
                let key = *identity(&case.recipient.identity_private).public_key();
                let envelope = content.seal_fan_out(&sender, &[key], &mut rng).unwrap().envelope(0).unwrap();
                if form == "envelope" { envelope } else { received(&envelope) }
            }
        };
        assert_eq!(hex::encode(bytes), hex::encode(&case.bytes), "{}", case.name);
        remade += 1;
    }
    assert!(remade >= 5, "{remade} transcripts were made again");
}

/// The replay itself is no formality: a transcript with one bit changed anywhere does not pass.
#[test]
fn a_transcript_with_a_flipped_bit_does_not_pass() {
    for case in cases().into_iter().filter(|case| matches!(case.expect, Expect::Opens(_)) && case.form != "sent") {
        for at in [1, 20, case.bytes.len() / 2, case.bytes.len() - 1] {
            let mut forged = case.clone();
            forged.bytes[at] ^= 0x10;
            assert!(forged.check().is_err(), "{} byte {at}", case.name);
        }
    }
}

/// Randomness that was chosen.
struct Fixed(Vec<u8>);

impl rand_core::TryRng for Fixed {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        panic!("only bytes are asked for")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        panic!("only bytes are asked for")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        assert_eq!(bytes.len(), self.0.len(), "all of it, once");
        bytes.copy_from_slice(&self.0);
        self.0.clear();
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Fixed {}
