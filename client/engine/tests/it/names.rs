//! Names: people who are found by one, and names of one's own (spec §20.18).
use core::time::Duration;

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};
use waxwing_engine::{
    Command, CommandError, Event, NameNews, NameRefusal, NotFound, OwnNameState, Purpose, store::Table,
};
use waxwing_wire::{
    address::ServerAddress,
    content::Standing,
    frame::{Admission, ErrorCode, InviteToken, Price},
    id::{AccountId, DeviceId, Generation},
    keys::{DeviceKey, ReachKey, ServerKey},
    listing::ListingPlace,
    manifest::Draft,
    name::Name,
    pow::Difficulty,
    signer::Signer,
    words::AccountSecret,
};

use crate::town::Town;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn claim(text: &str, listed: bool) -> Command {
    Command::ClaimName { name: name(text), listed, admission: None }
}

fn by_name(text: &str) -> Command {
    Command::AddByName { name: name(text), server: None }
}

/// What was told about names of one's own since the last look.
fn news(town: &mut Town, of: usize) -> Vec<NameNews> {
    let events = town.residents[of].events.drain(..);
    events.filter_map(|event| if let Event::Name { news, .. } = event { Some(news) } else { None }).collect()
}

/// How searches ended since the last look.
fn found(town: &mut Town, by: usize) -> Vec<Result<AccountId, NotFound>> {
    let ended = |event| match event {
        Event::NameFound { account, .. } => Some(Ok(account)),
        Event::NameNotFound { reason, .. } => Some(Err(reason)),
        _ => None,
    };
    town.residents[by].events.drain(..).filter_map(ended).collect()
}

fn state(town: &Town, of: usize) -> Vec<OwnNameState> {
    town.residents[of].engine().own_names().iter().map(|view| view.state).collect()
}

/// Alice, listed as `alice`, and Bob.
fn with_alice_listed() -> (Town, usize, usize) {
    let mut town = Town::new();
    let (alice, bob) = (town.settle_in(1), town.settle_in(2));
    town.order(alice, claim("alice", true)).unwrap();
    assert_eq!(news(&mut town, alice), [NameNews::Held, NameNews::Listed]);
    (town, alice, bob)
}

#[test]
fn whoever_is_listed_is_found_by_name_added_and_written_to() {
    let (mut town, alice, bob) = with_alice_listed();
    let (alices, bobs) = (town.account(alice), town.account(bob));
    assert_eq!(state(&town, alice), [OwnNameState::Listed]);
    town.order(bob, by_name("alice")).unwrap();
    assert_eq!(found(&mut town, bob), [Ok(alices)]);
    assert_eq!(town.residents[bob].engine().searches(), []);
    let view = town.residents[bob].engine().contact(&alices).unwrap();
    assert_eq!((view.standing, view.name.as_ref().map(|name| name.as_str())), (Standing::Added, Some("alice")));
    assert!(view.generation.is_some(), "what the search verified need not be asked for again");
    assert!(town.residents[bob].engine().safety_number(&alices).is_some(), "to be shown at once");
    town.say(bob, alices, "hello");
    town.pass(2 * MINUTE);
    assert_eq!(town.residents[alice].engine().contact(&bobs).map(|view| view.standing), Some(Standing::Asking));
    town.order(alice, Command::Accept { account: bobs }).unwrap();
    town.say(alice, bobs, "hello to you");
    town.pass(2 * MINUTE);
    assert_eq!(town.residents[bob].texts(&alices), ["hello", "hello to you"]);
}

#[test]
fn a_name_that_is_not_listed_is_found_by_nobody() {
    let mut town = Town::new();
    let (alice, bob) = (town.settle_in(1), town.settle_in(2));
    town.order(alice, claim("alice", false)).unwrap();
    assert_eq!((news(&mut town, alice), state(&town, alice)), (vec![NameNews::Held], vec![OwnNameState::Held]));
    town.order(bob, by_name("alice")).unwrap();
    town.order(bob, by_name("nobody-here")).unwrap();
    assert_eq!(found(&mut town, bob), [Err(NotFound::NotListed); 2], "nor is it told apart from one that nobody has");
    assert_eq!(town.residents[bob].engine().contacts().count(), 0);
    // Then it is listed, and then no more, and then given up.
    town.order(alice, claim("alice", true)).unwrap();
    assert_eq!((news(&mut town, alice), state(&town, alice)), (vec![NameNews::Listed], vec![OwnNameState::Listed]));
    town.order(alice, claim("alice", false)).unwrap();
    assert_eq!((news(&mut town, alice), state(&town, alice)), (vec![NameNews::Unlisted], vec![OwnNameState::Held]));
    town.order(bob, by_name("alice")).unwrap();
    assert_eq!(found(&mut town, bob), [Err(NotFound::NotListed)]);
    town.order(alice, Command::ReleaseName { name: name("alice") }).unwrap();
    assert_eq!((news(&mut town, alice), state(&town, alice)), (vec![NameNews::Released], vec![]));
    assert!(town.keyserver.names.is_empty());
    assert_eq!(town.residents[alice].store.count(Table::Name), 0, "nothing is kept of it");
    assert_eq!(
        town.order(alice, Command::ReleaseName { name: name("alice") }),
        Err(CommandError::UnknownName),
        "it is given up once"
    );
}

#[test]
fn a_search_and_a_claim_outlive_every_crash() {
    for refused in 0.. {
        let (mut town, alice, bob) = with_alice_listed();
        town.one_by_one = true;
        let alices = town.account(alice);
        for (whom, command) in [(bob, by_name("alice")), (bob, claim("bob", true))] {
            let store = &mut town.residents[whom].store;
            // The command itself is saved: until then it was not taken.
            store.refuse_after(Some(refused + 1));
            town.order(whom, command).unwrap();
            town.pass(MINUTE);
        }
        assert_eq!(town.residents[bob].engine().searches(), [], "after {refused} saves");
        assert_eq!(state(&town, bob), [OwnNameState::Listed], "after {refused} saves");
        assert!(town.residents[bob].engine().contact(&alices).is_some(), "after {refused} saves");
        if town.residents[bob].crashes == 0 {
            assert!(refused >= 2, "there were saves to refuse");
            return;
        }
    }
}

#[test]
fn what_is_kept_comes_back_with_a_restart() {
    let (mut town, alice, bob) = with_alice_listed();
    town.out_of_reach = Some(|purpose| matches!(purpose, Purpose::Name(_)));
    town.order(bob, by_name("alice")).unwrap();
    town.keyserver.refusals = std::iter::repeat_n(ErrorCode::Overloaded, 3).collect();
    town.order(bob, claim("bob", false)).unwrap();
    let before = (town.residents[bob].engine().searches(), town.residents[bob].engine().own_names());
    assert_eq!((before.0.len(), before.1.len()), (1, 1));
    town.residents[bob].restart();
    assert_eq!((town.residents[bob].engine().searches(), town.residents[bob].engine().own_names()), before);
    town.out_of_reach = None;
    town.pass(5 * MINUTE);
    let alices = town.account(alice);
    assert_eq!(found(&mut town, bob), [Ok(alices)]);
    assert_eq!(state(&town, bob), [OwnNameState::Held]);
}

/// What a listing is signed with and for.
struct Forged {
    signer: Signer,
    key: DeviceKey,
    name: Name,
    server: ServerAddress,
}

impl Forged {
    fn listing(&self) -> Vec<u8> {
        let place = ListingPlace { name: &self.name, server: self.server.key() };
        let reach_key = ReachKey::from_bytes(&[7; 32]);
        self.key.sign_listing(self.signer, &place, &reach_key, 1).expect("it reads back").encode()
    }
}

#[test]
fn nobody_is_added_by_a_listing_that_the_account_it_names_did_not_sign() {
    let (mut town, alice, bob) = with_alice_listed();
    let mallory = town.settle_in(3);
    town.order(mallory, claim("mallory", true)).unwrap();
    let genuine = |town: &Town, text: &str| town.keyserver.names[&name(text)].1.clone().expect("it is listed");
    let (alices, mallorys) = (genuine(&town, "alice"), genuine(&town, "mallory"));
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let other =
        ServerAddress::new(ServerKey::generate(&mut rng).public_key(), vec!["o.example.org:1".parse().unwrap()]);
    let signer =
        Signer { account: town.account(alice), generation: Generation(0), device: DeviceId::try_from(1_u32).unwrap() };
    let forged = |signer: Signer, server: &ServerAddress| {
        let key = DeviceKey::from_seed(&[5; 32]);
        Forged { signer, key, name: name("alice"), server: server.clone() }.listing()
    };
    let own = town.keyserver_address.clone();
    let absent = Signer { account: AccountId::from_bytes([4; 32]), ..signer };
    let next = Signer { generation: Generation(1), ..signer };
    let ghost = Signer { device: DeviceId::try_from(9_u32).unwrap(), ..signer };
    let mut damaged = alices.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let cases = [
        ("of another name", mallorys),
        ("signed by somebody else in her name", forged(signer, &own)),
        ("of a generation that there is not", forged(next, &own)),
        ("of a device that is not listed", forged(ghost, &own)),
        ("of an account that there is not", forged(absent, &own)),
        ("for another server", forged(signer, &other.unwrap())),
        ("damaged", damaged),
        ("nothing of the kind", vec![1; 100]),
        ("empty", Vec::new()),
    ];
    let puts = town.residents[bob].puts;
    for (what, listing) in cases {
        town.keyserver.names.get_mut(&name("alice")).unwrap().1 = Some(listing);
        town.order(bob, by_name("alice")).unwrap();
        town.pass(MINUTE);
        assert_eq!(found(&mut town, bob), [Err(NotFound::NotGenuine)], "{what}");
        assert_eq!(town.residents[bob].engine().contacts().count(), 0, "{what}");
        assert_eq!(town.residents[bob].store.count(Table::Search), 0, "{what}");
    }
    assert_eq!(town.residents[bob].puts, puts, "nobody was written to");
    town.keyserver.names.get_mut(&name("alice")).unwrap().1 = Some(alices);
    town.order(bob, by_name("alice")).unwrap();
    assert_eq!(found(&mut town, bob), [Ok(town.account(alice))]);
}

#[test]
fn an_account_that_changes_between_two_answers_is_asked_for_once_more() {
    let (mut town, alice, bob) = with_alice_listed();
    let words = town.residents[alice].words.clone();
    let old = town.keyserver.names[&name("alice")].1.clone();
    town.recover(alice, 11);
    assert_eq!(town.residents[alice].words, words);
    town.order(alice, claim("alice", true)).unwrap();
    assert_eq!(news(&mut town, alice), [NameNews::Held, NameNews::Listed], "after a recovery names are claimed anew");
    let new = town.keyserver.names[&name("alice")].1.clone();
    assert_ne!(old, new);
    // The listing of before is the first answer, the account of now the second.
    town.keyserver.names.get_mut(&name("alice")).unwrap().1 = old;
    town.one_by_one = true;
    town.residents[bob].inputs.push_back(waxwing_engine::Input::Command(by_name("alice")));
    // The command and the connection; with the answer to the first question the listing is in Bob's hands.
    let mut asked = 0;
    while town.residents[bob].engine().searches().is_empty() || asked < 2 {
        asked += 1;
        town.step(bob);
    }
    town.keyserver.names.get_mut(&name("alice")).unwrap().1 = new;
    town.run();
    assert_eq!(found(&mut town, bob), [Ok(town.account(alice))]);
}

#[test]
fn a_search_ends_with_what_stands_against_adding() {
    let (mut town, alice, bob) = with_alice_listed();
    let alices = town.account(alice);
    town.order(alice, by_name("alice")).unwrap();
    assert_eq!(found(&mut town, alice), [Err(NotFound::OwnAccount)]);
    town.order(bob, by_name("alice")).unwrap();
    town.order(bob, Command::Block { account: alices }).unwrap();
    town.residents[bob].events.clear();
    town.order(bob, by_name("alice")).unwrap();
    assert_eq!(found(&mut town, bob), [Err(NotFound::Blocked)]);
    assert_eq!(town.residents[bob].engine().contact(&alices).map(|view| view.standing), Some(Standing::Blocked));
    // Her account is deleted; the listing is one of before.
    let words = AccountSecret::from_words(&town.residents[alice].words).expect("they are hers");
    let mut objects = town.objects_of(&alices);
    let known = objects.verify(&alices, town.now).expect("it is genuine").manifest;
    let mut draft = Draft::after(&known).expect("one follows");
    draft.delete();
    let last = draft.sign(&words.root_key(Generation(0)), town.now).expect("it can be signed");
    objects.manifest = last.encode();
    town.keyserver.replace(alices, objects);
    town.order(bob, by_name("alice")).unwrap();
    assert_eq!(found(&mut town, bob), [Err(NotFound::Deleted)]);
    let private: ServerAddress =
        town.keyserver_address.to_string().replace("keys.example.org", "10.0.0.1").parse().unwrap();
    let command = Command::AddByName { name: name("alice"), server: Some(private) };
    assert_eq!(town.order(bob, command), Err(CommandError::PrivateServer));
}

#[test]
fn somebody_who_asked_is_accepted_by_being_looked_up() {
    let (mut town, alice, bob) = with_alice_listed();
    let (alices, bobs) = (town.account(alice), town.account(bob));
    let link = town.make_link(bob);
    town.order(alice, Command::Add { link }).unwrap();
    town.say(alice, bobs, "hello");
    town.pass(2 * MINUTE);
    assert_eq!(town.residents[bob].engine().contact(&alices).map(|view| view.standing), Some(Standing::Asking));
    town.order(bob, by_name("alice")).unwrap();
    assert_eq!(town.residents[bob].engine().contact(&alices).map(|view| view.standing), Some(Standing::Accepted));
    town.pass(2 * MINUTE);
    assert!(town.residents[alice].engine().contact(&bobs).is_some_and(|view| view.accepted_us));
}

#[test]
fn a_search_that_nobody_answers_is_over_after_a_day_and_there_are_16_at_once() {
    let (mut town, _, bob) = with_alice_listed();
    town.out_of_reach = Some(|purpose| matches!(purpose, Purpose::Name(_)));
    for number in 0..16 {
        town.order(bob, by_name(&format!("somebody-{number}"))).unwrap();
    }
    assert_eq!(town.order(bob, by_name("alice")), Err(CommandError::TooManySearches));
    assert_eq!(town.order(bob, by_name("somebody-3")), Ok(()), "that one is on its way");
    town.pass(DAY / 2);
    assert_eq!(found(&mut town, bob), []);
    town.pass(DAY / 2 + MINUTE);
    assert_eq!(found(&mut town, bob), [Err(NotFound::NoAnswer); 16]);
    assert_eq!(town.residents[bob].store.count(Table::Search), 0);
}

#[test]
fn the_other_devices_know_who_was_found() {
    let (mut town, alice, bob) = with_alice_listed();
    let alices = town.account(alice);
    let second = town.join(bob, 12);
    town.pass(2 * MINUTE);
    town.order(second, by_name("alice")).unwrap();
    assert_eq!(found(&mut town, second), [Ok(alices)], "any device may look");
    town.pass(2 * MINUTE);
    let view = town.residents[bob].engine().contact(&alices).unwrap();
    assert_eq!((view.standing, view.name.map(|name| name.to_string())), (Standing::Added, Some("alice".into())));
    assert_eq!(town.order(second, claim("bob", true)), Err(CommandError::NotPrimary));
    assert_eq!(town.order(second, Command::ReleaseName { name: name("bob") }), Err(CommandError::NotPrimary));
}

/// Bob claims a name at a server that says this first, and is answered for a while.
fn claim_against(refusals: &[ErrorCode], price: impl FnOnce(&mut Price), command: Command) -> (Town, Vec<NameNews>) {
    let mut town = Town::new();
    let bob = town.settle_in(2);
    town.keyserver.refusals = refusals.iter().copied().collect();
    price(&mut town.keyserver.price);
    town.order(bob, command).unwrap();
    town.pass(5 * MINUTE);
    assert_eq!(town.keyserver.refusals.len(), 0, "all was said");
    let news = news(&mut town, bob);
    (town, news)
}

#[test]
fn a_name_is_asked_for_by_what_the_server_takes() {
    use Admission::{Invite, Open, Owner, Work};
    let for_work = |price: &mut Price| (price.open, price.admission) = (false, Some(Difficulty::try_from(4).unwrap()));
    let by_invitation = |price: &mut Price| (price.open, price.admission) = (false, None);
    let granted = [NameNews::Held, NameNews::Listed];

    let (town, news) = claim_against(&[], by_invitation, claim("bob", true));
    assert!(matches!(town.keyserver.admissions[..], [Owner]) && news == granted, "what the account has paid for");
    for refusal in [ErrorCode::NotAdmitted, ErrorCode::QuotaExceeded] {
        let (town, news) = claim_against(&[refusal], |_| {}, claim("bob", true));
        assert!(matches!(town.keyserver.admissions[..], [Owner, Open]) && news == granted, "{refusal:?}");
        let (town, news) = claim_against(&[refusal], for_work, claim("bob", true));
        assert!(matches!(town.keyserver.admissions[..], [Owner, Work(_)]) && news == granted, "{refusal:?}");
        let (town, news) = claim_against(&[refusal], by_invitation, claim("bob", true));
        assert!(matches!(town.keyserver.admissions[..], [Owner]), "{refusal:?}");
        assert_eq!(news, [NameNews::Refused(NameRefusal::NotAdmitted)], "{refusal:?}");
        assert_eq!(state(&town, 0), []);
    }
    // A challenge that is over: work anew.
    let (town, news) = claim_against(&[ErrorCode::NotAdmitted, ErrorCode::WorkRequired], for_work, claim("bob", true));
    assert!(matches!(town.keyserver.admissions[..], [Owner, Work(_), Work(_)]) && news == granted);
    let invited =
        || Command::ClaimName { name: name("bob"), listed: true, admission: Some(InviteToken::from_bytes([8; 16])) };
    let (town, news) = claim_against(&[], by_invitation, invited());
    assert!(matches!(&town.keyserver.admissions[..], [Invite(token)] if *token.expose() == [8; 16]) && news == granted);
    let kept = town.residents[0].store.load_now();
    assert!(kept.iter().all(|record| !record.value.windows(16).any(|bytes| bytes == [8; 16])), "it is spent, and gone");
    let (town, news) = claim_against(&[ErrorCode::NotAdmitted], |_| {}, invited());
    assert!(
        matches!(town.keyserver.admissions[..], [Invite(_)]),
        "one that is not known is no reason to pay otherwise"
    );
    assert_eq!(news, [NameNews::Refused(NameRefusal::NotAdmitted)]);
}

#[test]
fn what_a_server_refuses_for_good_is_told_and_forgotten_and_the_rest_is_tried_again() {
    let good = [
        (vec![ErrorCode::NameTaken], "bob", NameRefusal::Taken),
        (vec![ErrorCode::QuotaExceeded, ErrorCode::QuotaExceeded], "bob", NameRefusal::TooMany),
        (vec![ErrorCode::NotAdmitted, ErrorCode::NotAdmitted], "bob", NameRefusal::NotAdmitted),
        // Given by hand, or not: that shows when it is listed.
        (vec![ErrorCode::InvalidName, ErrorCode::NotYourName], "admin", NameRefusal::Reserved),
    ];
    for (refusals, text, refusal) in good {
        let (town, news) = claim_against(&refusals, |_| {}, claim(text, true));
        assert_eq!((news, state(&town, 0)), (vec![NameNews::Refused(refusal)], vec![]));
        assert_eq!(town.residents[0].store.count(Table::Name), 0);
    }
    let (_, news) = claim_against(&[ErrorCode::InvalidName], |_| {}, claim("admin", false));
    assert_eq!(news, [NameNews::Refused(NameRefusal::Reserved)]);
    let again = [ErrorCode::Overloaded, ErrorCode::RateLimited, ErrorCode::Overloaded];
    let (town, news) = claim_against(&again, |_| {}, claim("bob", true));
    assert_eq!((news, state(&town, 0)), (vec![NameNews::Held, NameNews::Listed], vec![OwnNameState::Listed]));
}

#[test]
fn a_reserved_name_that_an_operator_gave_is_listed() {
    let mut town = Town::new();
    let bob = town.settle_in(2);
    town.keyserver.names.insert(name("admin"), (town.account(bob), None));
    town.keyserver.refusals = [ErrorCode::InvalidName].into();
    town.order(bob, claim("admin", true)).unwrap();
    assert_eq!((news(&mut town, bob), state(&town, bob)), (vec![NameNews::Listed], vec![OwnNameState::Listed]));
}

#[test]
fn a_number_that_the_server_has_passed_goes_up_and_a_lost_name_is_claimed_anew() {
    // As it was before this device knew the name.
    let stale = [ErrorCode::StaleNumber, ErrorCode::StaleNumber];
    let mut town = Town::new();
    let bob = town.settle_in(2);
    town.order(bob, claim("bob", false)).unwrap();
    town.keyserver.refusals = stale.into();
    town.order(bob, claim("bob", true)).unwrap();
    town.pass(5 * MINUTE);
    assert_eq!(state(&town, bob), [OwnNameState::Listed]);
    let objects = town.objects_of(&town.account(bob)).verify(&town.account(bob), town.now).unwrap();
    let numbers: Vec<u32> = town
        .keyserver
        .listings
        .drain(..)
        .map(|listing| listing.verify(&name("bob"), town.keyserver_address.key(), &objects.manifest).unwrap().number())
        .collect();
    assert_eq!(numbers.len(), 3);
    assert!(u64::from(numbers[0]) >= crate::town::NOW.0 / 1_000, "the clock at least: {numbers:?}");
    assert!(numbers.windows(2).all(|pair| pair[1] > pair[0] + 30 * 86_400), "{numbers:?}");

    // The server was put back: it has neither name nor listing.
    town.keyserver.names.clear();
    town.order(bob, claim("bob", false)).unwrap();
    assert_eq!(news(&mut town, bob).last(), Some(&NameNews::Unlisted), "what it does not have is not listed");
    town.order(bob, claim("bob", true)).unwrap();
    assert_eq!(news(&mut town, bob), [NameNews::Held, NameNews::Listed]);
}

#[test]
fn a_person_who_changes_their_mind_gets_what_they_wanted_last() {
    let mut town = Town::new();
    let bob = town.settle_in(2);
    town.one_by_one = true;
    for listed in [true, false, true] {
        town.residents[bob].inputs.push_back(waxwing_engine::Input::Command(claim("bob", listed)));
    }
    town.residents[bob].inputs.push_back(waxwing_engine::Input::Command(Command::ReleaseName { name: name("bob") }));
    town.residents[bob].inputs.push_back(waxwing_engine::Input::Command(claim("bob", false)));
    town.run();
    assert_eq!(state(&town, bob), [OwnNameState::Held]);
    assert_eq!(town.keyserver.names[&name("bob")], (town.account(bob), None));
    for number in 0..15 {
        town.order(bob, claim(&format!("bob-{number}"), false)).unwrap();
    }
    assert_eq!(town.order(bob, claim("one-too-many", false)), Err(CommandError::TooManyNames));
    assert_eq!(town.order(bob, claim("bob-3", true)), Ok(()), "that one is there");
}
