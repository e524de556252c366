//! What the workers note for the parent, in memory that they share: a kill -9 between any two instructions leaves
//! everything that was noted before. Private to the demo; the channel under test has no part in it.
//!
//! ```text
//! words                of 8 bytes, each written by one process only
//! 0                    GO: when the run started, 0 before
//! 16 (w + 1) + ..      the 16 words of worker w: the producers, the consumers, and the parent as one more consumer
//! samples              latency in ns of every stride-th message, 0: not received
//! bitmaps              two for each consumer (and the parent): received for the first time, received again
//! ```

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::plan::{Plan, Role};

const GO: usize = 0;
/// Words of a worker: two cache lines, so that no two workers share one.
const LINE: usize = 16;

/// The words of a worker.
#[derive(Clone, Copy)]
pub(super) enum Note {
    /// 1: it takes part in the channel and waits for GO.
    Ready,
    /// Messages that it sent (each noted after the call returned) or received.
    Done,
    /// Messages received whose checksum, number or length was wrong.
    Torn,
    /// Messages that this consumer received more than once.
    Again,
    /// Messages received that were flagged as redelivered.
    Redelivered,
    /// Messages received after a later one of the same producer.
    Disorder,
    /// When it ended, 0 before.
    EndedAt,
    /// How it ended, one of [`End`].
    End,
}

/// How a worker ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It did not.
    None = 0,
    /// It sent everything, or received everything until the end of the stream.
    Finished,
    /// A producer was told that no consumer is left.
    Disconnected,
    /// The parent, or whoever sent a signal, stopped it.
    Stopped,
    /// Something failed; it said what.
    Failed,
}

/// The shared memory of one run.
pub(super) struct Board {
    map: MmapRaw,
    words: usize,
    producers: usize,
    consumers: usize,
    samples: usize,
    bitmaps: usize,
    /// Words of a bitmap.
    bitmap: usize,
}

impl Board {
    /// New memory, and the file that stands for it in the workers.
    pub(super) fn create(plan: &Plan) -> io::Result<(Self, OwnedFd)> {
        let memory = memfd_create(c"semring-demo", MFdFlags::MFD_CLOEXEC)?;
        let file = File::from(memory.try_clone()?);
        file.set_len(Self::layout(plan)?.0)?;
        Ok((Self::map(plan, &file)?, memory))
    }

    /// The memory that the parent made.
    pub(super) fn open(plan: &Plan, memory: OwnedFd) -> io::Result<Self> {
        Self::map(plan, &File::from(memory))
    }

    /// Bytes of all, first word of the samples and of the bitmaps, words of a bitmap.
    fn layout(plan: &Plan) -> io::Result<(u64, usize, usize, usize)> {
        let layout = || {
            let samples = (1 + plan.producers + plan.consumers + 1) * LINE;
            let bitmaps = usize::try_from(plan.messages / plan.stride() + 1).ok()?.checked_add(samples)?;
            let bitmap = usize::try_from(plan.messages.div_ceil(64)).ok()?;
            let words = bitmap.checked_mul(2 * (plan.consumers + 1))?.checked_add(bitmaps)?;
            Some(((words as u64).checked_mul(8)?, samples, bitmaps, bitmap))
        };
        layout().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "too many messages to count"))
    }

    fn map(plan: &Plan, file: &File) -> io::Result<Self> {
        let (bytes, samples, bitmaps, bitmap) = Self::layout(plan)?;
        if file.metadata()?.len() < bytes {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the shared memory is not of this plan"));
        }
        let map = MmapOptions::new().len(bytes as usize).map_raw(file)?;
        let words = bytes as usize / 8;
        let (producers, consumers) = (plan.producers, plan.consumers);
        Ok(Board { map, words, producers, consumers, samples, bitmaps, bitmap })
    }

    fn words(&self) -> &[AtomicU64] {
        let first = self.map.as_ptr().cast::<AtomicU64>();
        // SAFETY: `map` is a mapping, aligned to pages, of at least `words` words that lives as long as `self`; the file
        // has that length and nobody shortens it (it has no name, and only we and our workers have it). All access,
        // in this process and in others, is through atomics.
        unsafe { std::slice::from_raw_parts(first, self.words) }
    }

    /// When the run started: 0 before.
    pub(super) fn started(&self) -> u64 {
        self.words()[GO].load(Relaxed)
    }

    pub(super) fn start(&self, now: u64) {
        self.words()[GO].store(now, Relaxed);
    }

    /// The words of a worker, indexed by [`Note`]. Only the worker itself writes to them.
    pub(super) fn line(&self, role: Role, index: usize) -> &[AtomicU64] {
        let worker = match role {
            Role::Producer => index,
            Role::Consumer => self.producers + index,
        };
        &self.words()[(1 + worker) * LINE..][..LINE]
    }

    pub(super) fn read(&self, role: Role, index: usize, note: Note) -> u64 {
        self.line(role, index)[note as usize].load(Relaxed)
    }

    /// Only the worker itself notes.
    pub(super) fn note(&self, role: Role, index: usize, note: Note, value: u64) {
        self.line(role, index)[note as usize].store(value, Relaxed);
    }

    pub(super) fn ended(&self, role: Role, index: usize) -> End {
        let value = self.read(role, index, Note::End);
        [End::Finished, End::Disconnected, End::Stopped, End::Failed]
            .into_iter()
            .find(|end| *end as u64 == value)
            .unwrap_or(End::None)
    }

    /// A word for every stride-th message over all producers.
    pub(super) fn samples(&self) -> &[AtomicU64] {
        &self.words()[self.samples..self.bitmaps]
    }

    /// The messages that a consumer received unflagged, or (`again`) flagged as redelivered: a bit for each.
    pub(super) fn bitmap(&self, consumer: usize, again: bool) -> &[AtomicU64] {
        &self.words()[self.bitmaps + (2 * consumer + usize::from(again)) * self.bitmap..][..self.bitmap]
    }

    /// All workers' `Done` on one side.
    pub(super) fn done(&self, role: Role) -> u64 {
        let workers = match role {
            Role::Producer => self.producers,
            Role::Consumer => self.consumers,
        };
        (0..workers).map(|index| self.read(role, index, Note::Done)).sum()
    }
}
