//! One run of the workload, over a channel or a pipe, from making the medium to counting what came of it.

use std::sync::atomic::Ordering::Relaxed;

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use nix::fcntl::OFlag;
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::pipe2;
use semring::{Channel, Error, Options, TryRecvError};
use serde::Serialize;

use crate::failure::{Context, Failure};
use crate::removal::Removal;
use crate::signals::Signals;

use super::board::{Board, End};
use super::crew::{Crew, Ends};
use super::ledger::Ledger;
use super::plan::{Plan, Role, Transport};
use super::tally::{self, Tally};

/// What came of a run.
pub(super) struct Outcome {
    pub(super) tally: Tally,
    pub(super) elapsed_seconds: f64,
    /// User and system time of all workers, from their start to their end.
    pub(super) cpu_seconds: f64,
    /// Nanoseconds, of every stride-th message.
    pub(super) latency: Histogram<u64>,
    pub(super) killed: Vec<Killed>,
    /// Workers that ended with an error, which they named on standard error.
    pub(super) failed: Vec<String>,
}

/// A worker that somebody killed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Killed {
    pub(super) role: Role,
    pub(super) index: usize,
    pub(super) pid: u32,
    pub(super) signal: i32,
}

/// Creates a channel of a name that no other demo has: the number of our process, which another pid namespace may
/// have too, or a process that was killed before us.
pub(super) fn create_channel(options: &Options) -> semring::Result<(String, Channel)> {
    let mut name = format!("demo-{}", std::process::id());
    loop {
        match options.create(name.as_str()) {
            Err(Error::AlreadyExists { .. }) => name.push('+'),
            result => return result.map(|channel| (name, channel)),
        }
    }
}

/// Runs the plan over a channel that is removed at the end.
pub(super) fn over_channel(plan: &Plan, channel: Channel, signals: &Signals) -> Result<Outcome, Failure> {
    let removal = Removal(channel);
    run(plan, None, signals, |board| drain(plan, board, &removal.0))
}

/// Runs the plan over a new pipe.
pub(super) fn over_pipe(plan: &Plan, signals: &Signals) -> Result<Outcome, Failure> {
    let pipe = pipe2(OFlag::O_CLOEXEC).context("cannot make a pipe")?;
    run(plan, Some(pipe), signals, |_| Ok(()))
}

fn run(
    plan: &Plan,
    pipe: Option<Ends>,
    signals: &Signals,
    drain: impl FnOnce(&Board) -> Result<(), Failure>,
) -> Result<Outcome, Failure> {
    let (board, memory) = Board::create(plan).context("cannot make shared memory")?;
    let cpu_before = cpu_of_children()?;
    let mut crew = Crew::start(plan, &board, &memory, pipe.as_ref())?;
    // Only the workers have the pipe now, so that they see when the others are gone.
    drop(pipe);
    let progress = progress(plan);
    crew.watch(signals, &progress)?;
    progress.finish_and_clear();

    let mut outcome = Outcome {
        tally: Tally::default(),
        elapsed_seconds: crew.elapsed() as f64 / 1e9,
        cpu_seconds: cpu_of_children()? - cpu_before,
        latency: Histogram::new(3).context("latency")?,
        killed: Vec::new(),
        failed: Vec::new(),
    };
    let mut killed_consumers = Vec::new();
    for worker in crew.workers() {
        let (role, index) = (worker.role, worker.index);
        if let Some(signal) = worker.killed_by() {
            outcome.killed.push(Killed { role, index, pid: worker.id(), signal });
        } else if matches!(crew.end_of(worker), End::None | End::Failed) {
            outcome.failed.push(format!("{} {index}", role.name()));
        }
        if role == Role::Consumer && matches!(crew.end_of(worker), End::None | End::Failed) {
            killed_consumers.push(index);
        }
    }
    drain(&board)?;
    for sample in board.samples() {
        match sample.load(Relaxed) {
            0 => {}
            age => outcome.latency.record(age).context("latency")?,
        }
    }
    outcome.tally = tally::count(plan, &board, &killed_consumers);
    Ok(outcome)
}

/// Receives what nobody received because no consumer was left, so that it is not taken for lost.
fn drain(plan: &Plan, board: &Board, channel: &Channel) -> Result<(), Failure> {
    let mut consumer = channel.consumer()?;
    let mut ledger = Ledger::open(plan, board, plan.consumers);
    let mut buffer = vec![0; consumer.message_size()];
    loop {
        match consumer.try_recv_into(&mut buffer) {
            Ok(received) => ledger.record(&buffer[..received.len], received.attempt),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Failed(error)) => return Err(error.into()),
        }
    }
}

fn cpu_of_children() -> Result<f64, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    let (user, system) = (usage.user_time(), usage.system_time());
    Ok((user.tv_sec() + system.tv_sec()) as f64 + (user.tv_usec() + system.tv_usec()) as f64 / 1e6)
}

/// On standard error, if that is a terminal.
fn progress(plan: &Plan) -> ProgressBar {
    let what = match plan.transport {
        Transport::Channel(_) => "channel",
        Transport::Pipe => "pipe",
    };
    let template = "{msg:8} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(plan.messages).with_style(style).with_message(what)
}
