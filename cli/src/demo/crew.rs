//! The workers of a run, seen from their parent: starting them together, watching them, and ending them.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock;
use crate::failure::{Context, Failure};
use crate::offspring;
use crate::signals::Signals;

use super::WORKER;
use super::board::{Board, End, Note};
use super::plan::{Plan, Role};

/// How often the parent looks: often until all are there, then as often as a person can follow.
const STARTING: Duration = Duration::from_millis(1);
const RUNNING: Duration = Duration::from_millis(20);

/// How long workers that are told to stop may take.
const GRACE: Duration = Duration::from_secs(3);

/// The worker processes. Dropped, it kills those that still run.
pub(super) struct Crew<'a> {
    board: &'a Board,
    workers: Vec<Worker>,
}

pub(super) struct Worker {
    pub(super) role: Role,
    pub(super) index: usize,
    pub(super) status: Option<ExitStatus>,
    /// We told it to stop, because nobody of the other side ever came.
    dismissed: bool,
    child: Child,
}

impl Worker {
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The signal that somebody else killed it with.
    pub(super) fn killed_by(&self) -> Option<i32> {
        // Ours kills it if it comes before it has a handler.
        let signal = self.status.and_then(|status| status.signal());
        signal.filter(|signal| !(self.dismissed && *signal == Signal::SIGTERM as i32))
    }
}

/// The pipe that replaces the channel: reading end, writing end.
pub(super) type Ends = (OwnedFd, OwnedFd);

impl<'a> Crew<'a> {
    /// Starts all workers; they wait for each other.
    pub(super) fn start(
        plan: &Plan,
        board: &'a Board,
        memory: &OwnedFd,
        pipe: Option<&Ends>,
    ) -> Result<Self, Failure> {
        let mut crew = Crew { board, workers: Vec::new() };
        let text = serde_json::to_string(plan).context("plan")?;
        // Consumers first: that producers find nobody there would be no error, but slower.
        let consumers = (0..plan.consumers).map(|index| (Role::Consumer, index));
        for (role, index) in consumers.chain((0..plan.producers).map(|index| (Role::Producer, index))) {
            let end = pipe.map(|(read, write)| if role == Role::Consumer { read } else { write });
            let stdio = |fd: &OwnedFd| {
                fd.as_fd().try_clone_to_owned().map(Stdio::from).context("cannot start a worker")
            };
            let child = offspring::command(WORKER)
                .args([role.name(), &index.to_string(), &text])
                .stdin(stdio(memory)?)
                .stdout(end.map_or(Ok(Stdio::null()), stdio)?)
                .spawn()
                .context("cannot start a worker")?;
            crew.workers.push(Worker { role, index, status: None, dismissed: false, child });
        }
        Ok(crew)
    }

    /// Watches the workers until all have ended by themselves. A signal to us ends them, and is the error.
    pub(super) fn watch(&mut self, signals: &Signals, progress: &ProgressBar) -> Result<(), Failure> {
        loop {
            // In this order: whoever has not ended afterwards was there together with all that were there before.
            let all_there =
                self.workers.iter().all(|worker| worker.status.is_some() || self.is_ready(worker));
            let mut running = 0;
            for worker in &mut self.workers {
                if worker.status.is_none() {
                    worker.status = worker.child.try_wait().context("cannot wait for a worker")?;
                    running += usize::from(worker.status.is_none());
                }
            }
            if running == 0 {
                return Ok(());
            }
            let started = self.board.started() != 0;
            if !started && !self.dismiss_stranded() && all_there {
                self.board.start(clock::now());
            }
            progress.set_position(self.board.done(Role::Consumer));
            if let Some(signal) = signals.sleep(if started { RUNNING } else { STARTING }) {
                self.end();
                return Err(Failure::signal(signal));
            }
        }
    }

    fn is_ready(&self, worker: &Worker) -> bool {
        self.board.read(worker.role, worker.index, Note::Ready) != 0
    }

    /// The channel tells its participants when the other side is gone, but not if that was before they came: if a
    /// side is killed as a whole before the start, the other would wait for a first one for ever.
    fn dismiss_stranded(&mut self) -> bool {
        let gone = |role| self.workers.iter().all(|worker| worker.role != role || worker.status.is_some());
        if !gone(Role::Producer) && !gone(Role::Consumer) {
            return false;
        }
        self.signal(Signal::SIGTERM, |worker| !worker.dismissed);
        self.workers.iter_mut().for_each(|worker| worker.dismissed |= worker.status.is_none());
        true
    }

    fn signal(&self, signal: Signal, which: impl Fn(&Worker) -> bool) {
        for worker in self.workers.iter().filter(|worker| worker.status.is_none() && which(worker)) {
            // We have not waited for it: the number is still its own.
            let _ = kill(Pid::from_raw(worker.child.id() as i32), signal);
        }
    }

    /// Ends all workers: asks them first, so that they leave the channel by themselves.
    fn end(&mut self) {
        self.signal(Signal::SIGTERM, |_| true);
        // One that is stopped would not hear it.
        self.signal(Signal::SIGCONT, |_| true);
        let since = Instant::now();
        while since.elapsed() < GRACE && self.workers.iter().any(|worker| worker.status.is_none()) {
            for worker in self.workers.iter_mut().filter(|worker| worker.status.is_none()) {
                worker.status = worker.child.try_wait().unwrap_or(None);
            }
            std::thread::sleep(STARTING);
        }
        self.signal(Signal::SIGKILL, |_| true);
        for worker in self.workers.iter_mut().filter(|worker| worker.status.is_none()) {
            worker.status = worker.child.wait().ok();
        }
    }

    pub(super) fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// Nanoseconds from the start until the last worker ended by itself; 0 if there was no start.
    pub(super) fn elapsed(&self) -> u64 {
        let ends =
            self.workers.iter().map(|worker| self.board.read(worker.role, worker.index, Note::EndedAt));
        match self.board.started() {
            0 => 0,
            start => ends.max().unwrap_or(0).saturating_sub(start),
        }
    }

    /// How a worker ended by itself, if it did.
    pub(super) fn end_of(&self, worker: &Worker) -> End {
        match self.board.ended(worker.role, worker.index) {
            End::None if worker.dismissed && worker.killed_by().is_none() => End::Stopped,
            end => end,
        }
    }
}

impl Drop for Crew<'_> {
    fn drop(&mut self) {
        if self.workers.iter().any(|worker| worker.status.is_none()) {
            self.end();
        }
    }
}
