//! The child process: lines in, lines out, and what it wrote to stderr for the case that something fails.
//!
//! Two threads read its streams, so that neither a full pipe nor a peer that never answers can block a test for ever.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, ErrorKind, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

use super::{PeerError, Skip, StartError, Version};

pub(super) struct Process {
    child: Child,
    requests: ChildStdin,
    responses: Receiver<String>,
    stderr: Arc<Mutex<VecDeque<String>>>,
}

impl Process {
    pub(super) fn spawn(version: Version) -> Result<Self, StartError> {
        is_installed()?;
        let mut command = Command::new("node");
        command.args(["driver.mjs", version.as_str()]).current_dir(INTEROP);
        if let Ok(level) = std::env::var("WAXWING_INTEROP_LOG") {
            command.arg(level);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| broken(&error))?;
        let (Some(requests), Some(stdout), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(broken(&ErrorKind::BrokenPipe));
        };

        let (sender, responses) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stderr = Arc::new(Mutex::new(VecDeque::new()));
        let kept = Arc::clone(&stderr);
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() >= STDERR_LINES {
                    kept.pop_front();
                }
                kept.push_back(line);
            }
        });
        Ok(Self { child, requests, responses, stderr })
    }

    /// Sends one line and waits for one.
    pub(super) fn exchange(&mut self, line: &str) -> Result<String, PeerError> {
        let sent = self.requests.write_all(line.as_bytes()).and_then(|()| self.requests.write_all(b"\n"));
        if sent.is_err() {
            return Err(self.gone());
        }
        self.responses.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => PeerError::Silent { after: PATIENCE, stderr: self.stderr() },
            RecvTimeoutError::Disconnected => self.gone(),
        })
    }

    /// Waits for the end, so that stderr is whole.
    fn gone(&mut self) -> PeerError {
        self.end();
        thread::sleep(Duration::from_millis(50));
        PeerError::Gone { stderr: self.stderr() }
    }

    fn end(&mut self) {
        // Both fail only if the process is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn stderr(&self) -> String {
        let lines = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        let stderr = self.stderr();
        if thread::panicking() && !stderr.is_empty() {
            eprintln!("the driver's stderr:\n{stderr}");
        }
    }
}

/// Whether Node and every version of the library are installed, so that [`super::Peer::start`] can succeed.
///
/// # Errors
/// What is missing.
pub fn is_installed() -> Result<(), Skip> {
    let mut asked = Command::new("node");
    asked.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !asked.status().is_ok_and(|status| status.success()) {
        return Err(Skip::NodeNotFound);
    }
    let package = |version| Path::new(INTEROP).join(format!("node_modules/libsignal-{version}/package.json"));
    if Version::ALL.into_iter().all(|version| package(version).is_file()) {
        Ok(())
    } else {
        Err(Skip::LibraryNotInstalled)
    }
}

fn broken(error: &dyn std::fmt::Debug) -> StartError {
    StartError::Broken(PeerError::Gone { stderr: format!("{error:?}") })
}

/// Where `driver.mjs` stands.
const INTEROP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop");

/// Lines of stderr that are kept for an error report.
const STDERR_LINES: usize = 200;

/// Longer than the longest operation (25,000 messages in one batch) takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(300);
