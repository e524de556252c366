//! `semring recv`: a channel to standard output.

mod pump;

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use semring::Consumer;
use semring::daemon::Stream;

use crate::background::{BackgroundOptions, Place, settle};
use crate::failure::{Context, Failure};
use crate::options::ChannelOptions;
use crate::signals::Signals;
use crate::summary::Passed;
use pump::{Pump, Stop};

/// How long a `recv` that is told to stop may take to write what it took and to leave.
const GRACE: Duration = Duration::from_secs(2);

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
        let (name, framing) = (self.channel.name.to_string(), self.channel.framing());
        let mut pump = Pump::new(name, framing, output, to, &signals, !consumer.is_empty());
        let stop = if self.ack { pump.acknowledge(&mut consumer) } else { pump.copy(&mut consumer) };
        let mut result = match stop {
            Stop::End => Ok(()),
            Stop::Failed(failure) => Err(failure),
        };
        let left = leave(consumer, self.channel.keep);
        if let (Err(error), true) = (left, result.is_ok()) {
            result = Err(error.into());
        }
        let (name, passed) = pump.finish();
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

fn leave(consumer: Consumer, keep: bool) -> semring::Result<()> {
    if keep {
        consumer.close();
        return Ok(());
    }
    consumer.leave_and_remove_if_unused().map(drop)
}
