//! What is to be done, and doing it.

use std::time::{Duration, Instant};

use semring::Kind;

use crate::deaths;
use crate::failing;
use crate::fault::FAULTS;
use crate::latency::{self, Latency};
use crate::point::Aim;
use crate::random::Random;
use crate::report::{Report, Row, Suite, kind_name};
use crate::storm::{self, Weather};
use crate::subject::Subject;
use crate::suite::{self, Point, Results};
use crate::survey::Survey;
use crate::table;
use crate::tracer;

/// How much of everything, as wishes: a time limit may cut it short.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Instructions at which an operation is killed.
    pub kill_points: u64,
    /// Instructions at which one is stopped, and goes on later.
    pub stop_points: u64,
    /// Pairs of instructions: of a victim, and of who recovers it.
    pub pairs: u64,
    /// System calls that fail.
    pub failing_calls: u64,
    /// Random deaths in storms.
    pub storm_kills: u64,
    /// Random stops in storms.
    pub storm_stops: u64,
    /// Deaths on one channel of each kind, one after the other.
    pub deaths: u64,
    /// Deaths that are timed, for each amount of memory.
    pub timed_deaths: usize,
    /// Processors to use.
    pub jobs: usize,
    /// Of everything random.
    pub seed: u64,
    /// Only cases that have this in their name; storms and timing are left out unless it is empty.
    pub only: String,
    /// Step every case beforehand, also those that differ from another in their positions only.
    pub thorough: bool,
    /// Time for all of it.
    pub limit: Option<Duration>,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            kill_points: 6_000,
            stop_points: 3_000,
            pairs: 3_000,
            failing_calls: 3_000,
            storm_kills: 4_000,
            storm_stops: 4_000,
            deaths: 3_000,
            timed_deaths: 100,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            seed: 1,
            only: String::new(),
            thorough: false,
            limit: None,
        }
    }
}

impl Plan {
    /// Every instruction of every operation, and what a release is held to.
    pub fn full() -> Self {
        Plan {
            kill_points: u64::MAX,
            stop_points: 100_000,
            pairs: 110_000,
            failing_calls: u64::MAX,
            storm_kills: 100_000,
            storm_stops: 100_000,
            deaths: 100_000,
            timed_deaths: 1_000,
            thorough: true,
            ..Plan::default()
        }
    }

    /// As much of everything as there is time for.
    pub fn lasting(limit: Duration) -> Self {
        let much = u64::from(u32::MAX).min(limit.as_secs().max(1) * 300);
        Plan {
            kill_points: much,
            stop_points: much,
            pairs: much,
            failing_calls: much,
            storm_kills: much,
            storm_stops: much,
            deaths: much,
            limit: Some(limit),
            ..Plan::default()
        }
    }
}

/// Hears how it goes.
pub trait Observer {
    /// A part of so many steps begins.
    fn begin(&mut self, part: &str, steps: u64);
    /// So many are done; false if it is to stop.
    fn at(&mut self, steps: u64) -> bool;
}

/// Of hundred parts of the time.
const SURVEYS: u32 = 15;
const KILLS: u32 = 20;
const FAILURES: u32 = 5;
const STOPS: u32 = 15;
const PAIRS: u32 = 15;
const STORM: u32 = 5;

struct Running<'a> {
    plan: &'a Plan,
    observer: &'a mut dyn Observer,
    random: Random,
    report: Report,
    runs: u32,
}

/// Carries a plan out. The process must have one thread only, for it forks.
///
/// # Errors
/// In words, why it could not be done: faults are in the report.
pub fn run(plan: &Plan, observer: &mut dyn Observer) -> Result<Report, String> {
    let steps = plan.kill_points.max(plan.stop_points).max(plan.pairs) > 0;
    if steps || plan.failing_calls > 0 {
        tracer::check_allowed()?;
    }
    let start = Instant::now();
    let mut running =
        Running { plan, observer, random: Random::new(plan.seed), report: Report::default(), runs: 0 };
    if steps {
        running.suites().map_err(|e| e.to_string())?;
    }
    if plan.failing_calls > 0 {
        if tracer::CALLS_CAN_FAIL {
            running.failing_calls().map_err(|e| e.to_string())?;
        } else {
            eprintln!("failing calls: skipped, for how to make them fail is known for x86_64 only");
        }
    }
    if plan.only.is_empty() {
        running.storms().map_err(|e| e.to_string())?;
        running.deaths().map_err(|e| e.to_string())?;
        running.latency().map_err(|e| e.to_string())?;
    }
    running.report.seconds = start.elapsed().as_secs_f64();
    Ok(running.report)
}

impl Running<'_> {
    /// Runs a part within its share of the time.
    fn part<T>(
        &mut self,
        name: &str,
        steps: u64,
        share: u32,
        run: impl FnOnce(&mut dyn FnMut(u64) -> bool, &mut Random) -> std::io::Result<T>,
    ) -> std::io::Result<T> {
        let end = self.plan.limit.and_then(|limit| Instant::now().checked_add(limit * share / 100));
        self.observer.begin(name, steps);
        let observer = &mut *self.observer;
        let mut stopped = false;
        let result = run(
            &mut |done| {
                stopped |= !observer.at(done);
                !stopped && end.is_none_or(|end| Instant::now() < end)
            },
            &mut self.random,
        );
        self.report.interrupted |= stopped;
        result
    }

    fn suites(&mut self) -> std::io::Result<()> {
        let plan = self.plan;
        let survey =
            self.part("survey", 0, SURVEYS, |watch, _| Survey::new(&plan.only, plan.thorough, watch))?;
        self.report.instructions = survey.total();
        let points = survey.points(plan.kill_points, &mut self.random, Aim::Kill);
        self.suite(Suite::Kill, &survey.cases, &points, KILLS)?;
        let points = survey.points(plan.stop_points, &mut self.random, Aim::Stop);
        let points: Vec<Point> = points.into_iter().filter(|p| p.aim != Aim::KillAsleep).collect();
        self.suite(Suite::Stop, &survey.cases, &points, STOPS)?;
        let points = self.part("survey of recoverers", 0, SURVEYS, |watch, random| {
            if plan.pairs == 0 { Ok(Vec::new()) } else { survey.pairs(plan.pairs, random, watch) }
        })?;
        self.suite(Suite::Twice, &survey.cases, &points, PAIRS)
    }

    /// Every system call of every operation, in every way that it can fail.
    fn failing_calls(&mut self) -> std::io::Result<()> {
        let plan = self.plan;
        let (cases, points) = self.part("survey of calls", 0, FAILURES, |watch, random| {
            failing::points(&plan.only, plan.failing_calls, random, watch)
        })?;
        self.suite(Suite::Fail, &cases, &points, FAILURES)
    }

    fn suite(
        &mut self,
        suite: Suite,
        cases: &[Subject],
        points: &[Point],
        share: u32,
    ) -> std::io::Result<()> {
        self.runs += 1;
        let (jobs, run) = (self.plan.jobs, self.runs);
        let results: Results = self.part(suite.name(), points.len() as u64, share, |watch, _| {
            suite::run(cases, points, jobs, run, watch)
        })?;
        self.report.failures.extend(results.failures);
        for (case, tally) in cases.iter().zip(&results.tallies) {
            self.report.add(suite, case.object(), case.operation(), tally);
        }
        Ok(())
    }

    /// With deaths and with stops alone, for both kinds.
    fn storms(&mut self) -> std::io::Result<()> {
        let (kills, stops) = (self.plan.storm_kills, self.plan.storm_stops);
        for (n, kind) in [(0, Kind::Mpmc), (2, Kind::Spsc)] {
            let seed = self.plan.seed.wrapping_mul(8).wrapping_add(n);
            for weather in [
                Weather { kind, kills: kills / 2, stops: stops / 4, seed },
                Weather { kind, kills: 0, stops: stops / 4, seed: seed + 1 },
            ] {
                let events = weather.kills + weather.stops;
                if events == 0 || self.report.interrupted {
                    continue;
                }
                let storm = self.part("storm", events, STORM, |watch, _| storm::run(weather, watch))?;
                self.report.storms.push((kind_name(kind), storm));
            }
        }
        self.table_storm(kills / 2, stops / 2)
    }

    fn table_storm(&mut self, kills: u64, stops: u64) -> std::io::Result<()> {
        if kills + stops == 0 || self.report.interrupted {
            return Ok(());
        }
        let seed = self.plan.seed;
        let storm = self
            .part("storm", kills + stops, STORM, |watch, _| table::storm::run(kills, stops, seed, watch))?;
        self.report.storms.push(("table", storm));
        Ok(())
    }

    /// On a channel of each kind.
    fn deaths(&mut self) -> std::io::Result<()> {
        for kind in [Kind::Mpmc, Kind::Spsc] {
            let deaths = self.plan.deaths;
            if deaths == 0 || self.report.interrupted {
                continue;
            }
            let tally = self
                .part("deaths on one channel", deaths, STORM, |watch, _| deaths::run(kind, deaths, watch))?;
            self.report.deaths.push((kind, tally));
        }
        Ok(())
    }

    fn latency(&mut self) -> std::io::Result<()> {
        for (mib, rounds) in [(0, 1), (64, 4), (512, 20)] {
            let rounds = self.plan.timed_deaths / rounds;
            if rounds == 0 || self.report.interrupted {
                continue;
            }
            let latency: Latency =
                self.part("latency", rounds as u64, STORM, |_, _| latency::measure(mib, rounds))?;
            self.report.latencies.push(latency);
        }
        Ok(())
    }
}

impl Report {
    fn add(&mut self, suite: Suite, object: &'static str, operation: &'static str, tally: &suite::Tally) {
        let same = |row: &&mut Row| row.suite == suite && row.object == object && row.operation == operation;
        match self.rows.iter_mut().find(same) {
            Some(row) => row.tally.add(tally),
            None if tally.points > 0 || tally.faults != [0; FAULTS] => {
                self.rows.push(Row { suite, object, operation, tally: *tally });
            }
            None => {}
        }
    }
}
