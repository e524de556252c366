//! One service under supervision: its phases, and how it gets from one to the next. `docs/design.md` section 14 has the
//! table. Everything that a successor has to know is on the board; what is here can be lost at any moment. `begin` leads to
//! running, `finish` away from it.

mod begin;
mod finish;

use std::time::Duration;

use semring::heartbeat::Place;

use super::clock::Now;
use super::config::{Restart, Service};
use super::events::Events;
use super::logs::Pump;
use super::notes::Notes;
use super::notify::{Said, Socket};
use super::pidfd::{End, PidFd};
use super::strays::Main;
use super::units::nanos;
pub(crate) use finish::pids;

use finish::AGAIN;

/// How soon to look again at what changes at this moment.
const SOON: u64 = 2_000_000;

/// Datagrams of a service before others have their turn.
const DATAGRAMS: usize = 64;

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
    /// When it was surely alive last, by CLOCK_BOOTTIME.
    seen: u64,
}

#[derive(Debug)]
pub(crate) struct Ending {
    main: Main,
    /// Our child, which has ended: not reaped before its strays have ended, so that its session's number stays its own.
    zombie: Option<PidFd>,
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
    /// The board is gone: whoever has a service's name may be another supervisor's by now.
    pub(crate) lost: bool,
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
    /// Processes of it may live of which this board knows nothing: to be looked for before it is started.
    haunted: bool,
    events: Events,
    /// What was said last of what cannot be helped, so that it is said once.
    complaint: String,
}

impl Unit {
    /// `haunted`: are there processes of that name already?
    pub(crate) fn new(service: Service, place: Place, haunted: bool, events: Events) -> Self {
        let fingerprint = service.fingerprint();
        let (phase, complaint) = (Phase::Down, String::new());
        Notes(&place).set_pace(service.pace());
        Unit {
            service,
            fingerprint,
            place,
            phase,
            pump: None,
            socket: None,
            removed: false,
            haunted,
            events,
            complaint,
        }
    }

    /// The definition from now on.
    pub(crate) fn redefine(&mut self, service: Service) {
        if matches!(self.phase, Phase::Done) {
            // Perhaps not under the new one.
            self.phase = Phase::Down;
        }
        self.notes().set_pace(service.pace());
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

    pub(crate) fn close_pump(&mut self) {
        if let Some(pump) = self.pump.take() {
            pump.close();
        }
    }

    /// What it has written, as far as others are not kept waiting.
    pub(crate) fn copy_output(&mut self) {
        let Some(pump) = &mut self.pump else { return };
        pump.copy();
        if let Some(news) = pump.news() {
            self.complain(news);
        }
    }

    /// What the service itself has said.
    pub(crate) fn listen(&mut self) {
        for said in self.socket.iter().flat_map(|socket| socket.hear(DATAGRAMS)) {
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

    /// Is it for this unit to reap that child?
    pub(crate) fn reaps(&self, pid: i32) -> bool {
        let zombie = match &self.phase {
            Phase::Ending(ending) => ending.zombie.as_ref(),
            _ => None,
        };
        self.watched().chain(zombie).any(|process| process.pid() == pid)
    }
}
