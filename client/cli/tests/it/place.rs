//! Somebody at a terminal, with a home of their own.
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_waxwing");
/// A test that waits longer has found a bug; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What a process said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// As JSON, of a verb that did what it should.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The name of the error that it ended with.
    #[track_caller]
    pub(crate) fn error(&self, exit: i32) -> (String, String) {
        assert_eq!(self.code, exit, "{self:?}");
        let value: Value = serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        let text = |pointer| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        (text("/error/data/name"), text("/error/message"))
    }
}

/// Somebody.
pub(crate) struct Person {
    home: TempDir,
}

impl Person {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    /// With an account at a server.
    pub(crate) fn at(line: &str) -> Self {
        let person = Self::new();
        let made = person.does(&["init", "--server", line, "--no-passphrase", "--words-noted"]);
        assert_eq!(made.code, 0, "{made:?}");
        person
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn profile(&self) -> PathBuf {
        self.home().join("waxwing/profiles/default")
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env_clear().env("HOME", self.home()).env("XDG_DATA_HOME", self.home());
        command.env("TZ", "UTC").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn does(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command(arguments).output().unwrap())
    }

    /// With `--json`.
    pub(crate) fn asks(&self, arguments: &[&str]) -> Said {
        self.does(&[arguments, &["--json"]].concat())
    }

    pub(crate) fn types(&self, arguments: &[&str], input: &[u8]) -> Said {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // It may have ended before it read all of it.
        let _ = child.stdin.take().unwrap().write_all(input);
        Said::of(&child.wait_with_output().unwrap())
    }

    pub(crate) fn account(&self) -> String {
        self.asks(&["whoami"]).json()["account"].as_str().unwrap().to_owned()
    }

    pub(crate) fn daemon(&self) -> Running {
        let running = Running::start(self.command(&["daemon"]), 1);
        assert!(running.said[0].ends_with("daemon.sock"), "{:?}", running.said);
        running
    }

    /// Asks until the answer is as wanted.
    pub(crate) fn waits_for(&self, arguments: &[&str], mut wanted: impl FnMut(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.asks(arguments).json();
            if wanted(&answer) {
                return answer;
            }
            assert!(begun.elapsed() < PATIENCE, "{arguments:?} still says {answer}");
        }
    }

    /// Asks until it is said as wanted, be it an error.
    pub(crate) fn waits_until(&self, arguments: &[&str], mut wanted: impl FnMut(&Said) -> bool) -> Said {
        let begun = Instant::now();
        loop {
            let said = self.asks(arguments);
            if wanted(&said) {
                return said;
            }
            assert!(begun.elapsed() < PATIENCE, "{arguments:?} still says {said:?}");
        }
    }

    /// Adds another by a link of theirs, and is accepted; both run daemons.
    pub(crate) fn befriends(&self, other: &Self, me: &str, them: &str) {
        let link = other.asks(&["invite"]).json()["link"].as_str().unwrap().to_owned();
        self.asks(&["add", &link, "--name", them]).json();
        self.asks(&["send", them, "hello", "--wait", "60"]).json();
        let account = self.account();
        other.waits_for(&["requests"], |answer| answer["contacts"][0]["account"] == *account);
        other.asks(&["contact", "accept", &account, "--name", me]).json();
        self.waits_for(&["contact", "show", them], |answer| answer["contact"]["accepted_us"] == true);
    }
}

/// A process that goes on; it is ended with its holder.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) said: Vec<String>,
    _out: BufReader<ChildStdout>,
}

impl Running {
    /// Waits for so many lines.
    pub(crate) fn start(mut command: Command, lines: usize) -> Self {
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut said = Vec::new();
        for _ in 0..lines {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            if line.is_empty() {
                let mut why = String::new();
                let _ = child.stderr.take().unwrap().read_to_string(&mut why);
                panic!("it ended: {why}");
            }
            said.push(line.trim_end().to_owned());
        }
        Self { child, said, _out: out }
    }

    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(done.success());
    }

    /// Asks it to stop; how it ended.
    pub(crate) fn stop(mut self) -> i32 {
        self.signal("TERM");
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Waits for its end.
    pub(crate) fn ends(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to a daemon, as a program has one.
pub(crate) struct Socket {
    input: BufReader<UnixStream>,
    output: UnixStream,
    number: u64,
}

impl Socket {
    pub(crate) fn of(person: &Person) -> Self {
        Self::try_of(person).unwrap()
    }

    /// None: the daemon is gone.
    pub(crate) fn try_of(person: &Person) -> Option<Self> {
        let output = UnixStream::connect(person.profile().join("daemon.sock")).ok()?;
        output.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(Self { input: BufReader::new(output.try_clone().unwrap()), output, number: 0 })
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.output.write_all(bytes).unwrap();
    }

    /// The next line; none when the other side has ended it.
    pub(crate) fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        self.input.read_line(&mut line).unwrap();
        if line.is_empty() { None } else { Some(serde_json::from_str(&line).unwrap()) }
    }

    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.number, "method": method, "params": params });
        self.say(format!("{request}\n").as_bytes());
        let answer = self.hear().unwrap();
        assert_eq!(answer["id"], self.number);
        answer
    }

    /// As [`Self::call`], of a daemon that may die; none: it did.
    pub(crate) fn tries(&mut self, method: &str, params: &Value) -> Option<Value> {
        self.number += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.number, "method": method, "params": params });
        self.output.write_all(format!("{request}\n").as_bytes()).ok()?;
        let mut line = String::new();
        self.input.read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }
}
