//! The journal finds programs that promise too early, and none that wait for their sync.
use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    ops::Range,
    path::Path,
};

use super::run::{PROMISES, broken_cuts, cuts, is_child};

/// Appends records to a log and promises them, each in this order.
fn appends(folder: &Path, numbers: Range<u32>, order: &[Step]) {
    let append = |name| OpenOptions::new().create(true).append(true).open(folder.join(name)).unwrap();
    let (mut promises, mut log) = (append(PROMISES), append("log"));
    for number in numbers {
        for step in order {
            match step {
                Step::Write => log.write_all(format!("{number:0700}\n").as_bytes()).unwrap(),
                Step::Sync => log.sync_data().unwrap(),
                Step::Promise => promises.write_all(format!("{number:0700}\n").as_bytes()).unwrap(),
            }
        }
    }
}

enum Step {
    Write,
    Sync,
    Promise,
}

fn log_holds(image: &Path, promises: &[&str]) -> Result<(), String> {
    let log = fs::read(image.join("log")).unwrap_or_default();
    let lines: Vec<_> = log.split(|byte| *byte == b'\n').collect();
    let missing = promises.iter().find(|promise| !lines.contains(&promise.as_bytes()));
    missing.map_or(Ok(()), |missing| Err(format!("{} is missing", missing.trim_start_matches('0'))))
}

#[test]
fn a_log_that_syncs_before_it_promises_survives_every_cut() {
    let name = "discipline::a_log_that_syncs_before_it_promises_survives_every_cut";
    if !is_child("orderly", |folder| appends(folder, 0..60, &[Step::Write, Step::Sync, Step::Promise])) {
        assert_eq!(broken_cuts(name, "orderly", cuts(), log_holds), (0, None));
    }
}

#[test]
fn a_log_that_promises_before_it_syncs_is_found_out() {
    let name = "discipline::a_log_that_promises_before_it_syncs_is_found_out";
    if !is_child("hasty", |folder| appends(folder, 0..60, &[Step::Write, Step::Promise, Step::Sync])) {
        assert!(broken_cuts(name, "hasty", 200, log_holds).0 > 5);
    }
}

#[test]
fn a_log_that_never_syncs_its_last_records_is_found_out() {
    let name = "discipline::a_log_that_never_syncs_its_last_records_is_found_out";
    if !is_child("lazy", |folder| {
        appends(folder, 0..30, &[Step::Write, Step::Sync, Step::Promise]);
        appends(folder, 30..60, &[Step::Write, Step::Promise]);
    }) {
        assert!(broken_cuts(name, "lazy", 200, log_holds).0 > 5);
    }
}

/// Replaces a file 40 times by one that was written beside it.
fn replaces(folder: &Path, sync_folder: bool) {
    let mut promises = File::create(folder.join(PROMISES)).unwrap();
    for number in 0..40 {
        let mut new = File::create(folder.join("new")).unwrap();
        new.write_all(number.to_string().as_bytes()).unwrap();
        new.sync_all().unwrap();
        fs::rename(folder.join("new"), folder.join("current")).unwrap();
        if sync_folder {
            File::open(folder).unwrap().sync_all().unwrap();
        }
        promises.write_all(format!("{number}\n").as_bytes()).unwrap();
    }
}

fn current_is_newest(image: &Path, promises: &[&str]) -> Result<(), String> {
    let current = fs::read_to_string(image.join("current")).unwrap_or_default();
    let Some(promised) = promises.last() else { return Ok(()) };
    let (current, promised): (u32, u32) = (current.parse().unwrap_or(0), promised.parse().unwrap());
    if current >= promised { Ok(()) } else { Err(format!("{current} stands where {promised} was promised")) }
}

#[test]
fn a_file_that_is_replaced_and_its_folder_synced_survives_every_cut() {
    let name = "discipline::a_file_that_is_replaced_and_its_folder_synced_survives_every_cut";
    if !is_child("careful", |folder| replaces(folder, true)) {
        assert_eq!(broken_cuts(name, "careful", cuts(), current_is_newest), (0, None));
    }
}

#[test]
fn a_file_that_is_replaced_without_syncing_the_folder_is_found_out() {
    let name = "discipline::a_file_that_is_replaced_without_syncing_the_folder_is_found_out";
    if !is_child("careless", |folder| replaces(folder, false)) {
        assert!(broken_cuts(name, "careless", 200, current_is_newest).0 > 5);
    }
}
