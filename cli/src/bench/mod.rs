//! `semring bench`: a channel beside what the kernel offers, on the user's own machine.
//!
//! ```text
//! mod      the command: what is asked for, the rounds
//! carrier  what carries the messages; a lane is one direction of it, made by the parent
//! task     what the two processes of a sample do, as they are told
//! worker   one of these processes
//! sample   starts them and learns how long it took
//! results  all samples, and what follows from them
//! report   table, bars, JSON
//! ```

mod carrier;
mod report;
mod results;
mod sample;
mod task;
pub(crate) mod worker;

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use semring_cli::processors;

use crate::failure::{Context, Failure};
use crate::signals::Signals;

use carrier::{Carrier, RIVALS};
use results::{Measured, Row};
use task::Work;

/// Name of the hidden command that runs one side of a sample.
pub(crate) const WORKER: &str = "bench-worker";

/// How long it may take to end the processes of a sample.
const GRACE: Duration = Duration::from_secs(10);

/// Largest message that can be asked for.
const MOST: usize = 16 << 20;

/// Measure a channel beside pipes, sockets, queues and bare shared memory, on this machine
///
/// Two processes, on two processors of different cores if there are, send each other messages one at a time: all in one
/// direction, then there and back. Every byte is written, read and checked. Everybody has a turn in each round; figures
/// are medians over the rounds, ratios are medians of the ratios within the rounds: trust these more. What cannot be
/// measured says why. Leaves nothing behind.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring bench                                            everybody, three sizes; half a minute
  semring bench --against pipe,socket --sizes 64 --rounds 20
  semring bench --json | jq '.results[] | [.size, .name, .stream.median_ns]'

`mmap` is what one would write by hand over shared memory, a flag for each slot: as fast as lines travel, but it cannot
sleep, and a death leaves it broken.")]
pub(crate) struct Bench {
    /// What to measure beside the channel
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = RIVALS)]
    against: Vec<Carrier>,

    /// Bytes of a message
    #[arg(long, value_delimiter = ',', default_values_t = [8, 64, 1024], value_parser = parse_size)]
    sizes: Vec<usize>,

    /// How often everybody has a turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// How long a turn takes, roughly
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    millis: u32,
}

impl Bench {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let signals = Signals::handle(GRACE).context("cannot handle signals")?;
        let cpus = processors::of_two_cores().context("cannot find out about processors")?;
        let mut rows = self.rows();
        self.measure(&mut rows, cpus, &signals)?;
        let measured = Measured { cpus, rounds: self.rounds, millis: self.millis, rows };
        let text = if json { format!("{}\n", report::json(&measured)) } else { report::text(&measured) };
        io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::stdout(&error))
    }

    /// Everybody at every size, ours first.
    fn rows(&self) -> Vec<Row> {
        let mut carriers = vec![Carrier::Spsc, Carrier::Mpmc];
        for rival in &self.against {
            if !carriers.contains(rival) {
                carriers.push(*rival);
            }
        }
        let mut sizes = self.sizes.clone();
        sizes.sort_unstable();
        sizes.dedup();
        let row = |size| carriers.iter().map(move |carrier| Row::new(*carrier, size));
        sizes.iter().flat_map(|size| row(*size)).collect()
    }

    fn measure(&self, rows: &mut [Row], cpus: Option<[usize; 2]>, signals: &Signals) -> Result<(), Failure> {
        let progress = progress(rows.len() as u64 * u64::from(self.rounds + 1) * Work::ALL.len() as u64);
        let duration = Duration::from_millis(self.millis.into());
        for round in 0..=self.rounds as usize {
            for work in Work::ALL {
                let count = rows.len();
                for i in 0..count {
                    // Another one begins each time, so that what changes slowly meets everybody alike.
                    let row = &mut rows[(i + round) % count];
                    progress.set_message(format!("{} B, {}", row.size, row.carrier.label()));
                    progress.inc(1);
                    match round {
                        0 => row.calibrate(work, duration, cpus, signals)?,
                        _ => row.measure(work, cpus, signals)?,
                    }
                }
            }
        }
        progress.finish_and_clear();
        Ok(())
    }
}

/// On standard error, if that is a terminal.
fn progress(turns: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {eta} {msg:26}");
    ProgressBar::new(turns).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn parse_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("a message has at least 1 byte here, or there would be nothing to check".into()),
        Ok(size) if size <= MOST => Ok(size),
        Ok(_) => Err(format!("messages of more than {MOST} bytes are not measured")),
        Err(_) => Err("not a number of bytes".into()),
    }
}
