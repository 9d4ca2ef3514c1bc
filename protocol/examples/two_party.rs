//! Two people, from keys to a conversation.
//!
//! ```sh
//! cargo run -p waxwing-protocol --example two_party
//! ```
//! Bob publishes prekeys; Alice fetches them, verifies, starts a session and writes; Bob accepts and answers; messages come
//! late, twice and forged. Nothing is stored here: `persist.rs` shows what stands between a guard and its `commit`.

use std::error::Error;

use getrandom::SysRng;
use rand_core::UnwrapErr;
use waxwing_protocol::{
    Budget, BundleIn, DeviceAddress, DeviceId, IdentityEvent, IdentityKey, IdentityKeyPair, KyberPrekey, KyberPrekeyId,
    KyberPrekeyIn, KyberPrekeyRef, LastResortUses, LocalDevice, MessageKind, OneTimePrekey, OneTimePrekeyId,
    OneTimePrekeyIn, OpenError, PreKeySignalMessage, PrivatePrekeys, RegistrationId, ServiceId, Session,
    SessionAddresses, SignalMessage, SignedPrekey, SignedPrekeyId, SignedPrekeyIn, Timestamp,
};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    // Randomness and time are arguments everywhere. An application takes them from its system.
    let rng = &mut UnwrapErr(SysRng);
    let now = Timestamp(1_800_000_000_000);

    let alice = Device::new(1, rng)?;
    let bob = Device::new(2, rng)?;

    // --- Publish ---------------------------------------------------------------------------------------------------
    // Bob keeps the private halves and uploads the public ones. He uploads many one-time prekeys; the server hands out
    // each once.
    let signed = SignedPrekey::generate(SignedPrekeyId(1), &bob.identity, rng);
    let one_time = OneTimePrekey::generate(OneTimePrekeyId(501), rng);
    let kyber = KyberPrekey::generate(KyberPrekeyId(901), &bob.identity, rng);
    let server = Server {
        registration_id: bob.registration_id,
        identity_key: bob.identity.public_key().to_bytes().to_vec(),
        signed: (signed.id(), signed.public_key().to_bytes().to_vec(), signed.signature().as_bytes().to_vec()),
        one_time: (one_time.id(), one_time.public_key().to_bytes().to_vec()),
        kyber: (kyber.id(), kyber.public_key().to_bytes().to_vec(), kyber.signature().as_bytes().to_vec()),
    };
    println!("Bob publishes an identity key, a signed prekey, a one-time prekey and a Kyber prekey.");

    // --- Fetch and verify --------------------------------------------------------------------------------------------
    // A `BundleIn` is what a server says. It can do nothing until `verify` has checked every key and signature.
    let bundle = server.fetch()?.verify()?;
    // The signatures say that the prekeys belong to the identity key. Whether the identity key is Bob's, only people
    // can say: by a safety number, a QR code, or trust on first use.
    assert!(is_known_as_bob(bundle.identity_key(), &bob));
    println!("Alice fetches them, verifies the signatures, and compares the identity key with what she knows of Bob.");

    let mut tampered = server;
    tampered.signed.2.reverse();
    match tampered.fetch()?.verify() {
        Ok(_) => return Err("a bundle was believed whose signature is wrong".into()),
        Err(error) => println!("   had the server tampered with it: {error}"),
    }

    // --- Initiate ----------------------------------------------------------------------------------------------------
    // Every operation returns a guard. Persist its `delta`, then `commit`; drop it, and nothing has happened.
    let mut with_bob = Session::new();
    let initiated = with_bob.initiate(alice.towards(&bob), &bundle, now, rng)?;
    assert_eq!(initiated.delta().identity(), IdentityEvent::First(*bob.identity.public_key()));
    initiated.commit();
    // Until Bob answers, every message carries what he needs to join: any of them may be the first to arrive.
    let first = with_bob.seal(b"Hello Bob, it's Alice.", now, rng)?.commit();
    let second = with_bob.seal(b"Are you there?", now, rng)?.commit();
    assert_eq!((first.kind(), second.kind()), (MessageKind::PreKey, MessageKind::PreKey));
    println!("Alice starts a session and sends two first messages of {} bytes.", first.as_bytes().len());

    // --- Accept ------------------------------------------------------------------------------------------------------
    // Bob looks up the prekeys that the message names. `None` where it names one that is gone: the error will say so.
    let message = PreKeySignalMessage::decode(first.as_bytes())?;
    let uses = LastResortUses::new();
    let prekeys = PrivatePrekeys {
        signed: &signed,
        one_time: message.one_time_prekey_id().filter(|id| *id == one_time.id()).map(|_| &one_time),
        kyber: message.kyber_prekey_id().filter(|id| *id == kyber.id()).map(|_| KyberPrekeyRef::OneTime(&kyber)),
        uses: &uses,
    };
    let mut with_alice = Session::new();
    let opened = with_alice.accept(bob.towards(&alice), prekeys, &message, rng)?;
    // Three things to look at before committing: who it is, what was used up, and (in `persist.rs`) what to store.
    assert_eq!(opened.identity(), IdentityEvent::First(*alice.identity.public_key()));
    assert_eq!(opened.consumed().one_time_prekey, Some(one_time.id()));
    say("Bob", &opened.commit());

    // The second one belongs to the session that exists by now: no prekey is needed.
    let message = PreKeySignalMessage::decode(second.as_bytes())?;
    assert!(with_alice.is_named_by(&message));
    say("Bob", &with_alice.open_first(&message, &mut Budget::default(), rng)?.commit());

    // --- Converse ----------------------------------------------------------------------------------------------------
    let answer = with_alice.seal(b"I am here.", now, rng)?.commit();
    assert_eq!(answer.kind(), MessageKind::Signal);
    say("Alice", &receive(&mut with_bob, answer.as_bytes(), rng)?);
    assert!(with_bob.is_acknowledged());
    // From now on messages are small, and every change of direction brings fresh keys: whoever steals today's keys cannot
    // read yesterday's messages, nor tomorrow's once both have spoken again.
    let thanks = with_bob.seal(b"Good.", now, rng)?.commit();
    println!("Alice's messages are {} bytes now.", thanks.as_bytes().len());
    say("Bob", &receive(&mut with_alice, thanks.as_bytes(), rng)?);

    // --- Out of order ------------------------------------------------------------------------------------------------
    let mut sealed = Vec::new();
    for text in ["one", "two", "three"] {
        sealed.push(with_bob.seal(text.as_bytes(), now, rng)?.commit().into_bytes());
    }
    let [one, two, three] = &sealed[..] else { return Err("three were sealed".into()) };
    println!("Bob receives three, one, one again, and a forged two:");
    say("Bob", &receive(&mut with_alice, three, rng)?);
    // The keys of one and two are kept until they come (2,000 per chain).
    say("Bob", &receive(&mut with_alice, one, rng)?);
    let duplicate = OpenError::Duplicate { counter: 1 };
    assert_eq!(receive(&mut with_alice, one, rng), Err(duplicate));
    println!("   {duplicate}");
    let mut changed = two.clone();
    if let Some(last) = changed.last_mut() {
        *last ^= 1;
    }
    assert_eq!(receive(&mut with_alice, &changed, rng), Err(OpenError::Forged));
    println!("   {}", OpenError::Forged);
    // A message that failed has changed nothing: the real one still opens.
    say("Bob", &receive(&mut with_alice, two, rng)?);
    Ok(())
}

/// Opens an ordinary message, for a session without storage.
fn receive(session: &mut Session, bytes: &[u8], rng: &mut UnwrapErr<SysRng>) -> Result<Vec<u8>, OpenError> {
    // Bytes that do not even decode were no message of this peer's.
    let message = SignalMessage::decode(bytes).map_err(|_| OpenError::Forged)?;
    // The budget bounds what messages that fail may cost; an application keeps one per peer and refills it with time.
    let opened = session.open(&message, &mut Budget::default(), rng)?;
    Ok(opened.commit())
}

/// What a device is, apart from its prekeys and sessions.
struct Device {
    identity: IdentityKeyPair,
    registration_id: RegistrationId,
    address: DeviceAddress,
}

impl Device {
    fn new(name: u8, rng: &mut UnwrapErr<SysRng>) -> Result<Self, Box<dyn Error>> {
        Ok(Self {
            identity: IdentityKeyPair::generate(rng),
            registration_id: RegistrationId::generate(rng),
            address: DeviceAddress { service_id: ServiceId::aci([name; 16]), device_id: DeviceId::new(1)? },
        })
    }

    /// This device as its session with `peer` sees it. The addresses are bound into the first messages.
    fn towards(&self, peer: &Self) -> LocalDevice<'_> {
        LocalDevice {
            identity: &self.identity,
            registration_id: self.registration_id,
            addresses: Some(SessionAddresses { local: self.address, remote: peer.address }),
        }
    }
}

/// What a server holds of Bob: bytes, and nothing that it could read messages with.
struct Server {
    registration_id: RegistrationId,
    identity_key: Vec<u8>,
    signed: (SignedPrekeyId, Vec<u8>, Vec<u8>),
    one_time: (OneTimePrekeyId, Vec<u8>),
    kyber: (KyberPrekeyId, Vec<u8>, Vec<u8>),
}

impl Server {
    fn fetch(&self) -> Result<BundleIn<'_>, Box<dyn Error>> {
        Ok(BundleIn {
            registration_id: self.registration_id,
            device_id: DeviceId::new(1)?,
            identity_key: &self.identity_key,
            signed_prekey: SignedPrekeyIn { id: self.signed.0, public_key: &self.signed.1, signature: &self.signed.2 },
            one_time_prekey: Some(OneTimePrekeyIn { id: self.one_time.0, public_key: &self.one_time.1 }),
            kyber_prekey: Some(KyberPrekeyIn { id: self.kyber.0, public_key: &self.kyber.1, signature: &self.kyber.2 }),
        })
    }
}

/// Stands for what people do: compare a safety number, scan a code, or remember the first key they saw.
fn is_known_as_bob(key: &IdentityKey, bob: &Device) -> bool {
    key == bob.identity.public_key()
}

fn say(reader: &str, text: &[u8]) {
    println!("   {reader} reads: {}", String::from_utf8_lossy(text));
}
