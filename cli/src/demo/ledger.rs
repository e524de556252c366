//! A consumer's book-keeping: every message received is checked and noted on the board, at once.

use std::sync::atomic::Ordering::Relaxed;

use super::board::{Board, Note};
use super::message::{self, Stamp};
use super::plan::{Plan, Role};

/// The books of one consumer.
pub(super) struct Ledger<'a> {
    plan: &'a Plan,
    board: &'a Board,
    consumer: usize,
    stride: u64,
    received: u64,
    /// Of each producer, the number that comes next at the earliest.
    next: Vec<u64>,
}

impl<'a> Ledger<'a> {
    pub(super) fn open(plan: &'a Plan, board: &'a Board, consumer: usize) -> Self {
        let next = vec![0; plan.producers];
        Ledger { plan, board, consumer, stride: plan.stride(), received: 0, next }
    }

    /// Notes a message: delivered for the `attempt`-th time, as the channel says.
    pub(super) fn record(&mut self, bytes: &[u8], attempt: u32) {
        self.received += 1;
        self.board.note(Role::Consumer, self.consumer, Note::Done, self.received);
        let stamp = message::read(bytes).filter(|stamp| self.is_expected(stamp, bytes.len()));
        let Some(Stamp { producer, number, sent_at }) = stamp else {
            return self.count(Note::Torn);
        };
        let redelivered = attempt > 1;
        let global = self.plan.first(producer) + number;
        let (word, bit) = ((global / 64) as usize, 1 << (global % 64));
        let word = &self.board.bitmap(self.consumer, redelivered)[word];
        let before = word.load(Relaxed);
        if before & bit != 0 {
            self.count(Note::Again);
        }
        word.store(before | bit, Relaxed);
        if sent_at != 0 {
            let age = message::now().saturating_sub(sent_at).max(1);
            self.board.samples()[(global / self.stride) as usize].store(age, Relaxed);
        }
        if redelivered {
            return self.count(Note::Redelivered);
        }
        if number < self.next[producer] {
            self.count(Note::Disorder);
        }
        self.next[producer] = number + 1;
    }

    fn is_expected(&self, stamp: &Stamp, len: usize) -> bool {
        len == self.plan.size && stamp.producer < self.plan.producers && stamp.number < self.plan.quota(stamp.producer)
    }

    #[cold]
    fn count(&self, note: Note) {
        let before = self.board.read(Role::Consumer, self.consumer, note);
        self.board.note(Role::Consumer, self.consumer, note, before + 1);
    }
}
