//! ARCHITECTURE.md's invariants, read from `cargo metadata` and `cargo tree` so that nobody has to remember them: which way the arrows
//! point, what the pure crates never contain, one version of each cryptographic crate, and allowed licences.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic is the report"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Package};

/// Workspace crate → the workspace crates it may depend on. A crate that is missing here fails the test.
const ARROWS: &[(&str, &[&str])] = &[
    ("waxwing-protocol", &[]),
    ("waxwing-wire", &[]),
    ("waxwing-net", &["waxwing-wire"]),
    ("waxwing-relay", &["waxwing-wire", "waxwing-net"]),
    ("waxwing-keyserver", &["waxwing-wire", "waxwing-net"]),
    ("waxwing-engine", &["waxwing-protocol", "waxwing-wire"]),
    ("waxwing-client", &["waxwing-engine", "waxwing-net", "waxwing-wire"]),
    ("waxwing", &["waxwing-client", "waxwing-relay", "waxwing-keyserver", "waxwing-net", "waxwing-wire"]),
];

/// May depend on everything; nothing may depend on it.
const TESTS: &str = "waxwing-tests";

/// Crates that take time, randomness and I/O as arguments.
const PURE: &[&str] = &["waxwing-protocol", "waxwing-wire", "waxwing-engine"];

/// What must not stand anywhere below a pure crate: runtimes, sockets, sources of randomness, anything that builds C.
/// (`rand` may: libcrux's traits name it, and without `getrandom` it has no source of its own.)
const IMPURE: &[&str] = &[
    "async-std",
    "aws-lc-rs",
    "aws-lc-sys",
    "cc",
    "getrandom",
    "mio",
    "openssl-sys",
    "quinn",
    "ring",
    "rustls",
    "socket2",
    "sqlx",
    "tokio",
];

/// Exceptions to one version per crate under the pure crates, each with its reason.
const TWO_VERSIONS: &[(&str, &str)] =
    &[("syn", "read by derive macros of two ages; it runs in the compiler, never in a program")];

/// Licences that a dependency of any kind may be under (SPDX).
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .other_options(vec!["--locked".into(), "--filter-platform".into(), "x86_64-unknown-linux-gnu".into()])
        .exec()
        .expect("cargo metadata runs")
}

/// Which dependencies of a package are meant.
#[derive(Clone, Copy)]
enum Edges {
    /// What its code is linked with.
    Normal,
    /// That, and what runs while it is built.
    NormalAndBuild,
}

/// (name, version) of everything below `package` with all of its features. `cargo metadata` would not do: it adds the
/// features that other packages and tests ask for.
fn below(package: &Package, edges: Edges) -> BTreeSet<(String, String)> {
    let edges = match edges {
        Edges::Normal => "normal",
        Edges::NormalAndBuild => "normal,build",
    };
    let output = Command::new(env!("CARGO"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["tree", "--locked", "--all-features", "--prefix", "none", "--format", "{p}"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--edges", edges, "--package", package.name.as_str()])
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let below: BTreeSet<_> = lines
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(" v")?;
            Some((name.to_owned(), rest.split(' ').next()?.to_owned()))
        })
        .filter(|(name, _)| name != package.name.as_str())
        .collect();
    assert!(!below.is_empty(), "{} has dependencies", package.name);
    below
}

fn reaches(package: &Package, name: &str) -> bool {
    below(package, Edges::NormalAndBuild).iter().any(|(dependency, _)| dependency == name)
}

#[test]
fn arrows_point_only_where_the_architecture_says() {
    let metadata = metadata();
    let members: BTreeSet<_> = metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    for package in metadata.workspace_packages() {
        if package.name.as_str() == TESTS {
            continue;
        }
        let allowed = ARROWS.iter().find(|(name, _)| *name == package.name.as_str()).map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_else(|| panic!("{} has no row in ARROWS", package.name));
        for dependency in &package.dependencies {
            let is_arrow = members.contains(&dependency.name) && dependency.kind != DependencyKind::Development;
            assert!(
                !is_arrow || allowed.contains(&dependency.name.as_str()),
                "{} must not depend on {}",
                package.name,
                dependency.name
            );
        }
        assert!(!reaches(package, TESTS), "{} depends on tests", package.name);
    }
}

#[test]
fn servers_cannot_name_a_session() {
    let metadata = metadata();
    for package in metadata.workspace_packages() {
        if ["waxwing-relay", "waxwing-keyserver"].contains(&package.name.as_str()) {
            assert!(!reaches(package, "waxwing-protocol"), "{} reaches waxwing-protocol", package.name);
        }
    }
}

#[test]
fn pure_crates_build_nothing_in_c_and_reach_no_runtime_clock_or_entropy() {
    let metadata = metadata();
    let links: BTreeSet<_> = metadata
        .packages
        .iter()
        .filter(|package| package.links.is_some())
        .map(|package| (package.name.to_string(), package.version.to_string()))
        .collect();
    for package in metadata.workspace_packages().iter().filter(|package| PURE.contains(&package.name.as_str())) {
        for (name, version) in below(package, Edges::Normal) {
            assert!(!IMPURE.contains(&name.as_str()), "{} reaches {name}", package.name);
            assert!(
                !links.contains(&(name.clone(), version)),
                "{} reaches {name}, which links a library",
                package.name
            );
        }
        assert!(!reaches(package, "cc"), "{} builds C", package.name);
    }
}

#[test]
fn pure_crates_have_one_version_of_each_dependency() {
    let metadata = metadata();
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata.workspace_packages().iter().filter(|package| PURE.contains(&package.name.as_str())) {
        for (name, version) in below(package, Edges::Normal) {
            versions.entry(name).or_default().insert(version);
        }
    }
    for (name, versions) in versions {
        let excepted = TWO_VERSIONS.iter().any(|(excepted, _)| *excepted == name);
        assert!(versions.len() == 1 || excepted, "{name} stands in several versions: {versions:?}");
    }
}

/// Files of a crate's own code.
fn sources(folder: &std::path::Path) -> Vec<(std::path::PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            found.push((path, text));
        }
    }
    found
}

fn sources_of(member: &str) -> Vec<(std::path::PathBuf, String)> {
    sources(&std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(member).join("src"))
}

/// Maps over what peers choose are hashed with a secret of the process (`SipHash`, the default), and nothing a peer sends meets a
/// regular expression, whose time it could choose.
#[test]
fn e11_no_hasher_without_a_secret_and_no_regular_expression() {
    for member in ["wire", "net", "relay", "keyserver", "client", "client/cli"] {
        for (path, text) in sources_of(member) {
            // What the ledger's maps have as keys is a keyed hash already (`Tag`, spec §17.3.5).
            let text = text.replace("BuildHasherDefault<TagHasher>", "").replace("hash::BuildHasherDefault", "");
            let text = text.replace("hash::{BuildHasherDefault, Hasher}", "");
            for word in ["BuildHasherDefault", "FxHash", "fnv::", "ahash", "DefaultHasher::new", "regex"] {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
        }
    }
}

#[test]
fn only_net_names_the_quic_and_tls_libraries() {
    for member in ["wire", "relay", "keyserver", "protocol", "client"] {
        for (path, text) in sources_of(member) {
            for word in ["quinn::", "rustls::", "aws_lc", "rcgen::", "webpki::"] {
                assert!(!text.contains(word), "{}: {word}", path.display());
            }
        }
    }
    let named = sources_of("net").iter().any(|(_, text)| text.contains("quinn::"));
    assert!(named, "the search finds what is there");
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let metadata = metadata();
    for package in &metadata.packages {
        let licence = package.license.clone().unwrap_or_else(|| panic!("{} states no licence", package.name));
        assert!(is_allowed(&licence), "{} {} is under {licence:?}", package.name, package.version);
    }
}

/// An SPDX expression of `AND`, `OR` (or the old `/`) and parentheses, which suffices for what crates declare.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
    expression.split(" AND ").all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

#[test]
fn the_licence_rule_refuses_copyleft() {
    assert!(is_allowed("MIT OR Apache-2.0") && is_allowed("MIT/Apache-2.0") && is_allowed("Unlicense OR MIT"));
    assert!(is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!is_allowed("AGPL-3.0-only") && !is_allowed("MIT AND GPL-3.0-only") && !is_allowed(""));
}

/// What is there for tests only is in nothing that people run.
#[test]
fn programs_are_built_without_what_simulates() {
    const FOR_TESTS: &[&str] = &["conformance", "simulation", "test-util"];
    let metadata = metadata();
    let mut seen = 0;
    for package in metadata.workspace_packages().into_iter().filter(|package| package.name.as_str() != TESTS) {
        for (feature, implied) in &package.features {
            let is_for_tests = FOR_TESTS.contains(&feature.as_str());
            seen += usize::from(is_for_tests);
            let names = |implied: &String| FOR_TESTS.iter().any(|name| implied.ends_with(name));
            assert!(is_for_tests || !implied.iter().any(names), "{}: {feature} implies {implied:?}", package.name);
        }
        for dependency in
            package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development)
        {
            let asked = dependency.features.iter().find(|feature| FOR_TESTS.contains(&feature.as_str()));
            assert!(asked.is_none(), "{} asks {} for {asked:?}", package.name, dependency.name);
        }
    }
    assert!(seen >= 3, "the search finds what is there");
}
