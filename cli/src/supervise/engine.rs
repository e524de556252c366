//! The supervisor at work: one thread that sleeps in poll(2) until a process ends, a signal comes, somebody says something,
//! or it is time for something. Nothing here is needed to know how the services stand: that is on the board. `roster` has
//! which services there are, `removal` what becomes of them without the board.

mod removal;
mod roster;

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use semring::Error;
use semring::heartbeat::Keeper;

use super::clock::Now;
use super::config::{Config, Restart};
use super::events::Events;
use super::notify::Manager;
use super::signals::{incoming, read};
use super::unit::{Orders, Unit};
use super::units::nanos;

/// The calendar may be set while we sleep: jobs look at it so often.
const CALENDAR: u64 = 60_000_000_000;
pub(crate) struct Engine {
    keeper: Keeper,
    board: String,
    units: Vec<Unit>,
    /// Where the configuration comes from, if it can be read again.
    file: Option<PathBuf>,
    manager: Option<Manager>,
    signals: SignalFd,
    events: Events,
    /// All is to end.
    ending: bool,
    hurry: bool,
    next_beat: u64,
}

impl Engine {
    pub(crate) fn new(
        keeper: Keeper,
        config: Config,
        file: Option<PathBuf>,
        events: Events,
    ) -> Result<Self, Error> {
        let board = config.board.clone();
        // Orphans of our services come to us and not to init: they can be found, and reaped.
        nix::sys::prctl::set_child_subreaper(true).map_err(|error| invalid("subreaper", error))?;
        let mut engine = Engine {
            keeper,
            board,
            units: Vec::new(),
            file,
            manager: Manager::from_environment(),
            signals: incoming()?,
            events,
            ending: false,
            hurry: false,
            next_beat: 0,
        };
        engine.define(config)?;
        engine.units_of_the_past()?;
        removal::watch(engine.keeper.board())?;
        Ok(engine)
    }

    /// Runs until everything has ended on purpose.
    pub(crate) fn run(mut self) -> Result<Keeper, Error> {
        let result = self.work();
        if let Err(error) = &result {
            self.events.own(format_args!("{error}: all services end"));
            self.tell("STOPPING=1");
            self.end_without_board();
        }
        self.units.iter_mut().for_each(Unit::close_pump);
        result.map(|()| self.keeper)
    }

    fn work(&mut self) -> Result<(), Error> {
        self.advance()?;
        self.tell("READY=1");
        loop {
            let wake_at = self.advance()?;
            if self.ending && self.units.iter().all(|unit| !unit.has_processes()) {
                return Ok(());
            }
            self.sleep(wake_at);
            self.serve();
        }
    }

    /// Does all that can be done now, and says when there will be more.
    fn advance(&mut self) -> Result<u64, Error> {
        // Any question would do: is the board still there?
        self.keeper.board().standbys()?;
        loop {
            let now = Now::read();
            let mut again = false;
            for i in 0..self.units.len() {
                let orders = self.orders(i, now);
                again |= self.units[i].step(&self.board, &orders)?;
            }
            self.forget_removed()?;
            if !again {
                let wake_at = self.wake_at(now)?;
                self.reap_orphans();
                return Ok(wake_at);
            }
        }
    }

    fn orders(&self, i: usize, now: Now) -> Orders {
        let service = &self.units[i].service;
        let turn = if self.ending {
            let needs_it = |unit: &&Unit| unit.service.after.contains(&service.name);
            !self.units.iter().filter(needs_it).any(Unit::has_processes)
        } else {
            let is_up =
                |name: &String| self.units.iter().any(|unit| unit.service.name == *name && unit.is_up());
            service.after.iter().all(is_up)
        };
        Orders { now, ending: self.ending, hurry: self.hurry, turn, lost: false }
    }

    fn wake_at(&mut self, now: Now) -> Result<u64, Error> {
        let mut wake_at = u64::MAX;
        for (i, unit) in self.units.iter().enumerate() {
            wake_at = wake_at.min(unit.wake_at(&self.orders(i, now))?);
            if matches!(unit.service.restart, Restart::At(_)) {
                wake_at = wake_at.min(now.steady + CALENDAR);
            }
        }
        if let Some(every) = self.manager.as_ref().and_then(Manager::beat_every) {
            if now.steady >= self.next_beat {
                self.tell("WATCHDOG=1");
                self.next_beat = now.steady.saturating_add(nanos(every));
            }
            wake_at = wake_at.min(self.next_beat);
        }
        Ok(wake_at)
    }

    /// Until something happens, or that time comes.
    fn sleep(&self, wake_at: u64) {
        let mut fds: Vec<BorrowedFd<'_>> = vec![self.signals.as_fd()];
        for unit in &self.units {
            fds.extend(unit.watched().map(AsFd::as_fd));
            fds.extend(unit.pump.as_ref().map(AsFd::as_fd));
            fds.extend(unit.socket.as_ref().map(AsFd::as_fd));
        }
        let mut fds: Vec<PollFd<'_>> = fds.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        // Whatever poll says, everything is looked at afterwards.
        let _ = poll(&mut fds, timeout(wake_at));
    }

    /// Signals, what services say, their output.
    fn serve(&mut self) {
        while let Some(signal) = read(&self.signals) {
            match signal {
                Signal::SIGHUP => self.reload(),
                Signal::SIGTERM | Signal::SIGINT => {
                    self.tell("STOPPING=1");
                    self.hurry = self.ending;
                    self.ending = true;
                    let how = if self.hurry { "all services are killed" } else { "all services end" };
                    self.events.own(format_args!("{}: {how}", signal.as_str()));
                }
                // A child has ended, or there is news on the board: everything is looked at anyway.
                _ => {}
            }
        }
        for unit in &mut self.units {
            unit.listen();
            unit.copy_output();
        }
    }

    fn tell(&self, state: &str) {
        if let Some(manager) = &self.manager {
            manager.tell(state);
        }
    }

    /// Children that are no service's main process: strays that have ended. Those are left to their units, which are told by
    /// their pidfds.
    fn reap_orphans(&self) {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
        loop {
            let pid = match waitid(Id::All, flags | WaitPidFlag::WNOWAIT) {
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) => pid,
                Err(Errno::EINTR) => continue,
                _ => return,
            };
            if self.units.iter().any(|unit| unit.reaps(pid.as_raw())) {
                return;
            }
            let _ = waitid(Id::Pid(pid), flags);
        }
    }
}

fn invalid(what: &'static str, error: impl std::fmt::Display) -> Error {
    Error::Invalid { what, detail: error.to_string() }
}

/// Until a time of the steady clock; rounded up, so that it has come when poll returns.
fn timeout(wake_at: u64) -> PollTimeout {
    if wake_at == u64::MAX {
        return PollTimeout::NONE;
    }
    let left = wake_at.saturating_sub(Now::read().steady).div_ceil(1_000_000);
    PollTimeout::try_from(i32::try_from(left).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
}
