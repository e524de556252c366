//! Work for an instruction counter: messages of 8 bytes through both ends of a channel in one thread, by the library as it is
//! or without crash safety. Counts do not depend on what else the machine does, as times do:
//!
//! ```text
//! cargo build --release --bin instructions
//! valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/instructions safe mpmc one 1000
//! ```
//!
//! The difference between two runs with other numbers of rounds, divided by the messages between them, is what one costs.

use std::hint::black_box;
use std::process::ExitCode;

/// Messages of a round: one batch, or so many one at a time.
const BATCH: usize = 32;

/// Sends and receives `rounds` rounds with a build of the library.
macro_rules! work {
    ($library:ident, $kind:expr, $way:expr, $rounds:expr) => {{
        use $library::{Batch, Kind, Options, segment::Key};
        let kind = if $kind == "spsc" { Kind::Spsc } else { Kind::Mpmc };
        let channel = Options::new().kind(kind).capacity(1024).message_size(8).create(Key::Private)?;
        let result = (|| {
            let (mut producer, mut consumer) = (channel.producer()?, channel.consumer()?);
            let (messages, mut buffer, mut batch) = ([[7; 8]; BATCH], [0; 8], Batch::new());
            for _ in 0..$rounds {
                if $way == "batches" {
                    producer.send_batch(black_box(&messages))?;
                    consumer.recv_batch(&mut batch, BATCH)?;
                } else {
                    for message in black_box(&messages) {
                        producer.send(message)?;
                        consumer.recv_into(&mut buffer)?;
                    }
                }
            }
            Ok(())
        })();
        channel.remove()?;
        result
    }};
}

fn run(build: &str, kind: &str, way: &str, rounds: u64) -> Result<(), Box<dyn std::error::Error>> {
    match build {
        "safe" => work!(semring, kind, way, rounds),
        _ => work!(semring_unannounced, kind, way, rounds),
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        [build @ ("safe" | "unsafe"), kind @ ("spsc" | "mpmc"), way @ ("one" | "batches"), rounds] => {
            rounds.parse().map_err(Into::into).and_then(|rounds| run(build, kind, way, rounds))
        }
        _ => Err("usage: instructions safe|unsafe spsc|mpmc one|batches ROUNDS".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}
