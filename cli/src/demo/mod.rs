//! `semring demo`: real messages between real processes, every one of them accounted for.
//!
//! ```text
//! mod      the command: what is asked for, the runs, the verdict
//! run      one run: medium, workers, counts
//! crew     the worker processes, seen from their parent
//! worker   one worker process; ring and pipe are what it sends over
//! board    memory in which the workers note what they did, so that it survives them
//! message  the format of a message; ledger: a consumer's notes about them; tally: the sums
//! report   the table and the JSON object
//! ```

mod board;
mod crew;
mod ledger;
mod message;
mod pipe;
mod plan;
mod report;
mod ring;
mod run;
mod tally;
pub(crate) mod worker;

use std::io;
use std::time::Duration;

use clap::{Args, ValueEnum};
use semring::{Kind, Options};

use crate::failure::{Context, Failure};
use crate::signals::Signals;

use plan::{Plan, Transport};
use report::Report;

/// Name of the hidden command that runs a worker.
pub(crate) const WORKER: &str = "demo-worker";

/// How long a demo that is told to stop may take: longer than its workers may.
const GRACE: Duration = Duration::from_secs(10);

/// Send a million messages between processes, and count and time them
///
/// Starts producers and consumers as processes of their own. Each message is numbered, timed and checksummed; each
/// consumer notes what it receives, and in the end every message is accounted for: received, lost, duplicated, torn.
/// Any of the processes may be killed meanwhile: the others finish, and the report says what became of its messages.
/// Exit status 0 only if every message arrived once and whole. Leaves nothing behind.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring demo --against pipe
  semring demo --spsc --messages 10000000 --size 24
  semring demo --producers 4 --consumers 4 --batch 32
  semring demo --ack --messages 50000000      then kill -9 a consumer: nothing is lost
  semring demo --json | jq .latency_ns")]
pub(crate) struct Demo {
    /// Processes that send [default: 2, with --spsc 1]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=62))]
    producers: Option<u8>,

    /// Processes that receive [default: 2, with --spsc 1]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=62))]
    consumers: Option<u8>,

    /// Messages in all, divided among the producers
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=message::MOST))]
    messages: u64,

    /// Bytes of a message; at least 24, for its checksum, number and time
    #[arg(long, default_value_t = 64, value_parser = parse_size)]
    size: usize,

    /// Messages that the channel holds, rounded up to a power of two
    #[arg(long, default_value_t = 1024)]
    capacity: u64,

    /// Send and receive up to this many messages with one call
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,

    /// Take a message for good only when it is noted (a lease): if a consumer is killed before, another one gets it
    #[arg(long)]
    ack: bool,

    /// A channel for one producer and one consumer
    #[arg(long)]
    spsc: bool,

    /// Do the same over something else, and compare
    #[arg(long, value_enum)]
    against: Option<Against>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Against {
    /// One pipe(2) for all; messages of at most 4096 bytes
    Pipe,
}

impl Demo {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let mut plan = self.plan()?;
        let signals = Signals::handle(GRACE).context("cannot handle signals")?;
        let options = self.options();
        let (name, channel) = run::create_channel(&options)?;
        let kind = if self.spsc { "SPSC" } else { "MPMC" };
        let description = format!("{kind} channel of {}", channel.capacity());
        plan.transport = Transport::Channel(name);
        let outcome = run::over_channel(&plan, channel, &signals)?;
        let mut complaints = outcome.complaints(&plan);
        let mut against = None;
        // What is not well is not worth comparing.
        if self.against == Some(Against::Pipe) && complaints.is_empty() {
            plan.transport = Transport::Pipe;
            let outcome = run::over_pipe(&plan, &signals)?;
            complaints.extend(outcome.complaints(&plan).iter().map(|complaint| format!("pipe: {complaint}")));
            against = Some(outcome);
        }
        let against = against.as_ref().map(|outcome| ("pipe", outcome));
        let report = Report { plan: &plan, channel: description, outcome: &outcome, against };
        let written = if json { report.write_json(io::stdout()) } else { report.write_text(io::stdout()) };
        written.map_err(|error| Failure::stdout(&error))?;
        if complaints.is_empty() { Ok(()) } else { Err(Failure::new(complaints.join("\nsemring: "))) }
    }

    fn plan(&self) -> Result<Plan, Failure> {
        let default = if self.spsc { 1 } else { 2 };
        let (producers, consumers) = (self.producers.unwrap_or(default), self.consumers.unwrap_or(default));
        if self.spsc && (producers, consumers) != (1, 1) {
            return Err(Failure::usage("--spsc is for one producer and one consumer"));
        }
        // The parent takes a place too, to receive what may be left.
        if producers + consumers > 63 {
            return Err(Failure::usage("--producers and --consumers can be 63 together"));
        }
        if self.against == Some(Against::Pipe) && self.size > pipe::PIPE_BUF {
            let most = pipe::PIPE_BUF;
            return Err(Failure::usage(format_args!(
                "--against pipe is for a --size of at most {most}: a pipe takes no more at once"
            )));
        }
        Ok(Plan {
            transport: Transport::Pipe,
            producers: producers.into(),
            consumers: consumers.into(),
            messages: self.messages,
            size: self.size,
            batch: self.batch.into(),
            ack: self.ack,
            parent: std::process::id(),
        })
    }

    fn options(&self) -> Options {
        Options::new()
            .kind(if self.spsc { Kind::Spsc } else { Kind::Mpmc })
            .capacity(self.capacity)
            .message_size(self.size as u64)
    }
}

fn parse_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(size) if size >= message::HEADER => Ok(size),
        Ok(_) => Err(format!("a message needs {} bytes for its checksum, number and time", message::HEADER)),
        Err(_) => Err("not a number of bytes".into()),
    }
}
