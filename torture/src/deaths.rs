//! One long-lived channel on which one process after the other registers and dies, with something in hand or without;
//! afterwards it must be as good as new.
//!
//! Nobody drains the wake semaphores of vacant indices, to which every death posts: they begin nearly full here, so that
//! few deaths show what a great many would.

use std::io;
use std::time::Instant;

use semring::sem::Set;
use semring::{Channel, Consumer, Kind, Producer, Status, WhenNoConsumer};

use crate::cases::options;
use crate::checker;
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::message;
use crate::operations::{DEAD, HANG, HARNESS};
use crate::reader::Reader;
use crate::scene::LIMIT;
use crate::suite::Tally;
use crate::sys::{self, End};

const WINDOW: u64 = 1 << 12;
const CAPACITY: u64 = 16;
const PARTICIPANTS: usize = 8;
/// Where a set has its leases, and how many tokens its wake semaphores have from the beginning.
const FIRST_LEASE: usize = 4;
const TOKENS: u16 = 31_000;

/// How a process dies.
#[derive(Clone, Copy, Debug)]
enum Death {
    Producing,
    Consuming,
    /// With a slot claimed.
    Reserving,
    /// With a message in hand.
    Holding,
}

/// Lets so many processes die on a channel of this kind. `watch` hears of each, and says whether to go on.
pub(crate) fn run(kind: Kind, deaths: u64, watch: &mut dyn FnMut(u64) -> bool) -> io::Result<Tally> {
    let ledger = Ledger::new(WINDOW).map_err(io::Error::other)?;
    let name = format!("torture-{}-deaths-{kind}", std::process::id());
    let options = options()
        .kind(kind)
        .capacity(CAPACITY)
        .message_size(message::SIZE as u64)
        .participants(PARTICIPANTS)
        .when_no_consumer(WhenNoConsumer::Wait);
    let channel = options.create(&*name).map_err(io::Error::other)?;
    let mut graveyard = Graveyard { name: &name, ledger: &ledger, channel };
    let result = graveyard.fill(deaths, watch);
    graveyard.check();
    let faults = ledger.faults();
    let survived = |points| if faults.iter().any(|&count| count > 0) { 0 } else { points };
    result.map(|points| Tally { points, survived: survived(points), flagged: ledger.flagged(), faults })
}

struct Graveyard<'a> {
    name: &'a str,
    ledger: &'a Ledger,
    channel: Channel,
}

impl Graveyard<'_> {
    fn fill(&mut self, deaths: u64, watch: &mut dyn FnMut(u64) -> bool) -> io::Result<u64> {
        self.crowd().map_err(io::Error::other)?;
        for nth in 0..deaths {
            if !watch(nth) {
                return Ok(nth);
            }
            let death = match nth % 4 {
                0 => Death::Producing,
                1 => Death::Consuming,
                2 => Death::Reserving,
                _ => Death::Holding,
            };
            if matches!(death, Death::Holding) {
                self.provide();
            }
            let pid = sys::fork(|| self.die(death, nth % 8 < 4))?;
            match sys::wait(pid)? {
                End::Exit(0) | End::Signal(libc::SIGKILL) => {}
                end => {
                    eprintln!("deaths: {death:?}, after {nth}: {end:?}");
                    self.ledger.fault(Fault::Failed, 1);
                    return Ok(nth);
                }
            }
            self.ledger.bury(DEAD);
        }
        Ok(deaths)
    }

    /// As after very many deaths.
    fn crowd(&self) -> semring::Result<()> {
        let status = self.channel.status()?;
        let set = Set::from_id(status.semaphore_id)?;
        (0..status.limit).try_for_each(|i| set.v_by(FIRST_LEASE + status.limit + i, TOKENS))
    }

    /// Sends a message, and takes what is there if there is no room.
    fn provide(&self) {
        let Ok(mut producer) = self.channel.producer() else { return self.ledger.fault(Fault::Leaked, 1) };
        let (id, bytes) = self.ledger.begin(HARNESS);
        self.ledger.sent(id);
        if producer.try_send_tagged(id.tag(), bytes.as_ref()).is_err() {
            self.ledger.aborted(id);
            self.empty();
        }
    }

    fn empty(&self) {
        let Ok(mut consumer) = self.channel.consumer() else { return self.ledger.fault(Fault::Leaked, 1) };
        let mut reader = Reader::new(self.ledger, HARNESS);
        while let Ok(lease) = consumer.try_lease() {
            reader.acknowledge(lease);
        }
    }

    /// A child's short life: `_exit` without leaving, or SIGKILL.
    fn die(&self, death: Death, killed: bool) -> i32 {
        sys::alarm(HANG);
        let options = options().existing().prefault(false);
        let register = || -> semring::Result<(Option<Producer>, Option<Consumer>)> {
            Ok(match death {
                Death::Producing | Death::Reserving => (Some(options.producer(self.name)?), None),
                Death::Consuming | Death::Holding => (None, Some(options.consumer(self.name)?)),
            })
        };
        let (mut producer, mut consumer) = match register() {
            Ok(both) => both,
            Err(e) => {
                eprintln!("deaths: cannot register: {e}");
                return 1;
            }
        };
        let grant = match (death, &mut producer) {
            (Death::Reserving, Some(producer)) => producer.try_reserve(8).ok(),
            _ => None,
        };
        let lease = match (death, &mut consumer) {
            (Death::Holding, Some(consumer)) => consumer.try_lease().ok(),
            _ => None,
        };
        if let Some(lease) = &lease {
            Reader::new(self.ledger, DEAD).hold(lease);
        }
        if killed {
            sys::signal(std::process::id() as sys::Pid, libc::SIGKILL);
        }
        // No destructor runs: neither guard nor handle is dropped before the process ends.
        std::mem::forget((grant, lease));
        std::mem::forget((producer, consumer));
        0
    }

    /// Everything was delivered, and everything works as on the first day.
    fn check(&mut self) {
        let start = Instant::now();
        let clean = |s: &Status| s.len == 0 && s.participants.is_empty();
        while !self.channel.status().is_ok_and(|status| clean(&status)) && start.elapsed() < LIMIT {
            self.empty();
        }
        self.ledger.fault(Fault::Lost, self.ledger.missing().len() as u64);
        if !checker::is_idle(&self.channel) {
            eprintln!("deaths: left behind: {:?}", self.channel.status());
            self.ledger.fault(Fault::Leaked, 1);
        }
        checker::works_as_new(&self.channel, self.ledger);
        if self.channel.clone().remove().is_err() {
            self.ledger.fault(Fault::Failed, 1);
        }
    }
}
