//! A group of three: how sender keys get around, what a message costs nobody twice, and what happens when somebody goes.
//!
//! ```sh
//! cargo run -p waxwing-protocol --example group_chat
//! ```
//! Distribution messages hold keys: each travels inside the pairwise session with one device (`two_party.rs` has those).
//! Here a function call stands in for that session. What is stored goes into a map per device, as rows of a table.

#![allow(clippy::expect_used, reason = "a refusal that does not come is a bug in the example")]

use std::collections::BTreeMap;
use std::error::Error;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use waxwing_protocol::{
    Budget, DecryptionErrorMessage, DistributionId, GroupDelta, GroupOpenError, PeerSenderKeys, PlaintextContent,
    SenderKey, SenderKeyDistributionMessage, SenderKeyMessage, Timestamp,
};

/// One per group; each member's key is looked up by the member and this.
const GROUP: DistributionId = DistributionId(*b"weekend planning");

/// One device of a member.
struct Member {
    name: &'static str,
    own: SenderKey,
    of: BTreeMap<&'static str, PeerSenderKeys>,
    /// What a database would hold: (whose key, record key) and value.
    table: BTreeMap<(&'static str, Vec<u8>), Vec<u8>>,
    rng: ChaCha20Rng,
}

impl Member {
    fn new(name: &'static str, seed: u64) -> Self {
        // An app uses the operating system's generator.
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let own = SenderKey::generate(GROUP, &mut rng);
        let table = own.records().map(|(key, value)| ((name, key.as_bytes().to_vec()), value.to_vec())).collect();
        Self { name, own, of: BTreeMap::new(), table, rng }
    }

    /// Seal, store, commit, send: in this order, so that a crash never uses a key twice.
    fn say(&mut self, text: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let sealed = self.own.seal(text.as_bytes(), &mut self.rng)?;
        store(&mut self.table, self.name, &sealed.delta());
        Ok(sealed.commit().as_bytes().to_vec())
    }

    /// A distribution message that came inside the session with `sender`.
    fn learn(&mut self, sender: &'static str, message: &[u8]) -> Result<(), Box<dyn Error>> {
        let message = SenderKeyDistributionMessage::decode(message)?;
        let keys = self.of.entry(sender).or_insert_with(|| PeerSenderKeys::new(GROUP));
        let processed = keys.process(&message)?;
        store(&mut self.table, sender, &processed.delta());
        processed.commit();
        Ok(())
    }

    /// A group message; that it is `sender`'s is known from sealed sender or the session it came in.
    fn hear(&mut self, sender: &'static str, bytes: &[u8]) -> Result<String, Box<dyn Error>> {
        let message = SenderKeyMessage::decode(bytes)?;
        let keys = self.of.entry(sender).or_insert_with(|| PeerSenderKeys::new(GROUP));
        let opened = keys.open(&message, &mut Budget::default())?;
        store(&mut self.table, sender, &opened.delta());
        Ok(String::from_utf8(opened.commit())?)
    }
}

fn store(table: &mut BTreeMap<(&'static str, Vec<u8>), Vec<u8>>, whose: &'static str, delta: &GroupDelta) {
    for (key, value) in delta.writes() {
        let row = (whose, key.as_bytes().to_vec());
        match value {
            Some(value) => table.insert(row, value.to_vec()),
            None => table.remove(&row),
        };
    }
}

/// Runs the example; a test calls it too.
pub fn main() -> Result<(), Box<dyn Error>> {
    let (mut ann, mut bob, mut cem) = (Member::new("Ann", 1), Member::new("Bob", 2), Member::new("Cem", 3));

    // Before her first message Ann tells every device of the group how to read her.
    let told = ann.own.distribution_message();
    bob.learn("Ann", told.as_bytes())?;
    cem.learn("Ann", told.as_bytes())?;

    // Then one ciphertext serves all of them, in any order.
    let (first, second) = (ann.say("Lake or hills?")?, ann.say("I vote lake.")?);
    println!("Ann's message: {} bytes, for everybody", first.len());
    println!("Bob reads: {} / {}", bob.hear("Ann", &second)?, bob.hear("Ann", &first)?);
    println!("Cem reads: {} / {}", cem.hear("Ann", &first)?, cem.hear("Ann", &second)?);

    // A duplicate is refused, and so is a message that Cem writes as Ann.
    let refused = bob.hear("Ann", &first).err().and_then(|error| error.downcast::<GroupOpenError>().ok());
    assert_eq!(refused.as_deref(), Some(&GroupOpenError::Duplicate { iteration: 0 }));
    let as_ann = cem.say("I vote hills, says Ann.")?;
    println!("Bob refuses what Cem says as Ann: {}", bob.hear("Ann", &as_ann).expect_err("it is not Ann's"));

    // Bob restarts with nothing but his table.
    let rows = bob.table.iter().filter(|((whose, _), _)| *whose == "Ann").map(|((_, key), value)| (key, value));
    bob.of.insert("Ann", PeerSenderKeys::load(GROUP, rows)?);
    let third = ann.say("Hills have rain.")?;
    println!("Bob, restarted, reads: {}", bob.hear("Ann", &third)?);

    // Cem missed a distribution message of Bob's: he says so, and Bob sends it to him again.
    let from_bob = bob.say("Lake!")?;
    let unreadable = SenderKeyMessage::decode(&from_bob)?;
    assert!(cem.hear("Bob", &from_bob).is_err());
    let error = DecryptionErrorMessage::for_original(&unreadable, Timestamp(1_800_000_000_000), 1)?;
    let travels = PlaintextContent::new(error);
    assert_eq!(PlaintextContent::decode(travels.as_bytes())?.decryption_error().ratchet_key, None);
    cem.learn("Bob", bob.own.distribution_message().as_bytes())?;
    println!("Cem reads from now on: {}", cem.hear("Bob", &bob.say("I said: lake!")?)?);

    // Cem leaves. Everybody who stays makes a new key and tells only those who stay.
    ann.own = SenderKey::generate(GROUP, &mut ann.rng);
    bob.learn("Ann", ann.own.distribution_message().as_bytes())?;
    let private = ann.say("Just us two then.")?;
    println!("Bob reads: {}", bob.hear("Ann", &private)?);
    println!("Cem does not: {}", cem.hear("Ann", &private).expect_err("he was not told"));
    Ok(())
}
