//! What the test binaries share: names that clean up after themselves, child processes that cannot outlive the test,
//! and waits that fail rather than hang.
//!
//! Every test may run beside every other one: each has names of its own, removed at its end, also by a panic. At its
//! exit the binary looks whether any object under any of these names is left, and fails if so.
#![allow(dead_code)] // each test binary uses a part

pub(crate) mod child;
pub(crate) mod puppet;
pub(crate) mod sys;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use semring::segment::Key;
use semring::{Channel, Kind, Options};

/// After this long a wait has failed: nothing here takes a second.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// Long enough for a process that would go on to go on. What it does not prove, it does not break.
pub(crate) const PAUSE: Duration = Duration::from_millis(30);
pub(crate) const KINDS: [Kind; 2] = [Kind::Spsc, Kind::Mpmc];

static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LAST_CHECK: Once = Once::new();

/// The name of a channel that nobody else uses; whatever stands under it is removed at the end of the test.
pub(crate) struct Name(String);

impl Name {
    pub(crate) fn new(test: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        LAST_CHECK.call_once(|| sys::at_exit(check_names));
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("semring-{test}-{}-{count}", std::process::id());
        NAMES.lock().unwrap_or_else(PoisonError::into_inner).push(name.clone());
        Self(name)
    }

    /// Id of the segment under this name, if there is one.
    pub(crate) fn segment(&self) -> Option<i32> {
        sys::find_segment(Key::from(&self.0).segment_key().expect("key"))
    }

    /// Id of the semaphore set under this name, if there is one.
    pub(crate) fn set(&self) -> Option<i32> {
        sys::find_set(Key::from(&self.0).set_key().expect("key"))
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.segment().is_none() && self.set().is_none()
    }

    /// The channel, for looking at it.
    pub(crate) fn channel(&self) -> Channel {
        Options::new().allow_any_owner().open(self).expect("open")
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes whatever is under a name, by the channel's own means if they work, by the kernel's in any case. Says
/// whether anything was there.
fn remove(name: &str) -> bool {
    let options = Options::new().allow_any_owner().lock_timeout(Duration::from_millis(100)).prefault(false);
    let key = Key::from(name);
    let (Ok(segment), Ok(set)) = (key.segment_key(), key.set_key()) else { return false };
    let there = sys::find_segment(segment).is_some() || sys::find_set(set).is_some();
    if there {
        let _ = options.open(name).and_then(Channel::remove);
        sys::remove_set(set);
        sys::remove_segment(segment);
    }
    there
}

extern "C" fn check_names() {
    let names = std::mem::take(&mut *NAMES.lock().unwrap_or_else(PoisonError::into_inner));
    let left: Vec<_> = names.into_iter().filter(|name| remove(name)).collect();
    if !left.is_empty() {
        eprintln!("System V objects were left behind: {left:?}");
        sys::exit_now(99);
    }
}

impl std::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&Name> for Key {
    fn from(name: &Name) -> Key {
        Key::from(&name.0)
    }
}

/// Options with which nobody looks again without being woken: a wake-up that was lost is to be seen.
pub(crate) fn options() -> Options {
    Options::new().recheck_interval(None)
}

/// Small options of a kind, that a debug build opens quickly.
pub(crate) fn small(kind: Kind, capacity: u64) -> Options {
    options().kind(kind).capacity(capacity).message_size(64)
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs what may block in a thread, and fails if it does not end. The thread is abandoned then.
#[track_caller]
pub(crate) fn within<T: Send + 'static>(what: &str, run: impl FnOnce() -> T + Send + 'static) -> T {
    start(run).end(what)
}

/// Something that runs in a thread.
pub(crate) struct Running<T>(std::sync::mpsc::Receiver<std::thread::Result<T>>);

pub(crate) fn start<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> Running<T> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        let _ = sender.send(result);
    });
    Running(receiver)
}

impl<T> Running<T> {
    #[track_caller]
    pub(crate) fn end(self, what: &str) -> T {
        match self.0.recv_timeout(DEADLINE) {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => panic!("not within {DEADLINE:?}: {what}"),
        }
    }

    /// It is still running after a pause.
    #[track_caller]
    pub(crate) fn still_running(&self, what: &str) {
        if self.0.recv_timeout(PAUSE).is_ok() {
            panic!("it should have blocked: {what}");
        }
    }
}

/// Waits until the process sleeps in the channel.
#[track_caller]
pub(crate) fn asleep(name: &Name, pid: u32) {
    let channel = name.channel();
    eventually("the process falls asleep", || {
        let status = channel.status().expect("status");
        status.participants.iter().any(|p| p.pid == pid as i32 && p.sleeping && p.alive)
    });
    // From armed to asleep in the kernel.
    std::thread::sleep(Duration::from_millis(2));
}

/// FNV-1a, as checksum.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Numbers that are the same each time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        // SplitMix64 (Steele, Lea, Flood 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}
