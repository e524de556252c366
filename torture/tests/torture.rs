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
        failing_calls: u64::MAX,
        storm_kills: 200,
        storm_stops: 200,
        deaths: 1_500,
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
    let tried = Suite::ALL.map(|suite| report.sum(suite).points);
    let calls = if cfg!(target_arch = "x86_64") { 1_000 } else { 0 };
    let enough = tried.iter().zip([1_000, 400, 100, calls]).all(|(&tried, least)| tried >= least);
    let enough = enough && report.storms.len() == 5 && report.deaths.len() == 2;
    let tables = report.rows.iter().filter(|row| row.object == "table").count();
    let enough = enough && tables >= 30;
    println!("torture: {}", if report.is_well() && enough { "ok" } else { "FAILED" });
    if report.is_well() && enough { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
