//! One sample: makes the lanes, starts the two processes, and learns how long they took.

use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::failure::{Context, Failure};
use crate::offspring;
use crate::signals::Signals;

use super::WORKER;
use super::carrier::{Carrier, Lane};
use super::task::{Task, Times, Work};
use super::worker::READY;

/// How often the parent looks whether they have ended.
const LOOK: Duration = Duration::from_millis(1);

/// The two processes. Dropped, it kills those that still run.
struct Pair(Vec<Child>);

impl Drop for Pair {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that has ended already is waited for all the same.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Nanoseconds for each message, over lanes that exist for this sample only.
pub(super) fn take(
    (carrier, size): (Carrier, usize),
    (work, messages): (Work, u64),
    cpus: Option<[usize; 2]>,
    signals: &Signals,
) -> Result<f64, Failure> {
    let lanes: Vec<Lane> = (0..work.lanes()).map(|_| carrier.lane(size)).collect::<Result<_, _>>()?;
    let handles = lanes.iter().map(Lane::handles).collect();
    let task = Task { carrier, work, size, messages, cpus, lanes: handles, parent: std::process::id() };
    // Declared after the lanes: the processes go first.
    let mut pair = start(&task)?;
    let times = pair.times(signals)?;
    let elapsed = match work {
        Work::Stream => times[1].end.saturating_sub(times[0].start),
        Work::RoundTrip => times[0].end.saturating_sub(times[0].start),
    };
    Ok(elapsed as f64 / messages as f64)
}

fn start(task: &Task) -> Result<Pair, Failure> {
    let text = serde_json::to_string(task).context("task")?;
    let mut pair = Pair(Vec::new());
    for side in ["0", "1"] {
        let child = offspring::command(WORKER)
            .args([side, &text])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a process")?;
        pair.0.push(child);
    }
    // Who does not come to be ready ends, and says why.
    for child in &mut pair.0 {
        if let Some(stdout) = &mut child.stdout {
            let _ = stdout.read_exact(&mut [0; READY.len()]);
        }
    }
    for child in &mut pair.0 {
        if let Some(mut stdin) = child.stdin.take() {
            let _ = stdin.write_all(READY);
        }
    }
    Ok(pair)
}

impl Pair {
    /// Waits until both have ended well. One alone would wait for the other for ever.
    fn times(&mut self, signals: &Signals) -> Result<Vec<Times>, Failure> {
        loop {
            let mut running = false;
            for child in &mut self.0 {
                match child.try_wait().context("cannot wait for a process")? {
                    None => running = true,
                    Some(status) if status.success() => {}
                    // It may have been the signal that we got, too.
                    Some(status) => match signals.sleep(LOOK) {
                        Some(signal) => return Err(Failure::signal(signal)),
                        None => {
                            return Err(Failure::new(format_args!("a process of the measurement: {status}")));
                        }
                    },
                }
            }
            if let Some(signal) = signals.sleep(if running { LOOK } else { Duration::ZERO }) {
                return Err(Failure::signal(signal));
            }
            if !running {
                return self.0.iter_mut().map(said).collect();
            }
        }
    }
}

fn said(child: &mut Child) -> Result<Times, Failure> {
    let mut text = String::new();
    if let Some(stdout) = &mut child.stdout {
        stdout.read_to_string(&mut text).context("cannot read from a process")?;
    }
    serde_json::from_str(&text).context("a process of the measurement")
}
