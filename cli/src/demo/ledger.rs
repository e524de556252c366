//! A consumer's book-keeping: every message received is checked and noted on the board, at once.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::clock;

use super::board::{Board, Note};
use super::message::{self, Stamp};
use super::plan::{Plan, Role};

/// The books of one consumer. What a message needs is looked up once, when they are opened: writing it down must not
/// slow down what is measured.
pub(super) struct Ledger<'a> {
    size: usize,
    producers: Vec<Producer>,
    line: &'a [AtomicU64],
    samples: &'a [AtomicU64],
    stride: u64,
    unflagged: &'a [AtomicU64],
    flagged: &'a [AtomicU64],
    received: u64,
}

struct Producer {
    /// Number, over all producers, of its first message.
    first: u64,
    quota: u64,
    /// The number that comes next at the earliest.
    next: u64,
}

impl<'a> Ledger<'a> {
    pub(super) fn open(plan: &Plan, board: &'a Board, consumer: usize) -> Self {
        let producer = |index| Producer { first: plan.first(index), quota: plan.quota(index), next: 0 };
        Ledger {
            size: plan.size,
            producers: (0..plan.producers).map(producer).collect(),
            line: board.line(Role::Consumer, consumer),
            samples: board.samples(),
            stride: plan.stride(),
            unflagged: board.bitmap(consumer, false),
            flagged: board.bitmap(consumer, true),
            received: 0,
        }
    }

    /// Notes a message: delivered for the `attempt`-th time, as the channel says.
    pub(super) fn record(&mut self, bytes: &[u8], attempt: u32) {
        self.received += 1;
        self.line[Note::Done as usize].store(self.received, Relaxed);
        let Some((producer, Stamp { number, sent_at, .. })) = whole(&mut self.producers, self.size, bytes)
        else {
            return self.count(Note::Torn);
        };
        let redelivered = attempt > 1;
        let disorder = number < producer.next && !redelivered;
        if !redelivered {
            producer.next = number + 1;
        }
        let global = producer.first + number;
        let (word, bit) = ((global / 64) as usize, 1 << (global % 64));
        let word = if redelivered { &self.flagged[word] } else { &self.unflagged[word] };
        let before = word.load(Relaxed);
        word.store(before | bit, Relaxed);
        if sent_at != 0 {
            let age = clock::now().saturating_sub(sent_at).max(1);
            self.samples[(global / self.stride) as usize].store(age, Relaxed);
        }
        for (is, note) in
            [(before & bit != 0, Note::Again), (redelivered, Note::Redelivered), (disorder, Note::Disorder)]
        {
            if is {
                self.count(note);
            }
        }
    }

    #[cold]
    fn count(&self, note: Note) {
        let cell = &self.line[note as usize];
        cell.store(cell.load(Relaxed) + 1, Relaxed);
    }
}

/// The stamp of a message and its producer, if the message is one of the run and unchanged.
fn whole<'a>(producers: &'a mut [Producer], size: usize, bytes: &[u8]) -> Option<(&'a mut Producer, Stamp)> {
    let stamp = message::read(bytes)?;
    let producer = producers.get_mut(stamp.producer)?;
    (bytes.len() == size && stamp.number < producer.quota).then_some((producer, stamp))
}
