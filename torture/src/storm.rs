//! One long-lived channel under load, whose producers and consumers are killed, stopped and replaced at random.
//!
//! Consumers lease, and note what they hold before they acknowledge it, so that nothing but a death within the
//! acknowledgement itself leaves a doubt. Between bursts of deaths nobody is killed until messages have moved.

use std::io;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use semring::{Channel, Kind, Producer, RecvError, WhenNoConsumer};

use crate::cases::options;
use crate::checker;
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::message;
use crate::operations::{HANG, HARNESS};
use crate::random::Random;
use crate::reader::Reader;
use crate::scene::LIMIT;
use crate::suite::Tally;
use crate::sys::{self, End, Pid};

/// Messages of one producer that may be under way: many more than the channel and all hands hold.
const WINDOW: u64 = 1 << 12;
const CAPACITY: u64 = 16;
const PARTICIPANTS: usize = 12;
/// Deaths and stops between two looks whether messages move.
const BURST: u64 = 200;
/// Messages that have to move then.
const MOVED: u64 = 100;
/// Longest time between two deaths, and of a stop, in microseconds.
const BETWEEN: u64 = 1_000;
const STOPPED: u64 = 2_000;

/// What a storm is to be like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) kind: Kind,
    pub(crate) kills: u64,
    pub(crate) stops: u64,
    pub(crate) seed: u64,
}

/// What came of a storm.
#[derive(Clone, Copy, Debug, Default)]
pub struct StormTally {
    /// Workers killed.
    pub kills: u64,
    /// Workers stopped for a while.
    pub stops: u64,
    /// Messages begun.
    pub sent: u64,
    /// Deliveries.
    pub received: u64,
    /// Messages whose consumer was killed within the acknowledgement: delivered, or delivered again.
    pub doubtful: u64,
    /// Dead participants recovered.
    pub recoveries: u64,
    /// The faults and the flagged deliveries.
    pub tally: Tally,
}

struct Worker {
    pid: Pid,
    consumes: bool,
    number: usize,
}

struct Storm<'a> {
    name: &'a str,
    ledger: &'a Ledger,
    channel: Channel,
    workers: Vec<Worker>,
    done: StormTally,
}

/// Runs a storm. `watch` hears of every death and stop, and says whether to go on.
pub(crate) fn run(weather: Weather, watch: &mut dyn FnMut(u64) -> bool) -> io::Result<StormTally> {
    let name = format!("torture-{}-storm-{}", std::process::id(), weather.seed);
    let ledger = Ledger::new(WINDOW).map_err(io::Error::other)?;
    let options = options()
        .kind(weather.kind)
        .capacity(CAPACITY)
        .message_size(message::SIZE as u64)
        .participants(PARTICIPANTS)
        .when_no_consumer(WhenNoConsumer::Wait);
    let channel = options.create(&*name).map_err(io::Error::other)?;
    let mut storm =
        Storm { name: &name, ledger: &ledger, channel, workers: Vec::new(), done: StormTally::default() };
    let result = storm.rage(weather, watch);
    storm.workers.drain(..).for_each(|worker| sys::kill_and_reap(worker.pid));
    storm.finish();
    result.map(|()| storm.done)
}

impl Storm<'_> {
    fn rage(&mut self, weather: Weather, watch: &mut dyn FnMut(u64) -> bool) -> io::Result<()> {
        let each = if weather.kind == Kind::Spsc { 1 } else { 3 };
        // Somebody who never leaves, so that the stream does not end with each last producer.
        let keeper = (weather.kind == Kind::Mpmc).then(|| self.channel.producer());
        let keeper = keeper.transpose().map_err(io::Error::other)?;
        for number in 1..=each {
            self.start(false, number)?;
            self.start(true, number)?;
        }
        let mut random = Random::new(weather.seed);
        let events = weather.kills + weather.stops;
        while self.done.kills + self.done.stops < events {
            let nth = self.done.kills + self.done.stops;
            if !watch(nth) || nth % BURST == BURST - 1 && !self.moves() {
                break;
            }
            sys::pause(random.below(BETWEEN));
            let kills = random.below(events - nth) < weather.kills - self.done.kills;
            let at = random.below(self.workers.len() as u64) as usize;
            if kills { self.replace(at)? } else { self.interrupt(at, &mut random) }
        }
        self.calm(keeper)
    }

    fn start(&mut self, consumes: bool, number: usize) -> io::Result<()> {
        let (name, ledger) = (self.name, self.ledger);
        let pid =
            sys::fork(
                || if consumes { consume(name, ledger, number) } else { produce(name, ledger, number) },
            )?;
        self.workers.push(Worker { pid, consumes, number });
        Ok(())
    }

    /// Kills a worker and starts another in its place.
    fn replace(&mut self, at: usize) -> io::Result<()> {
        let Worker { pid, consumes, number } = self.workers.swap_remove(at);
        if let Some(end) = sys::has_ended(pid)? {
            eprintln!("storm: a worker ended by itself: {end:?}");
            self.ledger.fault(Fault::Failed, 1);
        }
        sys::kill_and_reap(pid);
        if consumes {
            self.ledger.bury(number);
        }
        self.done.kills += 1;
        self.start(consumes, number)
    }

    /// Stops a worker for a while.
    fn interrupt(&mut self, at: usize, random: &mut Random) {
        let pid = self.workers[at].pid;
        sys::signal(pid, libc::SIGSTOP);
        sys::pause(random.below(STOPPED));
        sys::signal(pid, libc::SIGCONT);
        self.done.stops += 1;
    }

    fn wait_until(&self, mut condition: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        while !condition() {
            if start.elapsed() > LIMIT {
                return false;
            }
            sys::pause(100);
        }
        true
    }

    /// Do messages move, while nobody is killed?
    fn moves(&self) -> bool {
        let before = self.ledger.received();
        let moved = self.wait_until(|| self.ledger.received() >= before + MOVED);
        if !moved {
            self.stuck("no message moves");
        }
        moved
    }

    fn stuck(&self, what: &str) {
        eprintln!("storm: {what}: {:#?}", self.channel.status());
        self.ledger.fault(Fault::Stuck, 1);
    }

    /// Everybody ends: the producers, then the consumers, when they have received the rest.
    fn calm(&mut self, keeper: Option<Producer>) -> io::Result<()> {
        // A consumer that joined after the last producer had left would wait for the next.
        let all = self.workers.len() + usize::from(keeper.is_some());
        let here = |channel: &Channel| {
            channel.status().is_ok_and(|s| s.participants.iter().filter(|p| p.alive).count() >= all)
        };
        if !self.wait_until(|| here(&self.channel)) {
            self.stuck("not everybody could join");
        }
        let recoveries = self.channel.status().map_or(0, |status| status.recoveries);
        self.ledger.fault(Fault::FalseDeath, recoveries.saturating_sub(self.done.kills));
        self.done.recoveries = recoveries;
        self.ledger.go().store(1, SeqCst);
        drop(keeper);
        let start = Instant::now();
        while let Some(worker) = self.workers.last() {
            match sys::has_ended(worker.pid)? {
                None if start.elapsed() > 2 * LIMIT => {
                    self.stuck("somebody does not end");
                    return Ok(());
                }
                None => {
                    sys::pause(100);
                    continue;
                }
                Some(End::Exit(0)) => {}
                Some(end) => {
                    eprintln!("storm: a worker ended: {end:?}");
                    self.ledger.fault(Fault::Failed, 1);
                }
            }
            self.workers.pop();
        }
        Ok(())
    }

    /// What the last ones gave back when the others were gone; then the accounts.
    fn finish(&mut self) {
        let ledger = self.ledger;
        if let Ok(mut consumer) = self.channel.consumer() {
            let mut reader = Reader::new(ledger, HARNESS);
            let empty = self.wait_until(|| {
                while let Ok(lease) = consumer.try_lease() {
                    reader.acknowledge(lease);
                }
                self.channel.status().is_ok_and(|s| s.len == 0 && s.participants.iter().all(|p| p.alive))
            });
            if !empty {
                self.stuck("something is left");
            }
        }
        ledger.fault(Fault::Lost, ledger.missing().len() as u64);
        if !checker::is_idle(&self.channel) {
            eprintln!("storm: left behind: {:?}", self.channel.status());
            ledger.fault(Fault::Leaked, 1);
        }
        if self.channel.clone().remove().is_err() {
            ledger.fault(Fault::Failed, 1);
        }
        let faults = ledger.faults();
        let faulty = faults.iter().any(|&count| count > 0);
        let points = self.done.kills + self.done.stops;
        self.done.sent = (0..crate::ledger::PRODUCERS).map(|p| ledger.begun(p)).sum();
        self.done.received = ledger.received();
        self.done.doubtful = ledger.doubtful();
        let survived = if faulty { 0 } else { points };
        self.done.tally = Tally { points, survived, flagged: ledger.flagged(), faults };
    }
}

fn produce(name: &str, ledger: &Ledger, number: usize) -> i32 {
    let mut producer = match options().existing().producer(name) {
        Ok(producer) => producer,
        Err(e) => return complain("a producer cannot join", &e),
    };
    for turn in 0_u64.. {
        if ledger.go().load(SeqCst) != 0 {
            break;
        }
        if turn % 64 == 0 {
            sys::alarm(HANG);
        }
        let done = match turn % 5 {
            0 => {
                let batch = [0; 3].map(|_| ledger.begin(number));
                let (ids, bytes): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
                producer.send_batch(&bytes).map(|()| ids.into_iter().for_each(|id| ledger.sent(id))).is_ok()
            }
            1 => {
                let (id, bytes) = ledger.begin(number);
                ledger.aborted(id);
                producer.reserve(64).is_ok_and(|mut grant| grant.write(0, bytes.as_ref()).is_ok())
            }
            _ => {
                let (id, bytes) = ledger.begin(number);
                producer.send_tagged(id.tag(), bytes.as_ref()).map(|()| ledger.sent(id)).is_ok()
            }
        };
        if !done {
            return 1;
        }
    }
    0
}

fn consume(name: &str, ledger: &Ledger, number: usize) -> i32 {
    let mut consumer = match options().existing().consumer(name) {
        Ok(consumer) => consumer,
        Err(e) => return complain("a consumer cannot join", &e),
    };
    let mut reader = Reader::new(ledger, number);
    for turn in 0_u64.. {
        if turn % 64 == 0 {
            sys::alarm(HANG);
        }
        match consumer.lease() {
            Ok(lease) if turn % 97 == 96 => reader.give_back(lease),
            Ok(lease) => reader.acknowledge(lease),
            // The only producer was killed, and the next one is on its way.
            Err(RecvError::Disconnected) if ledger.go().load(SeqCst) == 0 => sys::pause(100),
            Err(RecvError::Disconnected) => break,
            Err(e) => return complain("a consumer", &e),
        }
    }
    0
}

fn complain(who: &str, error: &dyn std::fmt::Display) -> i32 {
    eprintln!("storm: {who}: {error}");
    1
}
