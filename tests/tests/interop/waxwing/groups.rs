//! Groups of our own members and the library's, of 2 to 50 devices: late joiners, repeated distribution, rotation, several
//! devices of one account, loss, reordering, duplicates, forgeries, restarts of either side, migration into ours.
//!
//! The expectation is exact: a message opens to what was sent if and only if the receiver was told the chain (and five newer
//! ones did not displace it), at or before the message's number, and has not opened it before.

use std::collections::{BTreeMap, BTreeSet};

use libtest_mimic::Failed;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use waxwing_tests::{
    group::Member,
    peer::{Address, Party, PartyOptions, Peer, Version},
    schedule::OpenFailure,
};

use super::{Boxed, expect};
use crate::{
    stage::{self, alice, bob},
    witness::Fields,
};

const DISTRIBUTION: &str = "d1d1d1d1-7000-11eb-b32a-33b8a8a487a6";
/// Both keep as many chains of a sender.
const CHAINS_KEPT: usize = 5;

pub(super) fn trials() -> Vec<(String, Boxed)> {
    let mut trials: Vec<(String, Boxed)> = Vec::new();
    for version in Version::ALL {
        let name = format!("waxwing::groups::schedules::{version}");
        trials.push((name.clone(), Box::new(move || schedules(&name, version))));
        let name = format!("waxwing::groups::jump::{version}");
        trials.push((name, Box::new(move || jump(version))));
    }
    trials
}

fn schedules(name: &str, version: Version) -> Result<(), Failed> {
    let peer = stage::peer(version);
    stage::runs(name, |seed| {
        peer.reset()?;
        let mut group = Group::new(seed, &peer)?;
        group.run().map_err(|failed| format!("seed {seed}: {}", failed.message().unwrap_or("failed")).into())
    })
}

/// 25,000 skipped messages open and 25,001 do not, in both directions, and 2,000 seeds are kept.
fn jump(version: Version) -> Result<(), Failed> {
    let peer = stage::peer(version);
    let party = peer.create_party(&PartyOptions::new("party", bob()))?;
    let mut ours = Member::new(1, alice(), DISTRIBUTION);
    party.process_distribution(&alice(), &ours.distribute().into())?;
    ours.process(&bob(), &party.distribute(DISTRIBUTION)?);

    let sent: Vec<_> = (0..=25_001u32).map(|n| ours.encrypt(&n.to_be_bytes())).collect();
    stage::refused(party.group_decrypt(&alice(), &sent[25_001]), "too far into the future")?;
    for n in [25_000, 23_000, 24_999, 25_001] {
        let opened = party.group_decrypt(&alice(), &sent[n])?;
        expect(*opened == (n as u32).to_be_bytes(), "the library opens our message out of order")?;
    }
    let dropped = party.group_decrypt(&alice(), &sent[22_999]);
    expect(dropped.is_err_and(|error| error.is_duplicate()), "the library dropped the seed 2,001 before")?;

    let early = party.group_encrypt(DISTRIBUTION, b"early")?.body;
    party.group_skip(DISTRIBUTION, 22_998)?;
    let gone = party.group_encrypt(DISTRIBUTION, b"gone")?.body;
    let kept = party.group_encrypt(DISTRIBUTION, b"kept")?.body;
    party.group_skip(DISTRIBUTION, 1_999)?;
    let reachable = party.group_encrypt(DISTRIBUTION, b"reachable")?.body;
    let too_far = party.group_encrypt(DISTRIBUTION, b"too far")?.body;
    let refused = ours.decrypt(&bob(), &too_far);
    expect(matches!(refused, Err(OpenFailure::Refused(_))), "we refuse what is too far ahead")?;
    expect(ours.decrypt(&bob(), &reachable) == Ok(b"reachable".into()), "we open 25,000 ahead")?;
    expect(ours.decrypt(&bob(), &kept) == Ok(b"kept".into()), "2,000 seeds are kept")?;
    for older in [gone, early] {
        expect(ours.decrypt(&bob(), &older) == Err(OpenFailure::Duplicate), "and not more")?;
    }
    expect(ours.decrypt(&bob(), &too_far) == Ok(b"too far".into()), "what was too far comes within reach")
}

enum End<'p> {
    Ours(Box<Member>),
    Theirs(Party<'p>),
}

struct Node<'p> {
    address: Address,
    end: End<'p>,
    joined: bool,
    /// Whether it has a sender key, and which chain it is.
    chain: Option<u32>,
    /// Per sender: chains newest first, each with the first number that opens.
    knows: BTreeMap<usize, Vec<(u32, u32)>>,
    opened: BTreeSet<(usize, u32, u32)>,
}

struct Flying {
    from: usize,
    chain: u32,
    iteration: u32,
    body: Vec<u8>,
    plaintext: Vec<u8>,
}

struct Group<'p> {
    peer: &'p Peer,
    rng: ChaCha8Rng,
    nodes: Vec<Node<'p>>,
    sent: Vec<Flying>,
    opened: u32,
}

impl<'p> Group<'p> {
    fn new(seed: u64, peer: &'p Peer) -> Result<Self, Failed> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let most = [2u32, 3, 5, 8, 20, 50][(rng.next_u32() % 6) as usize];
        let count = 2 + rng.next_u32() % (most - 1);
        let mut nodes = Vec::new();
        for n in 0..count {
            // Accounts have up to three devices; half of the names are service ids.
            let (account, device) = (n / 3, n % 3 + 1);
            let name = match account % 2 {
                0 => format!("9d0652a3-dcc3-4d11-975f-{account:012x}"),
                _ => format!("account {account}"),
            };
            let address = Address::new(name, device);
            // At least one of either kind.
            let is_ours = n == 0 || n != 1 && rng.next_u32() % 2 == 0;
            let end = if is_ours {
                let seed = seed.wrapping_mul(1000).wrapping_add(n.into());
                End::Ours(Box::new(Member::new(seed, address.clone(), DISTRIBUTION)))
            } else {
                End::Theirs(peer.create_party(&PartyOptions::new(format!("member {n}"), address.clone()))?)
            };
            let (knows, opened) = (BTreeMap::new(), BTreeSet::new());
            nodes.push(Node { address, end, joined: n < 2, chain: None, knows, opened });
        }
        Ok(Self { peer, rng, nodes, sent: Vec::new(), opened: 0 })
    }

    fn run(&mut self) -> Result<(), Failed> {
        for _ in 0..60 + 4 * self.nodes.len() {
            self.step()?;
        }
        // In the end everybody is told by everybody who speaks, and reads what is said then.
        for node in &mut self.nodes {
            node.joined = true;
        }
        for speaker in [0, 1] {
            for member in 0..self.nodes.len() {
                self.distribute(speaker, member)?;
            }
            self.send(speaker)?;
            let (last, before) = (self.sent.len() - 1, self.opened);
            for member in 0..self.nodes.len() {
                self.deliver(member, last)?;
            }
            expect(self.opened - before == self.nodes.len() as u32 - 1, "everybody reads the last message")?;
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Failed> {
        let (member, other) = (self.any(), self.any());
        match self.below(100) {
            0..6 => self.nodes[member].joined = true,
            6..16 => self.distribute(member, other)?,
            16..20 => {
                for other in 0..self.nodes.len() {
                    self.distribute(member, other)?;
                }
            }
            20..40 => self.send(member)?,
            40..43 => {
                let lost = self.below(40);
                for _ in 0..lost {
                    self.send(member)?;
                    self.sent.pop();
                }
            }
            43..85 if !self.sent.is_empty() => {
                let which = self.below(self.sent.len());
                self.deliver(member, which)?;
            }
            85..89 if !self.sent.is_empty() => {
                let which = self.below(self.sent.len());
                self.forge(member, which)?;
            }
            89..95 => self.restart(member)?,
            95..98 => self.rotate(member)?,
            98..100 => self.migrate(member)?,
            _ => {}
        }
        Ok(())
    }

    fn distribute(&mut self, from: usize, to: usize) -> Result<(), Failed> {
        if from == to || !self.nodes[from].joined || !self.nodes[to].joined {
            return Ok(());
        }
        let message = match &mut self.nodes[from].end {
            End::Ours(member) => member.distribute(),
            End::Theirs(party) => party.distribute(DISTRIBUTION)?.into_vec(),
        };
        let fields = Fields::parse(&message[1..]);
        let (chain, iteration) = (number(&fields, 2), number(&fields, 3));
        self.nodes[from].chain = Some(chain);
        let sender = self.nodes[from].address.clone();
        let node = &mut self.nodes[to];
        match &mut node.end {
            End::Ours(member) => member.process(&sender, &message),
            End::Theirs(party) => party.process_distribution(&sender, &message.into())?,
        }
        let chains = node.knows.entry(from).or_default();
        let known = chains.iter().position(|(known, _)| *known == chain);
        let entry = known.map_or((chain, iteration), |at| chains.remove(at));
        chains.insert(0, entry);
        chains.truncate(CHAINS_KEPT);
        Ok(())
    }

    fn send(&mut self, from: usize) -> Result<(), Failed> {
        let Some(chain) = self.nodes[from].chain else { return Ok(()) };
        let mut plaintext = vec![0; self.below(60)];
        self.rng.fill_bytes(&mut plaintext);
        let body = match &mut self.nodes[from].end {
            End::Ours(member) => member.encrypt(&plaintext),
            End::Theirs(party) => party.group_encrypt(DISTRIBUTION, &plaintext)?.body.into_vec(),
        };
        let fields = Fields::parse(&body[1..body.len() - 64]);
        expect(number(&fields, 2) == chain, "the message is of the chain that was distributed")?;
        self.sent.push(Flying { from, chain, iteration: number(&fields, 3), body, plaintext });
        Ok(())
    }

    fn deliver(&mut self, to: usize, which: usize) -> Result<(), Failed> {
        let flying = &self.sent[which];
        if flying.from == to {
            return Ok(());
        }
        let sender = self.nodes[flying.from].address.clone();
        let node = &mut self.nodes[to];
        let outcome = open(&mut node.end, &sender, &flying.body);
        let id = (flying.from, flying.chain, flying.iteration);
        let chains = node.knows.get(&flying.from).map(Vec::as_slice).unwrap_or_default();
        let is_expected = match chains.iter().find(|(chain, _)| *chain == flying.chain) {
            None => matches!(outcome, Err(OpenFailure::Refused(_))),
            Some((_, first)) if flying.iteration < *first || node.opened.contains(&id) => {
                outcome == Err(OpenFailure::Duplicate)
            }
            Some(_) => outcome.as_ref() == Ok(&flying.plaintext),
        };
        if outcome.is_ok() {
            node.opened.insert(id);
            self.opened += 1;
        }
        expect(is_expected, &format!("member {to} makes {outcome:?} of message {id:?}; it knows {chains:?}"))
    }

    fn forge(&mut self, to: usize, which: usize) -> Result<(), Failed> {
        let bit = self.below(self.sent[which].body.len() * 8);
        let flying = &self.sent[which];
        let mut body = flying.body.clone();
        body[bit / 8] ^= 1 << (bit % 8);
        let sender = self.nodes[flying.from].address.clone();
        let outcome = open(&mut self.nodes[to].end, &sender, &body);
        expect(matches!(outcome, Err(OpenFailure::Refused(_))), &format!("bit {bit} is noticed: {outcome:?}"))
    }

    /// Ours from its records; the library's from its own.
    fn restart(&mut self, which: usize) -> Result<(), Failed> {
        let senders: Vec<_> = self.senders_of(which);
        let Node { end, address, chain, .. } = &mut self.nodes[which];
        match end {
            End::Ours(member) => member.restart(),
            End::Theirs(party) => {
                let own = chain.map(|_| address.clone());
                for sender in own.iter().chain(&senders) {
                    let record = party.export_sender_key(sender, DISTRIBUTION)?;
                    party.import_sender_key(sender, DISTRIBUTION, &record)?;
                }
            }
        }
        Ok(())
    }

    /// A new sender key; the library makes one when its record is gone.
    fn rotate(&mut self, which: usize) -> Result<(), Failed> {
        let node = &mut self.nodes[which];
        if node.chain.is_none() {
            return Ok(());
        }
        let message = match &mut node.end {
            End::Ours(member) => {
                member.rotate();
                member.distribute()
            }
            End::Theirs(party) => {
                party.remove_sender_key(&node.address, DISTRIBUTION)?;
                party.distribute(DISTRIBUTION)?.into_vec()
            }
        };
        node.chain = Some(number(&Fields::parse(&message[1..]), 2));
        Ok(())
    }

    /// A member of the library's becomes one of ours, with its records.
    fn migrate(&mut self, which: usize) -> Result<(), Failed> {
        let seed = self.rng.next_u64();
        let senders = self.senders_of(which);
        let is_last = self.nodes.iter().filter(|node| matches!(node.end, End::Theirs(_))).count() < 2;
        let node = &mut self.nodes[which];
        if let (End::Theirs(party), false) = (&node.end, is_last) {
            let member = Member::take_over(seed, party, DISTRIBUTION, node.chain.is_some(), &senders)?;
            node.end = End::Ours(Box::new(member));
        }
        Ok(())
    }

    fn senders_of(&self, which: usize) -> Vec<Address> {
        self.nodes[which].knows.keys().map(|sender| self.nodes[*sender].address.clone()).collect()
    }

    fn any(&mut self) -> usize {
        self.below(self.nodes.len())
    }

    fn below(&mut self, bound: usize) -> usize {
        self.rng.next_u32() as usize % bound
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        // A failing peer shows in the trial that uses it next.
        let _ = self.peer.reset();
    }
}

fn open(end: &mut End<'_>, sender: &Address, body: &[u8]) -> Result<Vec<u8>, OpenFailure> {
    match end {
        End::Ours(member) => member.decrypt(sender, body),
        End::Theirs(party) => match party.group_decrypt(sender, body) {
            Ok(plaintext) => Ok(plaintext.into_vec()),
            Err(error) if error.is_duplicate() => Err(OpenFailure::Duplicate),
            Err(error) => Err(OpenFailure::Refused(error.to_string())),
        },
    }
}

fn number(fields: &Fields, field: u32) -> u32 {
    fields.number(field).and_then(|number| u32::try_from(number).ok()).expect("the field is there")
}
