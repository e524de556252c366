//! A victim that uses a channel: how it is led through its sleep, what others do meanwhile, and how it ends.

use std::io;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use semring::Error;

use crate::cases::{CAPACITY, Case, Company, Op, Part};
use crate::checker::Doubt;
use crate::driver::Driver;
use crate::fault::Fault;
use crate::ledger::Ledger;
use crate::message;
use crate::operations::{HARNESS, SECOND, VICTIM};
use crate::point::{Aim, Label, Recoverer, Scenery};
use crate::scene::{LIMIT, Scene};
use crate::sys;
use crate::tracer::{Event, Victim};

impl Driver for Scene<'_> {
    fn next(&mut self, victim: &mut Victim, slept: &mut bool) -> io::Result<Event> {
        self.event(victim, slept, false)?.ok_or_else(|| io::Error::other("a victim is stuck"))
    }

    fn step(&mut self, victim: &mut Victim, slept: &mut bool) -> io::Result<Event> {
        if !self.case.op.blocks() {
            return victim.step();
        }
        victim.begin_step()?;
        self.next(victim, slept)
    }
}

impl<'a> Scenery<'a> for Scene<'a> {
    type Doubt = Doubt;

    fn ledger(&self) -> &'a Ledger {
        self.ledger
    }

    fn label(&self) -> Label {
        Label { name: self.name.clone(), case: self.case.name(), creates: self.case.op.creates() }
    }

    fn start(&mut self) -> io::Result<Victim> {
        self.set_out()
    }

    fn resident(&mut self, who: Recoverer) -> io::Result<Option<Victim>> {
        (who == Recoverer::Resident).then(|| Victim::start(|| self.stage().recover())).transpose()
    }

    fn newcomer(&self, who: Recoverer) -> io::Result<Victim> {
        let stage = self.stage();
        match who {
            Recoverer::Producer => Victim::start(|| stage.succeed_producing()),
            _ => Victim::start(|| stage.succeed()),
        }
    }

    fn lull(&mut self, victim: &mut Victim) -> io::Result<bool> {
        victim.begin_run()?;
        self.event(victim, &mut false, true).map(|event| event.is_none())
    }

    fn work_meanwhile(&mut self, victim: &Victim) {
        match (self.case.company, self.case.op.part()) {
            (Company::Nobody, Part::Nobody) => self.try_opening(victim),
            (Company::Nobody, _) => self.try_ring(victim),
            (Company::Sleeper | Company::Fellow, Part::Producer | Part::Consumer) if self.rechecks => {
                self.company_works(victim);
            }
            _ => sys::pause(300),
        }
        self.no_false_death();
    }

    fn let_go(&mut self, victim: &mut Victim) -> io::Result<()> {
        victim.begin_run()?;
        match self.event(victim, &mut false, false)? {
            Some(Event::Mark) => self.no_false_death(),
            event => {
                self.must_have_ended(event);
                return Ok(());
            }
        }
        self.let_end(victim)
    }

    fn let_end(&mut self, victim: &mut Victim) -> io::Result<()> {
        victim.begin_run()?;
        let event = self.event(victim, &mut false, false)?;
        self.must_have_ended(event);
        Ok(())
    }

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

    fn bury_recoverer(&self, recoverer: Victim) {
        recoverer.kill();
        self.ledger.bury(SECOND);
    }

    fn check(&mut self, doubt: &Doubt) {
        self.check_all(doubt);
    }
}

impl<'a> Scene<'a> {
    /// The scene of one point.
    pub(crate) fn of(case: &'a Case, aim: Aim, ledger: &'a Ledger, name: String) -> semring::Result<Self> {
        let mut scene = Scene::set(case, ledger, name, matches!(aim, Aim::Stop(_)))?;
        // Half of the stops are beside company that looks again, and must not wait for the victim; the other half is to
        // show that the victim still wakes it.
        scene.rechecks = matches!(aim, Aim::Stop(route) if route.steps % 2 == 0);
        Ok(scene)
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

    fn holds(&self, victim: &Victim) -> bool {
        self.status().is_some_and(|status| {
            status.lock_holder == Some(victim.pid())
                || status.participants.iter().any(|p| p.pid == victim.pid() && p.holds.is_some())
        })
    }

    /// Whoever slept, and has something to do now, does it, though the victim is stopped before it wakes anybody.
    fn company_works(&mut self, victim: &Victim) {
        let produces = self.case.company == Company::Sleeper && self.case.op.part() == Part::Consumer;
        let done = if produces { CAPACITY } else { 0 };
        let works = |scene: &mut Self| {
            scene.holds(victim)
                || scene.peers_ended()
                || scene.status().is_none_or(|status| status.len == done)
        };
        if !self.wait_until(works) {
            self.ledger.fault(Fault::Stuck, 1);
        }
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
            // Leaving with something in hand is the same as dying.
            Op::RegisterHeir | Op::RegisterOver | Op::LeaveInHand => 1,
            _ => 0,
        };
        if self.status().is_some_and(|s| s.recoveries > dead) {
            self.ledger.fault(Fault::FalseDeath, 1);
        }
    }

    fn must_have_ended(&self, event: Option<Event>) {
        match event {
            // Stuck, which was noted.
            None | Some(Event::Ended(sys::End::Exit(0))) => {}
            Some(event) => {
                eprintln!("{}: the victim that went on: {event:?}", self.case.name());
                self.ledger.fault(Fault::Failed, 1);
            }
        }
    }
}

/// Looks at a victim that has not answered before we ask whether it sleeps.
const PATIENCE: u64 = 30;
