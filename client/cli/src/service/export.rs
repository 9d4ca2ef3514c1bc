//! Everything that people wrote, in the clear.
use std::{
    io::{BufWriter, Write},
    path::Path,
};

use waxwing_client::engine::store::{Position, StoredMessage};
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
        let mut out = BufWriter::new(private_file(path)?);
        let lines = match self.format {
            ExportFormat::Json => service.client.reader().export(&mut out).await.map_err(ApiError::from),
            ExportFormat::Text => service.export_text(path, &mut out).await,
        };
        let file = out.into_inner().map_err(|error| system(path, error.error()));
        let synced = file.and_then(|file| file.sync_all().map_err(|error| system(path, &error)));
        if lines.is_err() || synced.is_err() {
            // Half of it would be taken for all of it.
            let _ = std::fs::remove_file(path);
        }
        synced?;
        Ok(ExportAnswer { file: self.file, lines: lines? })
    }
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
