//! Counts for Prometheus. Implements spec/17-relay.md §17.16.
//!
//! Invariant: labels are kinds of requests and codes, all from our own tables; nothing is by mailbox, register or address.
use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use waxwing_net::Counts;
use waxwing_wire::time::Timestamp;

use crate::{
    service::Counters,
    store::{Commits, Stats},
};

/// What store and listener have counted.
#[derive(Clone, Debug)]
pub struct Counted {
    /// How much there is.
    pub stats: Stats,
    /// The store's transactions.
    pub commits: Commits,
    /// The listener's connections.
    pub connections: Counts,
}

/// Everything that is counted, in Prometheus' text format.
#[must_use]
pub fn text(counters: &Counters, counted: Counted, now: Timestamp) -> String {
    let Counted { stats, commits, connections: counts } = counted;
    let done = counters.done().map(|(kind, count)| (kind.name().to_owned(), count)).collect();
    let failed = counters.failed().filter(|(_, count)| *count > 0);
    let failed = failed.map(|(code, count)| (code.number().to_string(), count)).collect();
    let envelopes = [
        ("pushed", counters.pushed()),
        ("repeated", counters.repeated()),
        ("read_back", counters.read_back()),
        ("shown_again", stats.shown_again),
        ("expired", stats.expired),
        ("turned_away", stats.turned_away),
    ];
    let connections = [
        ("incoming", counts.incoming),
        ("retried", counts.retried),
        ("refused", counts.refused),
        ("too_often", counts.too_often),
        ("failed_handshake", counts.failed_handshakes),
        ("connected", counts.connected),
        ("malformed", counts.malformed),
        ("unexpected", counts.unexpected),
        ("too_slow", counts.too_slow),
    ];
    let limited = counters.limited().map(|(limit, count)| (limit.name().to_owned(), count)).collect();
    let named = |counts: &[(&str, u64)]| counts.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect();
    let Stats { mailboxes, envelopes: waiting, envelope_bytes, registers, blobs, blob_bytes, open_invitations, .. } =
        stats;
    let first_end = stats.first_end.map_or(0, |end| end.since(now).as_secs());
    let mut registry = Registry::with_prefix("waxwing_relay");
    registry.register_collector(Box::new(Snapshot {
        families: [
            ("requests", "Requests answered without an error", "kind", done),
            ("errors", "Requests and streams answered with an error", "code", failed),
            ("envelopes", "What became of envelopes", "what", named(&envelopes)),
            ("limited", "Envelopes that came too often, by whose bucket was empty", "whose", limited),
            ("connections", "What became of connections", "what", named(&connections)),
        ],
        gauges: [
            ("open_connections", "Connections now", counts.open),
            ("mailboxes", "Mailboxes", mailboxes),
            ("waiting_envelopes", "Envelopes that wait for an ack", waiting),
            ("waiting_bytes", "Bytes of envelopes that wait", envelope_bytes),
            ("forgetting_envelopes", "Acked or expired, and still on the disk", stats.forgetting),
            ("first_end_seconds", "Until the first envelope ends that waits; 0: none waits", first_end),
            ("registers", "Registers", registers),
            ("blobs", "Blobs", blobs),
            ("blob_bytes", "Bytes of blobs", blob_bytes),
            ("open_invitations", "Invitations that have not served", open_invitations),
        ],
        commits,
    }));
    let mut out = String::new();
    // Writing to a string fails only if a metric does.
    if encode(&mut out, &registry).is_err() {
        tracing::error!("metrics cannot be written");
    }
    out
}

/// Name, help, label, and a count for each value of the label.
type Family = (&'static str, &'static str, &'static str, Vec<(String, u64)>);

#[derive(Debug)]
struct Snapshot {
    families: [Family; 5],
    gauges: [(&'static str, &'static str, u64); 10],
    commits: Commits,
}

impl prometheus_client::collector::Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, label, counts) in &self.families {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (value, count) in counts {
                ConstCounter::new(*count).encode(family.encode_family(&[(*label, value.as_str())])?)?;
            }
        }
        for (name, help, value) in &self.gauges {
            let gauge = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(i64::try_from(*value).unwrap_or(i64::MAX)).encode(gauge)?;
        }
        let Commits { rows, rows_sum, seconds, seconds_sum } = &self.commits;
        let histograms = [
            ("commit_rows", "What transactions of the store wrote and deleted", rows, rows_sum),
            ("commit_seconds", "How long transactions of the store took, fsync included", seconds, seconds_sum),
        ];
        for (name, help, buckets, sum) in histograms {
            let mut histogram = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            let count = buckets.iter().fold(0_u64, |count, (_, more)| count.saturating_add(*more));
            histogram.encode_histogram::<[(&str, &str); 0]>(*sum, count, buckets, None)?;
        }
        Ok(())
    }
}
