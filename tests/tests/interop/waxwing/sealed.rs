//! Sealed sender, both ways, against every version: our crate stands in for a party with that party's own identity key.
//!
//! Both implementations judge the same bytes: certificates of either side, contents of every kind, version 1, version 2 to
//! several accounts and devices, envelopes of every size. What the library seals under a key that we recover, we seal again
//! byte for byte.

use libtest_mimic::Failed;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use waxwing_protocol::sealed::{
    CertificateError, Content, EnvelopeSize, Issuer, OwnDevice, Padding, Recipient, SealedMessage, Sender,
    SenderCertificate, SenderCertificateIn, SentMessage, ServerCertificate, ServerCertificateIn, ServerReference,
    Trust, VerifyError,
};
use waxwing_protocol::{DeviceId, IdentityKey, RegistrationId, ServiceId, Timestamp};
use waxwing_tests::{
    peer::{
        Address, BundleChoice, Bytes, Ciphertext, KeyPair, MessageType, Party, PartyOptions, Peer, PeerError,
        PrekeyKind, SenderCertificateRequest, UsmcOptions, Version,
    },
    sealing::{self, Fixed},
};

use super::{Boxed, expect};
use crate::stage::{self, ALICE, BOB, refused};

const CAROL: &str = "PNI:5c5f5d2e-2f1e-4c7e-9d9b-0a9be4d1a6c3";
const GROUP: &str = "d1d1d1d1-7000-11eb-b32a-33b8a8a487a6";
const EXPIRES: u64 = 31_337;

pub(super) fn trials() -> Vec<(String, Boxed)> {
    type Schedule = fn(&mut Stage<'_>) -> Result<(), Failed>;
    let schedules: [(&str, Schedule); 4] = [
        ("certificates_of_either_side_are_validated_by_the_other", certificates),
        ("what_we_seal_the_library_opens", we_seal),
        ("what_the_library_seals_we_open_and_seal_again_byte_for_byte", we_open),
        ("both_refuse_the_same_altered_messages", altered),
    ];
    let all = Version::ALL.into_iter().flat_map(|version| schedules.map(|schedule| (version, schedule)));
    all.map(|(version, (what, schedule))| {
        let name = format!("waxwing::sealed::{version}::{what}");
        let trial: Boxed = Box::new({
            let name = name.clone();
            move || {
                let peer = stage::peer(version);
                stage::runs(&name, |seed| {
                    let mut stage = Stage::new(&peer, seed)?;
                    schedule(&mut stage)
                        .map_err(|failed| format!("seed {seed}: {}", failed.message().unwrap_or("failed")).into())
                })
            }
        });
        (name, trial)
    })
    .collect()
}

/// Alice; two devices of Bob's that share an identity key; Carol, addressed by her number's id; a server and its root.
struct Stage<'p> {
    peer: &'p Peer,
    rng: ChaCha8Rng,
    root: KeyPair,
    server: KeyPair,
    alice: Party<'p>,
    bob: [Party<'p>; 2],
    carol: Party<'p>,
}

/// A message for the inside of a seal, and what it says if it is one of a session's.
struct Inside {
    message: Ciphertext,
    plaintext: Option<Vec<u8>>,
}

impl<'p> Stage<'p> {
    fn new(peer: &'p Peer, seed: u64) -> Result<Self, Failed> {
        peer.reset()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut party = |handle: &str, name: &str, device, identity_private| {
            let registration_id = Some(1 + rng.next_u32() % 0x3FFF);
            let address = Address::new(name, device);
            peer.create_party(&PartyOptions { handle: handle.into(), address, registration_id, identity_private })
        };
        let alice = party("alice", ALICE, 1, None)?;
        let first = party("bob.1", BOB, 1, None)?;
        let second = party("bob.2", BOB, 2, Some(first.info().identity_private.clone()))?;
        let carol = party("carol", CAROL, 127, None)?;
        for recipient in [&first, &second, &carol] {
            for kind in [PrekeyKind::Signed, PrekeyKind::Kyber] {
                recipient.generate_prekey(kind, 1)?;
            }
            let bundle = recipient.bundle(BundleChoice { one_time: None, signed: 1, kyber: Some(1) })?;
            alice.process_bundle(&recipient.address(), &bundle)?;
        }
        let (root, server) = (peer.generate_key_pair()?, peer.generate_key_pair()?);
        Ok(Self { peer, rng, root, server, alice, bob: [first, second], carol })
    }

    fn below(&mut self, end: u32) -> u32 {
        self.rng.next_u32() % end
    }

    fn bytes(&mut self, longest: u32) -> Vec<u8> {
        let mut bytes = vec![0; self.below(longest) as usize];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn trust(&self) -> Trust {
        sealing::trust(&self.root.public)
    }

    fn sender(&mut self) -> Sender {
        Sender {
            address: sealing::device_address(&self.alice.address()),
            e164: (self.below(2) == 0).then(|| format!("+49{}", self.rng.next_u32())),
            identity_key: IdentityKey::parse(&self.alice.info().identity_public).unwrap(),
            expires: Timestamp(EXPIRES),
        }
    }

    /// Ours: server and sender certificate, with the same keys as the library's.
    fn issuer(&mut self, id: u32) -> Issuer {
        let (root, server) =
            (sealing::certificate_key(&self.root.private), sealing::certificate_key(&self.server.private));
        let certificate = ServerCertificate::issue(id, server.public_key(), &root, &mut self.rng).unwrap();
        Issuer::new(certificate, server).unwrap()
    }

    /// The library's sender certificate under this server certificate.
    fn library_certificate(&self, sender: &Sender, server_certificate: &[u8]) -> Result<Bytes, PeerError> {
        self.peer.sender_certificate(&SenderCertificateRequest {
            uuid: sender.address.service_id.to_text(),
            e164: sender.e164.clone(),
            device: sender.address.device_id.get().into(),
            key: sender.identity_key.to_bytes().into(),
            expires: sender.expires.0,
            server_certificate: server_certificate.into(),
            server_private: self.server.private.clone(),
        })
    }

    /// Of either side, in equal parts.
    fn certificate(&mut self) -> Result<SenderCertificate, Failed> {
        let (sender, issuer) = (self.sender(), self.issuer(7));
        if self.below(2) == 0 {
            return Ok(issuer.issue(sender, ServerReference::Embedded, &mut self.rng));
        }
        let bytes = self.library_certificate(&sender, issuer.certificate().as_bytes())?;
        let certificate = SenderCertificateIn::decode(&bytes)?;
        Ok(certificate.verify(&self.trust(), Timestamp(EXPIRES))?)
    }

    /// A message for the first of Bob's devices, of a random kind, made by the library.
    fn inside(&mut self) -> Result<Inside, Failed> {
        let plaintext = self.bytes(600);
        let (alice, bob) = (&self.alice, &self.bob[0]);
        match self.rng.next_u32() % 4 {
            0 => {
                let message = alice.encrypt(&bob.address(), &plaintext)?;
                Ok(Inside { message, plaintext: Some(plaintext) })
            }
            1 => {
                // An answer acknowledges the session; what follows are ordinary messages.
                let first = alice.encrypt(&bob.address(), b"first")?;
                bob.decrypt(&alice.address(), &first)?;
                alice.decrypt(&bob.address(), &bob.encrypt(&alice.address(), b"answer")?)?;
                let message = alice.encrypt(&bob.address(), &plaintext)?;
                Ok(Inside { message, plaintext: Some(plaintext) })
            }
            2 => {
                bob.process_distribution(&alice.address(), &alice.distribute(GROUP)?)?;
                Ok(Inside { message: alice.group_encrypt(GROUP, &plaintext)?, plaintext: None })
            }
            _ => {
                let lost = alice.encrypt(&bob.address(), &plaintext)?;
                let fields =
                    serde_json::json!({ "original": lost.body, "type": lost.kind, "timestamp": 5, "device": 1 });
                let error = self.peer.construct("decryption_error", fields)?;
                let body = self.peer.construct("plaintext", serde_json::json!({ "message": error }))?;
                Ok(Inside { message: Ciphertext { kind: MessageType::Plaintext, body }, plaintext: None })
            }
        }
    }

    fn hint(&mut self) -> u32 {
        [0, 1, 2, 3, 1_000, u32::MAX][self.below(6) as usize]
    }

    fn group_id(&mut self) -> Vec<u8> {
        if self.below(2) == 0 { Vec::new() } else { self.bytes(64) }
    }

    fn excluded(&mut self) -> Vec<String> {
        (0..self.below(4)).map(|n| format!("{n:08x}-0000-4000-8000-{:012x}", self.rng.next_u32())).collect()
    }

    /// Accounts and devices: Bob's first device, and by the two bits of `choice` his second and Carol's.
    fn addressed(&self, choice: u32) -> Vec<&Party<'p>> {
        let mut parties = vec![&self.bob[0]];
        if choice & 1 != 0 {
            parties.push(&self.bob[1]);
        }
        if choice & 2 != 0 {
            parties.push(&self.carol);
        }
        parties
    }
}

fn own(party: &Party<'_>) -> OwnDevice<'static> {
    OwnDevice { address: sealing::device_address(&party.address()), e164: None }
}

/// The library does not tell apart absent and empty.
fn present(group_id: Option<Bytes>) -> Option<Vec<u8>> {
    group_id.map(Bytes::into_vec).filter(|id| !id.is_empty())
}

fn certificates(stage: &mut Stage<'_>) -> Result<(), Failed> {
    let (sender, peer) = (stage.sender(), stage.peer);
    let id = stage.rng.next_u32();
    let issuer = stage.issuer(id);
    let ours = issuer.issue(sender.clone(), ServerReference::Embedded, &mut stage.rng);
    let other = peer.generate_key_pair()?.public;

    // Ours before the library.
    let certificate = Bytes::from(ours.as_bytes());
    let is_valid = |root: &Bytes, time| peer.validate_certificate(&certificate, std::slice::from_ref(root), time);
    expect(is_valid(&stage.root.public, EXPIRES)?, "our certificate is valid")?;
    expect(!is_valid(&stage.root.public, EXPIRES + 1)?, "it expires")?;
    expect(!is_valid(&other, EXPIRES)?, "another root does not do")?;
    let fields = peer.decode_sender_certificate(&certificate)?;
    expect(
        fields.uuid == ALICE && fields.device == 1 && fields.expires == EXPIRES,
        "the library reads our certificate",
    )?;
    expect(fields.e164 == sender.e164 && *fields.key == sender.identity_key.to_bytes(), "all of it")?;
    expect(*fields.server_certificate == *issuer.certificate().as_bytes(), "and the server's")?;

    // The library's before us; what is signed has the same bytes.
    let server = peer.server_certificate(id, &stage.server.public, &stage.root.private)?;
    let theirs = stage.library_certificate(&sender, issuer.certificate().as_bytes())?;
    let their_fields = peer.decode_sender_certificate(&theirs)?;
    expect(their_fields.certificate == fields.certificate, "we write the library's bytes into a sender certificate")?;
    let server_fields = peer.decode_server_certificate(&server)?;
    let our_server = peer.decode_server_certificate(issuer.certificate().as_bytes())?;
    expect(server_fields.certificate == our_server.certificate, "and into a server certificate")?;

    let theirs = stage.library_certificate(&sender, &server)?;
    let read = SenderCertificateIn::decode(&theirs)?;
    expect(*read.claims() == sender, "we read the library's certificate")?;
    let verify = |trust: &Trust, now| read.clone().verify(trust, Timestamp(now)).map(drop);
    let expired = CertificateError::Expired { expires: Timestamp(EXPIRES), now: Timestamp(EXPIRES + 1) };
    expect(verify(&stage.trust(), EXPIRES) == Ok(()), "it is valid")?;
    expect(verify(&stage.trust(), EXPIRES + 1) == Err(expired), "it expires")?;
    let wrong = verify(&sealing::trust(&other), EXPIRES);
    expect(wrong == Err(CertificateError::UntrustedServer), "another root does not do")?;
    let mut trust = stage.trust();
    trust.add_server(&ServerCertificateIn::decode(&server)?)?;
    expect(verify(&trust, EXPIRES) == Ok(()), "a known server does not change it")
}

fn we_seal(stage: &mut Stage<'_>) -> Result<(), Failed> {
    let (certificate, inside) = (stage.certificate()?, stage.inside()?);
    let (hint, group_id) = (stage.hint(), stage.group_id());
    let content = Content::new(&certificate, sealing::kind(inside.message.kind), &inside.message.body);
    let content = content.with_hint(sealing::hint(hint)).with_group_id(&group_id);
    let alice = sealing::identity(&stage.alice);
    let peer = stage.peer;
    let check = |usmc: &Bytes| {
        let read = peer.decode_usmc(usmc)?;
        expect(read.kind == inside.message.kind && read.contents == inside.message.body, "the message arrives")?;
        expect(read.hint == hint, "the hint arrives")?;
        expect(present(read.group_id).unwrap_or_default() == group_id, "the group id arrives")?;
        expect(*read.certificate == *certificate.as_bytes(), "the certificate arrives")
    };

    // Version 1, down to the plaintext with every check of the library's, and its refusals.
    let bob = IdentityKey::parse(&stage.bob[0].info().identity_public)?;
    let sealed = Bytes::from(content.seal_v1(&alice, &bob, &mut stage.rng)?);
    let usmc = stage.bob[0].open_usmc(&sealed)?;
    expect(*usmc == content.encode()?, "the library opens what we sealed, version 1")?;
    check(&usmc)?;
    if let Some(plaintext) = &inside.plaintext {
        let wrong = peer.generate_key_pair()?.public;
        refused(stage.bob[0].open_sealed(&sealed, &wrong, EXPIRES), "trust root")?;
        refused(stage.bob[0].open_sealed(&sealed, &stage.root.public, EXPIRES + 1), "trust root")?;
        let opened = stage.bob[0].open_sealed(&sealed, &stage.root.public, EXPIRES)?;
        expect(*opened.plaintext == **plaintext, "the plaintext arrives")?;
        expect(opened.uuid == ALICE && opened.device == 1, "with its sender")?;
        expect(opened.e164 == certificate.sender().e164, "and the sender's number")?;
    }

    // Version 2 in the sent form.
    let excluded = stage.excluded();
    let excluded_ids: Vec<_> = excluded.iter().map(|id| ServiceId::parse(id).unwrap()).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(stage.rng.next_u64());
    let choice = stage.below(4);
    let parties = stage.addressed(choice);
    let accounts = Accounts::of(&parties);
    let sent = content.seal_sent(&alice, &accounts.recipients(), &excluded_ids, &mut rng)?;
    let read = peer.decode_sent(&sent)?;
    expect(read.excluded == excluded, "the excluded ones arrive")?;
    let ours = SentMessage::decode(&sent)?;
    for party in &parties {
        let (name, info) = (party.address().name, party.info());
        let entry = read.recipients.iter().find(|entry| entry.service_id == name).ok_or("a recipient is missing")?;
        let at = entry.devices.iter().position(|device| *device == info.device).ok_or("a device is missing")?;
        expect(entry.registration_ids[at] == info.registration_id, "the registration id arrives")?;
        let received = ours.received_by(ServiceId::parse(&name).unwrap())?;
        expect(*entry.received == *received, "both make the same received form")?;
        let usmc = party.open_usmc(&received.into())?;
        expect(*usmc == content.encode()?, "the library opens what we sealed, version 2")?;
    }

    // Envelopes: the library skips the padding.
    let size = EnvelopeSize::ALL[rng.next_u32() as usize % 6];
    let content = content.with_padding(Padding::To(size));
    if content.unpadded_len() > size.capacity() {
        return expect(content.encode().is_err(), "what does not fit is refused");
    }
    let keys: Vec<_> =
        parties.iter().map(|party| IdentityKey::parse(&party.info().identity_public)).collect::<Result<_, _>>()?;
    let fan_out = content.seal_fan_out(&alice, &keys, &mut rng)?;
    for (index, party) in parties.iter().enumerate() {
        let envelope = fan_out.envelope(index).ok_or("an envelope per recipient")?;
        expect(envelope.len() == size.bytes(), "an envelope has its size")?;
        let usmc = party.open_usmc(&[&[0x22], &envelope[..]].concat().into())?;
        expect(*usmc == content.encode()?, "the library opens an envelope")?;
        check(&usmc)?;
    }
    Ok(())
}

/// The library's content, made in the library's way.
fn library_usmc(stage: &mut Stage<'_>) -> Result<(Bytes, Option<Vec<u8>>, UsmcOptions), Failed> {
    let certificate = stage.certificate()?;
    let options = UsmcOptions {
        certificate: certificate.as_bytes().into(),
        hint: stage.hint(),
        group_id: (stage.below(3) > 0).then(|| stage.group_id().into()),
    };
    let plaintext = stage.bytes(600);
    let (alice, bob) = (&stage.alice, &stage.bob[0]);
    match stage.rng.next_u32() % 3 {
        0 => Ok((alice.encrypt_usmc(&bob.address(), &plaintext, &options)?, Some(plaintext), options)),
        1 => {
            bob.process_distribution(&alice.address(), &alice.distribute(GROUP)?)?;
            Ok((alice.group_encrypt_usmc(GROUP, &plaintext, &options)?, None, options))
        }
        _ => {
            let lost = alice.encrypt(&bob.address(), &plaintext)?;
            let fields = serde_json::json!({ "original": lost.body, "type": lost.kind, "timestamp": 5, "device": 1 });
            let error = stage.peer.construct("decryption_error", fields)?;
            let content = stage.peer.construct("plaintext", serde_json::json!({ "message": error }))?;
            Ok((stage.peer.plaintext_usmc(&content, &options)?, None, options))
        }
    }
}

fn we_open(stage: &mut Stage<'_>) -> Result<(), Failed> {
    let (usmc, plaintext, options) = library_usmc(stage)?;
    let excluded = stage.excluded();
    let (trust, peer) = (stage.trust(), stage.peer);
    let sealed_1 = stage.alice.seal(&stage.bob[0].address(), &usmc)?;
    let choice = stage.below(4);
    let parties = stage.addressed(choice);
    let to: Vec<_> = parties.iter().map(|party| party.address()).collect();
    let sent = stage.alice.seal_multi(&to, &excluded, &usmc)?;

    // Both forms open, to the same content; that content, encoded anew, has the library's bytes.
    let inner = peer.decode_usmc(&usmc)?;
    let check = |sealed: &[u8], party: &Party<'_>| {
        let opened = SealedMessage::decode(sealed)?.open(&sealing::identity(party))?;
        let verified = opened.clone().verify(&trust, Timestamp(EXPIRES), own(party))?;
        expect(verified.sender().address.service_id.to_text() == ALICE, "the sender is known")?;
        expect(*verified.certificate().as_bytes() == *options.certificate, "by the certificate")?;
        expect(verified.kind() == sealing::kind(inner.kind), "the kind is")?;
        expect(verified.message() == &*inner.contents, "the message is")?;
        expect(verified.hint() == sealing::hint(options.hint), "the hint is")?;
        expect(verified.group_id().map(<[u8]>::to_vec) == present(options.group_id.clone()), "the group id is")?;
        expect(verified.decode_message().is_ok(), "the message inside parses")?;
        let late = opened.clone().verify(&trust, Timestamp(EXPIRES + 1), own(party));
        expect(matches!(late, Err(VerifyError::Certificate(CertificateError::Expired { .. }))), "it expires")?;
        let wrong = opened.verify(&Trust::default(), Timestamp(EXPIRES), own(party));
        expect(wrong.is_err(), "without a root nobody is trusted")?;
        Ok::<_, Failed>(verified)
    };
    let verified = check(&sealed_1, parties[0])?;
    let content = Content::new(verified.certificate(), verified.kind(), verified.message());
    let content = content.with_hint(verified.hint()).with_group_id(verified.group_id().unwrap_or_default());
    expect(content.encode()? == *usmc, "our content has the library's bytes")?;

    let ours = SentMessage::decode(&sent)?;
    let read = peer.decode_sent(&sent)?;
    let listed: Vec<_> = ours.excluded().iter().map(|id| id.to_text()).collect();
    expect(listed == read.excluded && listed == excluded, "we read who is excluded")?;
    expect(ours.recipients().len() == read.recipients.len(), "and who is not")?;
    for (ours, theirs) in ours.recipients().iter().zip(&read.recipients) {
        let (devices, ids): (Vec<_>, Vec<_>) =
            ours.devices.iter().map(|(device, id)| (u32::from(device.get()), id.0)).unzip();
        let same = (ours.service_id.to_text(), devices, ids)
            == (theirs.service_id.clone(), theirs.devices.clone(), theirs.registration_ids.clone());
        expect(same, "with their devices")?;
    }
    for party in &parties {
        let received = ours.received_by(ServiceId::parse(&party.address().name).unwrap())?;
        check(&received, party)?;
    }

    // The same key again: the same bytes.
    let received = ours.received_by(ServiceId::parse(BOB).unwrap())?;
    let mut rng = Fixed::new(sealing::message_key(peer, parties[0], &received)?);
    let excluded: Vec<_> = excluded.iter().map(|id| ServiceId::parse(id).unwrap()).collect();
    let accounts = Accounts::of(&parties);
    let again = content.seal_sent(&sealing::identity(&stage.alice), &accounts.recipients(), &excluded, &mut rng)?;
    expect(again == *sent, "the same message key makes the library's bytes")?;

    // The message inside still is what its session or nobody opens.
    if let Some(plaintext) = plaintext {
        let message = Ciphertext { kind: inner.kind, body: verified.message().into() };
        let opened = parties[0].decrypt(&Address::new(ALICE, 1), &message)?;
        expect(*opened.plaintext == *plaintext, "the session opens what was inside")?;
    }
    Ok(())
}

fn altered(stage: &mut Stage<'_>) -> Result<(), Failed> {
    let (usmc, _, _) = library_usmc(stage)?;
    let bob = stage.bob[0].address();
    let sealed = if stage.below(2) == 0 {
        stage.alice.seal(&bob, &usmc)?
    } else {
        stage.peer.received_by_single(&stage.alice.seal_multi(std::slice::from_ref(&bob), &[], &usmc)?)?
    };
    for _ in 0..8 {
        let mut forged = sealed.to_vec();
        match stage.below(5) {
            0 => forged.truncate(stage.below(sealed.len() as u32) as usize),
            1 => forged.extend(stage.bytes(20)),
            // The head has the keys and the framing.
            2 => forged[stage.below(90) as usize] ^= 1 << stage.below(8),
            3 => forged[0] = stage.rng.next_u32() as u8,
            _ => forged[stage.below(sealed.len() as u32) as usize] ^= 1 << stage.below(8),
        }
        let forged = Bytes::from(forged);
        let theirs = stage.bob[0].open_usmc(&forged);
        let ours = SealedMessage::decode(&forged)
            .ok()
            .and_then(|message| message.open(&sealing::identity(&stage.bob[0])).ok());
        let agree = theirs.is_ok() == ours.is_some();
        expect(agree, &format!("both judge {} alike: {theirs:?}, {ours:?}", hex::encode(&*forged)))?;
    }
    Ok(())
}

/// Recipients as our crate takes them: devices by account.
struct Accounts(Vec<Account>);

struct Account {
    service_id: ServiceId,
    identity_key: IdentityKey,
    devices: Vec<(DeviceId, RegistrationId)>,
}

impl Account {
    fn recipient(&self) -> Recipient<'_> {
        let Self { service_id, identity_key, devices } = self;
        Recipient { service_id: *service_id, identity_key: *identity_key, devices }
    }
}

impl Accounts {
    fn of(parties: &[&Party<'_>]) -> Self {
        let mut accounts: Vec<Account> = Vec::new();
        for party in parties {
            let info = party.info();
            let device = (DeviceId::new(info.device).unwrap(), RegistrationId(info.registration_id));
            let service_id = ServiceId::parse(&info.name).unwrap();
            let identity_key = IdentityKey::parse(&info.identity_public).unwrap();
            match accounts.last_mut() {
                Some(last) if last.service_id == service_id => last.devices.push(device),
                _ => accounts.push(Account { service_id, identity_key, devices: vec![device] }),
            }
        }
        Self(accounts)
    }

    fn recipients(&self) -> Vec<Recipient<'_>> {
        self.0.iter().map(Account::recipient).collect()
    }
}
