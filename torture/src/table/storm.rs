//! One long-lived table under load, whose users are killed, stopped and replaced at random.
//!
//! A record counts the changes of each worker by itself, and a worker notes each change before and after it. So it is known of
//! every record what it must hold, also after a death: the change that was under way may have been made, or not.

use std::io;
use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use semring::TableOptions;

use crate::checker::clear_away;
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::random::Random;
use crate::storm::StormTally;
use crate::suite::{Tally, WINDOW};
use crate::sys::{self, Pid};
use crate::words::Words;

const WORKERS: usize = 4;
/// Keys that stay and count, and keys that come and go.
const COUNTS: Range<u64> = 0..6;
const GUESTS: Range<u64> = 6..10;
/// Longest time between two deaths, and of a stop, in microseconds.
const BETWEEN: u64 = 1_000;
const STOPPED: u64 = 2_000;
/// Longest time until every worker has changed something, in seconds.
const LIMIT: u64 = 10;
const TYPE: &str = "storm";

/// Changes of each worker, and a sum that tells whether it is whole.
type Counts = [u64; WORKERS + 1];
type Table = semring::Table<u64, Counts>;

fn seal(key: u64, counts: &mut Counts) {
    let sum = counts[..WORKERS].iter().fold(key, |sum, n| (sum ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    counts[WORKERS] = !sum;
}

fn is_whole(key: u64, counts: &Counts) -> bool {
    let mut sealed = *counts;
    seal(key, &mut sealed);
    sealed == *counts
}

fn fresh(key: u64) -> Counts {
    let mut counts = Counts::default();
    seal(key, &mut counts);
    counts
}

/// What the workers note, in memory that survives them.
struct Notes(Words);

impl Notes {
    fn new() -> semring::Result<Self> {
        Words::new(1 + 2 * WORKERS * COUNTS.end as usize).map(Self)
    }

    fn reads(&self) -> &AtomicU64 {
        self.0.at(0)
    }

    /// Changes of a record that a worker has begun, and those that it has done.
    fn of(&self, worker: usize, key: u64) -> (&AtomicU64, &AtomicU64) {
        let at = 1 + 2 * (worker * COUNTS.end as usize + key as usize);
        (self.0.at(at), self.0.at(at + 1))
    }
}

struct Storm<'a> {
    name: &'a str,
    ledger: &'a Ledger,
    notes: Notes,
    table: Table,
    workers: [Pid; WORKERS],
}

fn options() -> TableOptions {
    TableOptions::new().capacity(GUESTS.end)
}

/// Runs a storm. `watch` hears of every death and stop, and says whether to go on.
pub(crate) fn run(
    kills: u64,
    stops: u64,
    seed: u64,
    watch: &mut dyn FnMut(u64) -> bool,
) -> io::Result<StormTally> {
    let name = format!("torture-{}-table-storm", std::process::id());
    let ledger = Ledger::new(WINDOW).map_err(io::Error::other)?;
    let notes = Notes::new().map_err(io::Error::other)?;
    let table: Table = options().create(&*name, TYPE).map_err(io::Error::other)?;
    COUNTS
        .map(|key| table.insert(&key, &fresh(key)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(io::Error::other)?;
    let mut storm = Storm { name: &name, ledger: &ledger, notes, table, workers: [0; WORKERS] };
    let mut random = Random::new(seed);
    let mut done = StormTally::default();
    let result = storm.rage(kills, stops, &mut random, &mut done, watch);
    done.sent = (0..WORKERS)
        .map(|worker| COUNTS.map(|key| storm.notes.of(worker, key).1.load(SeqCst)).sum::<u64>())
        .sum();
    done.received = storm.notes.reads().load(SeqCst);
    if storm.table.destroy().is_err() {
        ledger.fault(Fault::Failed, 1);
    }
    clear_away(&name, &ledger);
    let faults = ledger.faults();
    let survived = if faults.iter().all(|&count| count == 0) { kills + stops } else { 0 };
    done.tally = Tally { points: done.kills + done.stops, survived, flagged: 0, faults };
    result.map(|()| done)
}

impl Storm<'_> {
    fn rage(
        &mut self,
        kills: u64,
        stops: u64,
        random: &mut Random,
        done: &mut StormTally,
        watch: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<()> {
        for worker in 0..WORKERS {
            self.start(worker, random)?;
        }
        for nth in 0..kills + stops {
            if !watch(nth) {
                break;
            }
            sys::pause(random.below(BETWEEN));
            let worker = random.below(WORKERS as u64) as usize;
            if random.below(kills + stops - nth) < kills - done.kills {
                self.kill(worker)?;
                done.kills += 1;
                self.start(worker, random)?;
            } else {
                sys::signal(self.workers[worker], libc::SIGSTOP);
                sys::pause(random.below(STOPPED));
                sys::signal(self.workers[worker], libc::SIGCONT);
                done.stops += 1;
            }
        }
        self.everybody_works();
        (0..WORKERS).try_for_each(|worker| self.kill(worker))
    }

    fn start(&mut self, worker: usize, random: &mut Random) -> io::Result<()> {
        let seed = random.below(u64::MAX);
        let storm = &*self;
        self.workers[worker] = sys::fork(|| storm.work(worker, Random::new(seed)))?;
        Ok(())
    }

    /// Kills a worker, and looks at what it has left: of each record the last change is made or not, all others are made.
    fn kill(&mut self, worker: usize) -> io::Result<()> {
        if let Some(end) = sys::has_ended(self.workers[worker])? {
            eprintln!("storm: a worker ended by itself: {end:?}");
            self.ledger.fault(Fault::Failed, 1);
        }
        sys::kill_and_reap(self.workers[worker]);
        for key in COUNTS {
            let (begun, done) = self.notes.of(worker, key);
            match self.table.get(&key) {
                Ok(Some(counts)) if is_whole(key, &counts) => {
                    let made = counts[worker];
                    if !(done.load(SeqCst)..=begun.load(SeqCst)).contains(&made) {
                        self.ledger.fault(Fault::Lost, 1);
                    }
                    begun.store(made, SeqCst);
                    done.store(made, SeqCst);
                }
                Ok(Some(_)) => self.ledger.fault(Fault::Torn, 1),
                _ => self.ledger.fault(Fault::Lost, 1),
            }
        }
        Ok(())
    }

    /// Whoever is left or new goes on, while nobody is killed.
    fn everybody_works(&self) {
        let changes =
            |worker: usize| COUNTS.map(|key| self.notes.of(worker, key).1.load(SeqCst)).sum::<u64>();
        let before: Vec<u64> = (0..WORKERS).map(changes).collect();
        let start = Instant::now();
        while (0..WORKERS).any(|worker| changes(worker) == before[worker]) {
            if start.elapsed().as_secs() > LIMIT {
                eprintln!("storm: somebody changes nothing any more");
                return self.ledger.fault(Fault::Stuck, 1);
            }
            sys::pause(100);
        }
    }

    /// A worker: changes, lets guests come and go, and reads everything, for ever.
    fn work(&self, worker: usize, mut random: Random) -> i32 {
        let Ok(table) = options().open::<u64, Counts>(self.name, TYPE) else { return 1 };
        loop {
            let done = match random.below(4) {
                0 | 1 => self.count(&table, worker, random.below(COUNTS.end)),
                2 => self.host(&table, GUESTS.start + random.below(GUESTS.end - GUESTS.start)),
                _ => self.read(&table),
            };
            if let Err(e) = done {
                eprintln!("storm: a worker: {e}");
                return 1;
            }
        }
    }

    fn count(&self, table: &Table, worker: usize, key: u64) -> semring::Result<()> {
        let (begun, done) = self.notes.of(worker, key);
        begun.fetch_add(1, SeqCst);
        let changed = table.update(&key, |counts| {
            counts[worker] += 1;
            seal(key, counts);
        })?;
        done.fetch_add(1, SeqCst);
        self.ledger.fault(Fault::Lost, u64::from(changed.is_none()));
        Ok(())
    }

    fn host(&self, table: &Table, key: u64) -> semring::Result<()> {
        if table.insert_if_absent(&key, &fresh(key))?.is_some() {
            table.remove(&key)?;
        }
        Ok(())
    }

    /// Those who stay are there once each, and all are whole.
    fn read(&self, table: &Table) -> semring::Result<()> {
        let mut met = [0; COUNTS.end as usize];
        for record in table.iter()? {
            let (key, counts) = record?;
            self.ledger.fault(Fault::Torn, u64::from(!is_whole(key, &counts)));
            met.iter_mut().skip(key as usize).take(1).for_each(|times| *times += 1);
        }
        self.ledger.fault(Fault::Lost, u64::from(met != [1; COUNTS.end as usize]));
        self.notes.reads().fetch_add(1, SeqCst);
        Ok(())
    }
}
