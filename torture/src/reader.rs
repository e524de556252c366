//! One consumer's view of the ledger: it notes every step of taking a message, and checks the order.

use crate::fault::Fault;
use crate::ledger::{Hand, Ledger, PRODUCERS};
use crate::message::Id;

/// One consumer's view: the order of what it receives.
pub(crate) struct Reader<'a> {
    ledger: &'a Ledger,
    consumer: usize,
    next: [u64; PRODUCERS],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(ledger: &'a Ledger, consumer: usize) -> Self {
        Self { ledger, consumer, next: [0; PRODUCERS] }
    }

    /// A message has come, and is in hand from now on.
    pub(crate) fn takes(&mut self, bytes: &[u8], tag: u32, attempt: u32) -> Option<Id> {
        let id = self.ledger.delivered(bytes, tag, attempt)?;
        if attempt == 1 {
            let next = &mut self.next[id.producer % PRODUCERS];
            self.ledger.fault(Fault::Disordered, u64::from(id.number < *next));
            *next = id.number + 1;
        }
        Some(id)
    }

    /// A message has come from a call that acknowledges by itself.
    pub(crate) fn took(&mut self, bytes: &[u8], tag: u32, attempt: u32) {
        if let Some(id) = self.takes(bytes, tag, attempt) {
            self.ledger.acknowledged(self.consumer, id);
        }
    }

    /// Leases a message, notes it, acknowledges it, notes that.
    pub(crate) fn acknowledge(&mut self, lease: semring::Lease<'_>) {
        if let Some(id) = self.hold(&lease) {
            self.ledger.set_hand(self.consumer, Hand::Acking(id));
            lease.ack();
            self.ledger.acknowledged(self.consumer, id);
        }
    }

    /// Notes a leased message.
    pub(crate) fn hold(&mut self, lease: &semring::Lease<'_>) -> Option<Id> {
        let id = self.takes(&lease.to_vec(), lease.tag(), lease.attempt())?;
        self.ledger.set_hand(self.consumer, Hand::Holding(id));
        Some(id)
    }

    /// Gives a message back, which must come again.
    pub(crate) fn give_back(&mut self, lease: semring::Lease<'_>) {
        self.hold(&lease);
        lease.retry();
        self.ledger.set_hand(self.consumer, Hand::Empty);
    }
}
