//! Whatever servers say: nothing panics, no message changes, little is kept, and once they behave everything arrives.
use core::time::Duration;

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use waxwing_engine::{
    CallId, Input, Link, Purpose,
    store::{StoredMessage, Table},
};
use waxwing_wire::{
    id::{AccountId, DeliveryId, MailboxId},
    padding::{Envelope, EnvelopeSize},
    pow::Nonce,
    relay::{BacklogEnd, Delivery, GoingAway, LaneFull, LaneNumber, OnlineDelivery, RelayPush, Sequence},
    request::Exporter,
    time::Timestamp,
};

use crate::{
    cases,
    town::{Letter, Liar, Town},
};

/// Envelopes that could not be opened and are kept.
const MOST_QUARANTINED: usize = 100;

fn below(bound: usize, rng: &mut ChaCha20Rng) -> usize {
    rng.next_u32() as usize % bound
}

/// Zero, small, or at the end.
fn extreme(rng: &mut ChaCha20Rng) -> u64 {
    match below(5, rng) {
        0 => 0,
        1 => u64::MAX,
        2 => u64::from(u32::MAX),
        _ => rng.next_u64() % 8,
    }
}

fn random_envelope(size: EnvelopeSize, rng: &mut ChaCha20Rng) -> Envelope {
    let mut bytes = vec![0; size.bytes()];
    rng.fill_bytes(&mut bytes);
    // Half of them begin as genuine ones do.
    if below(2, rng) == 0 {
        bytes[0] = 0x23;
    }
    Envelope::new(bytes).expect("a size there is")
}

fn mutated(envelope: &Envelope, rng: &mut ChaCha20Rng) -> Envelope {
    let mut bytes = envelope.as_bytes().to_vec();
    for _ in 0..=below(3, rng) {
        // Mostly where the structure is.
        let place = if below(4, rng) == 0 { below(bytes.len(), rng) } else { below(200, rng) };
        bytes[place] ^= 1 << below(8, rng);
    }
    Envelope::new(bytes).expect("a size there is")
}

fn delivery(sequence: u64, lane: u32, envelope: Envelope) -> RelayPush {
    let delivery = DeliveryId::from_bytes([1; 16]);
    RelayPush::Delivery(Delivery { sequence: Sequence(sequence), lane: LaneNumber(lane), delivery, envelope })
}

/// Two friends, and envelopes of the first for the second that wait: messages, genuine and not opened yet.
fn town_with_letters() -> (Town, Vec<Letter>) {
    let mut town = Town::with_two_friends();
    town.holds_deliveries = true;
    let bob = town.account(1);
    for text in ["one", "two", "three"] {
        town.say(0, bob, text);
    }
    let letters = town.waiting(1).clone();
    assert_eq!(letters.len(), 3);
    (town, letters)
}

fn all_messages(town: &Town, index: usize) -> Vec<StoredMessage> {
    let others = (0..town.residents.len()).map(|other| town.account(other));
    others.flat_map(|account| town.residents[index].messages(&account)).collect()
}

fn link_of(town: &Town, index: usize, purpose: Purpose) -> Link {
    let (link, _) = town.residents[index].subscribed.expect("the mailbox is subscribed to");
    Link { purpose, ..link }
}

fn assert_little_is_kept(town: &Town, index: usize) {
    let store = &town.residents[index].store;
    assert!(store.count(Table::Quarantine) <= MOST_QUARANTINED);
    let kept: Vec<_> = store.load_now().into_iter().filter(|record| record.table != Table::Quarantine).collect();
    let held = town.residents[index].engine().records();
    assert_eq!(kept.len(), held.len(), "what is stored is what is known");
    // Longer ones no store has to take.
    assert!(kept.iter().all(|record| record.key.len() <= 96 && record.value.len() <= 128 << 10));
}

#[test]
fn noise_of_every_size_changes_nothing_and_a_hundred_of_it_are_kept() {
    let (mut town, _) = town_with_letters();
    let before = all_messages(&town, 1);
    let link = town.residents[1].subscribed.unwrap().0;
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    for number in 0..150 {
        for size in EnvelopeSize::ALL {
            let push = delivery(1_000 + number, 0, random_envelope(size, &mut rng));
            town.residents[1].inputs.push_back(Input::Pushed { link, push });
        }
        town.run();
    }
    assert_eq!(all_messages(&town, 1), before);
    assert_eq!(town.residents[1].store.count(Table::Quarantine), MOST_QUARANTINED);
    town.residents[1].restart();
    for number in 0..7 {
        let push = delivery(1_000 + number, 0, random_envelope(EnvelopeSize::B2560, &mut rng));
        town.residents[1].inputs.push_back(Input::Pushed { link, push });
        town.run();
    }
    assert_eq!(town.residents[1].store.count(Table::Quarantine), MOST_QUARANTINED, "nor after a restart");
    town.holds_deliveries = false;
    town.run();
    assert_eq!(all_messages(&town, 1).len(), before.len() + 3, "what was genuine arrives");
}

#[test]
fn a_mutated_envelope_is_not_shown_and_the_genuine_one_still_opens() {
    let (mut town, letters) = town_with_letters();
    let link = town.residents[1].subscribed.unwrap().0;
    let mut expected = all_messages(&town, 1).len();
    for seed in cases(200) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let letter = &letters[below(letters.len(), &mut rng)];
        let envelope = mutated(&letter.envelope, &mut rng);
        if envelope == letter.envelope {
            continue;
        }
        println!("seed {seed}");
        let push = delivery(500 + seed, letter.lane, envelope);
        town.residents[1].inputs.push_back(Input::Pushed { link, push });
        town.run();
        assert_eq!(all_messages(&town, 1).len(), expected);
    }
    assert_little_is_kept(&town, 1);
    town.holds_deliveries = false;
    town.run();
    expected += 3;
    assert_eq!(all_messages(&town, 1).len(), expected);
    // And no session was begun anew for it: mutations are nobody's.
    assert_eq!(town.residents[1].texts(&town.account(0))[expected - 3..], ["one", "two", "three"]);
}

#[test]
fn a_push_on_a_link_that_is_not_the_mailbox_is_ignored() {
    let (mut town, letters) = town_with_letters();
    let before = all_messages(&town, 1);
    let alice = town.account(0);
    let others = [
        Purpose::Owner(MailboxId::from_bytes([7; 16])),
        Purpose::Conversation(alice),
        Purpose::Receipts(alice),
        Purpose::Directory(alice),
        Purpose::OwnDirectory,
    ];
    for purpose in others {
        let link = link_of(&town, 1, purpose);
        for letter in &letters {
            town.residents[1].inputs.push_back(Input::Pushed { link, push: letter.push() });
        }
        town.run();
    }
    assert_eq!(all_messages(&town, 1), before);
    assert_eq!(town.residents[1].store.count(Table::Quarantine), 0, "not even looked at");
}

#[test]
fn what_comes_twice_is_shown_once() {
    let (mut town, letters) = town_with_letters();
    let link = town.residents[1].subscribed.unwrap().0;
    let before = all_messages(&town, 1).len();
    for (sequence, letter) in letters.iter().chain(&letters).chain(letters.iter().rev()).enumerate() {
        // Under its number, and under others.
        let again = Letter { sequence: 100 + sequence as u64, ..letter.clone() };
        for push in [letter.push(), again.push(), letter.push()] {
            town.residents[1].inputs.push_back(Input::Pushed { link, push });
        }
        town.run();
    }
    assert_eq!(all_messages(&town, 1).len(), before + 3);
    assert_eq!(town.residents[1].store.count(Table::Quarantine), 0);
}

/// Anything that a driver could hand in, without regard to what was asked.
fn any_input(town: &Town, letters: &[Letter], rng: &mut ChaCha20Rng) -> Input {
    let known = town.residents[1].subscribed.map(|(link, _)| link);
    let account = if below(2, rng) == 0 { town.account(0) } else { AccountId::from_bytes([below(256, rng) as u8; 32]) };
    let purpose = match below(6, rng) {
        0 => Purpose::Owner(MailboxId::from_bytes([below(3, rng) as u8; 16])),
        1 => Purpose::Conversation(account),
        2 => Purpose::Receipts(account),
        3 => Purpose::Directory(account),
        _ => Purpose::OwnDirectory,
    };
    let server = known.map_or([below(2, rng) as u8; 32], |link| link.server);
    let link = if below(3, rng) == 0 { Link { server, purpose } } else { known.unwrap_or(Link { server, purpose }) };
    let call = CallId(if below(2, rng) == 0 { extreme(rng) } else { rng.next_u64() % 80 });
    match below(9, rng) {
        0 => Input::Connected { link, exporter: Exporter::from_bytes([below(256, rng) as u8; 32]) },
        1 => Input::Disconnected { link },
        2 => Input::RelayReplied { call, result: Liar::relay(rng) },
        3 => Input::KeyserverReplied { call, result: Liar::keyserver(rng) },
        4 => Input::Solved { call, nonce: Nonce(extreme(rng)) },
        5 => Input::Woke,
        _ => {
            let envelope = match below(3, rng) {
                0 => random_envelope(EnvelopeSize::ALL[below(6, rng)], rng),
                1 => mutated(&letters[below(letters.len(), rng)].envelope, rng),
                _ => letters[0].envelope.clone(),
            };
            let (lane, sequence) = (extreme(rng) as u32, extreme(rng));
            let push = match below(8, rng) {
                0 => RelayPush::OnlineDelivery(OnlineDelivery { lane: LaneNumber(lane), envelope }),
                1 => RelayPush::BacklogEnd(BacklogEnd { sequence }),
                2 => RelayPush::LaneFull(LaneFull { lane: LaneNumber(lane), turned_away: sequence }),
                3 => RelayPush::Superseded,
                4 => RelayPush::GoingAway(GoingAway { retry_after: Duration::from_millis(sequence) }),
                _ => delivery(sequence, lane, envelope),
            };
            Input::Pushed { link, push }
        }
    }
}

#[test]
fn no_input_panics_or_changes_a_message() {
    for seed in cases(4) {
        println!("seed {seed}");
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (mut town, letters) = town_with_letters();
        let before = all_messages(&town, 1);
        let first = town.say(0, town.account(1), "four");
        for round in 0..400 {
            let input = any_input(&town, &letters, &mut rng);
            // In every other town the clock is at its ends, too; it never goes back.
            let now = match (seed % 2, round, below(8, &mut rng)) {
                (0, _, 0) => Timestamp(0),
                (0, 300.., 1) => Timestamp(u64::MAX),
                _ => town.now,
            };
            town.residents[1].handle(input, now);
            town.run();
        }
        let after = all_messages(&town, 1);
        assert!(before.iter().all(|message| after.contains(message)), "nothing that was there changed");
        // The genuine envelope among the noise is shown, and nothing else.
        let texts: Vec<&str> = after.iter().skip(before.len()).map(|message| message.text.as_str()).collect();
        assert!(texts.iter().all(|text| *text == "one"), "{texts:?}");
        assert!(after.iter().all(|message| message.id != first));
        assert_little_is_kept(&town, 1);
        // It still loads.
        town.residents[1].restart();
        town.run();
    }
}

#[test]
fn servers_that_lie_change_no_message_and_once_they_stop_everything_arrives() {
    for seed in cases(6) {
        println!("seed {seed}");
        let mut town = Town::with_two_friends();
        let (alice, bob) = (town.account(0), town.account(1));
        let before = all_messages(&town, 1);
        town.liar = Some(Liar::new(seed));
        town.residents[seed as usize % 2].restart();
        let texts: Vec<String> = (0..5).map(|number| format!("text {number}")).collect();
        for text in &texts {
            town.say(0, bob, text);
            town.say(1, alice, text);
            town.pass(Duration::from_secs(40));
        }
        town.liar = None;
        town.pass(Duration::from_secs(900));
        for index in 0..2 {
            let peer = [bob, alice][index];
            let theirs = town.residents[index].messages(&peer);
            let theirs: Vec<&str> =
                theirs.iter().filter(|message| message.author == peer).map(|message| message.text.as_str()).collect();
            for text in &texts {
                assert_eq!(theirs.iter().filter(|said| *said == text).count(), 1, "{text} for {index} in {theirs:?}");
            }
            assert_little_is_kept(&town, index);
        }
        let after = all_messages(&town, 1);
        assert!(before.iter().all(|message| after.contains(message)), "nothing that was there changed");
    }
}
