//! `semring send`: standard input into a channel.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use clap::Args;
use semring::{Error, Producer, SendError};
use semring_cli::framing::Splitter;

use crate::failure::{Context, Failure};
use crate::options::ChannelOptions;
use crate::signals::Signals;
use crate::summary::Passed;

/// How long a `send` that is told to stop may take to leave.
const GRACE: Duration = Duration::from_secs(2);

/// How often a lingering `send` looks for a receiver.
const LOOK: Duration = Duration::from_millis(5);

/// Send standard input through a channel, a message a line
///
/// Starts before or after its receivers. Blocks while the channel is full. Ends when the input ends, without waiting
/// for what is still in the channel: that stays there until somebody receives it. Ends with a broken pipe when all
/// receivers are gone.
#[derive(Args)]
#[command(after_help = "\
Examples:
  seq 1000000 | semring send jobs
  semring send jobs --chunks 65536 < disk.img
  some-encoder | semring send jobs --frames --size 1000000 --capacity 64
  tail -f log | semring send events --wait   carry on without a receiver until the channel is full")]
pub(crate) struct Send {
    #[command(flatten)]
    channel: ChannelOptions,

    /// How long an empty input waits for a receiver, so that one that is just starting sees its end
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    linger: f64,
}

impl Send {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let signals = Signals::handle(GRACE).context("cannot handle signals")?;
        let mut producer = self.channel.open(|options, name| options.producer(name))?;
        signals.cancel(producer.canceller());
        let mut passed = Passed::nothing();
        let mut result = self.pump(&mut producer, &signals, &mut passed);
        if result.is_ok() && passed.messages == 0 {
            result = self.await_receiver(&producer, &signals);
        }
        let left = leave(producer, self.channel.keep);
        if let (Err(error), true) = (left, result.is_ok()) {
            result = Err(error.into());
        }
        if json {
            let name = self.channel.name.to_string();
            passed
                .write_json(io::stdout(), &name, false, &result)
                .map_err(|error| Failure::stdout(&error))?;
        }
        result
    }

    /// Sends all that one read brought before it reads again: nothing waits here for more input.
    fn pump(&self, producer: &mut Producer, signals: &Signals, passed: &mut Passed) -> Result<(), Failure> {
        // Not `io::Stdin`: its buffer of 8 KiB would come between.
        let mut input = io::stdin().as_fd().try_clone_to_owned().map(File::from).context("standard input")?;
        let mut splitter = Splitter::new(self.channel.framing(), producer.message_size());
        let mut found = Vec::new();
        loop {
            let signal = signals.wait_readable(input.as_fd()).context("cannot wait for standard input")?;
            if let Some(signal) = signal {
                return Err(Failure::signal(signal));
            }
            let bytes = read(&mut input, splitter.space()).context("cannot read standard input")?;
            splitter.filled(bytes);
            let verdict = splitter.messages(&mut found);
            let messages: Vec<&[u8]> = found.iter().map(|message| splitter.get(message)).collect();
            self.send(producer, &messages, signals, passed)?;
            verdict.map_err(|defect| {
                let size = "a larger --size for whoever creates the channel helps";
                Failure::new(match defect {
                    semring_cli::framing::Defect::TooLong { .. } => format!("{defect}: {size}"),
                    semring_cli::framing::Defect::Truncated { .. } => defect.to_string(),
                })
            })?;
            if bytes == 0 {
                return Ok(());
            }
        }
    }

    fn send(
        &self,
        producer: &mut Producer,
        messages: &[&[u8]],
        signals: &Signals,
        passed: &mut Passed,
    ) -> Result<(), Failure> {
        let (sent, result) = match producer.send_batch(messages) {
            Ok(()) => (messages.len(), Ok(())),
            Err(error) => (error.sent, Err(error.error)),
        };
        passed.messages += sent as u64;
        passed.bytes += messages[..sent].iter().map(|message| message.len() as u64).sum::<u64>();
        result.map_err(|error| match (error, signals.caught()) {
            (SendError::Failed(_, Error::Cancelled), Some(signal)) => Failure::signal(signal),
            (SendError::Failed(_, error), _) => error.into(),
            (SendError::Disconnected(_), _) => {
                let (name, noun) = (&self.channel.name, self.channel.framing().noun());
                let next = passed.messages + 1;
                Failure::new(format_args!(
                    "broken pipe: no receiver has {name} open any more; {noun} {next} was not sent"
                ))
            }
        })
    }

    /// An empty input leaves nothing in the channel that a receiver could find later. So that one that starts at the
    /// same time sees an end of input, and does not wait for a sender that has been and gone, give it a moment.
    fn await_receiver(&self, producer: &Producer, signals: &Signals) -> Result<(), Failure> {
        let linger = Duration::try_from_secs_f64(self.linger).context("--linger")?;
        let since = Instant::now();
        while since.elapsed() < linger && producer.status()?.consumers == 0 {
            if let Some(signal) = signals.sleep(LOOK) {
                return Err(Failure::signal(signal));
            }
        }
        Ok(())
    }
}

fn read(input: &mut File, space: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(space) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn leave(producer: Producer, keep: bool) -> semring::Result<()> {
    if keep {
        producer.close();
        return Ok(());
    }
    producer.leave_and_remove_if_unused().map(drop)
}
