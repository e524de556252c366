//! How long after a peer's death a blocked survivor returns, and what the memory of the dead has to do with it.

use std::io;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use semring::sem::Set;
use semring::{Kind, Status};

use crate::cases::options;
use crate::ledger::Ledger;
use crate::operations::HANG;
use crate::scene::LIMIT;
use crate::sys::{self, End};

/// Where a set has its leases (docs/design.md, section 3).
const FIRST_LEASE: usize = 4;

/// Times from SIGKILL to the return of the blocked call, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Latency {
    /// Mebibytes that the dead process had touched.
    pub resident_mib: usize,
    /// How many deaths.
    pub deaths: usize,
    /// Half of them took no longer.
    pub p50_ns: u64,
    /// 99 of 100 took no longer.
    pub p99_ns: u64,
}

/// Kills `rounds` producers with so much memory, each beside a consumer that waits for a message.
pub(crate) fn measure(resident_mib: usize, rounds: usize) -> io::Result<Latency> {
    let ledger = Ledger::new(1).map_err(io::Error::other)?;
    let mut times = Vec::new();
    for _ in 0..rounds {
        times.push(death(resident_mib, &ledger)?);
    }
    times.sort_unstable();
    let at = |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1)));
    let [p50_ns, p99_ns] = [50, 99].map(|percent| at(percent).copied().unwrap_or(0));
    Ok(Latency { resident_mib, deaths: times.len(), p50_ns, p99_ns })
}

fn death(resident_mib: usize, ledger: &Ledger) -> io::Result<u64> {
    ledger.clear();
    let name = format!("torture-{}-latency", std::process::id());
    let small = options().kind(Kind::Spsc).capacity(16).message_size(64).participants(2);
    let channel = small.create(&*name).map_err(io::Error::other)?;
    let victim = sys::fork(|| {
        let memory = vec![1_u8; resident_mib << 20];
        let _producer = options().existing().producer(&*name);
        ledger.go().store(1 + std::hint::black_box(&memory).len() as u64, SeqCst);
        sys::alarm(HANG);
        loop {
            sys::pause(1_000_000);
        }
    })?;
    wait_until(|| ledger.go().load(SeqCst) != 0);
    let survivor = sys::fork(|| {
        sys::alarm(HANG);
        let consumer = options().existing().consumer(&*name);
        let returned = consumer.map(|mut consumer| consumer.recv().is_err());
        ledger.buffer().store(sys::nanoseconds(), SeqCst);
        i32::from(returned != Ok(true))
    })?;
    let asleep = wait_until(|| channel.status().is_ok_and(|status| sleeps(&status, survivor)));
    let start = sys::nanoseconds();
    sys::signal(victim, libc::SIGKILL);
    let end = sys::wait(survivor)?;
    sys::wait(victim)?;
    channel.remove().map_err(io::Error::other)?;
    match (asleep, end) {
        (true, End::Exit(0)) => Ok(ledger.buffer().load(SeqCst).saturating_sub(start)),
        _ => Err(io::Error::other(format!("the survivor of a death ended: {end:?}"))),
    }
}

fn sleeps(status: &Status, pid: sys::Pid) -> bool {
    let Some(index) = status.participants.iter().find(|p| p.pid == pid).map(|p| p.index) else {
        return false;
    };
    let set = Set::from_id(status.semaphore_id);
    set.and_then(|set| set.waiting(FIRST_LEASE + status.limit + index)).is_ok_and(|n| n > 0)
}

fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > LIMIT {
            return false;
        }
        sys::pause(50);
    }
    true
}
