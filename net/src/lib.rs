//! QUIC endpoints, TLS with pinned server keys, framed streams. The only crate that names quinn, rustls or aws-lc.
