//! One service under supervision: its phases, and how it gets from one to the next. `docs/design.md` section 14 has the
//! table. Everything that a successor has to know is on the board; what is here can be lost at any moment.

use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid};
use semring::heartbeat::{Life, Place};

use super::clock::Now;
use super::config::{Restart, Service};
use super::events::Events;
use super::logs::Pump;
use super::notes::{Notes, Outcome};
use super::notify::{Said, Socket};
use super::pidfd::{End, PidFd};
use super::spawn::{NotStarted, start};
use super::strays;
use super::units::nanos;

/// How long a process that was sent KILL has before it is sent another one.
const AGAIN: Duration = Duration::from_secs(1);
/// How soon to look again at what changes at this moment.
const SOON: u64 = 2_000_000;

/// Where it stands.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Not running; starts when it may.
    Down,
    Running(Running),
    Ending(Ending),
    /// Not running, and not to be started again by itself.
    Done,
}

#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) main: PidFd,
    since: u64,
    ready: bool,
}

#[derive(Debug)]
pub(crate) struct Ending {
    main: i32,
    left: Vec<PidFd>,
    kill_at: u64,
    /// How long it had run.
    ran: Duration,
    outcome: Option<End>,
    /// Meant by us, and not its own doing?
    ordered: bool,
}

/// What the supervisor as a whole wants of its services, besides what each is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Orders {
    pub(crate) now: Now,
    /// Everything is to end.
    pub(crate) ending: bool,
    /// At once.
    pub(crate) hurry: bool,
    /// Whoever this one is after is up; when ending: nobody who is after this one is up any more.
    pub(crate) turn: bool,
}

#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) service: Service,
    fingerprint: u64,
    pub(crate) place: Place,
    pub(crate) phase: Phase,
    pub(crate) pump: Option<Pump>,
    pub(crate) socket: Option<Socket>,
    /// No longer in the configuration.
    pub(crate) removed: bool,
    events: Events,
    /// What was said last of what cannot be helped, so that it is said once.
    complaint: String,
}

impl Unit {
    pub(crate) fn new(service: Service, place: Place, events: Events) -> Self {
        let fingerprint = service.fingerprint();
        let (phase, complaint) = (Phase::Down, String::new());
        Unit {
            service,
            fingerprint,
            place,
            phase,
            pump: None,
            socket: None,
            removed: false,
            events,
            complaint,
        }
    }

    /// The definition from now on.
    pub(crate) fn redefine(&mut self, service: Service) {
        if matches!(self.phase, Phase::Done)
            && (self.service.restart != service.restart || self.fingerprint != service.fingerprint())
        {
            self.phase = Phase::Down;
            self.notes().set_outcome(Outcome::None);
        }
        if matches!(service.restart, Restart::At(_)) && self.service.restart != service.restart {
            self.notes().set_not_before(0);
        }
        self.fingerprint = service.fingerprint();
        self.removed = false;
        self.service = service;
    }

    pub(crate) fn notes(&self) -> Notes<'_> {
        Notes(&self.place)
    }

    fn say(&self, text: impl std::fmt::Display) {
        self.events.service(&self.service.name, text);
    }

    fn complain(&mut self, text: impl std::fmt::Display) {
        let text = text.to_string();
        if self.complaint != text {
            self.say(&text);
            self.complaint = text;
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        match &self.phase {
            Phase::Running(running) => running.ready,
            Phase::Done => true,
            _ => matches!(self.service.restart, Restart::At(_)),
        }
    }

    pub(crate) fn has_processes(&self) -> bool {
        matches!(self.phase, Phase::Running(_) | Phase::Ending(_))
    }

    /// Is it to run?
    fn is_wanted(&self, orders: &Orders) -> bool {
        !orders.ending && !self.removed && self.notes().is_wanted()
    }

    /// One step, if there is one to take now. `Ok(true)`: there may be another.
    pub(crate) fn step(&mut self, board: &str, orders: &Orders) -> semring::Result<bool> {
        match &self.phase {
            Phase::Down => self.step_down(board, orders),
            Phase::Running(_) => self.step_running(board, orders),
            Phase::Ending(_) => Ok(self.step_ending(board, orders)),
            Phase::Done => Ok(self.step_done(orders)),
        }
    }

    fn step_done(&mut self, orders: &Orders) -> bool {
        if !self.is_wanted(orders) || !self.notes().is_asked() {
            return false;
        }
        self.phase = Phase::Down;
        true
    }

    fn step_down(&mut self, board: &str, orders: &Orders) -> semring::Result<bool> {
        if let Some(holder) = self.place.holder()? {
            return self.adopt(board, holder, orders);
        }
        if let Outcome::Begun(starts) = self.notes().outcome() {
            // Started by a predecessor: if it got its place it has ended unseen, otherwise it never was.
            let member = self.place.member()?;
            let ran = member.starts as u32 != starts;
            self.notes().set_outcome(if ran { Outcome::Ended(End::Unknown) } else { Outcome::None });
            if ran {
                self.ended(Outcome::Ended(End::Unknown), member.age, orders.now);
            }
            return Ok(true);
        }
        if !self.is_wanted(orders) {
            return Ok(false);
        }
        if self.notes().is_asked() {
            self.forgive(orders.now);
        } else if self.is_finished() {
            self.phase = Phase::Done;
            return Ok(false);
        }
        if !orders.turn || self.due(orders.now) > 0 {
            return Ok(false);
        }
        self.start(board, orders.now)
    }

    /// Has it ended in a way after which it is not started again?
    fn is_finished(&self) -> bool {
        let outcome = self.notes().outcome();
        match self.service.restart {
            Restart::Never => outcome != Outcome::None,
            Restart::OnFailure => outcome.is_success(),
            Restart::Always | Restart::At(_) => false,
        }
    }

    /// What it did before counts no more: it may start now. A job keeps its times, unless it is asked for.
    fn forgive(&self, now: Now) {
        let notes = self.notes();
        notes.set_failures(0);
        notes.set_rate(0);
        notes.set_outcome(Outcome::None);
        match self.service.restart {
            Restart::At(_) if notes.is_asked() => notes.set_not_before(now.calendar),
            Restart::At(_) => {}
            _ => notes.set_not_before(0),
        }
    }

    /// How long until it may start, in nanoseconds; 0 for now.
    fn due(&self, now: Now) -> u64 {
        let notes = self.notes();
        let Restart::At(schedule) = &self.service.restart else {
            let allowed = self.service.rate.allowed(notes.rate());
            return notes.not_before().max(allowed).saturating_sub(now.steady);
        };
        let ran = self
            .place
            .ran()
            .map_or(0, |ran| ran.duration_since(std::time::SystemTime::UNIX_EPOCH).map_or(0, nanos));
        match notes.not_before() {
            // It has run since it was due last.
            due if due != 0 && ran >= due => notes.set_not_before(schedule.next(ran)),
            0 if ran != 0 => notes.set_not_before(schedule.next(ran)),
            0 => notes.set_not_before(schedule.first(now.calendar).max(1)),
            _ => {}
        }
        notes.not_before().saturating_sub(now.calendar)
    }

    fn start(&mut self, board: &str, now: Now) -> semring::Result<bool> {
        if let Err(error) = self.prepare(board) {
            self.not_started(&error, now);
            return Ok(true);
        }
        let output = self.pump.as_ref().map(Pump::output).transpose();
        let starts = self.place.member()?.starts as u32;
        let notes = self.notes();
        notes.answer();
        notes.set_rate(self.service.rate.started(notes.rate(), now.steady));
        notes.set_outcome(Outcome::Begun(starts));
        let notify = self.socket.as_ref().map(Socket::name);
        let started = output
            .map_err(NotStarted::Failed)
            .and_then(|output| start(&self.service, board, &self.place, output, notify, self.fingerprint));
        match started {
            Ok(child) => self.started(child.id() as i32, now),
            // A predecessor's child was faster.
            Err(NotStarted::Runs) => return Ok(true),
            Err(NotStarted::Failed(error)) => self.not_started(&error, now),
        }
        Ok(true)
    }

    /// What has to be there before: the log and the socket.
    fn prepare(&mut self, board: &str) -> io::Result<()> {
        let wanted = |pump: &Pump| self.service.log.as_ref().is_some_and(|log| pump.is_of(log));
        if !self.pump.as_ref().is_some_and(wanted) {
            self.close_pump();
            self.pump = self.service.log.as_ref().map(Pump::open).transpose()?;
        }
        if self.service.ready.is_none() {
            self.socket = None;
        } else if self.socket.is_none() {
            let user = self.service.user.as_deref().and_then(|user| User::from_name(user).ok().flatten());
            let uid = user.map_or(geteuid(), |user| user.uid).as_raw();
            self.socket = Some(Socket::open(board, &self.service.name, uid)?);
        }
        Ok(())
    }

    pub(crate) fn close_pump(&mut self) {
        if let Some(pump) = self.pump.take() {
            pump.close();
        }
    }

    fn started(&mut self, pid: i32, now: Now) {
        match PidFd::open(pid) {
            Ok(main) => {
                self.say(format_args!("started, process {pid}"));
                self.complaint.clear();
                self.run(main, now, self.service.ready.is_none());
            }
            // Our own child, not reaped: its number is nobody else's. Only descriptors can be short.
            Err(error) => self.complain(format_args!("cannot watch process {pid}: {error}")),
        }
    }

    fn run(&mut self, main: PidFd, now: Now, ready: bool) {
        self.phase = Phase::Running(Running { main, since: now.steady, ready });
    }

    fn not_started(&mut self, error: &io::Error, now: Now) {
        self.complain(format_args!("cannot start: {error}"));
        self.ended(Outcome::NotExecuted(error.raw_os_error().unwrap_or(0)), Duration::ZERO, now);
    }

    /// Somebody holds its place: that is the service, whoever started it.
    fn adopt(&mut self, board: &str, holder: i32, orders: &Orders) -> semring::Result<bool> {
        if holder == 0 {
            self.complain("runs in another pid namespace, from where it cannot be watched");
            return Ok(false);
        }
        let main = match PidFd::open(holder) {
            Ok(main) => main,
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => return Ok(false), // it is gone now
            Err(error) => {
                self.complain(format_args!("cannot watch process {holder}: {error}"));
                return Ok(false);
            }
        };
        // Asked after the pidfd was open: a process that holds the place has its number for itself.
        if self.place.holder()? != Some(holder) || main.has_ended() {
            return Ok(false);
        }
        if let Err(error) = self.prepare(board) {
            self.complain(format_args!("its output is not read: {error}"));
        }
        self.say(format_args!("runs already, process {holder}"));
        self.run(main, orders.now, true);
        Ok(true)
    }

    fn step_running(&mut self, board: &str, orders: &Orders) -> semring::Result<bool> {
        let Phase::Running(running) = &mut self.phase else { return Ok(false) };
        let (since, ready) = (running.since, running.ready);
        if running.main.has_ended() {
            let end = running.main.reap();
            let main = running.main.pid();
            let left = strays::find(main, board, &self.service.name);
            if left.is_empty() {
                let ran = Duration::from_nanos(orders.now.steady.saturating_sub(since));
                self.ended(Outcome::Ended(end), ran, orders.now);
            } else {
                let pids: Vec<String> = left.iter().map(|process| process.pid().to_string()).collect();
                let who = pids.join(", ");
                self.say(format_args!(
                    "left processes behind ({who}), which end now: run it in the foreground"
                ));
                // It has failed, for however long it ran.
                self.end(main, left, Some(end), Duration::ZERO, orders.now);
            }
            return Ok(true);
        }
        let reason = if !self.is_wanted(orders) {
            if orders.ending && !orders.turn {
                return Ok(false);
            }
            "ends as it was told"
        } else if self.notes().is_asked() {
            "restarts as it was told"
        } else if self.is_redefined() {
            "restarts with its new definition"
        } else if !ready && orders.now.steady >= self.ready_by(since) {
            "has not become ready in time: restarts"
        } else if self.is_hung(since, orders.now)? {
            "hangs: it has been silent for longer than it may: restarts"
        } else {
            return Ok(false);
        };
        self.say(reason);
        let ordered = !self.is_wanted(orders) || self.notes().is_asked() || self.is_redefined();
        if let Phase::Running(Running { main, .. }) = std::mem::replace(&mut self.phase, Phase::Down) {
            let ran = Duration::from_nanos(orders.now.steady.saturating_sub(since));
            self.end(main.pid(), vec![main], None, ran, orders.now);
        }
        if let Phase::Ending(ending) = &mut self.phase {
            ending.ordered = ordered;
        }
        Ok(true)
    }

    fn is_redefined(&self) -> bool {
        let fingerprint = self.notes().fingerprint();
        fingerprint != 0 && fingerprint != self.fingerprint
    }

    fn ready_by(&self, since: u64) -> u64 {
        self.service.ready.map_or(u64::MAX, |ready| since.saturating_add(nanos(ready)))
    }

    fn is_hung(&self, since: u64, now: Now) -> semring::Result<bool> {
        Ok(self.silent_at(since)? <= now.steady && self.place.member()?.life == Life::Hung)
    }

    /// When it will have been silent for too long: counted from the time when we began to look, too, so that a
    /// supervisor that was stopped does not take its own absence for the service's.
    fn silent_at(&self, since: u64) -> semring::Result<u64> {
        let Some(silence) = self.service.silence else { return Ok(u64::MAX) };
        let member = self.place.member()?;
        let now = Now::read().steady;
        let heard = now.saturating_sub(nanos(member.silent_for));
        Ok(heard.max(since).saturating_add(nanos(silence)).saturating_add(1))
    }

    /// Ends processes: TERM now, KILL when the grace is over.
    fn end(&mut self, main: i32, left: Vec<PidFd>, outcome: Option<End>, ran: Duration, now: Now) {
        left.iter().for_each(|process| process.signal_group(Signal::SIGTERM));
        // A stopped process would not notice.
        left.iter().for_each(|process| process.signal_group(Signal::SIGCONT));
        let kill_at = now.steady.saturating_add(nanos(self.service.grace));
        self.phase = Phase::Ending(Ending { main, left, kill_at, ran, outcome, ordered: false });
    }

    fn step_ending(&mut self, board: &str, orders: &Orders) -> bool {
        let Phase::Ending(ending) = &mut self.phase else { return false };
        for process in ending.left.extract_if(.., |process| process.has_ended()) {
            let end = process.reap();
            if process.pid() == ending.main {
                ending.outcome = Some(end);
            }
        }
        if ending.left.is_empty() {
            ending.left = strays::find(ending.main, board, &self.service.name);
            ending.left.iter().for_each(|process| process.signal_group(Signal::SIGTERM));
        }
        if ending.left.is_empty() {
            let (outcome, ran) = (Outcome::Ended(ending.outcome.unwrap_or(End::Unknown)), ending.ran);
            if ending.ordered {
                self.forgive(orders.now);
                self.phase = Phase::Down;
            } else {
                self.ended(outcome, ran, orders.now);
            }
            return true;
        }
        if orders.now.steady >= ending.kill_at || orders.hurry {
            ending.left.iter().for_each(|process| process.signal_group(Signal::SIGKILL));
            ending.kill_at = orders.now.steady.saturating_add(nanos(AGAIN));
            if !orders.hurry {
                self.complain("does not end by itself: killed");
            }
        }
        false
    }

    /// Nothing of it lives any more, and nobody told it to end: what comes next?
    fn ended(&mut self, outcome: Outcome, ran: Duration, now: Now) {
        let notes = self.notes();
        notes.set_outcome(outcome);
        if matches!(self.service.restart, Restart::At(_)) {
            self.say(outcome);
            self.phase = Phase::Down;
            return;
        }
        let failures = self.service.backoff.failures(notes.failures(), ran);
        let delay = self.service.backoff.delay(failures);
        notes.set_failures(failures);
        notes.set_not_before(now.steady.saturating_add(nanos(delay)));
        if self.is_finished() {
            self.say(format_args!("{outcome}: done"));
            self.phase = Phase::Done;
        } else {
            match delay.is_zero() {
                true => self.say(format_args!("{outcome}: restarts")),
                false => self.say(format_args!("{outcome}: restarts in {delay:?}")),
            }
            self.phase = Phase::Down;
        }
    }

    /// What the service itself has said.
    pub(crate) fn listen(&mut self) {
        while let Some(said) = self.socket.as_ref().and_then(Socket::receive) {
            for said in said {
                match (said, &mut self.phase) {
                    (Said::Ready, Phase::Running(running)) if !running.ready => {
                        running.ready = true;
                        self.events.service(&self.service.name, "is ready");
                    }
                    (Said::Beat, Phase::Running(_)) => self.place.beat(),
                    _ => {}
                }
            }
        }
    }

    /// When to look at it again, by the steady clock, if nothing happens before.
    pub(crate) fn wake_at(&self, orders: &Orders) -> semring::Result<u64> {
        let now = orders.now;
        Ok(match &self.phase {
            Phase::Down if self.place.is_alive()? => now.steady + SOON.max(self.patience()),
            Phase::Down if !self.is_wanted(orders) || !orders.turn => u64::MAX,
            Phase::Down => now.steady.saturating_add(self.due(now)),
            Phase::Running(running) => {
                let ready = if running.ready { u64::MAX } else { self.ready_by(running.since) };
                ready.min(self.silent_at(running.since)?)
            }
            Phase::Ending(ending) => ending.kill_at,
            Phase::Done => u64::MAX,
        })
    }

    /// One that can be held but not watched is looked at now and then.
    fn patience(&self) -> u64 {
        if self.complaint.is_empty() { 0 } else { nanos(AGAIN) }
    }

    /// The processes that are watched.
    pub(crate) fn watched(&self) -> impl Iterator<Item = &PidFd> {
        let (main, left) = match &self.phase {
            Phase::Running(running) => (Some(&running.main), &[][..]),
            Phase::Ending(ending) => (None, &ending.left[..]),
            _ => (None, &[][..]),
        };
        main.into_iter().chain(left)
    }
}
