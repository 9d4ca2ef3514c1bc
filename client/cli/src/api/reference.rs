//! The reference page and the man pages, from the table. Implements spec/22-client-api.md §22.2.
use std::{fmt::Write as _, io};

use clap::Command;

use super::{Code, Method};

/// A page of Markdown: every verb with its arguments, every error with its exit code.
#[must_use]
pub fn page(root: &Command) -> String {
    let mut out = String::from(HEAD);
    for command in leaves(root) {
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = write!(out, "\n### `{name}`\n\n{about}.\n");
        let words: Vec<_> = name.split(' ').skip(1).map(|word| word.replace('-', "_")).collect();
        if Method::ALL.iter().any(|entry| entry.name == words.join(".")) {
            let _ = write!(out, "\nMethod `{}`.\n", words.join("."));
        }
        arguments(&command, &mut out);
    }
    out.push_str("\n## Errors\n\n| code | name | exit code | what it means |\n|---|---|---|---|\n");
    for code in Code::ALL {
        let _ =
            writeln!(out, "| {} | `{}` | {} | {} |", code.number(), code.name(), code.exit().number(), code.meaning());
    }
    out
}

fn arguments(command: &Command, out: &mut String) {
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set() && !argument.is_global_set());
    let lines: Vec<String> = arguments
        .filter(|argument| !["help", "version"].contains(&argument.get_id().as_str()))
        .map(|argument| {
            let values = argument.get_value_names().unwrap_or_default();
            let value = values.first().map(ToString::to_string).unwrap_or_default();
            let takes = argument.get_action().takes_values();
            let name = match argument.get_long() {
                Some(long) if takes => format!("--{long} {value}"),
                Some(long) => format!("--{long}"),
                None => value,
            };
            format!(
                "| `{name}` | {} |",
                argument.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|")
            )
        })
        .collect();
    if !lines.is_empty() {
        let _ = write!(out, "\n| argument | |\n|---|---|\n{}\n", lines.join("\n"));
    }
}

/// Commands that have no verbs below them, or do something without one.
fn leaves(root: &Command) -> Vec<Command> {
    let mut root = root.clone();
    root.build();
    let mut found = Vec::new();
    descend(&root, &mut found);
    found
}

fn descend(command: &Command, found: &mut Vec<Command>) {
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        if !below.has_subcommands() || !below.is_subcommand_required_set() {
            found.push(below.clone());
        }
        descend(below, found);
    }
}

/// A page for every verb: file name and contents.
///
/// # Errors
/// The system's.
pub fn man_pages(root: &Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = root.clone();
    root.build();
    let mut pages = vec![man_page(&root, "waxwing")?];
    for command in leaves(&root) {
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).replace(' ', "-");
        pages.push(man_page(&command, &name)?);
    }
    Ok(pages)
}

fn man_page(command: &Command, name: &str) -> io::Result<(String, Vec<u8>)> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name).render(&mut page)?;
    Ok((format!("{name}.1"), page))
}

const HEAD: &str = "# Waxwing's verbs

Made by `waxwing reference` from the table that also makes the command line, the JSON-RPC methods (`waxwing rpc METHOD JSON`), the
OpenRPC document (`waxwing rpc --openrpc`) and the man pages (`waxwing man DIR`). Everywhere: `-p PROFILE` (a name, or a folder with
a slash), `--json` (the answer as it is specified), `--passphrase-file FILE`, `--log LEVEL`.

## Verbs
";
