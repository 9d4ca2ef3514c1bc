//! Everything that people wrote, in the clear.
use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use waxwing_client::{
    engine::store::{Position, StoredMessage},
    store::Reader,
};
use waxwing_wire::{
    id::{AccountId, DeviceId},
    time::Timestamp,
};

use super::Service;
use crate::{
    api::{ApiError, Call, Export, ExportAnswer, ExportFormat},
    profile::{private_file, system},
    render, text,
};

impl Call for Export {
    type Answer = ExportAnswer;

    async fn perform(self, service: &Service) -> Result<ExportAnswer, ApiError> {
        let path = Path::new(&self.file);
        let lines = match self.format {
            ExportFormat::Json => export_lines(&service.client.reader(), path).await?,
            ExportFormat::Text => {
                let mut out = BufWriter::new(private_file(path)?);
                let lines = service.export_text(path, &mut out).await;
                whole(path, out, lines)?
            }
        };
        Ok(ExportAnswer { file: self.file, lines })
    }
}

/// Messages and markers as JSON, into a new file.
pub(crate) async fn export_lines(reader: &Reader, path: &Path) -> Result<u64, ApiError> {
    let mut out = BufWriter::new(private_file(path)?);
    let lines = reader.export(&mut out).await.map_err(ApiError::from);
    whole(path, out, lines)
}

/// The file is on stable storage, or is not there.
fn whole(path: &Path, out: BufWriter<File>, lines: Result<u64, ApiError>) -> Result<u64, ApiError> {
    let file = out.into_inner().map_err(|error| system(path, error.error()));
    let synced = file.and_then(|file| file.sync_all().map_err(|error| system(path, &error)));
    if lines.is_err() || synced.is_err() {
        // Half of it would be taken for all of it.
        let _ = std::fs::remove_file(path);
    }
    synced?;
    lines
}

impl Service {
    async fn export_text(&self, path: &Path, out: &mut (impl Write + Send)) -> Result<u64, ApiError> {
        let (reader, names) = (self.client.reader(), self.names().await?);
        let mut lines = 0_u64;
        let mut write = |line: String| {
            lines = lines.saturating_add(1);
            writeln!(out, "{line}").map_err(|error| system(path, &error))
        };
        for view in self.views().await? {
            write(format!("=== {} ({})", render::who(&names.who(&view.account)), view.account))?;
            let mut after = BEGINNING;
            loop {
                let page = reader.page_after(&view.account, after, PAGE).await?;
                let Some(last) = page.last().map(StoredMessage::position) else { break };
                after = last;
                for message in &page {
                    let author = render::who(&names.who(&message.author));
                    let time = jiff::Timestamp::from_millisecond(i64::try_from(message.sent.0).unwrap_or(i64::MAX));
                    let time = time.map_or_else(|_| "?".into(), |time| time.to_string());
                    write(format!("{time} {author}: {}", text::block(&message.text, "    | ")))?;
                }
            }
        }
        Ok(lines)
    }
}

/// Before every message.
const BEGINNING: Position =
    Position { sent: Timestamp(0), author: AccountId::from_bytes([0; 32]), device: DeviceId::MIN, sequence: 0 };
const PAGE: usize = 500;
