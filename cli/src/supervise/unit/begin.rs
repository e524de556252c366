//! From down to running: what is there already is taken over, what is not is started when it is due.

use std::io;
use std::time::{Duration, SystemTime};

use nix::libc::{EINVAL, ENOENT, ESRCH};
use nix::unistd::{User, geteuid};

use super::{Orders, Phase, Running, Unit, pids};
use crate::supervise::clock::Now;
use crate::supervise::config::Restart;
use crate::supervise::logs::Pump;
use crate::supervise::notes::Outcome;
use crate::supervise::notify::Socket;
use crate::supervise::pidfd::{End, PidFd};
use crate::supervise::spawn::{NotStarted, start};
use crate::supervise::strays::{self, Main};
use crate::supervise::tag;
use crate::supervise::units::nanos;

impl Unit {
    pub(super) fn step_done(&mut self, orders: &Orders) -> bool {
        if !self.is_wanted(orders) || !self.notes().is_asked() {
            return false;
        }
        self.phase = Phase::Down;
        true
    }

    pub(super) fn step_down(&mut self, board: &str, orders: &Orders) -> semring::Result<bool> {
        if let Some(holder) = self.place.holder()? {
            return self.adopt(board, holder, orders);
        }
        if let Outcome::Begun(starts) = self.notes().outcome() {
            // Started by a predecessor: if it got its place it has ended unseen, otherwise it never was.
            let member = self.place.member()?;
            if member.starts as u32 != starts && self.ends_left(board, orders.now)? {
                if member.starts == 0 {
                    self.was_ordered(); // it ran on another board, not on this one
                }
            } else if member.starts as u32 == starts || member.starts == 0 {
                self.notes().set_outcome(Outcome::None);
            } else {
                self.ended(Outcome::Ended(End::Unknown), member.age, orders.now);
            }
            return Ok(true);
        }
        if !self.is_wanted(orders) {
            return Ok(false);
        }
        if self.notes().is_asked() {
            self.forgive(orders.now);
        } else if self.is_finished() && !self.is_redefined() {
            self.phase = Phase::Done;
            return Ok(false);
        }
        if !orders.turn || self.due(orders.now) > 0 {
            return Ok(false);
        }
        // Once: as long as we live none gets lost.
        if std::mem::take(&mut self.haunted) && self.ends_left(board, orders.now)? {
            self.was_ordered();
            return Ok(true);
        }
        self.start(board, orders.now)
    }

    /// Ends what is left of it although nobody holds its place; `false` if nothing is.
    fn ends_left(&mut self, board: &str, now: Now) -> semring::Result<bool> {
        let left = strays::find(Main::Unseen, board, &self.service.name);
        if left.is_empty() {
            return Ok(false);
        }
        // For `stop`, and for a successor: something of it lives, from an earlier start than any that may come.
        let starts = self.place.member()?.starts as u32;
        self.notes().set_outcome(Outcome::Begun(starts.wrapping_sub(1)));
        self.say(format_args!("processes of it are left ({}), which end first", pids(&left)));
        self.end(Main::Unseen, left, Some(End::Unknown), Duration::ZERO, now);
        Ok(true)
    }

    /// Has it ended in a way after which it is not started again?
    pub(super) fn is_finished(&self) -> bool {
        let outcome = self.notes().outcome();
        match self.service.restart {
            Restart::Never => outcome != Outcome::None,
            Restart::OnFailure => outcome.is_success(),
            Restart::Always | Restart::At(_) => false,
        }
    }

    /// What it did before counts no more: it may start now. A job keeps its times, unless it is asked for.
    pub(super) fn forgive(&self, now: Now) {
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
    pub(super) fn due(&self, now: Now) -> u64 {
        let notes = self.notes();
        let Restart::At(schedule) = &self.service.restart else {
            let allowed = self.service.rate.allowed(notes.rate(), now.steady);
            let not_before = self.service.backoff.until(notes.not_before(), now.steady);
            return not_before.max(allowed).saturating_sub(now.steady);
        };
        let ran =
            self.place.ran().map_or(0, |ran| ran.duration_since(SystemTime::UNIX_EPOCH).map_or(0, nanos));
        let due = schedule.due(notes.not_before(), ran, now.calendar);
        notes.set_not_before(due);
        due.saturating_sub(now.calendar)
    }

    pub(super) fn start(&mut self, board: &str, now: Now) -> semring::Result<bool> {
        // Answered also if it fails: who is asked again and again would try without any rest.
        self.notes().answer();
        if let Err(error) = self.prepare(board) {
            self.not_started(&error, now);
            return Ok(true);
        }
        let output = self.pump.as_ref().map(Pump::output).transpose();
        let starts = self.place.member()?.starts as u32;
        let notes = self.notes();
        notes.set_rate(self.service.rate.started(notes.rate(), now.steady));
        notes.set_outcome(Outcome::Begun(starts));
        let notify = self.socket.as_ref().map(Socket::name);
        let started = output
            .map_err(NotStarted::Failed)
            .and_then(|output| start(&self.service, board, &self.place, output, notify, self.fingerprint));
        match started {
            Ok(child) => self.started(child.id() as i32, now),
            // A predecessor's child was faster, or somebody's `stop`.
            Err(NotStarted::Overtaken) => {}
            Err(NotStarted::Failed(error)) => self.not_started(&error, now),
        }
        Ok(true)
    }

    /// What has to be there before: the log and the socket.
    pub(super) fn prepare(&mut self, board: &str) -> io::Result<()> {
        let user = self.service.user.as_deref().and_then(|user| User::from_name(user).ok().flatten());
        let uid = user.map_or(geteuid(), |user| user.uid).as_raw();
        let wanted = |pump: &Pump| self.service.log.as_ref().is_some_and(|log| pump.is_of(log));
        if !self.pump.as_ref().is_some_and(wanted) {
            self.close_pump();
            let tag = tag(board, &self.service.name);
            self.pump = self.service.log.as_ref().map(|log| Pump::open(log, tag, uid)).transpose()?;
        }
        if self.service.ready.is_none() {
            self.socket = None;
        } else if self.socket.is_none() {
            self.socket = Some(Socket::open(board, &self.service.name, uid)?);
        }
        Ok(())
    }

    pub(super) fn started(&mut self, pid: i32, now: Now) {
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

    pub(super) fn run(&mut self, main: PidFd, now: Now, ready: bool) {
        self.phase = Phase::Running(Running { main, since: now.steady, ready, seen: now.boot });
    }

    pub(super) fn not_started(&mut self, error: &io::Error, now: Now) {
        self.complain(format_args!("cannot start: {error}"));
        self.ended(Outcome::NotExecuted(error.raw_os_error().unwrap_or(0)), Duration::ZERO, now);
    }

    /// Somebody holds its place: that is the service, whoever started it.
    pub(super) fn adopt(&mut self, board: &str, holder: i32, orders: &Orders) -> semring::Result<bool> {
        if holder == 0 {
            self.complain("runs in another pid namespace, from where it cannot be watched");
            return Ok(false);
        }
        let main = match PidFd::open(holder) {
            // Asked after the pidfd was open: from then on it is one process's.
            Ok(main) if self.place.is_holder(holder)? && !main.has_ended() => main,
            Ok(_) => return self.bequeathed(board, holder, orders.now),
            // There is none, or it is the number of a thread.
            Err(error) if matches!(error.raw_os_error(), Some(ESRCH | EINVAL | ENOENT)) => {
                return self.bequeathed(board, holder, orders.now);
            }
            Err(error) => {
                self.complain(format_args!("cannot watch process {holder}: {error}"));
                return Ok(false);
            }
        };
        if let Err(error) = self.prepare(board) {
            self.complain(format_args!("cannot be heard: {error}"));
        }
        self.say(format_args!("runs already, process {holder}"));
        self.run(main, orders.now, true);
        Ok(true)
    }

    /// Who claimed the place has ended. Either so has the lease, or it is held by a process that shares its semaphore undo:
    /// one of the service's, whatever has the number of the claimant now.
    fn bequeathed(&mut self, board: &str, claimant: i32, now: Now) -> semring::Result<bool> {
        if self.place.holder()? != Some(claimant) {
            return Ok(true);
        }
        let ends = self.ends_left(board, now)?;
        if !ends {
            self.complain(format_args!(
                "its process {claimant} has ended, but another one shares its semaphore undo (CLONE_SYSVSEM) and \
                 cannot be found: it starts again when that has ended"
            ));
        }
        Ok(ends)
    }
}
