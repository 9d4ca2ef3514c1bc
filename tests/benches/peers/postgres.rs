//! `PostgreSQL`: each envelope is a row, inserted by a prepared statement and committed alone; commits that meet share an fsync.
use std::{
    fs,
    io::{self, BufReader, BufWriter, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    Skipped,
    load::{self, CONNECTIONS, Line, Measured},
    process::{Running, find, halves, port},
};

const TABLE: &str = "CREATE TABLE envelope (place BIGSERIAL PRIMARY KEY, mailbox INT NOT NULL, bytes BYTEA NOT NULL); \
                     CREATE INDEX envelope_of_mailbox ON envelope (mailbox, place)";
const INSERT: &str = "INSERT INTO envelope (mailbox, bytes) VALUES ($1, $2)";

pub(crate) fn measure(folder: &Path, time: Duration) -> Result<Measured, Skipped> {
    let folders = versions();
    let (program, initdb) = (find("postgres", &folders)?, find("initdb", &folders)?);
    let (port, data) = (port(), folder.join("data"));
    let as_user = user(folder)?;
    let made =
        as_user(&initdb).args(["-A", "trust", "-U", "waxwing", "--no-locale", "-E", "UTF8", "-D"]).arg(&data).output();
    let made = made.map_err(|error| Skipped(format!("initdb: {error}")))?;
    if !made.status.success() {
        return Err(Skipped(format!("initdb: {}", String::from_utf8_lossy(&made.stderr).trim())));
    }
    let mut command = as_user(&program);
    command.arg("-D").arg(&data);
    let sockets = folder.display();
    for setting in [
        &format!("port={port}")[..],
        "listen_addresses=127.0.0.1",
        &format!("unix_socket_directories={sockets}"),
        "max_connections=100",
        "fsync=on",
        "synchronous_commit=on",
        "shared_buffers=128MB",
    ] {
        command.args(["-c", setting]);
    }
    let mut running = Running::start(&mut command, folder)?;
    let mut lines: Vec<Box<dyn Line>> = Vec::new();
    for number in 0..CONNECTIONS {
        let mut line = started(&mut running, port)?;
        if number == 0 {
            line.query(TABLE).map_err(|error| Skipped(error.to_string()))?;
        }
        line.prepare().map_err(|error| Skipped(error.to_string()))?;
        lines.push(Box::new(line));
    }
    Ok(load::measure(lines, time))
}

/// It listens before it lets anybody in.
fn started(running: &mut Running, port: u16) -> Result<Postgres, Skipped> {
    let mut last = String::new();
    for _ in 0..200 {
        match Postgres::new(running.connect(port)?) {
            Ok(line) => return Ok(line),
            Err(error) => last = error.to_string(),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(Skipped(last))
}

/// Where distributions put it, the newest first.
fn versions() -> Vec<PathBuf> {
    let entries = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = entries.map(|entry| entry.path().join("bin")).collect();
    folders.sort_unstable_by(|one, other| other.cmp(one));
    folders
}

/// It does not run as the superuser: then as its own user, to whom the folder is given.
fn user(folder: &Path) -> Result<impl Fn(&Path) -> Command, Skipped> {
    let is_root = fs::metadata(folder).unwrap().uid() == 0;
    if is_root {
        find("setpriv", &[])?;
        // Every folder above must let it through, which a private target folder may not.
        let given = Command::new("chown").arg("postgres").arg(folder).status();
        if !given.is_ok_and(|status| status.success()) {
            return Err(Skipped("there is no user postgres".into()));
        }
    }
    Ok(move |program: &Path| {
        if !is_root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
        command
    })
}

struct Postgres {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
}

impl Postgres {
    fn new(stream: TcpStream) -> io::Result<Self> {
        let (reader, writer) = halves(stream)?;
        let mut line = Self { reader, writer };
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        body.extend_from_slice(b"user\0waxwing\0database\0postgres\0\0");
        line.writer.write_all(&length(&body))?;
        line.writer.write_all(&body)?;
        line.flush()?;
        line.answer()?;
        Ok(line)
    }

    fn query(&mut self, text: &str) -> io::Result<()> {
        self.message(b'Q', &[text.as_bytes(), b"\0"].concat())?;
        self.flush()?;
        self.answer()
    }

    fn prepare(&mut self) -> io::Result<()> {
        let parse =
            [b"put\0", INSERT.as_bytes(), b"\0", &2_u16.to_be_bytes(), &23_u32.to_be_bytes(), &17_u32.to_be_bytes()];
        self.message(b'P', &parse.concat())?;
        self.message(b'S', &[])?;
        self.flush()?;
        self.answer()
    }

    fn message(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        self.writer.write_all(&[kind])?;
        self.writer.write_all(&length(body))?;
        self.writer.write_all(body)
    }
}

fn length(body: &[u8]) -> [u8; 4] {
    u32::try_from(body.len() + 4).unwrap().to_be_bytes()
}

impl Line for Postgres {
    fn send(&mut self, mailbox: usize, envelope: &[u8]) -> io::Result<()> {
        let (one, two) = (1_u16.to_be_bytes(), 2_u16.to_be_bytes());
        let mailbox = u32::try_from(mailbox).unwrap().to_be_bytes();
        let size = u32::try_from(envelope.len()).unwrap().to_be_bytes();
        // The unnamed portal of the statement; both parameters binary; no columns come back.
        let bind = [&b"\0put\0"[..], &one, &one, &two, &4_u32.to_be_bytes(), &mailbox, &size, envelope, &[0, 0]];
        self.message(b'B', &bind.concat())?;
        self.message(b'E', &[0, 0, 0, 0, 0])?;
        self.message(b'S', &[])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn answer(&mut self) -> io::Result<()> {
        let mut failed = None;
        loop {
            let mut head = [0; 5];
            self.reader.read_exact(&mut head)?;
            let [kind, length @ ..] = head;
            let mut body = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4)];
            self.reader.read_exact(&mut body)?;
            match kind {
                // Ready for the next query: what was asked is committed, or failed.
                b'Z' => return failed.map_or(Ok(()), |error| Err(io::Error::other(error))),
                b'E' => {
                    let error: String = String::from_utf8_lossy(&body).replace('\0', " ");
                    if body.starts_with(b"SFATAL") {
                        return Err(io::Error::other(error));
                    }
                    failed = Some(error);
                }
                _ => {}
            }
        }
    }
}
