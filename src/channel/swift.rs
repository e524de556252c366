//! The swift paths: one message while nothing is out of the ordinary. Functions of their own, kept apart from waiting, repair
//! and errors: some hundred instructions, and an answer that fits two registers.
//!
//! Why the answer matters: a `Result` of 16 bytes and more is returned in memory, written piece by piece and read back
//! whole by the caller, and no processor forwards such stores to such a load. Waiting for them costs more than all the
//! rest of a short call. For the same reason a claim that stays in hand is stored once and then used in its place.
//!
//! Whatever a swift path meets instead is left in `met`, and the slow one goes on from there.

use std::num::NonZeroU32;

use super::consumer::Consumer;
use super::message::Received;
use super::participant::{End, Participant};
use super::producer::Producer;
use crate::ring::{Found, Obstacle, Side};

/// What came with a message, in two registers.
#[derive(Clone, Copy)]
pub(super) struct Taken {
    /// Length low, tag high.
    meta: u64,
    attempt: NonZeroU32,
}

impl Taken {
    #[inline(always)]
    fn new(found: &Found) -> Self {
        let meta = u64::from(found.len) | u64::from(found.tag) << 32;
        Taken { meta, attempt: NonZeroU32::new(found.attempt).unwrap_or(NonZeroU32::MIN) }
    }
}

impl From<Taken> for Received {
    #[inline(always)]
    fn from(taken: Taken) -> Self {
        let (len, tag) = (taken.meta as u32 as usize, (taken.meta >> 32) as u32);
        Received { len, tag, attempt: taken.attempt.get() }
    }
}

impl<E: End> Participant<E> {
    /// Whether the next message is all there is to look after: nothing is due, and nobody of our side sleeps, to whom whoever
    /// takes something would pass the rest on.
    #[inline(always)]
    fn at_ease(&self) -> bool {
        self.undisturbed() && self.alone()
    }

    /// Leaves an obstacle to the slow path. Nothing was done, it says.
    #[cold]
    fn meets(&mut self, obstacle: Obstacle) -> bool {
        self.met = Some(obstacle);
        false
    }
}

impl Producer {
    /// Sends a message. False if it takes more than that; nothing was sent then.
    #[inline(never)]
    pub(super) fn send_swiftly(&mut self, tag: u32, data: &[u8]) -> bool {
        let mem = self.participant.mem;
        if !self.participant.at_ease() || data.len() > mem.geometry().message_size() {
            return false;
        }
        let sent = self.participant.end.send(&mem, (data.len() as u32, tag), |position| {
            // The length was checked against the geometry, so the copy is within the slot.
            let _fits = mem.write_payload(position, 0, data);
        });
        match sent {
            Ok(()) => {
                self.participant.count(1);
                self.participant.wake(Side::Consumers);
                true
            }
            Err(obstacle) => self.participant.meets(obstacle),
        }
    }

    /// Takes a slot in hand, for a message of so many bytes. False if it takes more than that.
    #[inline(never)]
    pub(super) fn reserve_swiftly(&mut self, len: usize) -> bool {
        let mem = self.participant.mem;
        if !self.participant.at_ease() || len > mem.geometry().message_size() {
            return false;
        }
        match self.participant.end.claim_one(&mem) {
            Ok(claim) => {
                self.participant.count(1);
                self.participant.pending = Some(claim);
                true
            }
            Err(obstacle) => self.participant.meets(obstacle),
        }
    }
}

impl Consumer {
    /// Receives a message into a buffer. `None` if it takes more than that; no message was received then.
    #[inline(never)]
    pub(super) fn recv_swiftly(&mut self, buffer: &mut [u8]) -> Option<Taken> {
        let mem = self.participant.mem;
        let Participant { end, channel, .. } = &mut self.participant;
        let short = buffer.len() < mem.geometry().message_size();
        if short || channel.header.scrub || end.is_encumbered(&mem) || !self.participant.at_ease() {
            return None;
        }
        let received = self.participant.end.recv(&mem, |position, found| {
            // False, and nothing copied, if it is longer than a message can be.
            buffer.get_mut(..found.len as usize).is_some_and(|b| mem.read_payload_into(position, 0, b))
        });
        match received {
            Ok(found) => {
                self.participant.count(1);
                self.participant.wake(Side::Producers);
                Some(Taken::new(&found))
            }
            Err(obstacle) => self.met(obstacle),
        }
    }

    /// Takes a message in hand. `None` if it takes more than that.
    #[inline(never)]
    pub(super) fn lease_swiftly(&mut self) -> Option<Taken> {
        let mem = self.participant.mem;
        if self.participant.end.is_encumbered(&mem) || !self.participant.at_ease() {
            return None;
        }
        match self.participant.end.take(&mem) {
            Ok((claim, found)) if found.len as usize <= mem.geometry().message_size() => {
                self.participant.count(1);
                self.participant.pending = Some(claim);
                Some(Taken::new(&found))
            }
            Ok((claim, _)) => self.met(Obstacle::Claimed(claim)),
            Err(obstacle) => self.met(obstacle),
        }
    }

    fn met(&mut self, obstacle: Obstacle) -> Option<Taken> {
        self.participant.meets(obstacle);
        None
    }
}
