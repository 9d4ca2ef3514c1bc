//! Where a trial finds its actors: one process per version and thread, parties, runs and their seeds.

use std::{
    cell::RefCell,
    collections::HashMap,
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use libtest_mimic::Failed;

use waxwing_tests::peer::{
    Address, Bundle, BundleChoice, Bytes, Ciphertext, Opened, Party, PartyOptions, Peer, PeerError, PrekeyKind, Version,
};

/// A trial: the sentence it proves, and the proof.
pub(crate) type Proof = (&'static str, fn() -> Result<(), Failed>);

thread_local! {
    static PEERS: RefCell<HashMap<Version, Rc<Peer>>> = RefCell::default();
}

/// Runs a trial on clean processes. After a failure the thread's processes are ended: they may be broken.
pub(crate) fn enter(proof: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        PEERS.with_borrow(|peers| peers.values().try_for_each(|peer| peer.reset()))?;
        proof()
    }));
    if !matches!(outcome, Ok(Ok(()))) {
        PEERS.with_borrow_mut(HashMap::clear);
    }
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

/// This thread's process of a version.
pub(crate) fn peer(version: Version) -> Rc<Peer> {
    PEERS.with_borrow_mut(|peers| {
        Rc::clone(peers.entry(version).or_insert_with(|| match Peer::start(version) {
            Ok(peer) => Rc::new(peer),
            Err(error) => panic!("libsignal {version}: {error}"),
        }))
    })
}

pub(crate) const ALICE: &str = "9d0652a3-dcc3-4d11-975f-74d61598733f";
pub(crate) const BOB: &str = "796abedb-ca4e-4f18-8803-1fde5b921f9f";

pub(crate) fn alice() -> Address {
    Address::new(ALICE, 1)
}

pub(crate) fn bob() -> Address {
    Address::new(BOB, 2)
}

/// What an agreement uses beside the identity keys and the signed prekey.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Agreement {
    pub(crate) kyber: bool,
    pub(crate) one_time: bool,
}

impl Agreement {
    pub(crate) const PQXDH: Self = Self { kyber: true, one_time: true };
    pub(crate) const X3DH: Self = Self { kyber: false, one_time: true };
}

/// Two parties with addresses that are service ids; the responder has a prekey of each kind, with id 1.
pub(crate) struct Pair<'p> {
    pub(crate) initiator: Party<'p>,
    pub(crate) responder: Party<'p>,
}

impl<'p> Pair<'p> {
    pub(crate) fn new(initiator: &'p Peer, responder: &'p Peer) -> Result<Self, PeerError> {
        Self::with_addresses(initiator, alice(), responder, bob())
    }

    pub(crate) fn with_addresses(
        initiator: &'p Peer,
        here: Address,
        responder: &'p Peer,
        there: Address,
    ) -> Result<Self, PeerError> {
        let initiator = initiator.create_party(&PartyOptions::new("initiator", here))?;
        let responder = responder.create_party(&PartyOptions::new("responder", there))?;
        for kind in [PrekeyKind::OneTime, PrekeyKind::Signed, PrekeyKind::Kyber] {
            responder.generate_prekey(kind, 1)?;
        }
        Ok(Self { initiator, responder })
    }

    /// With a session on the initiator's side, whose first message is still to be sent.
    pub(crate) fn with_session(
        initiator: &'p Peer,
        responder: &'p Peer,
        agreement: Agreement,
    ) -> Result<Self, PeerError> {
        let pair = Self::new(initiator, responder)?;
        pair.agree(agreement)?;
        Ok(pair)
    }

    /// With a session that both sides have used.
    pub(crate) fn established(
        initiator: &'p Peer,
        responder: &'p Peer,
        agreement: Agreement,
    ) -> Result<Self, PeerError> {
        let pair = Self::with_session(initiator, responder, agreement)?;
        pair.answer_of(&pair.send(b"first")?)?;
        pair.hear_of(&pair.answer(b"answer")?)?;
        Ok(pair)
    }

    pub(crate) fn bundle(&self, Agreement { kyber, one_time }: Agreement) -> Result<Bundle, PeerError> {
        let choice = BundleChoice { one_time: one_time.then_some(1), signed: 1, kyber: kyber.then_some(1) };
        self.responder.bundle(choice)
    }

    pub(crate) fn agree(&self, agreement: Agreement) -> Result<(), PeerError> {
        self.initiator.process_bundle(&self.responder.address(), &self.bundle(agreement)?)?;
        Ok(())
    }

    /// The initiator encrypts.
    pub(crate) fn send(&self, plaintext: &[u8]) -> Result<Ciphertext, PeerError> {
        self.initiator.encrypt(&self.responder.address(), plaintext)
    }

    /// The responder decrypts.
    pub(crate) fn answer_of(&self, message: &Ciphertext) -> Result<Opened, PeerError> {
        self.responder.decrypt(&self.initiator.address(), message)
    }

    /// The responder encrypts.
    pub(crate) fn answer(&self, plaintext: &[u8]) -> Result<Ciphertext, PeerError> {
        self.responder.encrypt(&self.initiator.address(), plaintext)
    }

    /// The initiator decrypts.
    pub(crate) fn hear_of(&self, message: &Ciphertext) -> Result<Opened, PeerError> {
        self.initiator.decrypt(&self.responder.address(), message)
    }

    pub(crate) fn initiator_session(&self) -> Result<Bytes, PeerError> {
        self.initiator.export_session(&self.responder.address())
    }

    pub(crate) fn responder_session(&self) -> Result<Bytes, PeerError> {
        self.responder.export_session(&self.initiator.address())
    }
}

/// Runs something with as many seeds as the environment asks for. A failure says how to run just that again.
pub(crate) fn runs(name: &str, one: impl Fn(u64) -> Result<(), Failed>) -> Result<(), Failed> {
    runs_of(3, name, one)
}

/// As [`runs`] with another number where the environment does not ask.
pub(crate) fn runs_of(default: u64, name: &str, one: impl Fn(u64) -> Result<(), Failed>) -> Result<(), Failed> {
    let count = number("WAXWING_INTEROP_RUNS").unwrap_or(default);
    let first = number("WAXWING_INTEROP_SEED").unwrap_or_else(clock);
    for seed in (0..count).map(|run| first.wrapping_add(run)) {
        one(seed).map_err(|failed| {
            format!(
                "{}\nrun {} of {count}; to repeat it (the library's keys will differ):\n    \
                 WAXWING_INTEROP_SEED={seed} WAXWING_INTEROP_RUNS=1 \
                 cargo test -p waxwing-tests --test interop -- --exact '{name}'",
                failed.message().unwrap_or("failed"),
                seed.wrapping_sub(first) + 1,
            )
        })?;
    }
    Ok(())
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Milliseconds, as the library counts.
pub(crate) fn now() -> u64 {
    clock() / 1_000_000
}

/// Fails unless the library refused with this text in its message.
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, PeerError>, text: &str) -> Result<(), Failed> {
    match outcome {
        Err(PeerError::Library(refusal)) if refusal.message.contains(text) => Ok(()),
        other => Err(format!("expected a refusal with {text:?}, got {other:?}").into()),
    }
}
