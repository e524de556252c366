//! `semring torture`: the crash tests, on the user's own machine.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use semring::Kind;
use semring_torture::{Fault, Observer, Plan, Report, Tally};
use serde_json::{Map, Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::{Context, Failure};

/// Kill and stop channel users at every instruction, and account for every message
///
/// Processes of its own are stepped through each operation and killed, or stopped while others work, after so many
/// instructions; others recover them and are killed themselves; system calls fail in every way that they can; storms kill and stop at random under load. Afterwards
/// every message must be delivered as promised, everybody must go on, and nothing may be left. Needs no privileges, but
/// ptrace(2) of its own children. Exit status 0 only if all is well. Leaves nothing behind.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring torture                          some thousand of each, in a minute or two
  semring torture --seconds 600            as much as there is time for
  semring torture --full --report FILE     every instruction of every operation; takes an hour or so
  semring torture --only 'mpmc recv'       only these operations")]
pub(crate) struct Torture {
    /// As much as can be done in this time, roughly
    #[arg(long, conflicts_with = "full")]
    seconds: Option<u64>,

    /// Every instruction of every operation, 100,000 double kills, deaths and stops
    #[arg(long)]
    full: bool,

    /// Instructions at which an operation is killed
    #[arg(long, value_name = "NUMBER")]
    kill_points: Option<u64>,

    /// Instructions at which an operation is stopped, and continued when others have worked
    #[arg(long, value_name = "NUMBER")]
    stop_points: Option<u64>,

    /// Pairs of instructions at which a user and who recovers it are killed
    #[arg(long, value_name = "NUMBER")]
    double_kills: Option<u64>,

    /// System calls that fail, each in every way that it can
    #[arg(long, value_name = "NUMBER")]
    failing_calls: Option<u64>,

    /// Random deaths in storms
    #[arg(long, value_name = "NUMBER")]
    kills: Option<u64>,

    /// Random stops in storms
    #[arg(long, value_name = "NUMBER")]
    stops: Option<u64>,

    /// Deaths on one channel of each kind, one after the other
    #[arg(long, value_name = "NUMBER")]
    deaths: Option<u64>,

    /// Only operations that have this in their name; no storms
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,

    /// Processors to use [default: all]
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<usize>,

    /// Of everything random
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Write the tables as Markdown, too
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Torture {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let mut progress = Progress::new().context("cannot handle signals")?;
        let report = semring_torture::run(&self.plan(), &mut progress).map_err(Failure::new)?;
        progress.bar.finish_and_clear();
        if let Some(file) = &self.report {
            fs::write(file, report.markdown(&machine())).context("cannot write the report")?;
        }
        let text = if json { format!("{}\n", as_json(&report)) } else { report.summary() };
        io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::stdout(&error))?;
        if report.interrupted {
            return Err(Failure::signal(SIGINT));
        }
        if report.is_well() { Ok(()) } else { Err(Failure::new("not all is well, see the table")) }
    }

    fn plan(&self) -> Plan {
        let mut plan = match self.seconds {
            Some(seconds) => Plan::lasting(Duration::from_secs(seconds)),
            None if self.full => Plan::full(),
            None => Plan::default(),
        };
        for (wish, asked) in [
            (&mut plan.kill_points, self.kill_points),
            (&mut plan.stop_points, self.stop_points),
            (&mut plan.pairs, self.double_kills),
            (&mut plan.failing_calls, self.failing_calls),
            (&mut plan.storm_kills, self.kills),
            (&mut plan.storm_stops, self.stops),
            (&mut plan.deaths, self.deaths),
        ] {
            *wish = asked.unwrap_or(*wish);
        }
        plan.jobs = self.jobs.unwrap_or(plan.jobs);
        plan.seed = self.seed;
        plan.only.clone_from(&self.only);
        plan
    }
}

/// On standard error, if that is a terminal. No thread: the crash tests fork.
struct Progress {
    bar: ProgressBar,
    stopped: Arc<AtomicBool>,
}

impl Progress {
    fn new() -> io::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stopped))?;
        }
        Ok(Progress { bar: ProgressBar::new(0), stopped })
    }
}

impl Observer for Progress {
    fn begin(&mut self, part: &str, steps: u64) {
        let template = "{msg:20} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar.finish_and_clear();
        self.bar = ProgressBar::new(steps).with_style(style).with_message(part.to_string());
    }

    fn at(&mut self, steps: u64) -> bool {
        self.bar.set_position(steps);
        !self.stopped.load(Ordering::Relaxed)
    }
}

/// The machine's part of the record: kernel, processor, number of processors.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let processor = read("/proc/cpuinfo");
    let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let processor = processor.trim_start_matches([' ', '\t', ':']);
    // Its number without what a distributor or an administrator calls it.
    let kernel = kernel.trim().split(|c: char| c != '.' && !c.is_ascii_digit()).next().unwrap_or_default();
    format!("Linux {kernel}, {processors} x {processor}, version {}.", env!("CARGO_PKG_VERSION"))
}

fn tally_json(tally: &Tally) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, count) in [("points", tally.points), ("survived", tally.survived), ("flagged", tally.flagged)]
    {
        object.insert(name.into(), count.into());
    }
    for fault in Fault::ALL {
        object.insert(fault.name().replace(' ', "_"), tally.faults[fault as usize].into());
    }
    object
}

fn ring(kind: Kind) -> &'static str {
    if kind == Kind::Spsc { "spsc" } else { "mpmc" }
}

fn as_json(report: &Report) -> Value {
    let rows = report.rows.iter().map(|row| {
        let mut object = tally_json(&row.tally);
        object.insert("suite".into(), row.suite.name().into());
        object.insert("ring".into(), row.object.to_lowercase().into());
        object.insert("operation".into(), row.operation.into());
        Value::Object(object)
    });
    let storms = report.storms.iter().map(|(name, storm)| {
        let mut object = tally_json(&storm.tally);
        object.insert("ring".into(), name.to_lowercase().into());
        for (name, count) in [
            ("kills", storm.kills),
            ("stops", storm.stops),
            ("sent", storm.sent),
            ("received", storm.received),
            ("recoveries", storm.recoveries),
            ("in_doubt", storm.doubtful),
        ] {
            object.insert(name.into(), count.into());
        }
        Value::Object(object)
    });
    let latencies = report.latencies.iter().map(|latency| {
        json!({
            "resident_mib": latency.resident_mib,
            "deaths": latency.deaths,
            "p50_ns": latency.p50_ns,
            "p99_ns": latency.p99_ns,
        })
    });
    let deaths = report.deaths.iter().map(|(kind, tally)| {
        let mut object = tally_json(tally);
        object.insert("ring".into(), ring(*kind).into());
        Value::Object(object)
    });
    json!({
        "well": report.is_well(),
        "instructions": report.instructions,
        "operations": rows.collect::<Vec<_>>(),
        "storms": storms.collect::<Vec<_>>(),
        "deaths": deaths.collect::<Vec<_>>(),
        "death_noticed": latencies.collect::<Vec<_>>(),
        "failures": report.failures,
        "elapsed_seconds": report.seconds,
    })
}
