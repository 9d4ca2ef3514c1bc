//! A relay in a process of its own, on a port that the system chooses.
use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    thread::JoinHandle,
};

use waxwing_wire::address::ServerAddress;

pub(super) struct Process {
    child: Child,
    pub(super) address: ServerAddress,
    stdout: BufReader<ChildStdout>,
    log: Option<JoinHandle<String>>,
}

/// What a test's relay is told beyond the usual.
#[derive(Clone, Copy, Default)]
pub(super) struct Told {
    pub(super) log: Option<&'static str>,
    pub(super) variables: &'static [(&'static str, &'static str)],
}

pub(super) fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waxwing-relay"));
    command.arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]);
    command.env("WAXWING_RELAY_ADMISSION_OPEN", "true").env("WAXWING_RELAY_LIMITS_CONNECTIONS_PER_SOURCE", "100000");
    command
        .env("WAXWING_RELAY_LIMITS_CREATE_MAILBOX", "[1, 0.0]")
        .env("WAXWING_RELAY_LIMITS_CREATE_REGISTER", "[1, 0.0]")
        .env("WAXWING_RELAY_LIMITS_CREATE_BLOB", "[1, 0.0]");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Process {
    pub(super) fn start(data: &Path) -> Self {
        Self::start_told(data, Told::default())
    }

    pub(super) fn start_told(data: &Path, told: Told) -> Self {
        let mut command = command(data);
        command.args(["--log", told.log.unwrap_or("info")]).envs(told.variables.iter().copied());
        let mut child = command.spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = Vec::new();
            stderr.read_to_end(&mut log).unwrap();
            String::from_utf8(log).unwrap()
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Ok(address) = line.trim_end().parse() else {
            let _ = child.kill();
            panic!("{line:?} is no address; the log says: {}", log.join().unwrap());
        };
        Self { child, address, stdout, log: Some(log) }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM or SIGINT, by `kill`.
    pub(super) fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// SIGKILL: nothing is written any more.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end; with what it ended, what it wrote after the address, and its log.
    pub(super) fn wait(mut self) -> (ExitStatus, String, String) {
        let status = self.child.wait().unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (status, rest, self.log.take().unwrap().join().unwrap())
    }

    /// SIGTERM, and its end.
    pub(super) fn stop(self) -> String {
        self.signal("TERM");
        let (status, rest, log) = self.wait();
        assert!(status.success(), "{status}: {log}");
        assert_eq!(rest, "", "the address is all that is printed");
        log
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already, after `wait` and `kill`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
