//! What producers and consumers note about every message, in memory that survives them: each step is noted before and
//! after it is taken, so that a death in between is known for the doubt that it is.
//!
//! ```text
//! word 0            GO: a bystander may begin
//!      1            BUFFER: address of the victim's receive buffer
//!      2            EXCUSE: the errno of a system call that was made to fail, and whether an operation has failed for it
//!      16 + f       how often fault f was seen          (see `Fault`)
//!      40, 41, 42   FLAGGED deliveries, RECEIVED, DOUBTFUL
//!      48 + p       how many messages producer p has begun
//!      64 + c       what consumer c has in hand         id << 2 | phase;  TAKING: how many
//!      128 + 2 cell state of a message, by producer and number modulo the window
//!                   number << 2 | 1 begun | 2 sent | 3 aborted
//!      + 1          number << 16 | doubtful 1 | acknowledged 7 | attempts seen 8
//! ```

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use crate::fault::{FAULTS, Fault};
use crate::message::{self, Bytes, Id};
use crate::sys;
use crate::words::Words;

/// Most producers of a ledger, and most consumers.
pub(crate) const PRODUCERS: usize = 16;
const HANDS: usize = 16;

const GO: usize = 0;
const BUFFER: usize = 1;
const EXCUSE: usize = 2;
const EXCUSED: u64 = 1 << 32;
const FAULTS_AT: usize = 16;
const FLAGGED: usize = 40;
const RECEIVED: usize = 41;
const DOUBTFUL: usize = 42;
const BEGUN_AT: usize = 48;
const HANDS_AT: usize = 64;
const CELLS_AT: usize = 128;

const BEGUN: u64 = 1;
const SENT: u64 = 2;
const ABORTED: u64 = 3;

const DOUBT: u64 = 1 << 15;
const ACKED: u64 = 1 << 8;
const EVER_ACKED: u64 = 0x7f00;

/// What a consumer has in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hand {
    /// Nothing.
    Empty,
    /// This message, not acknowledged: it must come again if the consumer dies.
    Holding(Id),
    /// It is acknowledging this one: it may or may not come again.
    Acking(Id),
    /// It is inside a call that takes and acknowledges up to so many.
    Taking(u64),
}

impl Hand {
    fn bits(self) -> u64 {
        match self {
            Hand::Empty => 0,
            Hand::Holding(id) => id.bits() << 2 | 1,
            Hand::Acking(id) => id.bits() << 2 | 2,
            Hand::Taking(most) => most << 2 | 3,
        }
    }

    fn from_bits(bits: u64) -> Self {
        let id = Id::from_bits(bits >> 2);
        match bits & 3 {
            0 => Hand::Empty,
            1 => Hand::Holding(id),
            2 => Hand::Acking(id),
            _ => Hand::Taking(bits >> 2),
        }
    }
}

/// The shared notes.
pub(crate) struct Ledger {
    words: Words,
    window: u64,
}

impl Ledger {
    /// For messages of which at most `window` of each producer are under way.
    pub(crate) fn new(window: u64) -> semring::Result<Self> {
        Ok(Self { words: Words::new(CELLS_AT + 2 * PRODUCERS * window as usize)?, window })
    }

    fn word(&self, i: usize) -> &AtomicU64 {
        self.words.at(i)
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        (0..self.words.len()).for_each(|i| self.word(i).store(0, SeqCst));
    }

    fn cell(&self, id: Id) -> (&AtomicU64, &AtomicU64) {
        let at = id.producer % PRODUCERS * self.window as usize + (id.number % self.window) as usize;
        (self.word(CELLS_AT + 2 * at), self.word(CELLS_AT + 2 * at + 1))
    }

    pub(crate) fn go(&self) -> &AtomicU64 {
        self.word(GO)
    }

    pub(crate) fn buffer(&self) -> &AtomicU64 {
        self.word(BUFFER)
    }

    /// A system call of the victim is made to fail.
    pub(crate) fn excuse(&self, errno: i32) {
        self.word(EXCUSE).store(errno as u64, SeqCst);
    }

    /// Takes note of an operation that failed. Did a system call fail that explains it? A signal explains nothing, for
    /// the call is tried again, nor do too many operations at once, which are cut; and no failed call makes a channel corrupt, but one that says that LOCK is not held.
    pub(crate) fn excuses(&self, error: &semring::Error) -> bool {
        let errno = self.word(EXCUSE).fetch_or(EXCUSED, SeqCst) as i32;
        let corrupt = matches!(error, semring::Error::Corrupt { .. });
        !matches!(errno, 0 | libc::EINTR | libc::E2BIG) && (!corrupt || errno == libc::EAGAIN)
    }

    /// Has an operation failed?
    pub(crate) fn was_excused(&self) -> bool {
        self.word(EXCUSE).load(SeqCst) & EXCUSED != 0
    }

    pub(crate) fn fault(&self, fault: Fault, times: u64) {
        self.word(FAULTS_AT + fault as usize).fetch_add(times, SeqCst);
    }

    pub(crate) fn faults(&self) -> [u64; FAULTS] {
        std::array::from_fn(|f| self.word(FAULTS_AT + f).load(SeqCst))
    }

    pub(crate) fn flagged(&self) -> u64 {
        self.word(FLAGGED).load(SeqCst)
    }

    pub(crate) fn received(&self) -> u64 {
        self.word(RECEIVED).load(SeqCst)
    }

    /// Messages that a killed consumer may or may not have acknowledged.
    pub(crate) fn doubtful(&self) -> u64 {
        self.word(DOUBTFUL).load(SeqCst)
    }

    /// How many messages a producer has begun.
    pub(crate) fn begun(&self, producer: usize) -> u64 {
        self.word(BEGUN_AT + producer).load(SeqCst)
    }

    /// The next message of a producer, which is about to send it. What the cell was used for before is over by now.
    pub(crate) fn begin(&self, producer: usize) -> (Id, Bytes) {
        let number = self.word(BEGUN_AT + producer).fetch_add(1, SeqCst);
        let id = Id { producer, number };
        if number >= self.window {
            let old = Id { producer, number: number - self.window };
            self.fault(Fault::Lost, u64::from(self.is_lost(old)));
        }
        let (state, delivery) = self.cell(id);
        delivery.store(number << 16, SeqCst);
        state.store(number << 2 | BEGUN, SeqCst);
        (id, message::write(id))
    }

    /// The send of a message has returned.
    pub(crate) fn sent(&self, id: Id) {
        self.cell(id).0.store(id.number << 2 | SENT, SeqCst);
    }

    /// The message will not be sent, and must not be seen.
    pub(crate) fn aborted(&self, id: Id) {
        self.cell(id).0.store(id.number << 2 | ABORTED, SeqCst);
    }

    pub(crate) fn set_hand(&self, consumer: usize, hand: Hand) {
        self.word(HANDS_AT + consumer).store(hand.bits(), SeqCst);
    }

    pub(crate) fn hand(&self, consumer: usize) -> Hand {
        Hand::from_bits(self.word(HANDS_AT + consumer).load(SeqCst))
    }

    /// The acknowledgement of a message has returned.
    pub(crate) fn acknowledged(&self, consumer: usize, id: Id) {
        self.cell(id).1.fetch_add(ACKED, SeqCst);
        self.set_hand(consumer, Hand::Empty);
    }

    /// The consumer was killed: what it had in hand. A message that it was just acknowledging is in doubt from here on.
    pub(crate) fn bury(&self, consumer: usize) -> Hand {
        let hand = self.hand(consumer);
        if let Hand::Acking(id) = hand {
            self.cell(id).1.fetch_or(DOUBT, SeqCst);
            self.word(DOUBTFUL).fetch_add(1, SeqCst);
        }
        self.set_hand(consumer, Hand::Empty);
        hand
    }

    fn is_missing(&self, id: Id) -> bool {
        let (state, delivery) = self.cell(id);
        let (state, delivery) = (state.load(SeqCst), delivery.load(SeqCst));
        state == id.number << 2 | SENT && delivery & (DOUBT | EVER_ACKED) == 0
    }

    /// A message that is missing, and that nobody has acknowledged and is about to note.
    fn is_lost(&self, id: Id) -> bool {
        let noting = || (0..HANDS).any(|consumer| self.hand(consumer) == Hand::Acking(id));
        while self.is_missing(id) {
            // Noted first, then out of hand: what is neither has not been acknowledged.
            if !noting() {
                return self.is_missing(id);
            }
            sys::pause(100);
        }
        false
    }

    /// The messages under way whose send has returned, and which nobody has acknowledged or might have.
    pub(crate) fn missing(&self) -> Vec<Id> {
        let of = |producer: usize| {
            let begun = self.begun(producer);
            (begun.saturating_sub(self.window)..begun).map(move |number| Id { producer, number })
        };
        (0..PRODUCERS).flat_map(of).filter(|&id| self.is_missing(id)).collect()
    }

    /// A delivery: checks it against everything that is known of the message. `None` if it is torn.
    pub(crate) fn delivered(&self, bytes: &[u8], tag: u32, attempt: u32) -> Option<Id> {
        self.word(RECEIVED).fetch_add(1, SeqCst);
        let Some(id) = message::read(bytes).filter(|id| tag == 0 || tag == id.tag()) else {
            self.fault(Fault::Torn, 1);
            return None;
        };
        let (state, delivery) = self.cell(id);
        if !matches!(state.load(SeqCst), s if s == id.number << 2 | BEGUN || s == id.number << 2 | SENT) {
            self.fault(Fault::Ghost, 1);
            return None;
        }
        let before = delivery.load(SeqCst);
        if before & EVER_ACKED != 0 {
            self.fault(Fault::Repeated, 1);
        }
        // Attempts saturate at 16.
        if u64::from(attempt) <= (before & 0xff).min(15) {
            self.fault(Fault::Unflagged, 1);
        }
        if attempt > 1 {
            self.word(FLAGGED).fetch_add(1, SeqCst);
        }
        delivery.store(before & !0xff | u64::from(attempt.min(0xff)), SeqCst);
        Some(id)
    }
}
