//! The demo over a pipe(2), to compare with: the same processes, messages and checks.
//!
//! All producers write to one pipe and all consumers read from it. Writes of at most PIPE_BUF bytes are atomic, and so,
//! as the kernel has it, are reads of what is there: with messages of one size everybody gets whole messages.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;

use super::ledger::Ledger;
use super::plan::Plan;
use super::worker::{Inlet, Outlet, Stop};

/// Most bytes that a pipe takes atomically: PIPE_BUF on Linux.
pub(super) const PIPE_BUF: usize = 4096;

/// The writing end.
pub(super) struct Sender {
    pipe: File,
    buffer: Vec<u8>,
    /// Messages of one write.
    together: usize,
}

impl Sender {
    pub(super) fn new(pipe: OwnedFd, plan: &Plan) -> Self {
        Sender { pipe: File::from(pipe), buffer: Vec::new(), together: together(plan) }
    }
}

impl Outlet for Sender {
    fn send(&mut self, messages: &[Vec<u8>]) -> Result<(), (usize, Stop)> {
        let mut sent = 0;
        for some in messages.chunks(self.together) {
            let result = match some {
                [message] => self.pipe.write_all(message),
                _ => {
                    self.buffer.clear();
                    self.buffer.extend(some.iter().flatten());
                    self.pipe.write_all(&self.buffer)
                }
            };
            result.map_err(|error| match error.kind() {
                ErrorKind::BrokenPipe => (sent, Stop::Disconnected),
                _ => (sent, Stop::Failed(error.to_string())),
            })?;
            sent += some.len();
        }
        Ok(())
    }
}

/// The reading end.
pub(super) struct Receiver {
    pipe: File,
    buffer: Vec<u8>,
    size: usize,
}

impl Receiver {
    pub(super) fn new(pipe: OwnedFd, plan: &Plan) -> Self {
        Receiver { pipe: File::from(pipe), buffer: vec![0; plan.size * together(plan)], size: plan.size }
    }
}

impl Inlet for Receiver {
    fn receive(&mut self, ledger: &mut Ledger<'_>) -> Result<(), Stop> {
        match self.pipe.read(&mut self.buffer) {
            Ok(0) => Err(Stop::End),
            Ok(bytes) => {
                self.buffer[..bytes].chunks(self.size).for_each(|message| ledger.record(message, 1));
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(Stop::Failed(error.to_string())),
        }
    }
}

fn together(plan: &Plan) -> usize {
    plan.batch.min(PIPE_BUF / plan.size).max(1)
}
