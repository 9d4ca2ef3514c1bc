//! Devices and strangers that have `waxwing-wire` and `waxwing-net`, and nothing else.
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use waxwing_net::{BoundError, Client, ClientConfig, KeyserverConnection, RequestError, Trust};
use waxwing_wire::{
    address::ServerAddress,
    frame::Admission,
    id::AccountId,
    keyserver::{Bundle, DeviceRequest, FetchBundles, KeyserverReply, KeyserverRequest, UploadPrekeys},
    manifest::Manifest,
    prekey::{Prekey, PrekeyIn},
    time::Timestamp,
};

use crate::{
    asking::create,
    people::{Person, device_id},
};

pub(super) fn now() -> Timestamp {
    Timestamp::EPOCH.saturating_add(SystemTime::now().duration_since(UNIX_EPOCH).unwrap())
}

pub(super) fn client() -> Client {
    Client::new(ClientConfig { attempt: Duration::from_secs(30), ..ClientConfig::default() }).unwrap()
}

pub(super) async fn connect(client: &Client, address: &ServerAddress) -> KeyserverConnection {
    client.keyserver(address, Trust::Configured).await.unwrap()
}

/// Makes the account, with one device.
pub(super) async fn register(person: &Person, connection: &KeyserverConnection) -> Manifest {
    let first = person.first_at(0, now());
    assert_eq!(connection.request(create(person, &first, Admission::Open)).await, Ok(KeyserverReply::Done));
    first
}

/// What device 1 asks.
pub(super) async fn bound(
    person: &Person,
    connection: &KeyserverConnection,
    request: &DeviceRequest,
    prekeys: Vec<Vec<u8>>,
) -> Result<KeyserverReply, BoundError> {
    connection.bound(&person.device_key(0, 1), person.signer(0, 1), request, prekeys).await
}

/// Uploads so many one-time keys of each kind, with ids after `first_id`.
pub(super) async fn upload(
    person: &Person,
    manifest: &Manifest,
    connection: &KeyserverConnection,
    (first_id, one_time): (u32, u32),
) -> Result<KeyserverReply, BoundError> {
    let batch = person.batch(manifest, 1, first_id, one_time);
    let prekeys = batch.prekeys.iter().map(Prekey::encode).collect();
    bound(person, connection, &DeviceRequest::UploadPrekeys(UploadPrekeys { batch: batch.hash }), prekeys).await
}

/// Device 1's bundle, as a stranger gets it.
pub(super) async fn fetch(account: AccountId, connection: &KeyserverConnection) -> Result<Bundle, RequestError> {
    let request = KeyserverRequest::FetchBundles(FetchBundles::new(account, vec![device_id(1)]).unwrap());
    match connection.request(request).await? {
        KeyserverReply::Bundles(mut bundles) => {
            bundles.verify(&account, &[device_id(1)], now()).unwrap();
            Ok(bundles.bundles.remove(0))
        }
        other => panic!("{other:?}"),
    }
}

/// Which prekey this is.
pub(super) fn id_of(prekey: &[u8], manifest: &Manifest) -> u32 {
    PrekeyIn::decode(prekey).unwrap().verify(manifest).unwrap().facts().id
}
