//! Spec §17.23: the load generator runs, and says what it measured.
use std::process::{Command, Output};

fn bench(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxwing-relay"));
    let Output { status, stdout, stderr } = command.arg("bench").args(arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn every_row_is_measured_beside_its_yardstick_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("bench");
    let data = data.to_str().unwrap();
    let few = ["--rounds", "1", "--seconds", "0.1", "--mailboxes", "20", "--rate", "100", "--idle", "50"];
    let arguments = [&["--data", data][..], &few].concat();
    let (code, table, log) = bench(&arguments);
    assert_eq!(code, 0, "{log}");
    for row in [
        "put, 256 in flight ",
        "put, 1024 in flight ",
        "put, pushed, acked ",
        "accepted, one in flight, p50 ",
        "put until pushed, p99 ",
        "fan-out to 20, each ",
        "blob, written ",
        "blob, read ",
        "idle and subscribed, each ",
        "accepted beside a flood, p99 ",
        "accepted, 100 a second, p99 ",
    ] {
        let line = table.lines().find(|line| line.starts_with(row)).unwrap_or_else(|| panic!("{row}: {table}"));
        let figure: f64 = line[36..47].trim().parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(figure > 0.0, "{line}");
    }
    assert!(table.contains("of bare echo") && table.contains("of plain batcher"), "{table}");
    assert!(log.contains("51 idle subscribers stood, and an envelope came to each"), "{log}");
    assert!(table.contains("of bare connection"), "{table}");
    assert!(table.contains("of before it") && log.contains("and was held to it"), "{log}");
    assert!(table.contains("of raw stream") && table.contains("of file, synced"), "{table}");
    assert!(!folder.path().join("bench").exists());
}

#[test]
fn a_folder_that_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (code, table, log) = bench(&["--data", folder.path().to_str().unwrap()]);
    assert!(code == 1 && table.is_empty() && log.contains("cannot make"), "{log}");
    assert!(folder.path().exists());
    let (code, _, log) = bench(&["--seconds", "nan"]);
    assert!(code == 2 && log.contains("--seconds"), "{log}");
}
