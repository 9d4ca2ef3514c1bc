//! Fan-outs and registers over QUIC, and through SIGKILL.
use waxwing_wire::{
    delivery::DeliveryKey,
    frame::Admission,
    id::RegisterId,
    padding::{EnvelopeHeader, SharedPart},
    relay::{
        AwaitRegister, Capability, CreateRegister, EntryKind, FanOut, Outcome, Outcomes, ReadRegister, Recipients,
        RegisterEntry, RelayReply, RelayRequest, Ttl, VerifierKind, VersionHash, WriteRegister,
    },
};

use super::{
    people::{Person, client, connect},
    relay::Process,
};
use crate::scene::delivery;

#[tokio::test]
async fn a_fan_out_reaches_every_mailbox_through_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path());
    let people: Vec<_> = (1..=5).map(Person::new).collect();
    let client = client();
    for person in &people {
        person.create(&connect(&client, &relay.address).await).await;
    }
    let header = |number: usize| EnvelopeHeader::from_bytes([u8::try_from(number).unwrap(); 48]);
    let recipients = people
        .iter()
        .enumerate()
        .map(|(at, person)| (person.mailbox(), DeliveryKey::from_bytes(*person.key()), header(at)));
    let fan_out = FanOut {
        delivery: delivery(1),
        ttl: Ttl::Fortnight,
        shared: SharedPart::new(vec![0xcd; 4_096 - 48]).unwrap(),
        recipients: Recipients::new(recipients.collect()).unwrap(),
    };
    let sender = connect(&client, &relay.address).await;
    let outcomes = Outcomes { outcomes: vec![Outcome::Accepted; 5] };
    assert_eq!(sender.request(RelayRequest::FanOut(fan_out)).await, Ok(RelayReply::Outcomes(outcomes)));
    relay.kill();
    let relay = Process::start(folder.path());
    for (at, person) in people.iter().enumerate() {
        let mut subscription = person.subscribe(connect(&client, &relay.address).await, 0, 8).await.unwrap();
        assert_eq!(subscription.subscribed.waiting, 1);
        let waxwing_wire::relay::RelayPush::Delivery(came) = subscription.backlog.next().await.unwrap().unwrap() else {
            panic!()
        };
        assert_eq!(&came.envelope.as_bytes()[..48], header(at).as_bytes());
        assert_eq!(&came.envelope.as_bytes()[48..], [0xcd; 4_096 - 48]);
    }
}

#[tokio::test]
async fn who_waits_for_a_register_hears_of_a_write_and_what_was_written_survives_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Process::start(folder.path());
    let register = RegisterId::from_bytes([3; 16]);
    let capability = |kind: VerifierKind| Capability::from_bytes([kind as u8 + 1; 32]);
    let verifier = |kind| capability(kind).verifier(kind, register.as_bytes());
    let (writer, reader) = (connect(&client(), &relay.address).await, connect(&client(), &relay.address).await);
    let create = CreateRegister {
        register,
        write_verifier: verifier(VerifierKind::WriteRegister),
        read_verifier: verifier(VerifierKind::ReadRegister),
        seal_verifier: verifier(VerifierKind::SealRegister),
        admission: Admission::Open,
        snapshot: vec![1; 4_096],
    };
    assert_eq!(writer.request(RelayRequest::CreateRegister(create)).await, Ok(RelayReply::Done));
    let read = capability(VerifierKind::ReadRegister);
    let wait = AwaitRegister { register, capability: read, after: 1, patience: 60_000 };
    let waiting = reader.submit(RelayRequest::AwaitRegister(wait)).await.unwrap();
    let first = VersionHash::NONE.next(&register, 1, &RegisterEntry::new(EntryKind::Snapshot, vec![1; 4_096]).unwrap());
    let entry = RegisterEntry::new(EntryKind::Change, vec![2; 512]).unwrap();
    let capability = capability(VerifierKind::WriteRegister);
    let write = WriteRegister { register, capability, version: 1, hash: first, entry };
    let Ok(RelayReply::RegisterHead(head)) = writer.request(RelayRequest::WriteRegister(write)).await else { panic!() };
    assert_eq!(head.version, 2);
    assert_eq!(waiting.await, Ok(RelayReply::RegisterHead(head)));
    relay.kill();
    let relay = Process::start(folder.path());
    let reader = connect(&client(), &relay.address).await;
    let read = ReadRegister {
        register,
        capability: Capability::from_bytes([VerifierKind::ReadRegister as u8 + 1; 32]),
        from: 1,
    };
    let Ok(RelayReply::RegisterPage(page)) = reader.request(RelayRequest::ReadRegister(read)).await else { panic!() };
    assert_eq!((page.head, page.hash(&register)), (head, head.hash));
}
