//! Answers that nobody should believe.
use core::time::Duration;

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use waxwing_engine::Input;
use waxwing_wire::{
    frame::{ErrorCode, ServerError},
    id::DeviceId,
    keyserver::{self, AccountObjects, Bundle, Bundles, History, KeyserverReply, LookedUp, PrekeyIds, Reach},
    relay::{
        self, LaneAdded, LaneNumber, Limits, MailboxState, Outcome, Outcomes, RegisterHead, RelayReply, Subscribed,
        VersionHash,
    },
    time::Timestamp,
};

use super::price;

/// Puts other answers into the place of half of those that servers give.
pub struct Liar(ChaCha20Rng);

impl Liar {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    pub(super) fn instead_of(&mut self, input: Input) -> Input {
        if self.0.next_u32().is_multiple_of(2) {
            return input;
        }
        match input {
            Input::RelayReplied { call, .. } => Input::RelayReplied { call, result: patient(Self::relay(&mut self.0)) },
            Input::KeyserverReplied { call, .. } => {
                Input::KeyserverReplied { call, result: patient(Self::keyserver(&mut self.0)) }
            }
            Input::Connected { link, .. } => Input::Disconnected { link },
            other => other,
        }
    }

    /// What a relay may say, whatever was asked.
    pub fn relay(rng: &mut ChaCha20Rng) -> Result<RelayReply, ServerError> {
        let number = extreme(rng);
        let head = RegisterHead { version: number, hash: VersionHash::from_bytes([1; 32]), ended: false };
        Ok(match rng.next_u32() % 10 {
            // That it is done would be believed: what a relay says it stored, it can lose all the same.
            0 => RelayReply::Outcomes(Outcomes { outcomes: vec![Outcome::Accepted; 3] }),
            1 => RelayReply::Info(relay::Info {
                time: Timestamp(number),
                price: price(),
                limits: Limits { push_window: 0, requests_in_flight: 0, ..Limits::default() },
                moved: Some(vec![1; 40]),
            }),
            2 => RelayReply::LaneAdded(LaneAdded { lane: LaneNumber(u32::MAX) }),
            3 => RelayReply::Subscribed(Subscribed { newest: number, waiting: u32::MAX }),
            4 => RelayReply::RegisterHead(head),
            5 => RelayReply::RegisterConflict(head),
            6 => RelayReply::MailboxState(MailboxState {
                envelopes: u32::MAX,
                bytes: number,
                most_envelopes: 0,
                most_bytes: 0,
                oldest: number,
                newest: 0,
                lanes: Vec::new(),
            }),
            _ => return Err(error(rng)),
        })
    }

    /// What a key server may say, whatever was asked.
    pub fn keyserver(rng: &mut ChaCha20Rng) -> Result<KeyserverReply, ServerError> {
        let mut noise = || (0..rng.next_u32() % 300).map(|_| rng.next_u32().to_le_bytes()[0]).collect::<Vec<u8>>();
        let account = AccountObjects { recovery_key: [9; 32], statement: noise(), manifest: noise() };
        let bundle = Bundle {
            device: DeviceId::MIN,
            signed: noise(),
            one_time: Some(noise()),
            kyber: noise(),
            last_resort: false,
        };
        let records = (0..20).map(|_| noise()).collect();
        let number = extreme(rng);
        Ok(match rng.next_u32() % 12 {
            0 => KeyserverReply::Account(account),
            1 => KeyserverReply::Reach(Reach { records }),
            2 => KeyserverReply::Bundles(Bundles { account, bundles: vec![bundle; 16] }),
            3 => KeyserverReply::History(History { statements: records, manifests: Vec::new(), more: true }),
            4 => KeyserverReply::LookedUp(LookedUp { listing: Some(vec![1; 50]) }),
            5 => {
                let info =
                    keyserver::Info { time: Timestamp(number), price: price(), one_time_prekeys: 0, moved: None };
                KeyserverReply::Info(info)
            }
            6 => {
                let ids = PrekeyIds::new(Some(0), Some(u32::MAX), (0..200).collect(), (0..200).collect());
                KeyserverReply::PrekeyIds(ids.expect("200 of each fit"))
            }
            _ => return Err(error(rng)),
        })
    }
}

fn extreme(rng: &mut ChaCha20Rng) -> u64 {
    [0, 1, rng.next_u64(), u64::MAX][rng.next_u32() as usize % 4]
}

fn error(rng: &mut ChaCha20Rng) -> ServerError {
    let code = ErrorCode::ALL[rng.next_u32() as usize % ErrorCode::ALL.len()];
    let waits = [None, Some(Duration::ZERO), Some(Duration::from_secs(5)), Some(Duration::MAX)];
    ServerError { code, retry_after: waits[rng.next_u32() as usize % 4] }
}

/// A server may have a client wait as long as it likes; here it is minutes.
fn patient<T>(answer: Result<T, ServerError>) -> Result<T, ServerError> {
    let most = Duration::from_secs(120);
    answer.map_err(|error| ServerError { retry_after: error.retry_after.map(|wait| wait.min(most)), ..error })
}
