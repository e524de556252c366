//! One sample: makes the objects, starts the processes, collects what they saw.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use serde::Serialize;

use crate::objects::Objects;
use crate::rivals;
use crate::spec::{Limit, Outcome, Role, Spec, Work};
use crate::stage::{Stage, shared_memory};

/// Seconds beyond the time of the work itself after which a process that hangs is ended.
const GRACE: u64 = 60;
/// Messages a second that even the slowest rival moves.
const SLOWEST: u64 = 50_000;

/// What became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Nanoseconds: for each message, or what the work measures.
    pub nanos: f64,
    pub p99: f64,
    pub next_p50: f64,
    /// Parts of all round trips, and what so many took at most.
    pub distribution: Vec<[f64; 2]>,
    pub messages: u64,
    /// Of the consumer.
    pub sleeps: f64,
    pub cpu: f64,
    /// By how many bytes any process has grown.
    pub growth: i64,
}

/// Takes a sample.
pub fn take(spec: &Spec) -> Result<Sample, String> {
    let outcomes =
        run(spec).map_err(|e| format!("{} {:?} {}: {e}", spec.rival.label(), spec.work, spec.size))?;
    Ok(evaluate(spec.work, &outcomes))
}

fn run(spec: &Spec) -> Result<Vec<Outcome>, Box<dyn std::error::Error>> {
    static SAMPLES: AtomicU64 = AtomicU64::new(0);
    let name = format!("semring-bench-{}-{}", std::process::id(), SAMPLES.fetch_add(1, Ordering::Relaxed));
    let dir = format!("/dev/shm/{name}");
    let mut objects = Objects::new();
    objects.directory(PathBuf::from(&dir))?;
    let mut spec = Spec { name, dir, ..spec.clone() };
    let stage = shared_memory(Stage::BYTES)?;
    spec.stage = stage.as_raw_fd();
    rivals::prepare(&mut spec, &mut objects)?;
    let mut children = Vec::new();
    for role in spec.roles() {
        let child = spawn(&spec, role)?;
        objects.child(&child);
        children.push((role, child));
    }
    objects.complete();
    collect(children, &mut objects)
}

fn spawn(spec: &Spec, role: Role) -> Result<Child, Box<dyn std::error::Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("worker").arg(serde_json::to_string(spec)?).arg(serde_json::to_string(&role)?);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let parent = nix::unistd::getpid();
    let die_with_parent = move || {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        if nix::unistd::getppid() == parent { Ok(()) } else { Err(nix::Error::ESRCH.into()) }
    };
    // SAFETY: two system calls between fork and exec, and no allocation.
    unsafe { command.pre_exec(die_with_parent) };
    Ok(command.spawn()?)
}

/// The other half of [`spawn`]: what a process of a sample does.
pub fn work(spec: &str, role: &str) -> Result<(), Box<dyn std::error::Error>> {
    let (spec, role): (Spec, Role) = (serde_json::from_str(spec)?, serde_json::from_str(role)?);
    let seconds = match spec.limit {
        Limit::Millis(ms) => ms / 1000,
        Limit::Messages(messages) => messages / SLOWEST,
    };
    nix::unistd::alarm::set((seconds + GRACE) as u32);
    println!("{}", serde_json::to_string(&crate::worker::run(&spec, role))?);
    Ok(())
}

/// Waits for all; if one fails, the others would wait for it.
fn collect(
    children: Vec<(Role, Child)>,
    objects: &mut Objects,
) -> Result<Vec<Outcome>, Box<dyn std::error::Error>> {
    let (done, ended) = mpsc::channel();
    let count = children.len();
    let mut failure = None;
    let mut outcomes = Vec::new();
    for (role, mut child) in children {
        let done = done.clone();
        thread::spawn(move || {
            let (mut out, mut err) = (String::new(), String::new());
            let read = |from: Option<&mut dyn Read>, to: &mut String| {
                if let Some(from) = from {
                    let _ = from.read_to_string(to); // what is missing is missed when it is parsed
                }
            };
            read(child.stdout.as_mut().map(|out| out as &mut dyn Read), &mut out);
            read(child.stderr.as_mut().map(|err| err as &mut dyn Read), &mut err);
            let status = child.wait();
            let _ = done.send((role, child, status, out, err));
        });
    }
    for (role, child, status, out, err) in ended.iter().take(count) {
        objects.ended(&child);
        let status = status?;
        if status.success() {
            outcomes.extend(serde_json::from_str::<Vec<Outcome>>(&out)?);
        } else if failure.is_none() {
            failure = Some(format!("{role} ended with {status}: {}", err.trim()));
            objects.kill_children();
        }
    }
    match failure {
        Some(failure) => Err(failure.into()),
        None => Ok(outcomes),
    }
}

fn evaluate(work: Work, outcomes: &[Outcome]) -> Sample {
    let start = outcomes.iter().map(|o| o.start).min().unwrap_or(0);
    let end = outcomes.iter().map(|o| o.end).max().unwrap_or(0);
    // In a round trip both sides receive; a trip counts once.
    let messages = match work {
        Work::RoundTrip(_) => outcomes.iter().map(|o| o.received).max().unwrap_or(0),
        _ => outcomes.iter().map(|o| o.received).sum(),
    };
    let measured = outcomes.iter().find(|o| o.p50 > 0.0);
    let consumer = outcomes.iter().find(|o| o.receives);
    Sample {
        nanos: measured.map_or((end - start) as f64 / messages.max(1) as f64, |o| o.p50),
        p99: measured.map_or(0.0, |o| o.p99),
        next_p50: measured.map_or(0.0, |o| o.next_p50),
        distribution: measured.map_or_else(Vec::new, |o| o.distribution.clone()),
        messages,
        sleeps: consumer.map_or(0.0, |o| o.sleeps),
        cpu: consumer.map_or(0.0, |o| o.cpu),
        growth: outcomes.iter().map(|o| o.resident[1] as i64 - o.resident[0] as i64).max().unwrap_or(0),
    }
}
