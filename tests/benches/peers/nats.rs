//! NATS with `JetStream`: each envelope is published to its mailbox's subject, and acknowledged when the stream has it. It syncs each if this
//! version can be told to (`sync_interval: always`, since 2.10), and otherwise every two minutes, which no power cut respects.
use std::{
    fs,
    io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
    time::Duration,
};

use crate::{
    Skipped,
    load::{self, CONNECTIONS, Line, Measured},
    process::{Running, find, halves, port},
};

const STREAM: &str = r#"{"name":"ENVELOPES","subjects":["mailbox.*"],"storage":"file","num_replicas":1}"#;

pub(crate) fn measure(folder: &Path, time: Duration) -> Result<Measured, Skipped> {
    let program = find("nats-server", &[])?;
    let version = Command::new(&program).arg("--version").output().map_err(|error| Skipped(error.to_string()))?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let syncs = version.rsplit('v').next().is_some_and(|number| {
        let mut parts = number.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        (parts.next(), parts.next()) >= (Some(2), Some(10))
    });
    if !syncs {
        eprintln!(
            "{version} cannot sync each message: its figures are those of a stream that is synced every two minutes"
        );
    }
    let (port, file) = (port(), folder.join("nats.conf"));
    let sync = if syncs { "sync_interval: always" } else { "" };
    let store = folder.join("store");
    let text = format!("listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\"\n{sync} }}\n", store.display());
    fs::write(&file, text).unwrap();
    let mut running = Running::start(Command::new(program).arg("-c").arg(file), folder)?;
    let mut lines = Vec::new();
    for number in 0..CONNECTIONS {
        let mut line = Nats::new(running.connect(port)?, number).map_err(|error| Skipped(error.to_string()))?;
        if number == 0 {
            line.publish("$JS.API.STREAM.CREATE.ENVELOPES", STREAM.as_bytes()).unwrap();
            line.flush().unwrap();
            line.answer().map_err(|error| Skipped(format!("no stream: {error}")))?;
        }
        lines.push(Box::new(line) as Box<dyn Line>);
    }
    Ok(load::measure(lines, time))
}

struct Nats {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
    inbox: String,
}

impl Nats {
    fn new(stream: TcpStream, number: usize) -> io::Result<Self> {
        let (mut reader, mut writer) = halves(stream)?;
        let (mut info, inbox) = (String::new(), format!("inbox.{number}"));
        reader.read_line(&mut info)?;
        write!(writer, "CONNECT {{\"verbose\":false}}\r\nSUB {inbox} 1\r\n")?;
        Ok(Self { reader, writer, inbox })
    }

    fn publish(&mut self, subject: &str, bytes: &[u8]) -> io::Result<()> {
        write!(self.writer, "PUB {subject} {} {}\r\n", self.inbox, bytes.len())?;
        self.writer.write_all(bytes)?;
        self.writer.write_all(b"\r\n")
    }
}

impl Line for Nats {
    fn send(&mut self, mailbox: usize, envelope: &[u8]) -> io::Result<()> {
        self.publish(&format!("mailbox.{mailbox}"), envelope)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn answer(&mut self) -> io::Result<()> {
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            let mut words = line.split_whitespace();
            match words.next() {
                Some("MSG") => {
                    let length = words.next_back().and_then(|length| length.parse().ok());
                    let mut body = vec![0; length.ok_or_else(|| io::Error::other(line.clone()))?];
                    self.reader.read_exact(&mut body)?;
                    self.reader.read_exact(&mut [0; 2])?;
                    let body = String::from_utf8_lossy(&body);
                    return if body.contains("\"error\"") { Err(io::Error::other(body.into_owned())) } else { Ok(()) };
                }
                Some("PING") => {
                    self.writer.write_all(b"PONG\r\n")?;
                    self.writer.flush()?;
                }
                Some("PONG" | "+OK" | "INFO") => {}
                _ => return Err(io::Error::other(line)),
            }
        }
    }
}
