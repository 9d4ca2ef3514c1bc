//! How bad it is.
use std::time::Duration;

/// Chances are in 1/65,536 for each occasion.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Milliseconds that a frame travels, least and most.
    pub latency: (u64, u64),
    /// A connection attempt fails.
    pub refused: u16,
    /// A frame breaks its connection: it and everything in flight is lost.
    pub broken: u16,
    /// A push arrives twice.
    pub doubled: u16,
    /// A push overtakes others.
    pub overtaken: u16,
    /// A device crashes after an output, or in the place of one.
    pub crash: u16,
    /// Somewhere between, so often in the mean, a relay is started anew.
    pub relay_restarts: Option<Duration>,
    /// So often in the mean, one device cannot reach one server for up to 20 seconds.
    pub partitions: Option<Duration>,
}

impl Weather {
    /// Nothing goes wrong.
    #[must_use]
    pub const fn calm() -> Self {
        Self {
            latency: (5, 40),
            refused: 0,
            broken: 0,
            doubled: 0,
            overtaken: 0,
            crash: 0,
            relay_restarts: None,
            partitions: None,
        }
    }

    /// Connections break.
    #[must_use]
    pub const fn lossy() -> Self {
        Self { latency: (5, 400), refused: 8_000, broken: 2_000, ..Self::calm() }
    }

    /// What arrives comes twice or in another order.
    #[must_use]
    pub const fn shuffled() -> Self {
        Self { doubled: 20_000, overtaken: 30_000, latency: (5, 800), ..Self::calm() }
    }

    /// Servers cannot be reached, or begin anew.
    #[must_use]
    pub const fn torn() -> Self {
        Self { relay_restarts: Some(Duration::from_secs(7)), partitions: Some(Duration::from_secs(4)), ..Self::calm() }
    }

    /// Devices crash.
    #[must_use]
    pub const fn crashing() -> Self {
        Self { crash: 1_500, ..Self::calm() }
    }

    /// Everything at once.
    #[must_use]
    pub const fn storm() -> Self {
        Self {
            latency: (5, 400),
            refused: 4_000,
            broken: 1_000,
            doubled: 8_000,
            overtaken: 8_000,
            crash: 500,
            relay_restarts: Some(Duration::from_secs(15)),
            partitions: Some(Duration::from_secs(10)),
        }
    }
}
