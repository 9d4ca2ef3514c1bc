//! Programs of others: found, started, connected to, ended.
use std::{
    fs::File,
    io::{self, BufReader, BufWriter},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::Skipped;

/// A program in the path, or in one of these folders.
pub(crate) fn find(name: &str, folders: &[PathBuf]) -> Result<PathBuf, Skipped> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let places = std::env::split_paths(&path).chain(usual).chain(folders.iter().cloned());
    let found = places.map(|folder| folder.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| Skipped(format!("{name} is not installed")))
}

/// A port that was free a moment ago.
pub(crate) fn port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A running program, which ends with this.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    pub(crate) fn start(command: &mut Command, folder: &Path) -> Result<Self, Skipped> {
        let log = folder.join("log");
        let file = File::create(&log).unwrap();
        let command = command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().map_err(|error| Skipped(format!("does not start: {error}")))?;
        Ok(Self { child, log })
    }

    /// Waits until it listens.
    pub(crate) fn connect(&mut self, port: u16) -> Result<TcpStream, Skipped> {
        let begun = Instant::now();
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return Ok(stream);
            }
            if self.child.try_wait().unwrap().is_some() || begun.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let last = log.lines().last().unwrap_or_default().to_owned();
                return Err(Skipped(format!("does not listen: {last}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Politely, so that it takes its own children along.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both halves of a connection.
pub(crate) fn halves(stream: TcpStream) -> io::Result<(BufReader<TcpStream>, BufWriter<TcpStream>)> {
    Ok((BufReader::new(stream.try_clone()?), BufWriter::new(stream)))
}

const PATIENCE: Duration = Duration::from_secs(20);
