//! Two sessions of `vodozemac` that talk to each other: Olm, with the same chain, cipher and MAC as ours.

use vodozemac::olm::{Account, InboundCreationResult, OlmMessage, Session, SessionConfig, SessionPickle};

pub(crate) struct OlmPair {
    pub(crate) alice: Session,
    pub(crate) bob: Session,
}

impl OlmPair {
    /// As far under way as [`Pair::talking`](super::pair::Pair::talking).
    pub(crate) fn talking() -> Self {
        let (alice_account, mut bob_account) = (Account::new(), Account::new());
        bob_account.generate_one_time_keys(1);
        let one_time_key = bob_account.one_time_keys().into_values().next().unwrap();
        let mut alice = alice_account
            .create_outbound_session(SessionConfig::version_1(), bob_account.curve25519_key(), one_time_key)
            .unwrap();
        let OlmMessage::PreKey(first) = alice.encrypt("hello").unwrap() else { panic!("a first message") };
        let InboundCreationResult { session: mut bob, .. } = bob_account
            .create_inbound_session(SessionConfig::version_1(), alice_account.curve25519_key(), &first)
            .unwrap();
        for _ in 0..6 {
            let back = encrypt(&mut bob, b"pong");
            decrypt(&mut alice, &back);
            let there = encrypt(&mut alice, b"ping");
            decrypt(&mut bob, &there);
        }
        Self { alice, bob }
    }
}

pub(crate) fn encrypt(session: &mut Session, plaintext: &[u8]) -> Vec<u8> {
    let OlmMessage::Normal(message) = session.encrypt(plaintext).unwrap() else { panic!("an ordinary message") };
    message.to_bytes()
}

pub(crate) fn decrypt(session: &mut Session, bytes: &[u8]) -> Vec<u8> {
    session.decrypt(&OlmMessage::Normal(vodozemac::olm::Message::from_bytes(bytes).unwrap())).unwrap()
}

/// The session as its users store it, without the encryption that they may add.
pub(crate) fn record(session: &Session) -> Vec<u8> {
    serde_json::to_vec(&session.pickle()).unwrap()
}

pub(crate) fn load(record: &[u8]) -> Session {
    Session::from_pickle(serde_json::from_slice::<SessionPickle>(record).unwrap())
}
