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
