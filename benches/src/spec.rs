//! One sample, as it is handed to the processes that take it: who carries which messages between whom.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rival {
    OursSpsc,
    OursMpmc,
    /// Ours with many messages to a slot.
    BulkSpsc,
    BulkMpmc,
    /// Ours without crash safety.
    UnsafeSpsc,
    UnsafeMpmc,
    Rtrb,
    ArrayQueue,
    CrossbeamChannel,
    Ringfire,
    Iceoryx2,
    IpcChannel,
    Pipe,
    Fifo,
    Socket,
    PosixMq,
    SysvMq,
    Boost,
    Textbook,
    /// Cache lines and nothing else: the limit of the hardware.
    Bare,
}

impl Rival {
    /// The name in tables.
    pub fn label(self) -> &'static str {
        match self {
            Rival::OursSpsc => "semring SPSC",
            Rival::OursMpmc => "semring MPMC",
            Rival::BulkSpsc => "semring SPSC, bulk",
            Rival::BulkMpmc => "semring MPMC, bulk",
            Rival::UnsafeSpsc => "semring SPSC, not crash-safe",
            Rival::UnsafeMpmc => "semring MPMC, not crash-safe",
            Rival::Rtrb => "rtrb (threads)",
            Rival::ArrayQueue => "crossbeam ArrayQueue (threads)",
            Rival::CrossbeamChannel => "crossbeam-channel (threads)",
            Rival::Ringfire => "ringfire",
            Rival::Iceoryx2 => "iceoryx2",
            Rival::IpcChannel => "ipc-channel",
            Rival::Pipe => "pipe",
            Rival::Fifo => "FIFO",
            Rival::Socket => "Unix stream socket",
            Rival::PosixMq => "POSIX message queue",
            Rival::SysvMq => "System V message queue",
            Rival::Boost => "boost.interprocess message_queue",
            Rival::Textbook => "P/V ring with semop",
            Rival::Bare => "bare cache lines (the limit)",
        }
    }

    /// Is it the channel of this repository?
    pub fn is_ours(self) -> bool {
        matches!(self, Rival::OursSpsc | Rival::OursMpmc | Rival::BulkSpsc | Rival::BulkMpmc)
    }

    /// Does it connect threads of one process only?
    pub fn within_process(self) -> bool {
        matches!(self, Rival::Rtrb | Rival::ArrayQueue | Rival::CrossbeamChannel)
    }

    /// Why it cannot be measured here.
    pub fn missing(self) -> Option<&'static str> {
        match self {
            Rival::Rtrb if !cfg!(feature = "rtrb") => Some("built without the feature `rtrb`"),
            Rival::ArrayQueue | Rival::CrossbeamChannel if !cfg!(feature = "crossbeam") => {
                Some("built without the feature `crossbeam`")
            }
            Rival::Ringfire if !cfg!(feature = "ringfire") => Some("built without the feature `ringfire`"),
            Rival::Iceoryx2 if !cfg!(feature = "iceoryx2") => Some("built without the feature `iceoryx2`"),
            Rival::IpcChannel if !cfg!(feature = "ipc-channel") => {
                Some("built without the feature `ipc-channel`")
            }
            Rival::Boost if !cfg!(feature = "boost") => Some(
                "built without the feature `boost` (needs a C++ compiler and the Debian package libboost-dev)",
            ),
            _ => None,
        }
    }
}

/// What is done with the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Producers send as fast as they can, one at a time; consumers receive one at a time.
    Stream,
    /// The same in batches of so many.
    Batches(usize),
    /// The same, filled and read in place.
    InPlace,
    /// There and back, one at a time; so many between two looks at the clock.
    RoundTrip(u64),
    /// The receiver is asleep when a message comes, and just awake when a second one follows.
    Wake,
    /// The receiver waits for a second, and gets one message.
    Idle,
}

/// When producers stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// After so many milliseconds.
    Millis(u64),
    /// After so many messages each.
    Messages(u64),
}

/// Everything about one sample that its processes must know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    pub rival: Rival,
    pub work: Work,
    /// Bytes of a message.
    pub size: usize,
    /// Messages that fit.
    pub capacity: usize,
    pub producers: usize,
    pub consumers: usize,
    /// Participants that are registered and do nothing.
    pub bystanders: usize,
    /// Ours with fences instead of membarrier(2).
    pub fences: bool,
    pub limit: Limit,
    /// The processor of the producers, and that of the consumers.
    pub cpus: [usize; 2],
    /// A name for objects, of this sample only; and a directory that goes with it.
    pub name: String,
    pub dir: String,
    /// The shared page where all meet.
    pub stage: i32,
    /// Descriptors and System V ids, as [`prepare`](crate::rivals::prepare) left them.
    pub fds: Vec<i32>,
    pub ids: Vec<i32>,
}

impl Spec {
    pub fn new(rival: Rival, work: Work, size: usize) -> Self {
        Spec {
            rival,
            work,
            size,
            capacity: 1024,
            producers: 1,
            consumers: 1,
            bystanders: 0,
            fences: false,
            limit: Limit::Millis(0),
            cpus: [0, 0],
            name: String::new(),
            dir: String::new(),
            stage: -1,
            fds: Vec::new(),
            ids: Vec::new(),
        }
    }

    /// Directions in which messages travel: a lane each.
    pub fn lanes(&self) -> usize {
        if matches!(self.work, Work::RoundTrip(_)) { 2 } else { 1 }
    }

    /// Who takes part.
    pub fn roles(&self) -> Vec<Role> {
        if self.rival.within_process() {
            return vec![Role::Threads];
        }
        let producers = (0..self.producers).map(Role::Producer);
        let consumers = (0..self.consumers).map(Role::Consumer);
        let bystanders = (self.bystanders > 0).then_some(Role::Bystanders);
        producers.chain(consumers).chain(bystanders).collect()
    }

    /// How many meet at the stage.
    pub fn parties(&self) -> usize {
        self.producers + self.consumers + usize::from(self.bystanders > 0)
    }
}

/// What one process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Producer(usize),
    Consumer(usize),
    /// All of them, as threads.
    Threads,
    /// Holds the idle participants.
    Bystanders,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Producer(i) => write!(f, "producer {i}"),
            Role::Consumer(i) => write!(f, "consumer {i}"),
            Role::Threads => write!(f, "threads"),
            Role::Bystanders => write!(f, "bystanders"),
        }
    }
}

/// What one producer or consumer saw. Times are nanoseconds of CLOCK_MONOTONIC.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Is it a receiver? And the messages that it received.
    pub receives: bool,
    pub received: u64,
    pub start: u64,
    pub end: u64,
    /// Quantiles of what the work measures in nanoseconds: round trip or wake-up.
    pub p50: f64,
    pub p99: f64,
    /// Their distribution: parts of all, and what so many were at most.
    pub distribution: Vec<[f64; 2]>,
    /// Likewise for the message that comes right after a wake-up.
    pub next_p50: f64,
    /// Sleeps (voluntary context switches) for each message.
    pub sleeps: f64,
    /// Processor time between start and end, as a part of that time.
    pub cpu: f64,
    /// Resident bytes at the start and at the end.
    pub resident: [u64; 2],
}
