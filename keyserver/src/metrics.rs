//! Counts and histograms for Prometheus. Implements spec/19-keyserver.md §19.9.
//!
//! Invariants: labels are kinds of requests, codes and kinds of keys, all from our own tables; nothing is by person.
use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use waxwing_net::Counts;

use crate::{server::Latencies, service::Counters};

/// Everything that is counted, in Prometheus' text format.
#[must_use]
pub fn text(counters: &Counters, latencies: &Latencies, counts: &Counts) -> String {
    let done = counters.done().map(|(kind, count)| (kind.name().to_owned(), count)).collect();
    let failed = counters.failed().filter(|(_, count)| *count > 0);
    let failed = failed.map(|(code, count)| (code.number().to_string(), count)).collect();
    let handed = counters.handed().map(|(what, count)| (what.name().to_owned(), count)).collect();
    let connections = [
        ("incoming", counts.incoming),
        ("retried", counts.retried),
        ("refused", counts.refused),
        ("failed_handshake", counts.failed_handshakes),
        ("connected", counts.connected),
        ("malformed", counts.malformed),
        ("unexpected", counts.unexpected),
        ("too_slow", counts.too_slow),
    ];
    let connections = connections.map(|(what, count)| (what.to_owned(), count)).to_vec();
    let mut registry = Registry::with_prefix("waxwing_keyserver");
    registry.register_collector(Box::new(Snapshot {
        families: [
            ("requests", "Requests answered without an error", "kind", done),
            ("errors", "Requests answered with an error", "code", failed),
            ("handed", "What was handed out in bundles", "what", handed),
            ("connections", "What became of connections", "what", connections),
        ],
        open: counts.open,
        took: latencies.buckets().collect(),
        took_sum: latencies.sum(),
    }));
    let mut out = String::new();
    // Writing to a string fails only if a metric does.
    if encode(&mut out, &registry).is_err() {
        tracing::error!("metrics cannot be written");
    }
    out
}

/// Name, help, label, and a count for each value of the label.
type Counted = (&'static str, &'static str, &'static str, Vec<(String, u64)>);

#[derive(Debug)]
struct Snapshot {
    families: [Counted; 4],
    open: u64,
    took: Vec<(f64, u64)>,
    took_sum: f64,
}

impl prometheus_client::collector::Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, label, counts) in &self.families {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (value, count) in counts {
                ConstCounter::new(*count).encode(family.encode_family(&[(*label, value.as_str())])?)?;
            }
        }
        let open = encoder.encode_descriptor("open_connections", "Connections now", None, MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(self.open).unwrap_or(i64::MAX)).encode(open)?;
        let mut took =
            encoder.encode_descriptor("request_seconds", "How long requests took", None, MetricType::Histogram)?;
        let count = self.took.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        took.encode_histogram::<[(&str, &str); 0]>(self.took_sum, count, &self.took, None)
    }
}
