//! Ours and its rivals, side by side: every rival in each round, in alternation, between processes (or threads, for those
//! that can do no more), pinned to two processors, every payload written and read.
//!
//! `README.md` says how to run it and what is measured how.
#![cfg(target_os = "linux")]
#![allow(clippy::duplicate_mod)] // one rival is ours again, of another build of the library

mod cases;
mod clock;
mod compare;
mod ends;
mod goals;
mod memory;
mod message;
mod objects;
mod out;
mod plots;
mod report;
mod results;
mod rivals;
mod sample;
mod spec;
mod stage;
mod work;
mod worker;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use cases::{Case, Scale};
use results::Results;
use spec::Limit;

type Failure = Box<dyn std::error::Error>;

/// Measures semring beside what one would use instead.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    worker: Option<Worker>,
    /// Rounds; each takes one sample of everything
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Milliseconds of each sample
    #[arg(long, default_value_t = 300)]
    millis: u64,
    /// One round of short samples: does everything run?
    #[arg(long)]
    quick: bool,
    /// Up to 10^9 messages in the case that counts messages (default: 10^8)
    #[arg(long)]
    long: bool,
    /// Only cases whose id contains one of these words, such as round-trip, stream/64, many
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The producers' processor and the consumers' (default: the first two of different cores)
    #[arg(long, value_delimiter = ',', num_args = 2)]
    cpus: Option<Vec<usize>>,
    /// Also write table.md, samples.csv, samples.json and plots (*.svg) into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Compare with an earlier run (its --json or samples.json), and fail where ours has become slower
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// How many times slower is too slow, beyond what the rivals of the same case changed by
    #[arg(long, default_value_t = 1.25, requires = "compare")]
    threshold: f64,
    /// Print JSON, with every sample, instead of tables
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Worker {
    /// A process of a sample
    #[command(hide = true)]
    Worker { spec: String, role: String },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.worker {
        Some(Worker::Worker { spec, role }) => sample::work(spec, role),
        None => run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("side-by-side: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Failure> {
    objects::clean_up_when_interrupted()?;
    let cpus = cpus(args)?;
    // What is wrong with files is said before everything is measured.
    let before = args.compare.as_deref().map(compare::read).transpose()?;
    if let Some(dir) = &args.out {
        std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    }
    let scale = Scale {
        limit: Limit::Millis(if args.quick { 10 } else { args.millis }),
        most_messages: [10u64.pow(8), 10u64.pow(9), 10u64.pow(6)]
            [if args.quick { 2 } else { args.long.into() }],
    };
    let mut cases = cases::all(&scale);
    cases.retain(|case| args.only.is_empty() || args.only.iter().any(|word| case.id.contains(word.as_str())));
    let left_out = leave_out(&mut cases);
    let (results, failed) = measure(&mut cases, if args.quick { 1 } else { args.rounds.max(1) }, cpus);
    let goals = goals::all(&results, &cases);
    let json = report::json(&cases, &results, &goals, &left_out);
    let tables = report::markdown(&cases, &results, &goals, &left_out);
    if let Some(dir) = &args.out {
        out::write(dir, &tables, &json, &cases, &results)?;
    }
    if args.json {
        println!("{json}")
    } else {
        print!("{tables}")
    }
    if let Some(before) = before {
        compare::verdict(&before, &compare::figures(&json), args.threshold)?;
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} samples failed").into()) }
}

/// Takes out whoever cannot be measured here; who and why.
fn leave_out(cases: &mut [Case]) -> Vec<String> {
    let mut left_out = BTreeSet::new();
    for case in cases {
        case.entries.retain(|entry| {
            let missing = entry.spec.rival.missing();
            left_out.extend(missing.map(|why| format!("{}: {why}", entry.label)));
            missing.is_none()
        });
    }
    left_out.into_iter().collect()
}

fn measure(cases: &mut [Case], rounds: usize, cpus: [usize; 2]) -> (Results, usize) {
    let entries: usize = cases.iter().map(|case| case.entries.len()).sum();
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}");
    let bar = ProgressBar::new((entries * rounds) as u64).with_style(style.expect("a template that parses"));
    let mut results = Results::default();
    let mut failed = 0;
    for round in 1..=rounds {
        for case in &mut *cases {
            // Another one begins each time, so that what changes slowly hits everybody alike.
            let count = case.entries.len();
            for i in 0..count {
                let entry = &mut case.entries[(i + round) % count];
                entry.spec.cpus = cpus;
                bar.set_message(format!("round {round}: {}, {}", case.title, entry.label));
                let sample = sample::take(&entry.spec).map_err(|e| bar.suspend(|| eprintln!("{e}")));
                failed += usize::from(sample.is_err());
                results.add(&case.id, &entry.label, sample.ok());
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    (results, failed)
}

/// Two processors that do not share a core.
fn cpus(args: &Args) -> Result<[usize; 2], Failure> {
    if let Some([producers, consumers]) = args.cpus.as_deref() {
        return Ok([*producers, *consumers]);
    }
    Ok(semring_cli::processors::of_two_cores()?.ok_or("two processors of different cores are needed")?)
}
