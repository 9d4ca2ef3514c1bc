//! What a profile that was put back is still good for: its messages. Implements spec/21-client-store.md §21.12.
use waxwing_client::store::{EncryptedStore, OpenError};

use crate::{
    api::{ApiError, Code, Exit, Export, ExportAnswer, ExportFormat},
    cli::Globals,
    profile::{self, Need},
    service::export_lines,
};

/// As `export` of a profile that is open, without opening it.
pub(super) async fn export(globals: &Globals, params: Export) -> Result<Exit, ApiError> {
    if params.format != ExportFormat::Json {
        return Err(ApiError::new(
            Code::InvalidParams,
            "a profile that was put back is exported as JSON only: leave --format away",
        ));
    }
    let profile = profile::noted(&profile::folder(&globals.profile)?);
    let source = globals.passphrase();
    let archive = match EncryptedStore::open_archive(profile.clone(), source.unlock(Need::IfThere)?).await {
        Err(OpenError::PassphraseNeeded) => EncryptedStore::open_archive(profile, source.unlock(Need::Yes)?).await?,
        archive => archive?,
    };
    let lines = export_lines(&archive.reader(), params.file.as_ref()).await;
    archive.close().await;
    let answer = ExportAnswer { file: params.file, lines: lines? };
    let answer = serde_json::to_value(answer).map_err(|error| ApiError::new(Code::Internal, error.to_string()))?;
    super::tell(globals, "export", answer)?;
    Ok(Exit::Ok)
}
