//! A worker: a process of its own that sends its share of the messages, or receives until there are no more.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use clap::Args;
use nix::sys::signal::Signal;
use semring::Options;

use crate::clock;
use crate::failure::{Context, Failure};
use crate::offspring::{self, is_orphan};
use crate::signals::Signals;

use super::board::{Board, End, Note};
use super::ledger::Ledger;
use super::message::{self, Stamp};
use super::plan::{Plan, Role, Transport};
use super::{pipe, ring};

/// How long a worker that is told to stop may take to leave the channel.
const GRACE: Duration = Duration::from_secs(2);

/// How long a worker that is ready sleeps between looks at the starting signal.
const BLINK: Duration = Duration::from_micros(50);

/// Part of `semring demo`, which starts it.
#[derive(Args)]
pub(crate) struct Worker {
    role: Role,
    index: usize,
    plan: String,
}

/// Why a worker stops.
pub(super) enum Stop {
    /// The stream is at its end.
    End,
    /// No consumer is left.
    Disconnected,
    Signalled,
    Failed(String),
}

/// Where a producer sends to.
pub(super) trait Outlet {
    /// Sends all of them; fails with how many it did send.
    fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), (usize, Stop)>;
}

/// Where a consumer receives from.
pub(super) trait Inlet {
    /// Receives what it receives at a time into the books.
    fn receive(&mut self, ledger: &mut Ledger<'_>) -> Result<(), Stop>;
}

impl Worker {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let plan: Plan = serde_json::from_str(&self.plan).context("not started by semring demo")?;
        // Nothing has to be put in order at the end of a pipe, and a read from one cannot be cancelled.
        let grace = if matches!(plan.transport, Transport::Pipe) { Duration::ZERO } else { GRACE };
        let signals = Signals::handle(grace).context("cannot handle signals")?;
        // A worker does not outlive its parent.
        offspring::follow(plan.parent, Signal::SIGTERM).context("cannot follow the parent")?;
        let board = inherited(io::stdin()).and_then(|memory| Board::open(&plan, memory));
        let worker = Running {
            plan: &plan,
            board: &board.context("shared memory")?,
            signals: &signals,
            index: self.index,
        };
        let stop = match self.role {
            Role::Producer => worker.produce(),
            Role::Consumer => worker.consume(),
        };
        let (end, result) = match stop {
            Stop::End => (End::Finished, Ok(())),
            Stop::Disconnected => (End::Disconnected, Ok(())),
            Stop::Signalled => (End::Stopped, Ok(())),
            Stop::Failed(message) => {
                let who = format!("demo {} {}", self.role.name(), self.index);
                (End::Failed, Err(Failure::new(format_args!("{who}: {message}"))))
            }
        };
        worker.board.note(self.role, self.index, Note::EndedAt, clock::now());
        worker.board.note(self.role, self.index, Note::End, end as u64);
        if is_orphan(plan.parent) || matches!(end, End::Stopped) && becomes_orphan(plan.parent) {
            // The parent would have removed the channel. The first of us to come here does; the others find none.
            if let Transport::Channel(name) = &plan.transport {
                let _ = Options::new().open(name.as_str()).and_then(semring::Channel::remove);
            }
        }
        result
    }
}

struct Running<'a> {
    plan: &'a Plan,
    board: &'a Board,
    signals: &'a Signals,
    index: usize,
}

impl Running<'_> {
    fn produce(&self) -> Stop {
        match &self.plan.transport {
            Transport::Channel(name) => match ring::Sender::open(name, self.signals) {
                Ok(sender) => self.send_all(sender),
                Err(error) => Stop::Failed(error.to_string()),
            },
            Transport::Pipe => match inherited(io::stdout()) {
                Ok(pipe) => self.send_all(pipe::Sender::new(pipe, self.plan)),
                Err(error) => Stop::Failed(error.to_string()),
            },
        }
    }

    fn consume(&self) -> Stop {
        match &self.plan.transport {
            Transport::Channel(name) => match ring::Receiver::open(name, self.plan, self.signals) {
                Ok(receiver) => self.receive_all(receiver),
                Err(error) => Stop::Failed(error.to_string()),
            },
            Transport::Pipe => match inherited(io::stdout()) {
                Ok(pipe) => self.receive_all(pipe::Receiver::new(pipe, self.plan)),
                Err(error) => Stop::Failed(error.to_string()),
            },
        }
    }

    /// The run begins when all are there: how long processes take to start is not measured.
    fn await_start(&self, role: Role) -> Option<Stop> {
        self.board.note(role, self.index, Note::Ready, 1);
        while self.board.started() == 0 {
            if self.signals.caught().is_some() {
                return Some(Stop::Signalled);
            }
            std::thread::sleep(BLINK);
        }
        None
    }

    fn send_all(&self, mut outlet: impl Outlet) -> Stop {
        if let Some(stop) = self.await_start(Role::Producer) {
            return stop;
        }
        let (quota, first) = (self.plan.quota(self.index), self.plan.first(self.index));
        let between = self.plan.stride() - 1;
        let noted = &self.board.line(Role::Producer, self.index)[Note::Done as usize];
        let mut messages = vec![vec![0; self.plan.size]; self.plan.batch];
        let mut sent = 0;
        while sent < quota {
            if self.signals.caught().is_some() {
                return Stop::Signalled;
            }
            let count = (quota - sent).min(messages.len() as u64) as usize;
            for (number, bytes) in (sent..).zip(&mut messages[..count]) {
                let measured = (first + number) & between == 0;
                let sent_at = if measured { clock::now() } else { 0 };
                message::write(bytes, &Stamp { producer: self.index, number, sent_at });
            }
            let result = outlet.send(&messages[..count]);
            sent += result.as_ref().map_or_else(|(sent, _)| *sent, |()| count) as u64;
            noted.store(sent, Relaxed);
            if let Err((_, stop)) = result {
                return stop;
            }
        }
        Stop::End
    }

    fn receive_all(&self, mut inlet: impl Inlet) -> Stop {
        if let Some(stop) = self.await_start(Role::Consumer) {
            return stop;
        }
        let mut ledger = Ledger::open(self.plan, self.board, self.index);
        loop {
            if self.signals.caught().is_some() {
                return Stop::Signalled;
            }
            if let Err(stop) = inlet.receive(&mut ledger) {
                return stop;
            }
        }
    }
}

/// The signal of the parent's death comes with the end of the thread that made us; its other threads may take a moment
/// longer, on a busy machine a long one, and are our parent until then (prctl(2), PR_SET_PDEATHSIG). A parent that lives
/// has sent no such signal: then it was somebody else's.
fn becomes_orphan(parent: u32) -> bool {
    const STEP: Duration = Duration::from_millis(10);
    for waited in 0..1000 {
        if is_orphan(parent) {
            return true;
        }
        if waited >= 20 && !is_dying(parent) {
            break;
        }
        std::thread::sleep(STEP);
    }
    is_orphan(parent)
}

/// Has the first thread of a process ended (proc_pid_stat(5)), and not all of them?
fn is_dying(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X']))
}

/// The parent hands the shared memory over as standard input, and the pipe, whichever end, as standard output.
fn inherited(stream: impl AsFd) -> io::Result<OwnedFd> {
    stream.as_fd().try_clone_to_owned()
}
