//! `semring recv`: a channel to standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use semring::daemon::Stream;
use semring::{Batch, Channel, Consumer, Error, Lease, RecvError, TryRecvError};
use semring_cli::framing::Framing;

use crate::background::{BackgroundOptions, Place, settle};
use crate::failure::{Context, Failure};
use crate::options::ChannelOptions;
use crate::signals::Signals;
use crate::summary::Passed;

/// How long a `recv` that is told to stop may take to write what it took and to leave.
const GRACE: Duration = Duration::from_secs(2);

/// Bytes gathered before a write; fewer when the channel is empty, so that nothing waits here.
const WRITE: usize = 64 * 1024;

/// Messages taken at a time, at most, and the most bytes that they can have (unless one alone can have more).
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1024 * 1024;

/// Receive from a channel to standard output, as it was sent
///
/// Starts before or after its senders. Several receivers share the messages: each goes to exactly one of them. Ends
/// when all senders are gone and everything was received.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring recv jobs > lines.txt
  semring recv jobs --chunks 65536 > copy.img
  semring recv jobs --frames --ack | worker   what is not written stays for another receiver
  semring recv events --daemon --pid-file /run/events.pid --output /var/log/events --log /var/log/events.err
  kill $(cat /run/events.pid)                 it leaves the channel and removes the file")]
pub(crate) struct Recv {
    #[command(flatten)]
    channel: ChannelOptions,

    /// Take a message for good only when it is written: what a death or a full disk interrupts goes to another
    /// receiver, so that nothing is lost and a message may come twice. Slower: one write for each message
    #[arg(long)]
    ack: bool,

    /// Append what is received to this file instead of writing it to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Say at the end how much was received
    #[arg(long, short)]
    verbose: bool,

    #[command(flatten)]
    background: BackgroundOptions,
}

/// Why the receiving stopped.
enum Stop {
    /// No sender is left, and nothing more is there.
    End,
    Failed(Failure),
}

impl Recv {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let (output, to) = self.open_output()?;
        let starting = match self.background.enter(self.daemons_stdout())? {
            Place::Foreground => None,
            Place::Daemon(starting) => Some(starting),
            Place::Elsewhere(pid) => return self.tell(pid, json),
        };
        // Until its channel is open a daemon is not ready, and the end of this function is its end.
        let ((signals, mut consumer), _background) = settle(starting, self.prepare())?;
        let mut pump = Pump {
            name: self.channel.name.to_string(),
            framing: self.channel.framing(),
            output,
            to,
            signals: &signals,
            senders_seen: false,
            left_behind: !consumer.is_empty(),
            alone: false,
            passed: Passed::nothing(),
        };
        let stop = if self.ack { pump.acknowledge(&mut consumer) } else { pump.copy(&mut consumer) };
        let mut result = match stop {
            Stop::End => Ok(()),
            Stop::Failed(failure) => Err(failure),
        };
        let left = leave(consumer, self.channel.keep);
        if let (Err(error), true) = (left, result.is_ok()) {
            result = Err(error.into());
        }
        let Pump { name, passed, .. } = pump;
        if json {
            // Not in vain if it fails: the exit status says the same.
            let _ = passed.write_json(io::stderr(), &name, true, &result);
        } else if self.verbose {
            let Passed { messages, bytes, redelivered, .. } = passed;
            eprintln!(
                "semring: received {messages} messages, {bytes} bytes; {redelivered} of the messages were redelivered"
            );
        }
        result
    }

    fn prepare(&self) -> Result<(Signals, Consumer), Failure> {
        let signals = Signals::handle(GRACE).context("cannot handle signals")?;
        let consumer = self.channel.open(|options, name| options.consumer(name))?;
        signals.cancel(consumer.canceller());
        Ok((signals, consumer))
    }

    /// Where to write, and what that is called. Opened in the foreground: its errors belong there, and relative paths.
    fn open_output(&self) -> Result<(File, String), Failure> {
        let stdout = io::stdout();
        match &self.output {
            Some(path) => {
                let name = path.display().to_string();
                let file = OpenOptions::new().append(true).create(true).open(path);
                Ok((file.context(&format!("cannot open {name}"))?, name))
            }
            None if self.background.daemon && stdout.is_terminal() => Err(Failure::usage(
                "a daemon has no terminal: say where to write with --output FILE, or redirect standard output",
            )),
            None => {
                let file = stdout.as_fd().try_clone_to_owned().map(File::from).context("standard output")?;
                Ok((file, "standard output".into()))
            }
        }
    }

    fn daemons_stdout(&self) -> Stream {
        if self.output.is_some() { Stream::Null } else { Stream::Keep }
    }

    /// In the foreground, when the daemon is ready.
    fn tell(&self, pid: i32, json: bool) -> Result<(), Failure> {
        let name = self.channel.name.to_string();
        if json {
            eprintln!("{}", serde_json::json!({ "channel": name, "pid": pid }));
        } else if self.verbose {
            eprintln!("semring: process {pid} receives from {name}");
        }
        Ok(())
    }
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

struct Pump<'a> {
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

impl Pump<'_> {
    /// Takes messages as fast as they come and writes them in large pieces.
    fn copy(&mut self, consumer: &mut Consumer) -> Stop {
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
    fn acknowledge(&mut self, consumer: &mut Consumer) -> Stop {
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

fn leave(consumer: Consumer, keep: bool) -> semring::Result<()> {
    if keep {
        consumer.close();
        return Ok(());
    }
    consumer.leave_and_remove_if_unused().map(drop)
}
