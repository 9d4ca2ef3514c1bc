//! Bound requests count up with the server, whatever becomes of them (spec §18.10.4).
use std::time::Duration;

use tokio::time::timeout;
use waxwing_net::{BoundError, ClientConfig, ListenerConfig, RequestError, Service, simulation::Network};
use waxwing_wire::{
    frame::{ErrorCode, ServerError},
    id::{AccountId, DeviceId, Generation},
    keys::DeviceKey,
    keyserver::{DeviceRequest, KeyserverReply, KeyserverRequest, Reply, Request},
    request::BoundRequestIn,
    signer::Signer,
};

use crate::world::{TRUST, client_on, control, listen_on};

/// The number inside, by trying: a bound request does not show it before it is verified, and verifying needs a manifest.
fn bytes_of(request: &Request) -> &[u8] {
    let KeyserverRequest::Bound(bound) = &request.body else { panic!() };
    BoundRequestIn::decode(&bound.request).unwrap();
    &bound.request
}

#[tokio::test(start_paused = true)]
async fn bound_requests_go_one_at_a_time_with_the_number_that_is_due() {
    let network = Network::new(1);
    let (listener, address) = listen_on(&network, ListenerConfig::new(Service::Keyserver));
    let client = client_on(&network, 1, ClientConfig::default());
    let connection = client.keyserver(&address, TRUST).await.unwrap();
    let mut there = listener.accept().await.unwrap();
    let mut stream = control(&mut there).await;
    let key = DeviceKey::from_seed(&[5; 32]);
    let signer = Signer {
        account: AccountId::from_bytes([6; 32]),
        generation: Generation(0),
        device: DeviceId::try_from(1).unwrap(),
    };
    let asked = DeviceRequest::PrekeyState;
    let expected = |number| {
        let exporter = there.exporter();
        key.sign_request(signer, &exporter, number, &asked.encode().unwrap()).unwrap().encode()
    };
    // What the server answers, and the number that the next request must have.
    let script: &[(Result<KeyserverReply, ServerError>, u32)] = &[
        (Ok(KeyserverReply::Done), 0),
        (Err(ErrorCode::NameTaken.into()), 1),
        (Err(ErrorCode::InvalidSignature.into()), 2),
        (Err(ErrorCode::Overloaded.into()), 2),
        (Ok(KeyserverReply::Done), 2),
        (Err(ErrorCode::StoreUnavailable.into()), 3),
        // It had counted that one: the client tries the next number by itself.
        (Err(ErrorCode::RequestReplayed.into()), 3),
        (Ok(KeyserverReply::Done), 4),
        // Nothing helps.
        (Err(ErrorCode::RequestReplayed.into()), 5),
        (Err(ErrorCode::RequestReplayed.into()), 6),
    ];
    let mut answers = script.iter();
    while let Some((answer, number)) = answers.next() {
        let serve = async {
            let mut last = (answer, number);
            loop {
                let request = Request::decode(&stream.reader.next().await.unwrap().unwrap()).unwrap();
                assert_eq!(bytes_of(&request), expected(*last.1), "number {}", last.1);
                let result = match last.0 {
                    Ok(_) => Ok(KeyserverReply::Done),
                    Err(error) => Err(*error),
                };
                stream.sender.send(&Reply { id: request.id, result }.encode().unwrap()).await.unwrap();
                match last.0 {
                    Err(error) if error.code == ErrorCode::RequestReplayed => match answers.next() {
                        Some((answer, number)) => last = (answer, number),
                        None => return last.0,
                    },
                    answer => return answer,
                }
            }
        };
        let (got, served) = tokio::join!(connection.bound(&key, signer, &asked, Vec::new()), async {
            timeout(Duration::from_secs(60), serve).await.unwrap()
        });
        match served {
            Ok(_) => assert_eq!(got, Ok(KeyserverReply::Done)),
            Err(error) => assert_eq!(got, Err(BoundError::Request(RequestError::Server(*error)))),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bound_request_whose_asker_left_still_counts() {
    let network = Network::new(1);
    let (listener, address) = listen_on(&network, ListenerConfig::new(Service::Keyserver));
    let client = client_on(&network, 1, ClientConfig::default());
    let connection = client.keyserver(&address, TRUST).await.unwrap();
    let mut there = listener.accept().await.unwrap();
    let mut stream = control(&mut there).await;
    let key = DeviceKey::from_seed(&[5; 32]);
    let signer = Signer {
        account: AccountId::from_bytes([6; 32]),
        generation: Generation(0),
        device: DeviceId::try_from(1).unwrap(),
    };
    let asked = DeviceRequest::PrekeyState;
    // It leaves while the answer is out.
    let left = timeout(Duration::from_secs(1), connection.bound(&key, signer, &asked, Vec::new())).await;
    assert!(left.is_err());
    let serving = async {
        for number in 0..2 {
            let request = Request::decode(&stream.reader.next().await.unwrap().unwrap()).unwrap();
            let expected = key.sign_request(signer, &there.exporter(), number, &asked.encode().unwrap()).unwrap();
            assert_eq!(bytes_of(&request), expected.encode(), "number {number}");
            let reply = Reply { id: request.id, result: Ok(KeyserverReply::Done) };
            stream.sender.send(&reply.encode().unwrap()).await.unwrap();
        }
    };
    let (second, ()) = tokio::join!(connection.bound(&key, signer, &asked, Vec::new()), serving);
    assert_eq!(second, Ok(KeyserverReply::Done));
}
