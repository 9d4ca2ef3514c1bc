//! What is made from the table of verbs.
use std::fs;

use crate::{
    api::{ApiError, Exit, man_pages, page},
    cli::{self, Completions, Man},
    profile::system,
};

pub(super) fn completions(params: &Completions) -> Result<Exit, ApiError> {
    let mut out = Vec::new();
    clap_complete::generate(params.shell, &mut cli::command(), "waxwing", &mut out);
    super::print(String::from_utf8_lossy(&out).trim_end());
    Ok(Exit::Ok)
}

pub(super) fn man(params: &Man) -> Result<Exit, ApiError> {
    let pages = man_pages(&cli::command()).map_err(|error| system(&params.folder, &error))?;
    for (name, page) in pages {
        let path = params.folder.join(name);
        fs::write(&path, page).map_err(|error| system(&path, &error))?;
    }
    Ok(Exit::Ok)
}

pub(super) fn reference() -> Result<Exit, ApiError> {
    super::print(page(&cli::command()).trim_end());
    Ok(Exit::Ok)
}
