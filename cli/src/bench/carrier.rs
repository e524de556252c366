//! What carries the messages of a sample. The parent makes a lane for each direction; the two processes open its ends.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use clap::ValueEnum;
use semring::segment::Key;
use semring::{Consumer, Kind, Options, Producer};
use semring_cli::rivals::mmap::{self, Mmap};
use semring_cli::rivals::posix_mq::{self, PosixMq};
use semring_cli::rivals::stream::{self, Stream};
use semring_cli::rivals::sysv_mq::{Queue, SysvMq};
use semring_cli::rivals::{Rx, Tx, inheritable, wrong_length};
use serde::{Deserialize, Serialize};

use crate::failure::{Context, Failure};
use crate::removal::Removal;

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Carrier {
    /// Ours, for one producer and one consumer
    #[value(skip)]
    Spsc,
    /// Ours, for many
    #[value(skip)]
    Mpmc,
    /// pipe(2)
    Pipe,
    /// A named pipe: fifo(7)
    Fifo,
    /// A Unix stream socket
    Socket,
    /// A POSIX message queue: mq_overview(7)
    PosixMq,
    /// A System V message queue: msgop(2)
    SysvMq,
    /// Bare shared memory, by hand
    Mmap,
}

/// Everybody but ours.
pub(super) const RIVALS: [Carrier; 6] =
    [Carrier::Pipe, Carrier::Fifo, Carrier::Socket, Carrier::PosixMq, Carrier::SysvMq, Carrier::Mmap];

/// Bytes that wait in a lane at most, where that can be chosen, but for a few messages.
const ROOM: usize = 4 << 20;

/// Messages that wait in a lane at most, where that can be chosen.
pub(super) fn capacity(size: usize) -> usize {
    (ROOM / size).clamp(4, 1024)
}

/// How a process finds the two ends of a lane, the receiver's first: descriptors that it inherited, or System V ids.
pub(super) type Handles = [i32; 2];

/// One direction. It is gone when this is dropped and its users have ended.
pub(super) enum Lane {
    Channel(Removal),
    Queue(Queue),
    /// One for both ends, or that of the receiver and that of the sender.
    Descriptors(Vec<OwnedFd>),
}

impl Carrier {
    pub(super) fn label(self) -> &'static str {
        match self {
            Carrier::Spsc => "semring SPSC",
            Carrier::Mpmc => "semring MPMC",
            Carrier::Pipe => "pipe",
            Carrier::Fifo => "FIFO",
            Carrier::Socket => "Unix socket",
            Carrier::PosixMq => "POSIX queue",
            Carrier::SysvMq => "System V queue",
            Carrier::Mmap => "mmap, by hand",
        }
    }

    /// Ours may not be left out: that it cannot be measured is an error.
    pub(super) fn is_ours(self) -> bool {
        matches!(self, Carrier::Spsc | Carrier::Mpmc)
    }

    /// Makes a lane for messages of this size, or says why there cannot be one.
    pub(super) fn lane(self, size: usize) -> Result<Lane, Failure> {
        let slots = capacity(size);
        let ends = match self {
            Carrier::Spsc => return channel(Kind::Spsc, size),
            Carrier::Mpmc => return channel(Kind::Mpmc, size),
            Carrier::SysvMq => return Queue::create(size).map(Lane::Queue).map_err(Failure::new),
            Carrier::Pipe => stream::pipe().map(Vec::from),
            Carrier::Fifo => stream::fifo().map(Vec::from),
            Carrier::Socket => stream::socket().map(Vec::from),
            Carrier::PosixMq => posix_mq::create(slots, size).map(|queue| vec![queue]),
            Carrier::Mmap => mmap::create(slots, size).map(|memory| vec![memory]),
        };
        let ends = ends.map_err(Failure::new)?;
        ends.iter().try_for_each(inheritable).context("a descriptor")?;
        Ok(Lane::Descriptors(ends))
    }
}

/// A channel that nothing leads to but its id.
fn channel(kind: Kind, size: usize) -> Result<Lane, Failure> {
    let options = Options::new().kind(kind).capacity(capacity(size) as u64).message_size(size as u64);
    Ok(Lane::Channel(Removal(options.create(Key::Private)?)))
}

impl Lane {
    pub(super) fn handles(&self) -> Handles {
        match self {
            Lane::Channel(Removal(channel)) => [channel.id(); 2],
            Lane::Queue(queue) => [queue.id(); 2],
            Lane::Descriptors(ends) => [&ends[0], &ends[ends.len() - 1]].map(AsRawFd::as_raw_fd),
        }
    }
}

/// An end of a lane, in the process that uses it.
pub(super) trait End: Sized {
    fn open(handle: i32, size: usize) -> Result<Self, Failure>;
}

fn inherited(handle: i32) -> OwnedFd {
    // SAFETY: the parent made this process inherit the descriptor, and each is opened once.
    unsafe { OwnedFd::from_raw_fd(handle) }
}

impl End for Stream {
    fn open(handle: i32, _size: usize) -> Result<Self, Failure> {
        Ok(inherited(handle).into())
    }
}

impl End for PosixMq {
    fn open(handle: i32, _size: usize) -> Result<Self, Failure> {
        Ok(inherited(handle).into())
    }
}

impl End for SysvMq {
    fn open(handle: i32, size: usize) -> Result<Self, Failure> {
        Ok(SysvMq::open(handle, size))
    }
}

impl End for Mmap {
    fn open(handle: i32, size: usize) -> Result<Self, Failure> {
        Mmap::open(inherited(handle), capacity(size), size).context("shared memory")
    }
}

/// An end of a channel: a type of our own, because both the channel's and the trait are others'.
pub(super) struct Ours<E>(E);

impl End for Ours<Producer> {
    fn open(handle: i32, _size: usize) -> Result<Self, Failure> {
        Ok(Ours(Options::new().existing().producer(Key::Id(handle))?))
    }
}

impl End for Ours<Consumer> {
    fn open(handle: i32, _size: usize) -> Result<Self, Failure> {
        Ok(Ours(Options::new().existing().consumer(Key::Id(handle))?))
    }
}

impl Tx for Ours<Producer> {
    #[inline]
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.0.send(message).map_err(io::Error::other)
    }
}

impl Rx for Ours<Consumer> {
    #[inline]
    fn recv(&mut self, message: &mut [u8]) -> io::Result<()> {
        match self.0.recv_into(message) {
            Ok(received) if received.len == message.len() => Ok(()),
            Ok(received) => Err(wrong_length(received.len)),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}
