//! Moving from Signal's official library, in the middle of a conversation.
//!
//! ```sh
//! cargo run -p waxwing-protocol --example migrate
//! ```
//! Alice's app used the official library. `migrate.json` holds what stood in its stores at the moment of the move, and what
//! her peers' apps, which still use that library, sent before and after. It was recorded from the library itself, version
//! 0.72.1 (`tests/interop/record-migration.mjs` makes a new one).
//!
//! 1. Stop the old code: from now on only one of the two libraries may use a session. Its keys move with every message.
//! 2. Import every record; store what this crate makes of it, in one transaction; only then delete the old records.
//! 3. Go on. Peers notice nothing.

use std::collections::BTreeMap;
use std::error::Error;

use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde::Deserialize;
use waxwing_protocol::{
    Budget, KyberPrekeyRef, LastResortUses, LocalDevice, OpenError, PreKeySignalMessage, PrivatePrekeys,
    RegistrationId, Session, SignalMessage, Timestamp, import,
};

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let rng = &mut UnwrapErr(SysRng);
    let now = Timestamp(1_800_000_000_000);
    let old: OldStores = serde_json::from_str(include_str!("migrate.json"))?;

    // --- Identity and prekeys ----------------------------------------------------------------------------------------
    let identity = import::identity_key_pair(&hex::decode(&old.identity_key_pair)?)?;
    // Signatures are verified and public halves recomputed: a damaged record is an error here, not a surprise later.
    let signed = import::signed_prekey(&hex::decode(&old.signed_prekey)?, &identity)?;
    let one_time = import::one_time_prekey(&hex::decode(&old.one_time_prekey)?)?;
    let kyber = import::kyber_prekey(&hex::decode(&old.kyber_prekey)?, &identity)?;
    println!("The identity moves: {:?}", identity.public_key());
    println!("Prekeys move: signed {}, one-time {}, Kyber {}", signed.id().0, one_time.id().0, kyber.id().0);

    // --- Sessions ----------------------------------------------------------------------------------------------------
    let record = hex::decode(&old.session_with_bob)?;
    // Addresses, if both have service ids, are bound into first messages; this version of the library did not know them.
    let imported = import::session(&record, None)?;
    // A state that uses the sparse post-quantum ratchet can't be continued yet. If the current one did, then
    // `is_established` is false: fetch a bundle and initiate anew.
    assert_eq!(imported.left_out, 0);
    assert!(imported.session.is_established());
    let mut database: BTreeMap<Vec<u8>, Vec<u8>> =
        imported.session.records().map(|(key, value)| (key.as_bytes().to_vec(), value.to_vec())).collect();
    let bytes: usize = database.values().map(Vec::len).sum();
    println!("The session with Bob moves: {} bytes become {} records of {bytes} bytes.", record.len(), database.len());
    // This line stands for the restart after the update.
    let mut with_bob = Session::load(&database)?;

    // --- What was on the way -----------------------------------------------------------------------------------------
    for (what, message) in [("overtaken", &old.overtaken), ("on the way", &old.on_the_way)] {
        let text = receive(&mut with_bob, &mut database, &hex::decode(message)?, rng)?;
        println!("Bob's message that was {what} at the time opens: {}", String::from_utf8_lossy(&text));
    }
    let again = receive(&mut with_bob, &mut database, &hex::decode(&old.overtaken)?, rng);
    assert_eq!(again, Err(OpenError::Duplicate { counter: 0 }));

    // --- What Alice says next ----------------------------------------------------------------------------------------
    let sealed = with_bob.seal(b"I have moved", now, rng)?;
    store(&mut database, &sealed.delta());
    let sealed = sealed.commit();
    // From the same record and the same text the official library made the same bytes, and Bob's app opened them.
    assert_eq!(sealed.as_bytes(), hex::decode(&old.next)?);
    println!("Alice's next message is, byte for byte, the one that the official library would have sent.");
    let text = receive(&mut with_bob, &mut database, &hex::decode(&old.answer)?, rng)?;
    println!("Bob's app answers it: {}", String::from_utf8_lossy(&text));

    // --- Somebody new ------------------------------------------------------------------------------------------------
    // Carol fetched Alice's prekeys before the move; her first message comes after it.
    let message = PreKeySignalMessage::decode(&hex::decode(&old.from_carol)?)?;
    assert_eq!(message.one_time_prekey_id(), Some(one_time.id()));
    assert_eq!(message.kyber_prekey_id(), Some(kyber.id()));
    // The record does not say whether a Kyber prekey was the last resort: the app knows which it published as what.
    let prekeys = PrivatePrekeys {
        signed: &signed,
        one_time: Some(&one_time),
        kyber: Some(KyberPrekeyRef::OneTime(&kyber)),
        uses: &LastResortUses::new(),
    };
    let at_alice =
        LocalDevice { identity: &identity, registration_id: RegistrationId(old.registration_id), addresses: None };
    let mut with_carol = Session::new();
    // Carol's app is as old as Alice's was: no post-quantum ratchet. What is lost by that, the function's page says.
    let opened = with_carol.accept_without_post_quantum_ratchet(at_alice, prekeys, &message, rng)?;
    println!("Carol's first message, to a prekey that moved, opens: {}", String::from_utf8_lossy(&opened.commit()));
    Ok(())
}

/// Opens an ordinary message and stores what it changes; `persist.rs` has this with its transaction.
fn receive(
    session: &mut Session,
    database: &mut BTreeMap<Vec<u8>, Vec<u8>>,
    bytes: &[u8],
    rng: &mut UnwrapErr<SysRng>,
) -> Result<Vec<u8>, OpenError> {
    let message = SignalMessage::decode(bytes).map_err(|_| OpenError::Forged)?;
    let opened = session.open(&message, &mut Budget::default(), rng)?;
    store(database, &opened.delta());
    Ok(opened.commit())
}

fn store(database: &mut BTreeMap<Vec<u8>, Vec<u8>>, delta: &waxwing_protocol::Delta) {
    for (key, value) in delta.writes() {
        match value {
            Some(value) => database.insert(key.as_bytes().to_vec(), value.to_vec()),
            None => database.remove(key.as_bytes()),
        };
    }
}

/// Hex, as recorded.
#[derive(Deserialize)]
struct OldStores {
    identity_key_pair: String,
    registration_id: u32,
    session_with_bob: String,
    signed_prekey: String,
    one_time_prekey: String,
    kyber_prekey: String,
    /// From Bob, sent before `session_with_bob` was read, and overtaken by another.
    overtaken: String,
    /// From Bob, the next in order.
    on_the_way: String,
    /// From Carol, to Alice's prekeys.
    from_carol: String,
    /// What the official library sealed as Alice after `session_with_bob`: "I have moved".
    next: String,
    /// Bob's answer to it.
    answer: String,
}
