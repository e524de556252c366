//! One point: the victim is killed, or stopped, after so many instructions; then everything is checked.

use std::io;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use semring::Error;

use crate::cases::{Case, Company, Op, Part};
use crate::checker::Doubt;
use crate::fault::{FAULTS, Fault};
use crate::ledger::Ledger;
use crate::message;
use crate::operations::{HARNESS, SECOND, VICTIM};
use crate::scene::{LIMIT, Scene};
use crate::sys;
use crate::tracer::{Event, Victim};

/// What is done to the victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// Killed after so many instructions.
    Kill(u64),
    /// Killed while it sleeps in the kernel.
    KillAsleep,
    /// Stopped after so many; goes on when the others have worked.
    Stop(u64),
    /// Killed after so many, and who recovers it after so many of its own.
    Twice(u64, u64),
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    /// Instructions that the victim (the recoverer, if there is one) was allowed.
    pub(crate) steps: u64,
    /// It came to the end of its operation before.
    pub(crate) at_end: bool,
    /// It slept on the way.
    pub(crate) slept: bool,
    pub(crate) faults: [u64; FAULTS],
    pub(crate) flagged: u64,
}

/// How far a victim came.
struct Reached {
    steps: u64,
    at_end: bool,
    slept: bool,
}

/// Runs one point of a case on a channel of this name.
pub(crate) fn run(case: &Case, aim: Aim, ledger: &Ledger, name: String) -> io::Result<Outcome> {
    let stops = matches!(aim, Aim::Stop(_));
    let mut scene = Scene::set(case, ledger, name, stops).map_err(io::Error::other)?;
    let mut victim = scene.start()?;
    let (reached, doubt) = match aim {
        Aim::Kill(steps) => {
            let reached = scene.approach(&mut victim, steps, false)?;
            (reached, scene.bury(victim))
        }
        Aim::KillAsleep => {
            let reached = scene.approach(&mut victim, u64::MAX, true)?;
            (reached, scene.bury(victim))
        }
        Aim::Stop(steps) => {
            let reached = scene.approach(&mut victim, steps, false)?;
            scene.work_meanwhile(&victim);
            scene.let_go(&mut victim)?;
            (reached, scene.bury(victim))
        }
        Aim::Twice(first, second) => {
            let resident = scene.resident()?;
            scene.approach(&mut victim, first, false)?;
            let doubt = scene.bury(victim);
            let mut recoverer = match resident {
                Some(recoverer) => recoverer,
                None => scene.newcomer(first ^ second)?,
            };
            let reached = scene.approach(&mut recoverer, second, false)?;
            recoverer.kill();
            ledger.bury(SECOND);
            (reached, doubt)
        }
    };
    scene.check(&doubt);
    let Reached { steps, at_end, slept } = reached;
    Ok(Outcome { steps, at_end, slept, faults: ledger.faults(), flagged: ledger.flagged() })
}

impl Scene<'_> {
    /// Steps the victim; `asleep`: until it sleeps in the kernel, else it is helped on when it does.
    fn approach(&mut self, victim: &mut Victim, most: u64, asleep: bool) -> io::Result<Reached> {
        let mut reached = Reached { steps: 0, at_end: false, slept: false };
        while reached.steps < most {
            let event = if self.case.op.blocks() {
                victim.begin_step()?;
                self.event(victim, &mut reached.slept, asleep)?
            } else {
                Some(victim.step()?)
            };
            match event {
                Some(Event::Step) => reached.steps += 1,
                Some(Event::Mark) => {
                    reached.at_end = true;
                    break;
                }
                Some(Event::Ended(end)) => return Err(io::Error::other(format!("a victim ended: {end:?}"))),
                None => break,
            }
        }
        Ok(reached)
    }

    /// What the victim does next; if it sleeps, it is helped on, or `None`.
    fn event(&mut self, victim: &mut Victim, slept: &mut bool, stay: bool) -> io::Result<Option<Event>> {
        let start = Instant::now();
        for round in 1_u64.. {
            if let Some(event) = victim.poll()? {
                return Ok(Some(event));
            }
            sys::give_way();
            if round % PATIENCE == 0 {
                if self.sleeps(victim.pid()) {
                    *slept = true;
                    if stay {
                        return Ok(None);
                    }
                    self.help();
                }
                if start.elapsed() > LIMIT {
                    self.ledger.fault(Fault::Stuck, 1);
                    break;
                }
                // Others may have to work on this processor before it can go on.
                sys::pause(10);
            }
        }
        Ok(None)
    }

    /// Kills the victim, unless it has ended by itself, and says what it leaves in doubt.
    fn bury(&self, victim: Victim) -> Doubt {
        let pid = victim.pid();
        let buffer = || sys::peek(pid, self.ledger.buffer().load(SeqCst), message::SIZE);
        let copied = (self.case.op == Op::RecvInto).then(buffer).flatten();
        victim.kill();
        let hand = self.ledger.bury(VICTIM);
        match copied {
            Some(bytes) => Doubt::Copied(message::read_start(&bytes)),
            None => Doubt::of(hand),
        }
    }

    /// The victim is stopped. The others work, held up only by what it really holds.
    fn work_meanwhile(&mut self, victim: &Victim) {
        match (self.case.company, self.case.op.part()) {
            (Company::Nobody, Part::Nobody) => self.try_opening(victim),
            (Company::Nobody, _) => self.try_ring(victim),
            _ => sys::pause(300),
        }
        self.no_false_death();
    }

    fn holds(&self, victim: &Victim) -> bool {
        self.status().is_some_and(|status| {
            status.lock_holder == Some(victim.pid())
                || status.participants.iter().any(|p| p.pid == victim.pid() && p.holds.is_some())
        })
    }

    fn try_opening(&mut self, victim: &Victim) {
        let options = self.options().lock_timeout(Duration::from_millis(1));
        match options.open_or_create(&*self.name) {
            Err(Error::LockBusy { holder }) if holder == victim.pid() => {}
            Err(e) => {
                eprintln!("{}: opening beside a stopped process: {e}", self.case.name());
                self.ledger.fault(Fault::Stuck, 1);
            }
            Ok(_) => {}
        }
    }

    fn try_ring(&mut self, victim: &Victim) {
        self.take_all(victim);
        let Some(producer) = &mut self.producer else { return };
        let (id, bytes) = self.ledger.begin(HARNESS);
        if producer.try_send_tagged(id.tag(), bytes.as_ref()).is_ok() {
            self.ledger.sent(id);
            self.take_all(victim);
        } else {
            self.ledger.aborted(id);
            // Without a consumer of ours, full is full.
            if self.consumer.is_some() && !self.holds(victim) {
                self.ledger.fault(Fault::Stuck, 1);
            }
        }
    }

    /// Receives until nothing is left that the victim does not hold.
    fn take_all(&mut self, victim: &Victim) {
        if self.consumer.is_none() {
            return;
        }
        let done = self.wait_until(|scene| {
            while scene.take_one() {}
            scene.status().is_none_or(|s| s.len == 0) || scene.holds(victim)
        });
        if !done {
            self.ledger.fault(Fault::Stuck, 1);
        }
    }

    /// Nobody was recovered but those that the harness killed.
    fn no_false_death(&self) {
        let dead = match self.case.op {
            Op::Recover => 2,
            Op::RegisterHeir | Op::RegisterOver => 1,
            _ => 0,
        };
        if self.status().is_some_and(|s| s.recoveries > dead) {
            self.ledger.fault(Fault::FalseDeath, 1);
        }
    }

    /// The stopped victim goes on, to the end of its operation and then to its own end.
    fn let_go(&mut self, victim: &mut Victim) -> io::Result<()> {
        let mut slept = false;
        for operation in [true, false] {
            victim.begin_run()?;
            match self.event(victim, &mut slept, false)? {
                Some(Event::Mark) if operation => self.no_false_death(),
                Some(Event::Ended(sys::End::Exit(0))) => break,
                Some(event) => {
                    eprintln!("{}: the victim that was stopped: {event:?}", self.case.name());
                    self.ledger.fault(Fault::Failed, 1);
                    break;
                }
                None => break,
            }
        }
        Ok(())
    }

    /// A recoverer that is there before the victim dies, where there is a place for it.
    fn resident(&self) -> io::Result<Option<Victim>> {
        let place = match self.case.kind {
            semring::Kind::Mpmc => self.case.op.part() != Part::Nobody,
            semring::Kind::Spsc => self.case.op.part() == Part::Producer && self.consumer.is_none(),
        };
        place.then(|| Victim::start(|| self.stage().recover())).transpose()
    }

    /// One that comes afterwards.
    fn newcomer(&self, choice: u64) -> io::Result<Victim> {
        let stage = self.stage();
        Victim::start(|| if choice % 3 == 0 { stage.succeed_producing() } else { stage.succeed() })
    }
}

/// Looks at a victim that has not answered before we ask whether it sleeps.
const PATIENCE: u64 = 30;
