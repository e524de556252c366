//! Many points: divided among jobs on several processors, and the sums.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use semring::segment::SegmentOptions;

use crate::fault::{FAULTS, Fault};
use crate::ledger::Ledger;
use crate::point::{Aim, Outcome};
use crate::subject::Subject;
use crate::sys::{self, End, Pid};
use crate::words::Words;

/// Messages of one producer that a point can have under way.
pub(crate) const WINDOW: u64 = 64;
/// Seconds that one point may take: longer than every limit within it.
const LIMIT: u32 = 60;
/// Failed points that are remembered.
const FAILURES: usize = 64;
const WORDS: usize = FAULTS + 3;

/// Sums of a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Points tried.
    pub points: u64,
    /// Points without a fault.
    pub survived: u64,
    /// Deliveries that were flagged as redelivered.
    pub flagged: u64,
    /// By [`Fault`].
    pub faults: [u64; FAULTS],
}

impl Tally {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Tally) {
        self.points += other.points;
        self.survived += other.survived;
        self.flagged += other.flagged;
        self.faults.iter_mut().zip(other.faults).for_each(|(sum, count)| *sum += count);
    }
}

/// One point of a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) case: usize,
    pub(crate) aim: Aim,
}

/// Shared by the jobs and who watches them: the next point, what each job is at, the sums, the failed points.
struct Scores {
    words: Words,
    cases: usize,
}

const NEXT: usize = 0;
const DONE: usize = 1;
const STOP: usize = 2;
const FAILED: usize = 3;
const FAILURES_AT: usize = 4;
const CURRENT_AT: usize = FAILURES_AT + FAILURES;
const JOBS: usize = 64;
const TALLIES_AT: usize = CURRENT_AT + JOBS;

impl Scores {
    fn new(cases: usize) -> semring::Result<Self> {
        Ok(Self { words: Words::new(TALLIES_AT + cases * WORDS)?, cases })
    }

    fn word(&self, i: usize) -> &AtomicU64 {
        self.words.at(i)
    }

    fn add(&self, index: u64, case: usize, outcome: &Outcome) {
        let faults = &outcome.faults;
        let at = TALLIES_AT + case * WORDS;
        self.word(at).fetch_add(u64::from(outcome.hit), SeqCst);
        self.word(at + 1).fetch_add(outcome.flagged, SeqCst);
        for (f, &count) in faults.iter().enumerate() {
            self.word(at + 3 + f).fetch_add(count, SeqCst);
        }
        if faults.iter().all(|&count| count == 0) {
            self.word(at + 2).fetch_add(u64::from(outcome.hit), SeqCst);
        } else {
            let nth = self.word(FAILED).fetch_add(1, SeqCst) as usize;
            if nth < FAILURES {
                self.word(FAILURES_AT + nth).store(index, SeqCst);
            }
        }
        self.word(DONE).fetch_add(1, SeqCst);
    }

    fn tally(&self, case: usize) -> Tally {
        let word = |i: usize| self.word(TALLIES_AT + case * WORDS + i).load(SeqCst);
        Tally {
            points: word(0),
            flagged: word(1),
            survived: word(2),
            faults: std::array::from_fn(|f| word(3 + f)),
        }
    }
}

/// What came of a plan.
pub(crate) struct Results {
    /// By case.
    pub(crate) tallies: Vec<Tally>,
    /// The first points that failed, by name.
    pub(crate) failures: Vec<String>,
}

/// What the names of a run's channels begin with. They are equally long, so that all victims do the same.
pub(crate) fn prefix(run: u32) -> String {
    format!("torture-{:08}-{run:02}-", std::process::id())
}

pub(crate) fn name(prefix: &str, index: u64) -> String {
    format!("{prefix}{index:08}")
}

/// Runs all points on `jobs` processors. `watch` hears now and then how many are done, and says whether to go on.
pub(crate) fn run(
    cases: &[Subject],
    points: &[Point],
    jobs: usize,
    run: u32,
    watch: &mut dyn FnMut(u64) -> bool,
) -> io::Result<Results> {
    let scores = Scores::new(cases.len()).map_err(io::Error::other)?;
    let jobs = jobs.clamp(1, JOBS);
    let prefix = prefix(run);
    let start = |job: usize| sys::fork(|| work(cases, points, &scores, job, &prefix));
    let mut running: Vec<(usize, Pid)> = Vec::new();
    for job in 0..jobs {
        running.push((job, start(job)?));
    }
    while !running.is_empty() {
        sys::pause(2_000);
        if !watch(scores.word(DONE).load(SeqCst)) {
            scores.word(STOP).store(1, SeqCst);
        }
        for i in (0..running.len()).rev() {
            let (job, pid) = running[i];
            let Some(end) = sys::has_ended(pid)? else { continue };
            running.swap_remove(i);
            if end != End::Exit(0) {
                blame(&scores, points, job, end, &prefix);
                running.push((job, start(job)?));
            }
        }
    }
    let failed = (scores.word(FAILED).load(SeqCst) as usize).min(FAILURES);
    let describe = |nth: usize| {
        let index = scores.word(FAILURES_AT + nth).load(SeqCst) as usize;
        points.get(index).map_or_else(String::new, |p| format!("{}: {}", cases[p.case].name(), p.aim))
    };
    Ok(Results {
        tallies: (0..scores.cases).map(|case| scores.tally(case)).collect(),
        failures: (0..failed).map(describe).collect(),
    })
}

/// A job has not come back from its point.
fn blame(scores: &Scores, points: &[Point], job: usize, end: End, prefix: &str) {
    let index = scores.word(CURRENT_AT + job).load(SeqCst);
    let mut faults = [0; FAULTS];
    let fault = if end == End::Signal(libc::SIGALRM) { Fault::Stuck } else { Fault::Failed };
    faults[fault as usize] = 1;
    if let Some(point) = points.get(index as usize) {
        eprintln!("{:?}: the job ended: {end:?}", point);
        scores.add(index, point.case, &Outcome { hit: true, faults, flagged: 0 });
    }
    let name = name(prefix, index);
    if let Ok(segment) = SegmentOptions::new().open(&*name) {
        let _ = segment.remove(); // what the job has left
    }
    if let Ok(set) = semring::sem::SetOptions::new(0).open(&*name) {
        let _ = set.remove(); // likewise
    }
}

/// A job: one point after the other.
fn work(cases: &[Subject], points: &[Point], scores: &Scores, job: usize, prefix: &str) -> i32 {
    sys::ignore_interrupts();
    sys::pin(job);
    let Ok(ledger) = Ledger::new(WINDOW) else { return 1 };
    while scores.word(STOP).load(SeqCst) == 0 {
        let index = scores.word(NEXT).fetch_add(1, SeqCst);
        let Some(point) = points.get(index as usize) else { break };
        scores.word(CURRENT_AT + job).store(index, SeqCst);
        sys::alarm(LIMIT);
        match certainly(&cases[point.case], point.aim, &ledger, &name(prefix, index)) {
            Ok(outcome) => scores.add(index, point.case, &outcome),
            Err(e) => {
                eprintln!("{}: {}: {e}", cases[point.case].name(), point.aim);
                let mut faults = ledger.faults();
                faults[Fault::Failed as usize] += 1;
                scores.add(index, point.case, &Outcome { hit: true, faults, flagged: 0 });
            }
        }
    }
    0
}

/// A point, by the quick way or on foot.
fn certainly(case: &Subject, aim: Aim, ledger: &Ledger, name: &str) -> io::Result<Outcome> {
    let outcome = case.run(aim, ledger, name.to_string())?;
    match aim.on_foot() {
        Some(aim) if !outcome.hit && outcome.faults == [0; FAULTS] => case.run(aim, ledger, name.to_string()),
        _ => Ok(outcome),
    }
}
