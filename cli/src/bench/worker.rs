//! One of the two processes of a sample: takes its place, says that it is ready, and does its part when told to.

use std::io::{self, Read, Write};
use std::ops::Range;

use clap::Args;
use nix::sys::signal::Signal;
use semring::{Consumer, Producer};
use semring_cli::processors;
use semring_cli::rivals::mmap::Mmap;
use semring_cli::rivals::posix_mq::PosixMq;
use semring_cli::rivals::stream::Stream;
use semring_cli::rivals::sysv_mq::SysvMq;
use semring_cli::rivals::{Rx, Tx};

use crate::clock;
use crate::failure::{Context, Failure};
use crate::offspring;

use super::carrier::{Carrier, End, Ours};
use super::task::{Task, Times, Work, fill, is_whole};

/// What a worker says on its standard output when it is ready, and is told on its standard input.
pub(super) const READY: &[u8; 1] = b"\n";

/// Part of `semring bench`, which starts it.
#[derive(Args)]
pub(crate) struct Worker {
    side: usize,
    task: String,
}

impl Worker {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let task: Task = serde_json::from_str(&self.task).context("not started by semring bench")?;
        // It has nothing of its own to put in order: what there is, is the parent's.
        offspring::follow(task.parent, Signal::SIGKILL).context("cannot follow the parent")?;
        if let Some(cpu) = task.cpus.and_then(|cpus| cpus.get(self.side).copied()) {
            processors::pin(cpu).context("cannot be pinned to a processor")?;
        }
        let times = match task.carrier {
            Carrier::Spsc | Carrier::Mpmc => play::<Ours<Producer>, Ours<Consumer>>(&task, self.side),
            Carrier::Pipe | Carrier::Fifo | Carrier::Socket => play::<Stream, Stream>(&task, self.side),
            Carrier::PosixMq => play::<PosixMq, PosixMq>(&task, self.side),
            Carrier::SysvMq => play::<SysvMq, SysvMq>(&task, self.side),
            Carrier::Mmap => play::<Mmap, Mmap>(&task, self.side),
        };
        let text = serde_json::to_vec(&times?).context("times")?;
        io::stdout().write_all(&text).map_err(|error| Failure::stdout(&error))
    }
}

/// Does the part of this side: the first one sends or asks, the second one receives or answers.
fn play<T: Tx + End, R: Rx + End>(task: &Task, side: usize) -> Result<Times, Failure> {
    let tx = |lane: usize| T::open(task.lanes[lane][1], task.size);
    let rx = |lane: usize| R::open(task.lanes[lane][0], task.size);
    let numbers = 0..task.messages;
    let mut message = vec![0; task.size];
    let times = match (task.work, side) {
        (Work::Stream, 0) => {
            let mut tx = tx(0)?;
            timed(|| send(&mut tx, &mut message, numbers))
        }
        (Work::Stream, _) => {
            let mut rx = rx(0)?;
            timed(|| receive(&mut rx, &mut message, numbers))
        }
        (Work::RoundTrip, 0) => {
            let (mut tx, mut rx) = (tx(0)?, rx(1)?);
            timed(|| {
                numbers.into_iter().try_for_each(|number| {
                    send(&mut tx, &mut message, number..number + 1)?;
                    receive(&mut rx, &mut message, number..number + 1)
                })
            })
        }
        (Work::RoundTrip, _) => {
            let (mut rx, mut tx) = (rx(0)?, tx(1)?);
            timed(|| {
                numbers.into_iter().try_for_each(|number| {
                    receive(&mut rx, &mut message, number..number + 1)?;
                    tx.send(&message)
                })
            })
        }
    };
    times.map_err(|error| Failure::new(format_args!("{}: {error}", task.carrier.label())))
}

#[inline]
fn send(tx: &mut impl Tx, message: &mut [u8], numbers: Range<u64>) -> io::Result<()> {
    for number in numbers {
        fill(message, number);
        tx.send(message)?;
    }
    Ok(())
}

#[inline]
fn receive(rx: &mut impl Rx, message: &mut [u8], numbers: Range<u64>) -> io::Result<()> {
    for number in numbers {
        rx.recv(message)?;
        if !is_whole(message, number) {
            let what = format!("message {number} is not what was sent");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
    }
    Ok(())
}

/// Begins when both sides are there: how long processes take to start is not measured.
fn timed(part: impl FnOnce() -> io::Result<()>) -> io::Result<Times> {
    let mut stdout = io::stdout();
    stdout.write_all(READY)?;
    stdout.flush()?;
    io::stdin().read_exact(&mut [0])?;
    let start = clock::now();
    part()?;
    Ok(Times { start, end: clock::now() })
}
