//! Our own crate at one end, Signal's library at the other: what issue after issue promises is live here.

mod groups;
mod import;
mod limits;
mod repair;
mod safety_numbers;
mod sealed;
mod spqr;
mod storm;

use libtest_mimic::Failed;

use waxwing_tests::{
    ours::{
        Device,
        Ratchet::{self, Double, Triple},
        Use,
    },
    peer::{
        Address, Bundle, BundleChoice, Event, MessageType, Party, PartyOptions, PrekeyKind,
        Version::{self, V0_72_1, V0_90_0, V0_103_0},
    },
    schedule::{self, PartyEnd, Role},
};

use crate::stage::{self, alice, bob};

pub(super) type Boxed = Box<dyn FnOnce() -> Result<(), Failed> + Send>;

/// Which agreement and ratchets with which version: all that can be had.
pub(super) const PAIRINGS: [(Version, bool, Ratchet); 5] = [
    (V0_72_1, false, Double),
    (V0_72_1, true, Double),
    (V0_90_0, true, Double),
    (V0_90_0, true, Triple),
    (V0_103_0, true, Triple),
];

/// How a pairing's agreement and ratchets are called.
pub(super) const fn agreement(kyber: bool, ratchet: Ratchet) -> &'static str {
    match (kyber, ratchet) {
        (false, _) => "x3dh",
        (true, Double) => "pqxdh",
        (true, Triple) => "triple",
    }
}

pub(crate) fn trials() -> Vec<(String, Boxed)> {
    let mut trials: Vec<(String, Boxed)> = Vec::new();
    for (version, kyber, ratchet) in PAIRINGS {
        for role in [Role::Initiator, Role::Responder] {
            for one_time in [true, false] {
                let pairing = Pairing { version, kyber, ratchet, role, one_time };
                let name = format!("waxwing::first_message_and_answer::{}", pairing.name());
                trials.push((name.clone(), Box::new(move || pairing.first_message_and_answer(&name))));
                let name = format!("waxwing::schedules::{}", pairing.name());
                trials.push((name.clone(), Box::new(move || pairing.schedules(&name))));
            }
        }
    }
    trials.extend(storm::trials());
    trials.extend(limits::trials());
    trials.extend(spqr::trials());
    trials.extend(import::trials());
    trials.extend(sealed::trials());
    trials.extend(groups::trials());
    trials.extend(repair::trials());
    trials.extend(safety_numbers::trials());
    trials
}

/// Our role opposite a version, and what the bundle has.
#[derive(Clone, Copy, Debug)]
struct Pairing {
    version: Version,
    kyber: bool,
    ratchet: Ratchet,
    /// Ours.
    role: Role,
    one_time: bool,
}

impl Pairing {
    fn name(self) -> String {
        let Self { version, kyber, ratchet, role, one_time } = self;
        let agreement = agreement(kyber, ratchet);
        let one_time = if one_time { "with" } else { "without" };
        format!("{version}::{agreement}::we_are_{role}::{one_time}_one_time_prekey")
    }

    /// Our end. The addresses of half of the runs are no service ids; the Kyber prekey of half is the last resort.
    fn device(self, seed: u64) -> Device {
        let (here, there) = addresses(seed);
        Device::new(seed, here, there, if seed % 4 < 2 { Use::Once } else { Use::Often }).with(self.ratchet)
    }

    fn bundle_of(self, party: &Party<'_>) -> Result<Bundle, Failed> {
        for kind in [PrekeyKind::OneTime, PrekeyKind::Signed, PrekeyKind::Kyber] {
            party.generate_prekey(kind, 1)?;
        }
        let choice = BundleChoice { one_time: self.one_time.then_some(1), signed: 1, kyber: self.kyber.then_some(1) };
        Ok(party.bundle(choice)?)
    }

    /// The initiator's end gets its session.
    fn agree(self, device: &mut Device, party: &Party<'_>) -> Result<(), Failed> {
        match self.role {
            Role::Initiator => device.process_bundle(&self.bundle_of(party)?),
            Role::Responder => {
                let bundle = device.bundle(self.one_time.then_some(1), self.kyber.then_some(1));
                party.process_bundle(&device.address, &bundle)?;
            }
        }
        Ok(())
    }

    fn first_message_and_answer(self, name: &str) -> Result<(), Failed> {
        let peer = stage::peer(self.version);
        stage::runs(name, |seed| {
            peer.reset()?;
            let mut device = self.device(seed);
            let party = peer.create_party(&PartyOptions::new("peer", device.remote.clone()))?;
            self.agree(&mut device, &party)?;
            let texts: Vec<Vec<u8>> = (0..3u8).map(|i| plaintext(seed, i)).collect();
            match self.role {
                Role::Initiator => {
                    let first = device.encrypt(&texts[0]);
                    expect(first.kind == MessageType::PreKey, "the first message carries the agreement")?;
                    let opened = party.decrypt(&device.address, &first)?;
                    expect(*opened.plaintext == *texts[0], "the library opens our first message")?;
                    self.check_consumed(&opened.events)?;
                    let answer = party.encrypt(&device.address, &texts[1])?;
                    expect(device.decrypt(&answer) == Ok(texts[1].clone()), "we open the answer")?;
                    let third = device.encrypt(&texts[2]);
                    expect(third.kind == MessageType::Whisper, "the answer acknowledges the session")?;
                    let opened = party.decrypt(&device.address, &third)?;
                    expect(*opened.plaintext == *texts[2], "the library opens our second message")
                }
                Role::Responder => {
                    let first = party.encrypt(&device.address, &texts[0])?;
                    expect(device.decrypt(&first) == Ok(texts[0].clone()), "we open the first message")?;
                    let answer = device.encrypt(&texts[1]);
                    let opened = party.decrypt(&device.address, &answer)?;
                    expect(*opened.plaintext == *texts[1], "the library opens our answer")?;
                    let third = party.encrypt(&device.address, &texts[2])?;
                    expect(third.kind == MessageType::Whisper, "our answer acknowledges the session")?;
                    expect(device.decrypt(&third) == Ok(texts[2].clone()), "we open the third message")
                }
            }
        })
    }

    /// The library used exactly the prekeys that our message names.
    fn check_consumed(self, events: &[Event]) -> Result<(), Failed> {
        let one_time = events.contains(&Event::PrekeyRemoved { id: 1 });
        let kyber = events.iter().any(|event| matches!(event, Event::KyberPrekeyUsed { id: 1, .. }));
        expect(one_time == self.one_time && kyber == self.kyber, &format!("prekeys used: {events:?}"))
    }

    /// Loss, reordering, duplicates, one-sided runs.
    fn schedules(self, name: &str) -> Result<(), Failed> {
        let peer = stage::peer(self.version);
        stage::runs(name, |seed| {
            peer.reset()?;
            let mut device = self.device(seed);
            let party = peer.create_party(&PartyOptions::new("peer", device.remote.clone()))?;
            self.agree(&mut device, &party)?;
            let mut there = PartyEnd { party: &party, remote: device.address.clone() };
            let outcome = match self.role {
                Role::Initiator => schedule::run(seed, 60, &mut device, &mut there),
                Role::Responder => schedule::run(seed, 60, &mut there, &mut device),
            };
            outcome.map(drop).map_err(|mismatch| Failed::from(mismatch.to_string()))
        })
    }
}

/// Service ids in half of the runs, plain names in the others.
pub(super) fn addresses(seed: u64) -> (Address, Address) {
    if seed.is_multiple_of(2) { (alice(), bob()) } else { (Address::new("alice", 1), Address::new("bob", 2)) }
}

/// Sizes around block boundaries, and empty.
fn plaintext(seed: u64, i: u8) -> Vec<u8> {
    let len = (seed.wrapping_mul(31).wrapping_add(u64::from(i) * 17) % 70) as usize;
    (0..len).map(|at| at as u8 ^ i).collect()
}

pub(super) fn expect(holds: bool, what: &str) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(format!("it does not hold that {what}").into()) }
}
