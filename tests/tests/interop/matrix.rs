//! Which versions can hold a session with each other (the interop matrix).

use libtest_mimic::Failed;

use waxwing_tests::{
    peer::{
        Event, MessageType, Version,
        Version::{V0_72_1, V0_90_0, V0_103_0},
    },
    schedule::{self, PartyEnd},
};

use crate::stage::{self, Agreement, Pair, refused};

/// One pairing and what comes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    initiator: Version,
    responder: Version,
    agreement: Agreement,
    expected: Expected,
}

#[derive(Clone, Copy, Debug)]
enum Expected {
    /// A session of this version, with or without SPQR state on both sides.
    Session { version: u8, spqr: bool },
    /// The responder refuses the first message with this text.
    Refused(&'static str),
}

pub(crate) fn rows() -> Vec<Row> {
    const V3: Expected = Expected::Session { version: 3, spqr: false };
    const V4: Expected = Expected::Session { version: 4, spqr: false };
    const TRIPLE: Expected = Expected::Session { version: 4, spqr: true };
    const NO_X3DH: Expected = Expected::Refused("X3DH no longer supported");
    const NO_SPQR: Expected = Expected::Refused("decryption failed");
    let table = [
        (V0_72_1, V0_72_1, false, V3),
        (V0_72_1, V0_90_0, false, NO_X3DH),
        (V0_72_1, V0_103_0, false, NO_X3DH),
        (V0_72_1, V0_72_1, true, V4),
        (V0_72_1, V0_90_0, true, V4),
        (V0_90_0, V0_72_1, true, V4),
        (V0_90_0, V0_90_0, true, TRIPLE),
        (V0_90_0, V0_103_0, true, TRIPLE),
        (V0_103_0, V0_90_0, true, TRIPLE),
        (V0_103_0, V0_103_0, true, TRIPLE),
        (V0_72_1, V0_103_0, true, NO_SPQR),
        (V0_103_0, V0_72_1, true, NO_SPQR),
    ];
    let row = |one_time| {
        move |&(initiator, responder, kyber, expected): &_| {
            let agreement = Agreement { kyber, one_time };
            Row { initiator, responder, agreement, expected }
        }
    };
    table.iter().map(row(true)).chain(table.iter().map(row(false))).collect()
}

impl Row {
    pub(crate) fn name(&self) -> String {
        let Self { initiator, responder, agreement, expected } = self;
        let agreed = if agreement.kyber { "PQXDH" } else { "X3DH" };
        let with = if agreement.one_time { "" } else { " without a one-time key" };
        let outcome = match expected {
            Expected::Session { version, spqr: false } => format!("hold a version {version} session"),
            Expected::Session { version, spqr: true } => format!("hold a version {version} session with SPQR"),
            Expected::Refused(_) => "cannot hold a session".into(),
        };
        format!("matrix::{initiator} and {responder} {outcome} by {agreed}{with}").replace(' ', "_")
    }

    pub(crate) fn prove(&self) -> Result<(), Failed> {
        stage::runs(&self.name(), |seed| self.run(seed))
    }

    fn run(&self, seed: u64) -> Result<(), Failed> {
        let (initiator, responder) = (stage::peer(self.initiator), stage::peer(self.responder));
        initiator.reset()?;
        responder.reset()?;
        let pair = Pair::with_session(&initiator, &responder, self.agreement)?;
        match self.expected {
            Expected::Refused(text) => {
                refused(pair.answer_of(&pair.send(b"first")?), text)?;
                assert!(pair.responder_session().is_err(), "a refused first message leaves a session behind");
                Ok(())
            }
            Expected::Session { version, spqr } => {
                self.first_message(&pair, version)?;
                let mut ends = (
                    PartyEnd { party: &pair.initiator, remote: pair.responder.address() },
                    PartyEnd { party: &pair.responder, remote: pair.initiator.address() },
                );
                let outcome = schedule::run(seed, 120, &mut ends.0, &mut ends.1)?;
                assert!(outcome.opened >= 10, "seed {seed} makes a dull schedule: {outcome:?}");
                for (party, other) in [(&pair.initiator, &pair.responder), (&pair.responder, &pair.initiator)] {
                    let state = party.session_info(&other.address())?.current.unwrap();
                    assert_eq!(state.version, u32::from(version));
                    assert_eq!(state.spqr_state_size > 0, spqr, "SPQR state of {} bytes", state.spqr_state_size);
                }
                Ok(())
            }
        }
    }

    /// The first message has the version byte of its session, opens once, and uses up what it names.
    fn first_message(&self, pair: &Pair<'_>, version: u8) -> Result<(), Failed> {
        let first = pair.send(b"first")?;
        assert_eq!(first.kind, MessageType::PreKey);
        assert_eq!(first.body[0], version << 4 | 4);
        let opened = pair.answer_of(&first)?;
        assert_eq!(&*opened.plaintext, b"first");
        let used = |wanted: fn(&Event) -> bool| opened.events.iter().any(wanted);
        assert_eq!(used(|event| matches!(event, Event::PrekeyRemoved { id: 1 })), self.agreement.one_time);
        assert_eq!(used(|event| matches!(event, Event::KyberPrekeyUsed { id: 1, .. })), self.agreement.kyber);
        assert!(pair.answer_of(&first).is_err_and(|error| error.is_duplicate()));
        Ok(())
    }
}
