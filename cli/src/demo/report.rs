//! What the demo says at the end: a table for people, or one JSON object.

use std::io::{self, Write};

use indicatif::HumanCount;
use serde_json::{Map, Value, json};

use super::plan::Plan;
use super::run::Outcome;

/// Results of the channel and, if it was asked for, of what it is compared with.
pub(super) struct Report<'a> {
    pub(super) plan: &'a Plan,
    /// The channel, in words.
    pub(super) channel: String,
    pub(super) outcome: &'a Outcome,
    pub(super) against: Option<(&'static str, &'a Outcome)>,
}

impl Outcome {
    pub(super) fn messages_per_second(&self) -> f64 {
        if self.elapsed_seconds > 0.0 { self.tally.received as f64 / self.elapsed_seconds } else { 0.0 }
    }

    fn megabytes_per_second(&self, plan: &Plan) -> f64 {
        self.messages_per_second() * plan.size as f64 / 1e6
    }

    /// p50, p99, p99.9 and the longest, in nanoseconds.
    fn latency_ns(&self) -> [u64; 4] {
        let at = |quantile| self.latency.value_at_quantile(quantile);
        [at(0.5), at(0.99), at(0.999), self.latency.max()]
    }

    /// What went wrong, a sentence each: nothing if every message arrived whole and once, and all workers lived.
    pub(super) fn complaints(&self, plan: &Plan) -> Vec<String> {
        let mut complaints = Vec::new();
        for worker in &self.killed {
            let signal = signal_hook::low_level::signal_name(worker.signal).unwrap_or("an unknown signal");
            let (role, index, pid) = (worker.role.name(), worker.index, worker.pid);
            complaints.push(format!("{role} {index} (process {pid}) was killed by {signal}"));
        }
        for worker in &self.failed {
            complaints.push(format!("{worker} failed"));
        }
        let tally = &self.tally;
        let counts = [
            (tally.lost, "lost"),
            (tally.duplicated, "duplicated"),
            (tally.torn, "torn"),
            (tally.disordered, "received out of order"),
            (
                tally.in_hand,
                "perhaps taken by killed consumers, which did not note them (with --ack they are redelivered)",
            ),
            (tally.left, "left in the channel, with no consumer to receive them"),
            (plan.messages - tally.sent, "not sent"),
        ];
        for (count, what) in counts {
            if count > 0 {
                complaints.push(format!("{} {what}", messages(count)));
            }
        }
        complaints
    }

    fn json(&self, plan: &Plan) -> Map<String, Value> {
        let tally = &self.tally;
        let [p50, p99, p999, max] = self.latency_ns();
        let value = json!({
            "sent": tally.sent,
            "received": tally.received,
            "lost": tally.lost,
            "duplicated": tally.duplicated,
            "redelivered": tally.redelivered,
            "torn": tally.torn,
            "out_of_order": tally.disordered,
            "left": tally.left,
            "in_hand": tally.in_hand,
            "messages_per_second": self.messages_per_second(),
            "megabytes_per_second": self.megabytes_per_second(plan),
            "latency_ns": { "p50": p50, "p99": p99, "p99.9": p999, "max": max, "samples": self.latency.len() },
            "cpu_seconds": self.cpu_seconds,
            "elapsed_seconds": self.elapsed_seconds,
            "killed_workers": self.killed,
            "failed_workers": self.failed,
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// The cells of this outcome's column.
    fn column(&self, plan: &Plan) -> Vec<String> {
        let tally = &self.tally;
        let count = |n: u64| HumanCount(n).to_string();
        let mut cells: Vec<String> =
            [tally.sent, tally.received, tally.lost, tally.duplicated, tally.redelivered, tally.torn]
                .map(count)
                .into();
        cells.push(count(self.messages_per_second().round() as u64));
        cells.push(format!("{:.1}", self.megabytes_per_second(plan)));
        cells.extend(self.latency_ns().map(|ns| format!("{} ns", count(ns))));
        cells.push(format!("{:.2} s", self.cpu_seconds));
        cells.push(format!("{:.3} s", self.elapsed_seconds));
        cells
    }
}

const ROWS: [&str; 14] = [
    "sent",
    "received",
    "lost",
    "duplicated",
    "redelivered",
    "torn",
    "messages/s",
    "MB/s",
    "latency p50",
    "        p99",
    "        p99.9",
    "        max",
    "CPU time",
    "elapsed",
];
/// The row that the ratio is of.
const RATE: usize = 6;

impl Report<'_> {
    fn ratio(&self) -> Option<f64> {
        let (_, against) = self.against.as_ref()?;
        Some(self.outcome.messages_per_second() / against.messages_per_second())
    }

    pub(super) fn write_json(&self, mut to: impl Write) -> io::Result<()> {
        let mut object = self.outcome.json(self.plan);
        if let Some((name, outcome)) = &self.against {
            let mut against = outcome.json(self.plan);
            against.insert("name".into(), json!(name));
            against.insert("ratio".into(), json!(self.ratio()));
            object.insert("against".into(), against.into());
        }
        writeln!(to, "{}", Value::Object(object))
    }

    pub(super) fn write_text(&self, mut to: impl Write) -> io::Result<()> {
        let Plan { producers, consumers, messages: count, size, .. } = self.plan;
        let (count, channel) = (messages(*count), &self.channel);
        writeln!(to, "{producers} -> {consumers} processes, {count} of {size} bytes, {channel}\n")?;
        let ours = self.outcome.column(self.plan);
        match &self.against {
            None => {
                for (row, ours) in ROWS.iter().zip(&ours) {
                    writeln!(to, "{row:<14}{ours:>18}")?;
                }
            }
            Some((name, outcome)) => {
                writeln!(to, "{:<14}{:>18}{name:>18}", "", "channel")?;
                for (index, (theirs, ours)) in outcome.column(self.plan).iter().zip(&ours).enumerate() {
                    let row = format!("{:<14}{ours:>18}{theirs:>18}", ROWS[index]);
                    match self.ratio() {
                        Some(ratio) if index == RATE => writeln!(to, "{row}   {ratio:.1} times as many")?,
                        _ => writeln!(to, "{row}")?,
                    }
                }
            }
        }
        let stride = self.plan.stride();
        if stride > 1 {
            writeln!(to, "\nLatency was measured on one message in {stride}.")?;
        }
        if self.outcome.complaints(self.plan).is_empty() {
            writeln!(to, "\nEvery message arrived once, whole and in its producer's order.")?;
        }
        Ok(())
    }
}

fn messages(count: u64) -> String {
    format!("{} message{}", HumanCount(count), if count == 1 { "" } else { "s" })
}
