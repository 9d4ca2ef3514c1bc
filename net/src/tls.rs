//! TLS on both sides. Implements spec/18-transport.md §18.2 and §18.3.
//!
//! Invariants: TLS 1.3 only; Ed25519 is the one signature algorithm; no early data on either side, whatever the other offers;
//! no name of a server is ever sent; a ticket store belongs to one client, one server key and one service.
use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SignatureScheme,
    client::{ClientSessionStore, Resumption, Tls12Resumption, WebPkiServerVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs},
    pki_types::CertificateDer,
    version::TLS13,
};
use waxwing_wire::{
    keys::ServerPublicKey,
    request::{EXPORTER_LABEL, Exporter},
};

use crate::{
    Clock, LeafNumber, Service,
    leaf::{self, Leaves},
};

/// Hybrid key agreement first, so that what is recorded today stays sealed; X25519 for whoever lacks it.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519],
        signature_verification_algorithms: ONLY_ED25519,
        ..aws_lc_rs::default_provider()
    })
}

/// A server's side.
pub(crate) fn server(leaves: Arc<Leaves>, service: Service, clock: &Clock) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_details(provider(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(leaves);
    config.alpn_protocols = vec![service.alpn().into()];
    // Keys of tickets are random and change every 6 hours; a ticket is good for at most two such periods.
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.send_tls13_tickets = 1;
    config.max_early_data_size = 0;
    Ok(config)
}

/// A client's side, for one server.
pub(crate) fn client(
    key: &ServerPublicKey,
    service: Service,
    clock: &Clock,
    tickets: Arc<dyn ClientSessionStore>,
) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.roots.push(leaf::anchor(key));
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&TLS13])?
        .with_webpki_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![service.alpn().into()];
    config.enable_sni = false;
    config.enable_early_data = false;
    config.resumption = Resumption::store(tickets).tls12_resumption(Tls12Resumption::Disabled);
    Ok(config)
}

/// What both ends export (spec §11.11.1); none if the connection is over.
pub(crate) fn exporter(connection: &quinn::Connection) -> Option<Exporter> {
    let mut bytes = [0; 32];
    connection.export_keying_material(&mut bytes, EXPORTER_LABEL.as_bytes(), &[]).ok()?;
    Some(Exporter::from_bytes(bytes))
}

/// The number of the certificate that the other side proved; none if it has none.
pub(crate) fn leaf_number(connection: &quinn::Connection) -> Option<LeafNumber> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    LeafNumber::of(chain.first()?)
}

const ONLY_ED25519: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[webpki::aws_lc_rs::ED25519],
    mapping: &[(SignatureScheme::ED25519, &[webpki::aws_lc_rs::ED25519])],
};

#[cfg(test)]
mod tests {
    use rustls::{
        NamedGroup,
        client::ClientSessionMemoryCache,
        pki_types::ServerName,
        quic::{ClientConnection, Connection, ServerConnection, Version},
    };
    use waxwing_wire::keys::ServerKey;

    use super::*;

    struct Side {
        server: Arc<ServerConfig>,
        client: ClientConfig,
    }

    fn sides() -> Side {
        let (key, clock) = (ServerKey::from_seed(&[1; 32]), Clock::system());
        let leaves = Arc::new(Leaves::new(&key, clock.clone()).unwrap());
        let tickets = Arc::new(ClientSessionMemoryCache::new(8));
        Side {
            server: Arc::new(server(leaves, Service::Relay, &clock).unwrap()),
            client: client(&key.public_key(), Service::Relay, &clock, tickets).unwrap(),
        }
    }

    /// Both ends after a handshake, and what the client would have had for early data.
    fn handshake(side: &Side) -> (Connection, Connection, bool) {
        let name = ServerName::try_from(leaf::SERVER_NAME).unwrap();
        let config = Arc::new(side.client.clone());
        let mut client: Connection = ClientConnection::new(config, Version::V1, name, vec![1]).unwrap().into();
        let mut server: Connection =
            ServerConnection::new(Arc::clone(&side.server), Version::V1, vec![2]).unwrap().into();
        let mut first = Vec::new();
        assert!(client.write_hs(&mut first).is_none());
        let early = client.zero_rtt_keys().is_some();
        server.read_hs(&first).unwrap();
        for _ in 0..8 {
            pass(&mut server, &mut client);
            pass(&mut client, &mut server);
        }
        assert!(!client.is_handshaking() && !server.is_handshaking());
        (client, server, early)
    }

    fn pass(from: &mut Connection, to: &mut Connection) {
        let mut bytes = Vec::new();
        from.write_hs(&mut bytes);
        if !bytes.is_empty() {
            to.read_hs(&bytes).unwrap();
        }
    }

    #[test]
    fn the_hybrid_group_is_agreed_on() {
        let (client, server, _) = handshake(&sides());
        for side in [client, server] {
            let group = side.negotiated_key_exchange_group().map(|group| group.name());
            assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
        }
    }

    #[test]
    fn a_client_without_the_hybrid_group_is_served_by_the_classical_one() {
        let mut side = sides();
        let provider = CryptoProvider { kx_groups: vec![aws_lc_rs::kx_group::X25519], ..(*provider()).clone() };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(RootCertStore {
                roots: vec![leaf::anchor(&ServerKey::from_seed(&[1; 32]).public_key())],
            })
            .with_no_client_auth();
        config.alpn_protocols = side.client.alpn_protocols.clone();
        side.client = config;
        let (client, ..) = handshake(&side);
        assert_eq!(client.negotiated_key_exchange_group().map(|group| group.name()), Some(NamedGroup::X25519));
    }

    #[test]
    fn e2_no_early_data_on_either_side_whatever_the_other_offers() {
        let mut side = sides();
        for round in 0..2 {
            let (_, _, early) = handshake(&side);
            assert!(!early, "round {round}");
        }
        // A client that wants it: the ticket does not allow it.
        side.client.enable_early_data = true;
        for round in 0..3 {
            let (_, _, early) = handshake(&side);
            assert!(!early, "an eager client, round {round}");
        }
        // A server that allows it: our client does not use it. (Its tickets carry state, or rustls would not allow it.)
        let mut side = sides();
        let mut eager = (*side.server).clone();
        eager.max_early_data_size = u32::MAX;
        eager.ticketer = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&eager.cert_resolver))
            .ticketer;
        side.server = Arc::new(eager);
        for round in 0..2 {
            let (_, _, early) = handshake(&side);
            assert!(!early, "an eager server, round {round}");
        }
        // And the test can tell: eager on both sides, the second connection has early data.
        side.client.enable_early_data = true;
        handshake(&side);
        assert!(handshake(&side).2);
    }

    #[test]
    fn no_name_of_a_server_is_sent() {
        let (_, server, _) = handshake(&sides());
        let Connection::Server(server) = server else { panic!() };
        assert_eq!(server.server_name(), None);
    }
}
