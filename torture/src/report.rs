//! What came of it: sums, a table for people, Markdown for the record.

use std::fmt::Write;

use semring::Kind;

use crate::fault::Fault;
use crate::latency::Latency;
use crate::storm::StormTally;
use crate::suite::Tally;

/// Which way of dying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Killed at an instruction.
    Kill,
    /// Stopped at an instruction, and continued.
    Stop,
    /// Killed at an instruction, and its recoverer too.
    Twice,
    /// One of its system calls fails.
    Fail,
}

impl Suite {
    /// All of them.
    pub const ALL: [Suite; 4] = [Suite::Kill, Suite::Stop, Suite::Twice, Suite::Fail];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Kill => "kill points",
            Suite::Stop => "stop points",
            Suite::Twice => "double kills",
            Suite::Fail => "failing calls",
        }
    }
}

/// The sums of one operation.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What was done to it.
    pub suite: Suite,
    /// On what: "SPSC" and "MPMC" are rings of channels.
    pub object: &'static str,
    /// The operation.
    pub operation: &'static str,
    /// What came of it.
    pub tally: Tally,
}

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By suite, object and operation.
    pub rows: Vec<Row>,
    /// By object; one with deaths, one with stops alone.
    pub storms: Vec<(&'static str, StormTally)>,
    /// Deaths on one channel, by ring.
    pub deaths: Vec<(Kind, Tally)>,
    /// By memory of the dead.
    pub latencies: Vec<Latency>,
    /// The first failed points: the case, and how it died.
    pub failures: Vec<String>,
    /// Instructions of all operations together.
    pub instructions: u64,
    /// How long it took.
    pub seconds: f64,
    /// Somebody stopped it before its end.
    pub interrupted: bool,
}

pub(crate) fn kind_name(kind: Kind) -> &'static str {
    if kind == Kind::Spsc { "SPSC" } else { "MPMC" }
}

/// Columns after the names.
const HEAD: [&str; 13] = [
    "points",
    "survived",
    "flagged",
    "lost",
    "torn",
    "stuck",
    "leaked",
    "unflagged",
    "repeated",
    "ghosts",
    "disordered",
    "false deaths",
    "failed",
];

fn cells(tally: &Tally) -> [u64; 13] {
    let fault = |fault: Fault| tally.faults[fault as usize];
    let mut cells = [0; 13];
    [cells[0], cells[1], cells[2]] = [tally.points, tally.survived, tally.flagged];
    for (cell, kind) in cells[3..].iter_mut().zip(Fault::ALL) {
        *cell = fault(kind);
    }
    cells
}

impl Report {
    /// Everything is well: nothing lost, torn, stuck, leaked or otherwise wrong.
    pub fn is_well(&self) -> bool {
        let storms = self.storms.iter().map(|(_, storm)| &storm.tally);
        let deaths = self.deaths.iter().map(|(_, tally)| tally);
        let mut tallies = self.rows.iter().map(|row| &row.tally).chain(storms).chain(deaths);
        tallies.all(|tally| tally.faults.iter().all(|&count| count == 0))
    }

    /// The sum of a suite.
    pub fn sum(&self, suite: Suite) -> Tally {
        let mut sum = Tally::default();
        self.rows.iter().filter(|row| row.suite == suite).for_each(|row| sum.add(&row.tally));
        sum
    }

    /// One line for each suite and storm, its sums without the zeroes.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for suite in Suite::ALL {
            let sum = self.sum(suite);
            if sum.points > 0 {
                line(&mut text, suite.name(), &sum);
            }
        }
        for (object, storm) in &self.storms {
            let name = format!("{object} storm, {} kills, {} stops", storm.kills, storm.stops);
            line(&mut text, &name, &storm.tally);
        }
        for (kind, tally) in &self.deaths {
            line(&mut text, &format!("deaths on one {} channel", kind_name(*kind)), tally);
        }
        for latency in &self.latencies {
            let Latency { resident_mib, deaths, p50_ns, p99_ns } = latency;
            let (p50, p99) = (p50_ns / 1000, p99_ns / 1000);
            let _ = writeln!(
                text,
                "{:<36} p50 {p50} us, p99 {p99} us ({deaths} deaths)",
                format!("death noticed, {resident_mib} MiB resident")
            );
        }
        for failure in &self.failures {
            let _ = writeln!(text, "failed: {failure}");
        }
        text
    }

    /// The record, as Markdown. `machine` says where.
    pub fn markdown(&self, machine: &str) -> String {
        let mut text = format!(
            "# Crash results\n\nWritten by `semring torture`; do not edit. {machine}\n\n\
             All operations together have {} instructions between their begin and their end. It took {:.0} s.\n\n",
            self.instructions, self.seconds
        );
        for suite in Suite::ALL {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| row.suite == suite).collect();
            if rows.is_empty() {
                continue;
            }
            let _ = writeln!(text, "## {}\n", suite.name());
            let _ = writeln!(text, "| on | operation | {} |", HEAD.join(" | "));
            let _ = writeln!(text, "|---|---|{}", "---:|".repeat(HEAD.len()));
            for row in rows {
                row_of(&mut text, row.object, row.operation, &row.tally);
            }
            row_of(&mut text, "", "**sum**", &self.sum(suite));
            text.push('\n');
        }
        self.write_storms(&mut text);
        self.write_deaths(&mut text);
        self.write_latencies(&mut text);
        text
    }

    fn write_storms(&self, text: &mut String) {
        if self.storms.is_empty() {
            return;
        }
        let _ = writeln!(text, "## storms\n");
        let head = "| on | kills | stops | messages, changes | deliveries, readings | recoveries | in doubt";
        let _ = writeln!(text, "{head} | {} |", HEAD[2..].join(" | "));
        let _ = writeln!(text, "|---|{}", "---:|".repeat(6 + HEAD.len() - 2));
        for (object, storm) in &self.storms {
            let StormTally { kills, stops, sent, received, recoveries, doubtful, .. } = storm;
            let _ = write!(text, "| {object} | {kills} | {stops} | {sent} | {received} |");
            let _ = write!(text, " {recoveries} | {doubtful} |");
            end_row(text, &cells(&storm.tally)[2..]);
        }
        text.push('\n');
    }

    fn write_deaths(&self, text: &mut String) {
        if self.deaths.is_empty() {
            return;
        }
        let _ = writeln!(text, "## deaths on one channel\n");
        let _ = writeln!(text, "| ring | {} |", HEAD.join(" | "));
        let _ = writeln!(text, "|---|{}", "---:|".repeat(HEAD.len()));
        for (kind, tally) in &self.deaths {
            let _ = write!(text, "| {} |", kind_name(*kind));
            end_row(text, &cells(tally));
        }
        text.push('\n');
    }

    fn write_latencies(&self, text: &mut String) {
        if self.latencies.is_empty() {
            return;
        }
        let _ = writeln!(text, "## from a death to the return of a blocked survivor\n");
        let _ =
            writeln!(text, "| memory of the dead, MiB | deaths | p50, us | p99, us |\n|---:|---:|---:|---:|");
        for latency in &self.latencies {
            let Latency { resident_mib, deaths, p50_ns, p99_ns } = latency;
            let _ = writeln!(text, "| {resident_mib} | {deaths} | {} | {} |", p50_ns / 1000, p99_ns / 1000);
        }
    }
}

fn row_of(text: &mut String, object: &str, operation: &str, tally: &Tally) {
    let _ = write!(text, "| {object} | {operation} |");
    end_row(text, &cells(tally));
}

fn end_row(text: &mut String, cells: &[u64]) {
    for cell in cells {
        let _ = write!(text, " {cell} |");
    }
    text.push('\n');
}

fn line(text: &mut String, name: &str, tally: &Tally) {
    let _ = write!(text, "{name:<36} {:>8} tried, {:>8} survived", tally.points, tally.survived);
    for (&count, name) in cells(tally)[2..].iter().zip(&HEAD[2..]) {
        if count > 0 || matches!(*name, "lost" | "torn" | "stuck" | "leaked" | "unflagged") {
            let _ = write!(text, ", {name} {count}");
        }
    }
    text.push('\n');
}
