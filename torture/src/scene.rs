//! What surrounds the victim of one kill point: the channel, the harness's own handles, the company, the dead.

use std::io;
use std::time::{Duration, Instant};

use semring::sem::Set;
use semring::{Channel, Consumer, Error, Kind, Options, Producer, Status};

use crate::cases::{Case, Company, Op, Part};
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::operations::{HARNESS, Stage};
use crate::reader::Reader;
use crate::sys::{self, End, Pid};
use crate::tracer::Victim;

/// How long survivors may take before they count as stuck. Not a time that anything needs.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
const FIRST_LEASE: usize = 4;

/// Everything around one victim.
pub(crate) struct Scene<'a> {
    pub(crate) case: &'a Case,
    pub(crate) ledger: &'a Ledger,
    pub(crate) name: String,
    pub(crate) channel: Option<Channel>,
    pub(crate) producer: Option<Producer>,
    pub(crate) consumer: Option<Consumer>,
    peers: Vec<Pid>,
    /// The company looks again without being woken: for a victim that is stopped before it wakes them.
    pub(crate) rechecks: bool,
}

impl<'a> Scene<'a> {
    /// A channel as the case wants it. `stops`: the victim will be stopped instead of killed, and the harness itself tries
    /// whether others can work.
    pub(crate) fn set(
        case: &'a Case,
        ledger: &'a Ledger,
        name: String,
        stops: bool,
    ) -> semring::Result<Self> {
        ledger.clear();
        let mut scene = Scene {
            case,
            ledger,
            name,
            channel: None,
            producer: None,
            consumer: None,
            peers: Vec::new(),
            rechecks: false,
        };
        if case.op.creates() {
            return Ok(scene);
        }
        let channel = case.options().create(&*scene.name)?;
        let mut producer = channel.producer()?;
        for _ in 0..case.fill {
            let (id, bytes) = ledger.begin(HARNESS);
            if producer.send_tagged(id.tag(), bytes.as_ref()).is_ok() {
                ledger.sent(id);
            }
        }
        let part = case.op.part();
        let company = matches!(case.company, Company::Bystander | Company::Fellow);
        let probes = stops && case.company == Company::Nobody && !case.op.removes();
        let free = case.kind == Kind::Mpmc;
        if part == Part::Consumer && (case.op.blocks() || company || probes)
            || part == Part::Producer && probes && free
        {
            scene.producer = Some(producer);
        }
        if part == Part::Producer && (case.op.blocks() || probes) || part == Part::Consumer && probes && free
        {
            scene.consumer = Some(channel.consumer()?);
        }
        scene.channel = Some(channel);
        Ok(scene)
    }

    pub(crate) fn stage(&self) -> Stage<'_> {
        Stage { name: &self.name, case: self.case, ledger: self.ledger, rechecks: self.rechecks }
    }

    /// Starts the victim up to its first mark, with the dead and the company in the order in which the case needs them.
    pub(crate) fn set_out(&mut self) -> io::Result<Victim> {
        if matches!(self.case.op, Op::RegisterHeir | Op::RegisterOver) {
            self.kill_some()?;
        }
        let victim = Victim::start(|| self.stage().perform())?;
        if self.case.op == Op::Recover {
            self.kill_some()?;
        }
        if self.case.op == Op::TakeGift {
            self.give()?;
        }
        self.invite()?;
        Ok(victim)
    }

    /// A dead consumer with a message in hand, or a dead producer with a claimed slot.
    fn kill_some(&mut self) -> io::Result<()> {
        let stage = self.stage();
        if matches!(self.case.op, Op::RegisterHeir | Op::Recover) {
            let pid = sys::fork(|| stage.die_consuming())?;
            sys::wait(pid)?;
        }
        if matches!(self.case.op, Op::RegisterOver | Op::Recover) {
            let pid = sys::fork(|| stage.die_producing())?;
            sys::wait(pid)?;
        }
        Ok(())
    }

    /// The harness gives a message back, and stays.
    fn give(&mut self) -> io::Result<()> {
        let Some(channel) = &self.channel else { return Ok(()) };
        let mut consumer = match self.consumer.take() {
            Some(consumer) => consumer,
            None => channel.consumer().map_err(io::Error::other)?,
        };
        let lease = consumer.try_lease().map_err(io::Error::other)?;
        Reader::new(self.ledger, HARNESS).give_back(lease);
        self.consumer = Some(consumer);
        Ok(())
    }

    fn invite(&mut self) -> io::Result<()> {
        let stage = self.stage();
        let pid = match self.case.company {
            Company::Nobody => return Ok(()),
            Company::Sleeper if self.case.op.part() == Part::Consumer => sys::fork(|| stage.fill())?,
            Company::Sleeper | Company::Fellow => sys::fork(|| stage.drain(true))?,
            Company::Bystander => sys::fork(|| stage.drain(false))?,
        };
        self.peers.push(pid);
        self.wait_until(|scene| match scene.case.company {
            Company::Bystander => scene.index_of(pid).is_some(),
            _ => scene.sleeps(pid),
        });
        Ok(())
    }

    pub(crate) fn status(&self) -> Option<Status> {
        self.channel.as_ref().and_then(|channel| channel.status().ok())
    }

    fn index_of(&self, pid: Pid) -> Option<usize> {
        let status = self.status()?;
        status.participants.iter().find(|p| p.pid == pid && p.alive).map(|p| p.index)
    }

    /// Is this participant asleep in the kernel, waiting for its token?
    pub(crate) fn sleeps(&self, pid: Pid) -> bool {
        let (Some(status), Some(index)) = (self.status(), self.index_of(pid)) else { return false };
        let semaphore = FIRST_LEASE + status.limit + index;
        Set::from_id(status.semaphore_id).and_then(|set| set.waiting(semaphore)).is_ok_and(|n| n > 0)
    }

    /// Waits until it is so; false if that takes longer than anything may.
    pub(crate) fn wait_until(&mut self, mut condition: impl FnMut(&mut Self) -> bool) -> bool {
        let start = Instant::now();
        while !condition(self) {
            if start.elapsed() > LIMIT {
                return false;
            }
            sys::pause(20);
        }
        true
    }

    /// What lets a blocked victim go on.
    pub(crate) fn help(&mut self) {
        if let (Part::Consumer, Some(producer)) = (self.case.op.part(), &mut self.producer) {
            let (id, bytes) = self.ledger.begin(HARNESS);
            match producer.try_send_tagged(id.tag(), bytes.as_ref()) {
                Ok(()) => self.ledger.sent(id),
                Err(_) => self.ledger.aborted(id),
            }
        } else {
            self.take_one();
        }
    }

    /// Receives a message with the harness's own handle, if there is one of each.
    pub(crate) fn take_one(&mut self) -> bool {
        let Some(consumer) = &mut self.consumer else { return false };
        // The order across calls is checked by those who receive everything.
        let mut reader = Reader::new(self.ledger, HARNESS);
        consumer.try_lease().map(|lease| reader.acknowledge(lease)).is_ok()
    }

    /// Collects the peers that have ended; true if all have.
    pub(crate) fn peers_ended(&mut self) -> bool {
        let ledger = self.ledger;
        self.peers.retain(|&pid| match sys::has_ended(pid) {
            Ok(None) => true,
            Ok(Some(End::Exit(0))) => false,
            Ok(Some(End::Signal(libc::SIGALRM))) => {
                ledger.fault(Fault::Stuck, 1);
                false
            }
            Ok(Some(_)) | Err(_) => {
                ledger.fault(Fault::Failed, 1);
                false
            }
        });
        self.peers.is_empty()
    }

    /// Ends what is left of the company, after a fault.
    pub(crate) fn give_up(&mut self) {
        self.peers.drain(..).for_each(sys::kill_and_reap);
    }

    pub(crate) fn options(&self) -> Options {
        self.case.options()
    }

    /// Whether the channel that the case began with has been removed.
    pub(crate) fn is_removed(&self) -> bool {
        self.channel.as_ref().is_none_or(|channel| matches!(channel.status(), Err(Error::Removed)))
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}
