//! Runs a child under the journal and shows every cut to a judge.
use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use waxwing_tests::{
    durability::{self, Journal},
    faults::{self, Faults},
};

/// Where the child appends what it promises, one line each.
pub(crate) const PROMISES: &str = "promises";
const ROLE: &str = "WAXWING_POWER_CUT_ROLE";
const FOLDER: &str = "WAXWING_POWER_CUT_FOLDER";

/// Runs `role` if this process is the child that shall play it; tells whether it is.
pub(crate) fn is_child(role: &str, play: impl FnOnce(&Path)) -> bool {
    if env::var_os(ROLE).is_none_or(|asked| asked != role) {
        return false;
    }
    play(Path::new(&env::var_os(FOLDER).expect("the parent names a folder")));
    true
}

/// Lets the test `test` of this binary play `role` in a child, cuts its power `cuts` times and gives the image and the promises of
/// each cut to `judge`. How many cuts the judge found broken, with the first complaint.
pub(crate) fn broken_cuts(
    test: &str,
    role: &str,
    cuts: usize,
    judge: impl Fn(&Path, &[&str]) -> Result<(), String>,
) -> (usize, Option<String>) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("data");
    let journal = folder.path().join("journal");
    fs::create_dir(&root).unwrap();
    let library = durability::build_shim(folder.path()).unwrap();
    let mut child = child(test, role, &root);
    child.stdout(Stdio::null());
    durability::preload(&mut child, &library, &root, &journal);
    assert!(child.status().unwrap().success(), "the child playing {role} failed");

    let journal = Journal::read(&journal, &root).unwrap();
    assert!(journal.syncs() > 0, "nothing was ever synced");
    let seed = env::var("WAXWING_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut broken, mut first) = (0, None);
    for number in 0..cuts {
        let cut = usize::try_from(rng.next_u64()).unwrap() % (journal.len() + 1);
        let image = folder.path().join("image");
        fs::create_dir(&image).unwrap();
        journal.image(cut, &mut rng, &image).unwrap();
        let promises = String::from_utf8(journal.appended(PROMISES, cut)).unwrap();
        // A line without its end was still being written.
        let promises: Vec<_> = promises.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).collect();
        if let Err(complaint) = judge(&image, &promises) {
            broken += 1;
            first.get_or_insert(format!("cut {number} after record {cut} (WAXWING_SEED={seed}): {complaint}"));
        }
        fs::remove_dir_all(&image).unwrap();
    }
    (broken, first)
}

/// The test `test` of this binary, to play `role` in `folder`.
pub(crate) fn child(test: &str, role: &str, folder: &Path) -> Command {
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]).env(ROLE, role).env(FOLDER, folder);
    child
}

/// Lets the test `test` of this binary play `role` in a child whose folder's disk fails when the child says so.
pub(crate) fn on_a_failing_disk(test: &str, role: &str) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("data");
    let orders = folder.path().join("orders");
    fs::create_dir(&root).unwrap();
    drop(Faults::new(&orders).unwrap());
    let library = faults::build_shim(folder.path()).unwrap();
    let mut child = child(test, role, &root);
    faults::preload(&mut child, &library, &root, &orders);
    let done = child.stdout(Stdio::inherit()).status().unwrap();
    assert!(done.success(), "the child failed");
}

/// How many cuts to make: `WAXWING_POWER_CUTS`, or 200.
pub(crate) fn cuts() -> usize {
    env::var("WAXWING_POWER_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(200)
}
