//! A conversation that survives crashes: what to store, when, and what a restart does.
//!
//! ```sh
//! cargo run -p waxwing-protocol --example persist
//! ```
//! The rule is one sentence: **apply the guard's `delta` in one transaction, together with what must not be lost with it (the
//! ciphertext when sending, the plaintext when receiving); then `commit`; then send or acknowledge.** Here Alice's app
//! crashes before and after each of these steps, and Bob never notices.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde::{Deserialize, Serialize};
use waxwing_protocol::{
    Budget, Bundle, BundleIn, Delta, DeviceId, IdentityKeyPair, KyberPrekey, KyberPrekeyId, KyberPrekeyIn,
    KyberPrekeyRef, LastResortUses, LocalDevice, OpenError, PreKeySignalMessage, PrivatePrekeys, RegistrationId,
    Session, SignalMessage, SignedPrekey, SignedPrekeyId, SignedPrekeyIn, Timestamp,
};

type Rng = UnwrapErr<SysRng>;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let directory = TemporaryDirectory::new()?;
    let file = directory.0.join("alice.json");
    let rng = &mut UnwrapErr(SysRng);
    let mut bob = Bob::new(rng);

    println!("Alice starts a session and says hello.");
    let mut app = App::start(&file, rng)?;
    app.begin(&bob.bundle()?, rng)?;
    app.seal(b"hello", rng)?;
    let answer = bob.receive(&app.send_next()?.ok_or("a first message was stored")?, rng)?;
    assert_eq!(app.receive(&answer, rng)?, Received::New);

    println!("\nCrash while sending, before the transaction:");
    app.seal_then_crash(b"lost with the crash", rng)?;
    let mut app = App::start(&file, rng)?;
    // Nothing had left the device, so nobody saw a message under the key that the next text is sealed with.
    assert!(app.database.tables.outbox.is_empty());
    println!("   after the restart nothing is in the outbox: Alice writes again");

    println!("\nCrash while sending, after the transaction:");
    app.seal(b"stored before the crash", rng)?;
    drop(app);
    let mut app = App::start(&file, rng)?;
    // The key is used up and the ciphertext is stored: that is what goes out. To seal the text again would be a second
    // message; to seal it again from an older copy of the records would use a key twice.
    let stored = app.send_next()?.ok_or("the ciphertext was stored")?;
    println!("   after the restart the stored ciphertext of {} bytes is sent", stored.len());
    let answer = bob.receive(&stored, rng)?;

    println!("\nCrash while receiving, before the transaction:");
    app.receive_then_crash(&answer, rng)?;
    let mut app = App::start(&file, rng)?;
    assert!(!app.has_read("you said: stored before the crash"));
    // The message was not acknowledged, so the server delivers it again; for the session it is the first time.
    assert_eq!(app.receive(&answer, rng)?, Received::New);
    assert!(app.has_read("you said: stored before the crash"));
    println!("   the server delivers again, and it opens");

    println!("\nCrash while receiving, after the transaction and before the acknowledgement:");
    drop(app);
    let mut app = App::start(&file, rng)?;
    // The server delivers again. Now it is a duplicate, and what it said is stored: acknowledge it, and show nothing.
    assert_eq!(app.receive(&answer, rng)?, Received::Duplicate);
    assert!(app.has_read("you said: stored before the crash"));
    println!("   the server delivers again; it is a duplicate, and its text is in the inbox");

    println!("\nMessages overtake each other, with a restart between:");
    let answers: Vec<_> = (0..40).map(|n| bob.say(format!("number {n}").as_bytes(), rng)).collect::<Result<_, _>>()?;
    let before = app.database.tables.records.len();
    let (last, others) = answers.split_last().ok_or("forty were sealed")?;
    app.receive(last, rng)?;
    let after = app.database.tables.records.len();
    println!("   the last of 40 comes first: {after} records instead of {before}, with the keys of the 39 others");
    let mut app = App::start(&file, rng)?;
    for answer in others.iter().rev() {
        assert_eq!(app.receive(answer, rng)?, Received::New);
    }
    assert_eq!(app.database.tables.records.len(), before);
    println!("   the others come in reverse order, and all that was kept for them is deleted");
    Ok(())
}

/// Alice's app: a database and, in memory, what was loaded from it.
struct App {
    database: Database,
    identity: IdentityKeyPair,
    with_bob: Session,
}

/// What became of a message that was delivered.
#[derive(Debug, Eq, PartialEq)]
enum Received {
    New,
    Duplicate,
}

impl App {
    /// What every start does: load. There is nothing to repair, whatever happened before.
    fn start(file: &Path, rng: &mut Rng) -> Result<Self, Box<dyn Error>> {
        let database = Database::open(file, rng)?;
        let identity = IdentityKeyPair::from_private_key(&database.tables.identity);
        let records = database.tables.records.iter().map(|(key, value)| Ok((hex::decode(key)?, hex::decode(value)?)));
        let with_bob = Session::load(records.collect::<Result<Vec<_>, hex::FromHexError>>()?)?;
        Ok(Self { database, identity, with_bob })
    }

    fn has_read(&self, text: &str) -> bool {
        self.database.tables.inbox.iter().any(|read| read == text)
    }

    fn begin(&mut self, bundle: &Bundle, rng: &mut Rng) -> Result<(), Box<dyn Error>> {
        let local = LocalDevice { identity: &self.identity, registration_id: RegistrationId(1), addresses: None };
        let initiated = self.with_bob.initiate(local, bundle, NOW, rng)?;
        let delta = initiated.delta();
        self.database.transaction(|tables| tables.apply(&delta))?;
        initiated.commit();
        Ok(())
    }

    /// Seals, stores delta and ciphertext together, commits. The ciphertext waits in the outbox for the network.
    fn seal(&mut self, text: &[u8], rng: &mut Rng) -> Result<(), Box<dyn Error>> {
        let sealed = self.with_bob.seal(text, NOW, rng)?;
        let (delta, ciphertext) = (sealed.delta(), hex::encode(sealed.message().as_bytes()));
        // If this fails, dropping `sealed` leaves the session in memory as it is on disk.
        self.database.transaction(|tables| {
            tables.apply(&delta);
            tables.outbox.push(ciphertext);
        })?;
        drop(sealed.commit());
        Ok(())
    }

    /// What the network task does: the oldest stored ciphertext goes out; it leaves the outbox once the server has it.
    fn send_next(&mut self) -> Result<Option<Vec<u8>>, Box<dyn Error>> {
        let Some(next) = self.database.tables.outbox.first().cloned() else { return Ok(None) };
        let next = hex::decode(next)?;
        self.database.transaction(|tables| drop(tables.outbox.remove(0)))?;
        Ok(Some(next))
    }

    /// Opens, stores delta and plaintext together, commits. When it returns, the message may be acknowledged.
    fn receive(&mut self, bytes: &[u8], rng: &mut Rng) -> Result<Received, Box<dyn Error>> {
        let message = SignalMessage::decode(bytes)?;
        let opened = match self.with_bob.open(&message, &mut Budget::default(), rng) {
            // Delivered before: what it said is stored. Acknowledge it, or the server will never stop.
            Err(OpenError::Duplicate { .. }) => return Ok(Received::Duplicate),
            opened => opened?,
        };
        let (delta, text) = (opened.delta(), String::from_utf8_lossy(opened.plaintext()).into_owned());
        self.database.transaction(|tables| {
            tables.apply(&delta);
            tables.inbox.push(text);
        })?;
        drop(opened.commit());
        Ok(Received::New)
    }

    /// The process ends with the guard, before anything is stored.
    fn seal_then_crash(mut self, text: &[u8], rng: &mut Rng) -> Result<(), Box<dyn Error>> {
        let sealed = self.with_bob.seal(text, NOW, rng)?;
        println!("   a ciphertext of {} bytes is gone", sealed.message().as_bytes().len());
        Ok(())
    }

    /// The process ends with the guard, before anything is stored or acknowledged.
    fn receive_then_crash(mut self, bytes: &[u8], rng: &mut Rng) -> Result<(), Box<dyn Error>> {
        let opened = self.with_bob.open(&SignalMessage::decode(bytes)?, &mut Budget::default(), rng)?;
        println!("   opened, and gone: {}", String::from_utf8_lossy(opened.plaintext()));
        Ok(())
    }
}

/// The tables of Alice's app. In earnest: SQLite, encrypted, because records are secret; the session's records in a table
/// (peer, key, value), with more than one peer.
#[derive(Default, Deserialize, Serialize)]
struct Tables {
    identity: [u8; 32],
    records: BTreeMap<String, String>,
    outbox: Vec<String>,
    inbox: Vec<String>,
}

impl Tables {
    /// A delta is a list of records to put and to delete.
    fn apply(&mut self, delta: &Delta) {
        for (key, value) in delta.writes() {
            match value {
                Some(value) => self.records.insert(hex::encode(key), hex::encode(value)),
                None => self.records.remove(&hex::encode(key)),
            };
        }
    }
}

/// The smallest database with transactions: one file that is replaced as a whole, by a rename, or not at all.
struct Database {
    file: PathBuf,
    tables: Tables,
}

impl Database {
    fn open(file: &Path, rng: &mut Rng) -> Result<Self, Box<dyn Error>> {
        match fs::read(file) {
            Ok(bytes) => Ok(Self { file: file.into(), tables: serde_json::from_slice(&bytes)? }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut database = Self { file: file.into(), tables: Tables::default() };
                let identity = *IdentityKeyPair::generate(rng).private_key();
                database.transaction(|tables| tables.identity = identity)?;
                Ok(database)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// All of `change`, or nothing.
    fn transaction(&mut self, change: impl FnOnce(&mut Tables)) -> Result<(), Box<dyn Error>> {
        let mut tables = serde_json::from_slice(&serde_json::to_vec(&self.tables)?)?;
        change(&mut tables);
        let temporary = self.file.with_extension("new");
        let mut file = fs::File::create(&temporary)?;
        file.write_all(&serde_json::to_vec(&tables)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.file)?;
        self.tables = tables;
        Ok(())
    }
}

/// Alice's peer, who echoes what she says. He would store as she does; here he never crashes.
struct Bob {
    identity: IdentityKeyPair,
    signed: SignedPrekey,
    kyber: KyberPrekey,
    with_alice: Session,
}

impl Bob {
    fn new(rng: &mut Rng) -> Self {
        let identity = IdentityKeyPair::generate(rng);
        Self {
            signed: SignedPrekey::generate(SignedPrekeyId(1), &identity, rng),
            kyber: KyberPrekey::generate(KyberPrekeyId(1), &identity, rng),
            identity,
            with_alice: Session::new(),
        }
    }

    fn bundle(&self) -> Result<Bundle, Box<dyn Error>> {
        let Self { identity, signed, kyber, with_alice: _ } = self;
        let bundle = BundleIn {
            registration_id: RegistrationId(2),
            device_id: DeviceId::new(1)?,
            identity_key: &identity.public_key().to_bytes(),
            signed_prekey: SignedPrekeyIn {
                id: signed.id(),
                public_key: &signed.public_key().to_bytes(),
                signature: signed.signature().as_bytes(),
            },
            one_time_prekey: None,
            kyber_prekey: Some(KyberPrekeyIn {
                id: kyber.id(),
                public_key: &kyber.public_key().to_bytes(),
                signature: kyber.signature().as_bytes(),
            }),
        };
        Ok(bundle.verify()?)
    }

    /// Opens Alice's first message or one after it, and answers.
    fn receive(&mut self, bytes: &[u8], rng: &mut Rng) -> Result<Vec<u8>, Box<dyn Error>> {
        let text = if self.with_alice.is_established() {
            let message = SignalMessage::decode(bytes)?;
            self.with_alice.open(&message, &mut Budget::default(), rng)?.commit()
        } else {
            let message = PreKeySignalMessage::decode(bytes)?;
            let prekeys = PrivatePrekeys {
                signed: &self.signed,
                one_time: None,
                kyber: Some(KyberPrekeyRef::OneTime(&self.kyber)),
                uses: &LastResortUses::new(),
            };
            let local = LocalDevice { identity: &self.identity, registration_id: RegistrationId(2), addresses: None };
            self.with_alice.accept(local, prekeys, &message, rng)?.commit()
        };
        println!("   Bob reads: {}", String::from_utf8_lossy(&text));
        self.say(&[b"you said: ", &text[..]].concat(), rng)
    }

    fn say(&mut self, text: &[u8], rng: &mut Rng) -> Result<Vec<u8>, Box<dyn Error>> {
        Ok(self.with_alice.seal(text, NOW, rng)?.commit().into_bytes())
    }
}

/// Removed with everything in it at the end.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("waxwing-persist-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        // Whether or not it can be removed, the example has shown what it shows.
        drop(fs::remove_dir_all(&self.0));
    }
}
