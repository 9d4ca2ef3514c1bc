//! E8, B6: SIGKILL at random points while batches are saved. A batch is there whole or not at all, and what was reported saved is there.
//!
//! `WAXWING_KILLS=1000 cargo test --workspace --test it sigkill` for more; a failure prints its seed.
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng as _, SeedableRng as _},
};
use waxwing_client::store::{EncryptedStore, Profile, Protection, Unlock};
use waxwing_engine::store::{Batch, Store as _, Table, Write};

use crate::scene::{BOB, files, message, record};

/// Noted beside it: no end of a process makes it look older than it is (B5).
fn noted(path: &Path) -> Profile {
    Profile::new(path).noted_in(path.with_file_name("state"))
}

async fn create(path: &Path) -> EncryptedStore {
    EncryptedStore::create(noted(path), Protection::None).await.unwrap()
}

async fn open(path: &Path) -> EncryptedStore {
    EncryptedStore::open(noted(path), Unlock::None).await.unwrap()
}

/// Where the process that saves finds its profile; without it, the test below does nothing.
const FOLDER: &str = "WAXWING_TEST_SAVES_IN";

/// Run by [`start`] in a process of its own: saves batches from the number that follows what is there, and says so of each.
#[tokio::test]
async fn saves_until_it_is_ended() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut store = open(Path::new(&folder)).await;
    let mut number = last(&store.load().await.unwrap()).max(1);
    let mut out = std::io::stdout();
    loop {
        number += 1;
        match store.save(&batch(number)).await {
            Ok(()) => writeln!(out, "saved {number}").unwrap(),
            Err(error) => {
                writeln!(out, "failed {number} {error:?}").unwrap();
                return;
            }
        }
        out.flush().unwrap();
    }
}

/// The same number in a record that is replaced, one that is added, one that is deleted, a message and a marker.
fn batch(number: u64) -> Batch {
    let bytes = number.to_be_bytes();
    let long = vec![bytes[7]; usize::try_from(number % 7 * 3_000).unwrap()];
    let writes = [
        record(Table::Account, b"", &bytes),
        record(Table::Outbox, &bytes, &long),
        Write::Delete { table: Table::Outbox, key: (number - 1).to_be_bytes().to_vec() },
        Write::Message(message(number, &format!("message {number}, of a few words"))),
        Write::Read { conversation: BOB, device: waxwing_wire::id::DeviceId::MIN, sequence: number },
    ];
    writes.into_iter().collect()
}

fn last(records: &[waxwing_engine::store::Record]) -> u64 {
    let account = records.iter().find(|record| record.table == Table::Account);
    account.map_or(0, |record| u64::from_be_bytes(record.value.as_slice().try_into().unwrap()))
}

/// What is there is exactly what the batches up to some number make; which one.
async fn compare(folder: &Path, last_seen: u64) -> u64 {
    let mut store = open(folder).await;
    let records = store.load().await.unwrap();
    let last = last(&records);
    if last > 0 {
        let outbox: Vec<_> = records.iter().filter(|record| record.table == Table::Outbox).collect();
        assert_eq!(outbox.len(), 1, "after batch {last}");
        assert_eq!(outbox[0].key, last.to_be_bytes());
        let expected = batch(last);
        assert!(expected.writes().iter().any(|write| matches!(write, Write::Put(record) if record == outbox[0])));
        // Newest first, without a gap down to what was seen before.
        let many = usize::try_from(last - last_seen + 2).unwrap();
        let page = store.page(&BOB, None, many).await.unwrap();
        let numbers = (2..=last).rev().take(many);
        assert!(page.iter().map(|message| message.sequence).eq(numbers), "messages after batch {last}");
    }
    assert_eq!(store.unread(&BOB).await.unwrap(), 0, "a message and its marker are there together");
    store.close().await.unwrap();
    last
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "kill::saves_until_it_is_ended", "--nocapture"]).env(FOLDER, folder);
    command
}

fn start(mut command: Command) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    (child, stdout)
}

/// The next number that was said to be saved, or what else was said of saving.
fn heard(lines: &mut BufReader<std::process::ChildStdout>) -> Result<u64, String> {
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).unwrap() == 0 {
            return Err("ended".into());
        }
        // The harness says its own, on the same line even.
        if let Some((_, number)) = line.split_once("saved ") {
            return Ok(number.trim().parse().unwrap());
        }
        if let Some((_, failed)) = line.split_once("failed ") {
            return Err(failed.trim().to_owned());
        }
    }
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |value| value.parse().unwrap())
}

#[tokio::test]
async fn e8_b6_a_batch_is_whole_or_absent_through_sigkill() {
    let (kills, seed) = (variable("WAXWING_KILLS", 100), variable("WAXWING_SEED", 1));
    println!("WAXWING_SEED={seed}");
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("profile");
    create(&profile).await.close().await.unwrap();
    let (mut last, mut unsaid) = (0, 0);
    for kill in 1..=kills {
        let (mut child, mut lines) = start(command(&profile));
        let mut reported = 0;
        for _ in 0..1 + rng.next_u64() % 12 {
            reported = heard(&mut lines).unwrap();
        }
        // At any point of the batch after that: a save takes some hundred microseconds up to a few milliseconds.
        let (begun, wait) = (Instant::now(), Duration::from_micros(rng.next_u64() % 4_000));
        while begun.elapsed() < wait {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        while let Ok(number) = heard(&mut lines) {
            reported = number;
        }
        let there = compare(&profile, last).await;
        assert!(there >= reported, "kill {kill}: {reported} was reported saved, {there} is there");
        assert!(there <= reported + 1, "kill {kill}: nothing is saved that was not asked");
        unsaid += u64::from(there > reported);
        last = there;
    }
    println!("{last} batches, {kills} kills, {unsaid} batches saved and not reported");
    let mut store = open(&profile).await;
    assert_eq!(store.check().await.unwrap(), []);
    assert!(last > kills, "something was saved");
}

#[tokio::test]
async fn e8_a_full_disk_refuses_a_batch_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("profile");
    create(&profile).await.close().await.unwrap();
    let program = command(&profile);
    let mut limited = Command::new("sh");
    // Ignored, the signal becomes an error of the write, as a full disk's. Blocks of 512 bytes.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 1200; exec \"$@\"", "sh"]);
    limited.arg(program.get_program()).args(program.get_args());
    limited.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let (mut child, mut lines) = start(limited);
    let mut saved = 0;
    let failed = loop {
        match heard(&mut lines) {
            Ok(number) => saved = number,
            Err(failed) => break failed,
        }
    };
    child.wait().unwrap();
    assert!(saved > 5, "there was room for some: {saved}");
    assert_eq!(failed, format!("{} Full", saved + 1), "it says what is wrong");
    assert_eq!(compare(&profile, 0).await, saved, "what was reported is there, and nothing else");
    // With room again it goes on.
    let (mut child, mut lines) = start(command(&profile));
    assert_eq!(heard(&mut lines), Ok(saved + 1));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Run in a process of its own: opens a profile of an older layout, and says so.
#[tokio::test]
async fn opens_and_waits_to_be_ended() {
    let Some(folder) = std::env::var_os(UPGRADED) else { return };
    println!("saved 0");
    open(Path::new(&folder)).await.close().await.unwrap();
    println!("saved 1");
    std::future::pending::<()>().await;
}

const UPGRADED: &str = "WAXWING_TEST_UPGRADES";

/// SIGKILL while an older profile gets the newest layout: everything is there when it is opened next.
#[tokio::test]
async fn e8_an_upgrade_is_whole_or_absent_through_sigkill() {
    let (kills, seed) = (variable("WAXWING_KILLS", 100) / 2, variable("WAXWING_SEED", 1));
    println!("WAXWING_SEED={seed}");
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut left = std::collections::BTreeMap::<Vec<String>, u64>::new();
    for kill in 0..kills {
        let folder = tempfile::tempdir().unwrap();
        let profile = folder.path().join("profile");
        std::fs::create_dir(&profile).unwrap();
        for (name, bytes) in files(&golden.join(format!("{}", 1 + kill % 6))) {
            std::fs::write(profile.join(name), bytes).unwrap();
        }
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "kill::opens_and_waits_to_be_ended", "--nocapture"]).env(UPGRADED, &profile);
        let (mut child, mut lines) = start(command);
        heard(&mut lines).unwrap();
        let (begun, wait) = (Instant::now(), Duration::from_micros(rng.next_u64() % 40_000));
        while begun.elapsed() < wait {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let names = files(&profile).into_keys().filter(|name| !name.ends_with("-shm") && name != "lock");
        *left.entry(names.collect()).or_default() += 1;
        let mut store = open(&profile).await;
        let texts: Vec<_> = store.page(&BOB, None, 9).await.unwrap().into_iter().map(|message| message.text).collect();
        assert_eq!(texts, ["last", "世界你好", "hello from an older version"], "kill {kill}");
        assert_eq!(store.check().await.unwrap(), [], "kill {kill}");
        store.close().await.unwrap();
    }
    println!("what was left: {left:#?}");
    assert!(left.len() > 2, "it was ended in several steps: {left:?}");
}
