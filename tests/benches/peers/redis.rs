//! Redis: each envelope is appended to its mailbox's list, and answered after the fsync of what came with it.
use std::{
    io::{self, BufRead as _, BufReader, BufWriter, Write as _},
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

pub(crate) fn measure(folder: &Path, time: Duration) -> Result<Measured, Skipped> {
    let (program, port) = (find("redis-server", &[])?, port());
    let mut command = Command::new(program);
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "yes"]);
    command.args(["--appendfsync", "always", "--dir"]).arg(folder);
    let mut running = Running::start(&mut command, folder)?;
    let mut lines: Vec<Box<dyn Line>> = Vec::new();
    for _ in 0..CONNECTIONS {
        let (reader, writer) = halves(running.connect(port)?).unwrap();
        lines.push(Box::new(Resp { reader, writer }));
    }
    Ok(load::measure(lines, time))
}

struct Resp {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
}

impl Line for Resp {
    fn send(&mut self, mailbox: usize, envelope: &[u8]) -> io::Result<()> {
        let key = format!("mailbox:{mailbox}");
        write!(self.writer, "*3\r\n$5\r\nRPUSH\r\n${}\r\n{key}\r\n${}\r\n", key.len(), envelope.len())?;
        self.writer.write_all(envelope)?;
        self.writer.write_all(b"\r\n")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }

    fn answer(&mut self) -> io::Result<()> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        // The list's new length.
        if line.starts_with(':') { Ok(()) } else { Err(io::Error::other(line)) }
    }
}
