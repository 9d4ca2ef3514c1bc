//! D4, F11: after a run with planted markers the log holds no name, account, key, address or size, and the data folder nothing beyond
//! DESIGN §9. Each search is shown to find a planted leak.
use std::{fs, path::Path};

use waxwing_wire::{
    frame::Admission,
    keyserver::{ClaimName, DeviceRequest, FetchAccount, KeyserverReply, KeyserverRequest, LookedUp, Lookup},
};

use super::{
    people::{bound, client, connect, fetch, register, upload},
    server::{Process, Told},
};
use crate::people::Person;

/// A marker, in every form in which it might be written down.
struct Marker {
    name: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Marker {
    fn bytes(name: &'static str, bytes: &[u8]) -> Self {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let list = format!("{bytes:?}");
        let forms = [bytes.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes(), list.into_bytes()];
        Self { name, forms: forms.into() }
    }

    fn text(name: &'static str, text: &str) -> Self {
        Self { name, forms: vec![text.as_bytes().to_vec()] }
    }

    fn is_in(&self, content: &[u8]) -> bool {
        self.forms.iter().any(|form| content.windows(form.len()).any(|window| window == form))
    }
}

fn found<'m>(content: &[u8], markers: impl IntoIterator<Item = &'m Marker>) -> Vec<&'static str> {
    markers.into_iter().filter(|marker| marker.is_in(content)).map(|marker| marker.name).collect()
}

/// Everything in a folder's files, one after another.
fn content(folder: &Path) -> Vec<u8> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).flat_map(|path| fs::read(path).unwrap()).collect()
}

#[tokio::test]
async fn d4_the_log_names_nobody_and_the_folder_keeps_nothing_of_who_asked() {
    let folder = tempfile::tempdir().unwrap();
    let told = Told { log: Some("trace"), variables: &[("RUST_LOG", "trace")] };
    let server = Process::start_told(folder.path(), told);
    let (owner, stranger) = (client(), client());
    let (alice, name) = (Person::new(1), "alice-vole");
    let owners = connect(&owner, &server.address).await;
    let manifest = register(&alice, &owners).await;
    upload(&alice, &manifest, &owners, (7_000_001, 2)).await.unwrap();
    let claim = ClaimName { name: crate::people::name(name), admission: Admission::Owner };
    bound(&alice, &owners, &DeviceRequest::ClaimName(claim), Vec::new()).await.unwrap();
    // A stranger who asks for Alice, for somebody whom there is not, and for a name that nobody has.
    let strangers = connect(&stranger, &server.address).await;
    fetch(alice.id(), &strangers).await.unwrap();
    let bob = Person::new(2).id();
    assert!(strangers.request(KeyserverRequest::FetchAccount(FetchAccount { account: bob })).await.is_err());
    let absent = "nobody-vole";
    let lookup = KeyserverRequest::Lookup(Lookup { name: crate::people::name(absent) });
    let nobody = KeyserverReply::LookedUp(LookedUp { listing: None });
    assert_eq!(strangers.request(lookup).await, Ok(nobody));

    // Who asked, and for whom there is not, is nowhere.
    let nowhere = [
        Marker::bytes("who was asked for in vain", bob.as_bytes()),
        Marker::text("which name was asked for in vain", absent),
        Marker::text("the stranger's port", &format!(":{}", stranger.port().unwrap())),
        Marker::text("the owner's port", &format!(":{}", owner.port().unwrap())),
    ];
    assert_eq!(found(&content(folder.path()), &nowhere), <[&str; 0]>::default());
    let log = server.stop();
    let at_rest = content(folder.path());
    assert_eq!(found(&at_rest, &nowhere), <[&str; 0]>::default());
    // The search finds what a key server does keep (DESIGN §9).
    let kept = [Marker::bytes("account", alice.id().as_bytes()), Marker::text("name", name)];
    assert_eq!(found(&at_rest, &kept), ["account", "name"]);

    let in_log = [
        Marker::text("account", &alice.id().to_string()),
        Marker::text("address", "127.0.0.1"),
        Marker::text("prekey id", "7000002"),
    ];
    let leaks = found(log.as_bytes(), nowhere.iter().chain(&kept).chain(&in_log));
    assert!(leaks.is_empty(), "{leaks:?} in the log: {log}");
    assert!(log.contains("serving"), "it was the log that was searched: {log}");
    for marker in nowhere.iter().chain(&kept).chain(&in_log) {
        for form in &marker.forms {
            let planted = [log.as_bytes(), form, b" more"].concat();
            assert_eq!(found(&planted, [marker]), [marker.name], "a planted leak is found");
        }
    }
}
