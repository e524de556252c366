//! From running to down: an end of its own, or one that we bring about; and what comes after it.

use std::time::Duration;

use nix::sys::signal::Signal;
use semring::heartbeat::Life;

use super::{Ending, Orders, Phase, Running, Unit};
use crate::supervise::clock::Now;
use crate::supervise::config::Restart;
use crate::supervise::notes::Outcome;
use crate::supervise::pidfd::{End, PidFd};
use crate::supervise::strays::{self, Main};
use crate::supervise::units::nanos;

/// How long a process that was sent KILL has before it is sent another one.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

impl Unit {
    pub(super) fn step_running(&mut self, board: &str, orders: &Orders) -> semring::Result<bool> {
        let Phase::Running(running) = &mut self.phase else { return Ok(false) };
        let (since, ready) = (running.since, running.ready);
        if running.main.has_ended() {
            self.main_ended(board, orders);
            return Ok(true);
        }
        running.seen = orders.now.boot;
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
            self.end(Main::Other(main.pid(), orders.now.boot), vec![main], None, ran, orders.now);
        }
        if ordered {
            self.was_ordered();
        }
        Ok(true)
    }

    /// What ends now does so for no fault of its own.
    pub(super) fn was_ordered(&mut self) {
        if let Phase::Ending(ending) = &mut self.phase {
            ending.ordered = true;
        }
    }

    /// It has ended by itself; what it left behind ends now.
    fn main_ended(&mut self, board: &str, orders: &Orders) {
        let now = orders.now;
        let Phase::Running(running) = std::mem::replace(&mut self.phase, Phase::Down) else { return };
        let end = running.main.end();
        let main = whose(&running.main, end, running.seen);
        let left = strays(main, board, &self.service.name, orders);
        if left.is_empty() {
            running.main.reap();
            let ran = Duration::from_nanos(now.steady.saturating_sub(running.since));
            return self.ended(Outcome::Ended(end), ran, now);
        }
        self.say(format_args!(
            "left processes behind ({}), which end now: run it in the foreground",
            pids(&left)
        ));
        // It has failed, for however long it ran.
        self.end(main, left, Some(end), Duration::ZERO, now);
        if let Phase::Ending(ending) = &mut self.phase {
            ending.zombie = Some(running.main);
        }
    }

    pub(super) fn is_redefined(&self) -> bool {
        let fingerprint = self.notes().fingerprint();
        fingerprint != 0 && fingerprint != self.fingerprint
    }

    pub(super) fn ready_by(&self, since: u64) -> u64 {
        self.service.ready.map_or(u64::MAX, |ready| since.saturating_add(nanos(ready)))
    }

    pub(super) fn is_hung(&self, since: u64, now: Now) -> semring::Result<bool> {
        Ok(self.silent_at(since)? <= now.steady && self.place.member()?.life == Life::Hung)
    }

    /// When it will have been silent for too long: counted from the time when we began to look, too, so that a
    /// supervisor that was stopped does not take its own absence for the service's.
    pub(super) fn silent_at(&self, since: u64) -> semring::Result<u64> {
        let Some(silence) = self.service.silence else { return Ok(u64::MAX) };
        let member = self.place.member()?;
        let now = Now::read().steady;
        let heard = now.saturating_sub(nanos(member.silent_for));
        Ok(heard.max(since).saturating_add(nanos(silence)).saturating_add(1))
    }

    /// Ends processes: TERM now, KILL when the grace is over.
    pub(super) fn end(
        &mut self,
        main: Main,
        left: Vec<PidFd>,
        outcome: Option<End>,
        ran: Duration,
        now: Now,
    ) {
        left.iter().for_each(|process| process.signal_group(Signal::SIGTERM));
        // A stopped process would not notice.
        left.iter().for_each(|process| process.signal_group(Signal::SIGCONT));
        let kill_at = now.steady.saturating_add(nanos(self.service.grace));
        self.phase =
            Phase::Ending(Ending { main, zombie: None, left, kill_at, ran, outcome, ordered: false });
    }

    pub(super) fn step_ending(&mut self, board: &str, orders: &Orders) -> bool {
        let Phase::Ending(ending) = &mut self.phase else { return false };
        ending.collect(orders.now);
        if ending.left.is_empty() {
            ending.left = strays(ending.main, board, &self.service.name, orders);
            ending.left.iter().for_each(|process| process.signal_group(Signal::SIGTERM));
        }
        if ending.left.is_empty() {
            ending.zombie.iter().for_each(|main| _ = main.reap());
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
    pub(super) fn ended(&mut self, outcome: Outcome, ran: Duration, now: Now) {
        let notes = self.notes();
        notes.set_outcome(outcome);
        if let Restart::At(schedule) = &self.service.restart {
            // What could not even be forked has not run: it would be due on and on.
            if matches!(outcome, Outcome::NotExecuted(_)) {
                notes.set_not_before(schedule.next(now.calendar));
            }
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
}

impl Ending {
    /// Takes out those that have ended; the main process is reaped last.
    fn collect(&mut self, now: Now) {
        let processes = std::mem::take(&mut self.left).into_iter();
        let (gone, left): (Vec<PidFd>, _) = processes.partition(PidFd::has_ended);
        self.left = left;
        for process in gone {
            match self.main {
                Main::Other(main, seen) if self.outcome.is_none() && main == process.pid() => {
                    let end = process.end();
                    (self.main, self.outcome) = (whose(&process, end, seen), Some(end));
                    self.zombie = Some(process);
                }
                _ => _ = process.reap(),
            }
        }
        match &mut self.main {
            Main::Other(_, seen) if self.outcome.is_none() => *seen = now.boot,
            _ => {}
        }
    }
}

fn strays(main: Main, board: &str, service: &str, orders: &Orders) -> Vec<PidFd> {
    match main {
        Main::Other(..) | Main::Unseen if orders.lost => Vec::new(),
        main => strays::find(main, board, service),
    }
}

/// A main process that has ended, of which only its parent knows how.
fn whose(main: &PidFd, end: End, seen: u64) -> Main {
    match end {
        End::Unknown => Main::Other(main.pid(), seen),
        _ => Main::Child(main.pid()),
    }
}

/// Processes as people name them.
pub(crate) fn pids(processes: &[PidFd]) -> String {
    let pids: Vec<String> = processes.iter().map(|process| process.pid().to_string()).collect();
    pids.join(", ")
}
