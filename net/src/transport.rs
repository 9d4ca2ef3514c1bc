//! QUIC's parameters. Implements spec/18-transport.md §18.4.
use std::{sync::Arc, time::Duration};

use quinn::{IdleTimeout, TransportConfig, VarInt};

/// What the side that accepts connections allows. Idle memory follows the number of streams allowed, so there are few.
pub(crate) fn server() -> Arc<TransportConfig> {
    let mut config = common();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS))
        .stream_receive_window(VarInt::from_u32(SERVER_STREAM_WINDOW))
        .receive_window(VarInt::from_u32(SERVER_WINDOW))
        .send_window(SEND_WINDOW);
    Arc::new(config)
}

/// What the side that opens connections allows: servers open no streams.
pub(crate) fn client() -> Arc<TransportConfig> {
    let mut config = common();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(CLIENT_STREAM_WINDOW))
        .receive_window(VarInt::from_u32(CLIENT_WINDOW))
        .send_window(SEND_WINDOW)
        // Clients keep their connections alive; a server has no reason to wake a sleeping client's radio.
        .keep_alive_interval(Some(KEEP_ALIVE));
    Arc::new(config)
}

fn common() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MILLIS))))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        // The spin bit lets anybody on the path measure round trips.
        .allow_spin(false);
    config
}

/// Control, backlog, and a few blobs at once.
const STREAMS: u32 = 8;
const SERVER_STREAM_WINDOW: u32 = 256 * 1_024;
const SERVER_WINDOW: u32 = 1_024 * 1_024;
const CLIENT_STREAM_WINDOW: u32 = 1_024 * 1_024;
const CLIENT_WINDOW: u32 = 4 * 1_024 * 1_024;
const SEND_WINDOW: u64 = 1_024 * 1_024;
const IDLE_MILLIS: u32 = 30_000;
/// As late as a lost one can still be repeated before the server gives up, and before address translators forget (30 s and more): each
/// wakes the client twice, once for its answer.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(25);
