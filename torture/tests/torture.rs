//! A part of the crash tests, small enough for every `cargo test`: instructions of every operation, evenly spread.
//! `semring torture` does the same with larger numbers.

use std::process::ExitCode;

use semring_torture::{Observer, Plan, Suite, run};

/// Says which part begins, for whoever waits.
struct Parts;

impl Observer for Parts {
    fn begin(&mut self, part: &str, steps: u64) {
        println!("{part} ({steps})");
    }

    fn at(&mut self, _: u64) -> bool {
        true
    }
}

fn main() -> ExitCode {
    // Cargo passes what is meant for the standard harness: a filter, or `--list`.
    let mut arguments = std::env::args().skip(1);
    if arguments
        .any(|argument| argument == "--list" || !argument.starts_with('-') && !"torture".contains(&argument))
    {
        return ExitCode::SUCCESS;
    }
    let plan = Plan {
        kill_points: 1_500,
        stop_points: 600,
        pairs: 200,
        storm_kills: 200,
        storm_stops: 200,
        timed_deaths: 0,
        ..Plan::default()
    };
    let report = match run(&plan, &mut Parts) {
        Ok(report) => report,
        Err(e) => {
            println!("{e}");
            return ExitCode::FAILURE;
        }
    };
    println!("{}", report.summary());
    let tried = [Suite::Kill, Suite::Stop, Suite::Twice].map(|suite| report.sum(suite).points);
    let enough = tried[0] >= 1_000 && tried[1] >= 400 && tried[2] >= 100 && report.storms.len() == 4;
    println!("torture: {}", if report.is_well() && enough { "ok" } else { "FAILED" });
    if report.is_well() && enough { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
