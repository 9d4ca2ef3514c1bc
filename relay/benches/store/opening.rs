//! How long a full store takes to open: after a kill, whose log is read again, and after an orderly end.
use std::{
    env,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use tokio::runtime::Runtime;
use waxwing_relay::store::SqliteStore;

use crate::{
    load::{self, Load, median},
    rounds,
};

/// The mode of the process that fills a store and is killed.
pub(crate) const FILL: &str = "fill";

pub(crate) fn run(runtime: &Runtime) {
    let made = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let folder = env::var("WAXWING_FOLDER").map_or_else(|_| made.path().join("store"), PathBuf::from);
    if folder.exists() {
        println!("\nkept: {}", folder.display());
    } else {
        std::fs::create_dir_all(&folder).unwrap();
        fill_and_kill(&folder);
        println!("\nopened after a kill in {:.2} s", runtime.block_on(open(&folder)));
    }
    let openings: Vec<_> = (0..rounds()).map(|_| runtime.block_on(open(&folder))).collect();
    println!("opened after an orderly end in {:.2} s; all: {openings:.2?}", median(openings.iter().copied()));
}

async fn open(folder: &Path) -> f64 {
    let start = Instant::now();
    let store = SqliteStore::open(folder, load::rules(), load::NOW).await.unwrap();
    let seconds = start.elapsed().as_secs_f64();
    store.close().await;
    seconds
}

fn fill_and_kill(folder: &Path) {
    let start = Instant::now();
    let mut child = Command::new(env::current_exe().unwrap());
    let child = child.arg(FILL).env("WAXWING_FOLDER", folder).stdout(Stdio::piped()).stdin(Stdio::piped());
    let mut child = child.spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    println!("\nfilled in {:.0} s", start.elapsed().as_secs_f64());
}

pub(crate) async fn fill() {
    let count = |name: &str, usual| env::var(name).map_or(usual, |count| count.parse().unwrap());
    let folder = PathBuf::from(env::var_os("WAXWING_FOLDER").unwrap());
    let full = Load::within(folder, count("WAXWING_MAILBOXES", 100_000)).await;
    full.puts(4_096, count("WAXWING_ENVELOPES", 1_000_000) as u64).await;
    std::io::stdout().write_all(b"!").unwrap();
    std::io::stdout().flush().unwrap();
    // Until it is killed, or its parent is gone.
    let _ = std::io::stdin().read(&mut [0]);
    full.store.close().await;
}
