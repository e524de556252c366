//! Messages from the channel to the output: in large pieces, or one by one, each taken for good when it is written.

use std::fs::File;
use std::io::{self, Write};

use semring::{Batch, Channel, Consumer, Error, Lease, RecvError, TryRecvError};
use semring_cli::framing::Framing;

use crate::failure::Failure;
use crate::signals::Signals;
use crate::summary::Passed;

/// Bytes gathered before a write; fewer when the channel is empty, so that nothing waits here.
const WRITE: usize = 64 * 1024;

/// Messages taken at a time, at most, and the most bytes that they can have (unless one alone can have more).
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1024 * 1024;

/// Why the receiving stopped.
pub(super) enum Stop {
    /// No sender is left, and nothing more is there.
    End,
    Failed(Failure),
}

/// What to do when nothing is there.
enum Next {
    /// Wait for a message or the end.
    Block,
    /// Look once more.
    Again,
    /// This was all.
    End,
}

pub(super) struct Pump<'a> {
    name: String,
    framing: Framing,
    output: File,
    /// What that is called.
    to: String,
    signals: &'a Signals,
    /// Whether a sender was there while we were: then the channel itself knows when the last one is gone.
    senders_seen: bool,
    /// Whether messages were there when we came.
    left_behind: bool,
    /// Whether nothing was there and then no sender either, when we last looked.
    alone: bool,
    passed: Passed,
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        name: String,
        framing: Framing,
        output: File,
        to: String,
        signals: &'a Signals,
        left_behind: bool,
    ) -> Self {
        let (senders_seen, alone, passed) = (false, false, Passed::nothing());
        Pump { name, framing, output, to, signals, senders_seen, left_behind, alone, passed }
    }

    /// The channel's name, and what came of it.
    pub(super) fn finish(self) -> (String, Passed) {
        (self.name, self.passed)
    }

    /// Takes messages as fast as they come and writes them in large pieces.
    pub(super) fn copy(&mut self, consumer: &mut Consumer) -> Stop {
        let (channel, mut batch, mut pending) = (consumer.channel(), Batch::new(), Pending::default());
        let most = (BATCH_BYTES / consumer.message_size().max(1)).clamp(1, BATCH);
        loop {
            let taken = match consumer.try_recv_batch(&mut batch, most) {
                Err(TryRecvError::Empty) => {
                    if let Err(stop) = self.write(&mut pending) {
                        return stop;
                    }
                    match self.at_empty(&channel) {
                        Ok(Next::Block) => consumer.recv_batch(&mut batch, most),
                        Ok(Next::Again) => continue,
                        Ok(Next::End) => Err(RecvError::Disconnected),
                        Err(error) => Err(RecvError::Failed(error)),
                    }
                }
                Err(TryRecvError::Disconnected) => Err(RecvError::Disconnected),
                Err(TryRecvError::Failed(error)) => Err(RecvError::Failed(error)),
                Ok(messages) => Ok(messages),
            };
            if let Err(error) = taken {
                let stop = self.stop(error);
                return self.write(&mut pending).err().unwrap_or(stop);
            }
            self.alone = false;
            for message in batch.iter() {
                self.passed.redelivered += u64::from(message.attempt > 1);
                pending.push(self.framing, message.data);
            }
            let signal = self.signals.caught();
            if pending.bytes.len() >= WRITE || signal.is_some() {
                if let Err(stop) = self.write(&mut pending) {
                    return stop;
                }
            }
            if let Some(signal) = signal {
                return Stop::Failed(Failure::signal(signal));
            }
        }
    }

    /// Takes a message for good only when it is written.
    pub(super) fn acknowledge(&mut self, consumer: &mut Consumer) -> Stop {
        let (channel, mut message, mut pending) = (consumer.channel(), Vec::new(), Pending::default());
        let mut block = false;
        loop {
            if let Some(signal) = self.signals.caught() {
                return Stop::Failed(Failure::signal(signal));
            }
            let lease = if block { consumer.lease().map(Some) } else { try_lease(consumer) };
            let lease = match lease {
                Ok(Some(lease)) => lease,
                Ok(None) => match self.at_empty(&channel) {
                    Ok(Next::End) => return Stop::End,
                    Ok(next) => {
                        block = matches!(next, Next::Block);
                        continue;
                    }
                    Err(error) => return Stop::Failed(error.into()),
                },
                Err(error) => return self.stop(error),
            };
            (block, self.alone) = (false, false);
            message.resize(lease.len(), 0);
            if let Err(error) = lease.read(0, &mut message) {
                lease.retry();
                return Stop::Failed(error.into());
            }
            pending.push(self.framing, &message);
            if let Err(error) = self.write_all(&mut pending) {
                lease.retry();
                let (name, to) = (&self.name, &self.to);
                return Stop::Failed(Failure::new(format_args!(
                    "cannot write to {to}: {error}; the message went back to {name}"
                )));
            }
            self.passed.redelivered += u64::from(lease.redelivered());
            lease.ack();
        }
    }

    /// What to do when nothing is there. The channel itself ends when the last sender is gone that was there with us.
    /// Of senders that were gone before we came it knows nothing; but if they left messages behind and no sender
    /// is there when these are received, then this was all.
    fn at_empty(&mut self, channel: &Channel) -> semring::Result<Next> {
        if self.senders_seen || !self.left_behind && self.passed.messages == 0 {
            return Ok(Next::Block);
        }
        if self.alone {
            return Ok(Next::End);
        }
        self.senders_seen = channel.status()?.producers > 0;
        self.alone = !self.senders_seen;
        // If alone, look once more: a sender may have come, sent and gone since.
        Ok(if self.alone { Next::Again } else { Next::Block })
    }

    fn write(&mut self, pending: &mut Pending) -> Result<(), Stop> {
        self.write_all(pending).map_err(|error| {
            let rest = pending.messages.len();
            let hint = "with --ack they would have stayed in the channel";
            let to = &self.to;
            let message =
                format!("cannot write to {to}: {error}; {rest} messages were taken and not written ({hint})");
            Stop::Failed(Failure::new(message))
        })
    }

    /// Writes all; on an error the messages that were not completely written remain in `pending`.
    fn write_all(&mut self, pending: &mut Pending) -> io::Result<()> {
        let mut written = 0;
        let mut result = Ok(());
        while written < pending.bytes.len() && result.is_ok() {
            match self.output.write(&pending.bytes[written..]) {
                Ok(0) => result = Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => result = Err(error),
            }
        }
        let complete = pending.messages.partition_point(|(end, _)| *end <= written);
        self.passed.messages += complete as u64;
        self.passed.bytes += pending.messages.drain(..complete).map(|(_, len)| len as u64).sum::<u64>();
        pending.bytes.clear();
        result
    }

    fn stop(&self, error: RecvError) -> Stop {
        match (error, self.signals.caught()) {
            (RecvError::Disconnected, _) => Stop::End,
            (RecvError::Failed(Error::Cancelled), Some(signal)) => Stop::Failed(Failure::signal(signal)),
            (RecvError::Failed(error), _) => Stop::Failed(error.into()),
        }
    }
}

/// Messages on their way to standard output.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    /// Of each message, where it ends in `bytes`, and its length.
    messages: Vec<(usize, usize)>,
}

impl Pending {
    fn push(&mut self, framing: Framing, message: &[u8]) {
        framing.join(message, &mut self.bytes);
        self.messages.push((self.bytes.len(), message.len()));
    }
}

/// A lease, or none if nothing is there.
fn try_lease(consumer: &mut Consumer) -> Result<Option<Lease<'_>>, RecvError> {
    match consumer.try_lease() {
        Ok(lease) => Ok(Some(lease)),
        Err(TryRecvError::Empty) => Ok(None),
        Err(TryRecvError::Disconnected) => Err(RecvError::Disconnected),
        Err(TryRecvError::Failed(error)) => Err(RecvError::Failed(error)),
    }
}
