//! What was to be reached, and what was.

use serde::Serialize;

use crate::cases::Case;
use crate::memory;
use crate::results::Results;
use crate::spec::Rival;

/// A line of the table of goals.
#[derive(Serialize)]
pub struct Goal {
    pub what: String,
    pub goal: String,
    pub measured: Option<f64>,
    pub met: Option<bool>,
    /// Why it was not measured.
    pub note: &'static str,
}

/// How a measured figure compares.
#[derive(Clone, Copy)]
enum Rule {
    AtMost(f64),
    Below(f64),
    AtLeast(f64),
}

impl Rule {
    fn met(self, value: f64) -> bool {
        match self {
            Rule::AtMost(limit) => value <= limit,
            Rule::Below(limit) => value < limit,
            Rule::AtLeast(limit) => value >= limit,
        }
    }
}

fn goal(what: impl Into<String>, rule: Rule, unit: &str, measured: Option<f64>) -> Goal {
    let goal = match rule {
        Rule::AtMost(limit) => format!("at most {limit:.2} {unit}"),
        Rule::Below(limit) => format!("below {limit:.2} {unit}"),
        Rule::AtLeast(limit) => format!("at least {limit:.2} {unit}"),
    };
    Goal {
        what: what.into(),
        goal,
        measured,
        met: measured.map(|value| rule.met(value)),
        note: "not in this run",
    }
}

/// Nanoseconds a message that BBQ, the block-based bounded queue of ATC'22, needs in batches of 32 x 8 B: 1.8 to 3.7, as
/// given with the goals. No crate of it is published, so it cannot take part: a constant, from another run.
const BBQ: f64 = 3.7;
const BBQ_UNIT: &str = "ns a message (BBQ: 1.8 to 3.7, cited, not of this run)";

const SPSC: Rival = Rival::OursSpsc;
const MPMC: Rival = Rival::OursMpmc;

/// All goals, met or not.
pub fn all(results: &Results, cases: &[Case]) -> Vec<Goal> {
    let ratio =
        |case: &str, ours: Rival, rival: Rival| results.ratio((case, ours.label()), (case, rival.label()));
    let mut goals = Vec::new();
    for size in [8, 48] {
        let measured = ratio(&format!("round-trip/{size}"), SPSC, Rival::Bare);
        goals.push(goal(format!("SPSC round trip, {size} B"), Rule::AtMost(1.10), "x a bare line", measured));
    }
    for (rival, rule) in [
        (Rival::Rtrb, Rule::Below(1.0)),
        (Rival::Ringfire, Rule::Below(1.0)),
        (Rival::Iceoryx2, Rule::AtMost(0.25)),
    ] {
        let unit = format!("x {}", rival.label());
        goals.push(goal("SPSC round trip, 64 B", rule, &unit, ratio("round-trip/64", SPSC, rival)));
    }
    for size in [8, 64, 1024] {
        let measured = ratio(&format!("stream/{size}"), SPSC, Rival::Rtrb);
        goals.push(goal(
            format!("SPSC one at a time, {size} B"),
            Rule::AtMost(1.0),
            "x rtrb's time",
            measured,
        ));
    }
    let measured = ratio("batches/8", Rival::BulkSpsc, Rival::Rtrb);
    goals.push(goal("SPSC bulks of 32 x 8 B", Rule::AtMost(1.0), "x rtrb's chunks", measured));
    for (pairs, limit) in [(1, 0.8), (2, 0.9), (4, 0.9)] {
        let case = format!("many/{pairs}");
        // Against the better of the two: the worse of our ratios.
        let ratios = [Rival::ArrayQueue, Rival::CrossbeamChannel].map(|rival| ratio(&case, MPMC, rival));
        let measured = ratios.into_iter().flatten().reduce(f64::max);
        goals.push(goal(
            format!("MPMC {pairs}P{pairs}C, 8 B"),
            Rule::AtMost(limit),
            "x the better of crossbeam's two",
            measured,
        ));
    }
    let bulk = Rival::BulkMpmc.label();
    let measured = results.ratio(("batches/8", bulk), ("stream/8", MPMC.label()));
    goals.push(goal("MPMC bulks of 32 x 8 B", Rule::AtMost(0.25), "x one at a time", measured));
    let batched = results.median("batches/8", bulk, |sample| sample.nanos);
    goals.push(goal("MPMC bulks of 32 x 8 B", Rule::AtMost(BBQ), BBQ_UNIT, batched));
    goals.extend(throughput(results));
    for size in [64 << 10, 1 << 20] {
        let measured = ratio(&format!("in-place/{size}"), SPSC, Rival::Bare);
        let what = format!("large messages in place, {} KiB", size >> 10);
        goals.push(goal(what, Rule::AtMost(1.2), "x a bare hand-over", measured));
    }
    goals.extend(sleeping(results));
    for case in cases.iter().filter(|case| case.id.starts_with("price/")) {
        for (ours, without) in [(SPSC, Rival::UnsafeSpsc), (MPMC, Rival::UnsafeMpmc)] {
            let what = format!("{} ({})", case.title, ours.label());
            goals.push(goal(what, Rule::AtMost(1.15), "x the ring without", ratio(&case.id, ours, without)));
        }
    }
    goals.extend(flatness(results, cases));
    goals.extend(
        memory::goals()
            .into_iter()
            .map(|(what, rule, measured)| goal(what, Rule::AtMost(rule), "B", measured)),
    );
    let growth = cases.iter().find(|case| case.id == "messages").and_then(|case| {
        let longest = case.entries.last()?;
        results.median("messages", &longest.label, |sample| sample.growth as f64 / 1024.0)
    });
    goals.push(goal("growth of resident memory", Rule::AtMost(256.0), "KiB in the longest run", growth));
    goals
}

fn throughput(results: &Results) -> Vec<Goal> {
    let mut rivals: Vec<(Rival, f64)> = [
        Rival::Pipe,
        Rival::Fifo,
        Rival::Socket,
        Rival::PosixMq,
        Rival::SysvMq,
        Rival::Boost,
        Rival::IpcChannel,
    ]
    .map(|rival| (rival, 15.0))
    .into();
    rivals.extend([(Rival::Iceoryx2, 20.0), (Rival::Ringfire, 2.0)]);
    let goals = rivals.into_iter().map(|(rival, times)| {
        let measured = results.ratio(("stream/64", rival.label()), ("stream/64", SPSC.label()));
        let what = format!("SPSC throughput, 64 B, against {}", rival.label());
        goal(what, Rule::AtLeast(times), "x its throughput", measured)
    });
    goals.collect()
}

fn sleeping(results: &Results) -> Vec<Goal> {
    let mut goals = Vec::new();
    for ours in [SPSC, MPMC] {
        let cpu = results.median("idle", ours.label(), |sample| sample.cpu * 100.0);
        // What it costs to go to sleep once, over a second.
        goals.push(goal(format!("{}: a blocked receiver", ours.label()), Rule::AtMost(0.1), "% CPU", cpu));
        let wake = results.ratio(("wake", ours.label()), ("wake", Rival::Pipe.label()));
        goals.push(goal(format!("{}: wake-up", ours.label()), Rule::AtMost(1.0), "x a pipe's", wake));
        let sleeps = results.median("wake", ours.label(), |sample| sample.sleeps * 2.0);
        let what = format!("{}: a message and one 50 us later", ours.label());
        goals.push(goal(what, Rule::AtMost(1.1), "sleeps for the two", sleeps));
    }
    goals
}

fn flatness(results: &Results, cases: &[Case]) -> Vec<Goal> {
    let rows = [
        ("capacity/spsc", "SPSC: time by capacity, 2^10 to 2^20 slots", 1.5),
        ("capacity/mpmc", "MPMC: time by capacity, 2^10 to 2^20 slots", 1.5),
        ("messages", "SPSC: time by number of messages", 1.2),
        ("participants", "MPMC: time by participants, 2 to 64", 1.2),
    ];
    let goals = rows.map(|(id, what, limit)| {
        let case = cases.iter().find(|case| case.id == id);
        let spread = case.and_then(|case| results.spread(id, case.entries.iter().map(|e| e.label.as_str())));
        goal(what, Rule::AtMost(limit), "x, slowest to fastest", spread)
    });
    goals.into()
}

/// How many were met, of how many that were measured.
pub fn score(goals: &[Goal]) -> (usize, usize) {
    let measured = || goals.iter().filter_map(|goal| goal.met);
    (measured().filter(|met| *met).count(), measured().count())
}

#[cfg(test)]
mod tests {
    use super::Rule;
    use crate::results::median;

    #[test]
    fn rules_hold_at_their_limits() {
        assert!(Rule::AtMost(1.0).met(1.0) && !Rule::AtMost(1.0).met(1.01));
        assert!(!Rule::Below(1.0).met(1.0) && Rule::Below(1.0).met(0.99));
        assert!(Rule::AtLeast(2.0).met(2.0) && !Rule::AtLeast(2.0).met(1.99));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([].into_iter()), None);
    }
}
