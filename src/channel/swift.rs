//! The swift paths: one message while nothing is out of the ordinary. Functions of their own, kept apart from waiting, repair
//! and errors: some hundred instructions, and an answer that fits two registers.
//!
//! Why the answer matters: a `Result` of 16 bytes and more is returned in memory, written piece by piece and read back
//! whole by the caller, and no processor forwards such stores to such a load. Waiting for them costs more than all the
//! rest of a short call. For the same reason a claim that stays in hand is stored once and then used in its place.
//!
//! Each is compiled for either kind of ring apart: one for both would keep in memory what one has in registers.
//!
//! A swift path does not look for others of its own side that sleep ([`Participant::chain`]): nobody who claims at the first
//! attempt has swallowed the wake-up of another. Whoever waited looks, whether it has claimed something or gives up.
//!
//! A swift path that can claim nothing has changed nothing, and the slow one begins anew. A claim that takes more than a copy
//! is left in `met`, and the slow one goes on from there.

use std::num::NonZeroU32;

use super::consumer::Consumer;
use super::message::Received;
use super::producer::Producer;
use crate::ring::{Claim, Found, Receiver, Receives, Sender, Sends, Shared, Side, mpmc, spsc};

/// What came with a message, in two registers.
#[derive(Clone, Copy)]
pub(super) struct Taken {
    /// Length low, tag high.
    meta: u64,
    attempt: NonZeroU32,
}

impl Taken {
    #[inline(always)]
    pub(super) fn new(found: &Found) -> Self {
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

impl Producer {
    /// Sends a message. False if it takes more than that; nothing was sent then.
    #[inline(always)]
    pub(super) fn send_swiftly(&mut self, tag: u32, data: &[u8]) -> bool {
        match self.participant.end {
            Sender::Spsc(_) => self.send_by::<spsc::Sender>(tag, data),
            Sender::Mpmc(_) => self.send_mpmc(tag, data),
        }
    }

    #[inline(never)]
    fn send_mpmc(&mut self, tag: u32, data: &[u8]) -> bool {
        self.send_by::<mpmc::Sender>(tag, data)
    }

    #[inline(always)]
    fn send_by<S: Sends>(&mut self, tag: u32, data: &[u8]) -> bool {
        let mem = self.participant.mem;
        if !self.participant.undisturbed() || data.len() > mem.geometry().message_size() {
            return false;
        }
        let Some(end) = S::of(&mut self.participant.end) else { return false };
        let Some(mut claim) = end.claim_one(&mem) else { return false };
        // The length was checked against the geometry, so the copy is within the slot.
        let _fits = mem.write_payload(claim.position(), 0, data);
        end.publish(&mem, &mut claim, data.len() as u32, tag);
        self.participant.count(1);
        self.participant.wake(Side::Consumers);
        true
    }

    /// Takes a slot in hand, for a message of so many bytes. False if it takes more than that.
    #[inline]
    pub(super) fn reserve_swiftly(&mut self, len: usize) -> bool {
        match self.participant.end {
            Sender::Spsc(_) => self.reserve_by::<spsc::Sender>(len),
            Sender::Mpmc(_) => self.reserve_by::<mpmc::Sender>(len),
        }
    }

    #[inline(never)]
    fn reserve_by<S: Sends>(&mut self, len: usize) -> bool {
        let mem = self.participant.mem;
        if !self.participant.undisturbed() || len > mem.geometry().message_size() {
            return false;
        }
        let Some(end) = S::of(&mut self.participant.end) else { return false };
        let Some(claim) = end.claim_one(&mem) else { return false };
        self.participant.count(1);
        self.participant.pending = Some(claim);
        true
    }
}

impl Consumer {
    /// Receives a message into a buffer. `None` if it takes more than that; no message was received then.
    #[inline(always)]
    pub(super) fn recv_swiftly(&mut self, buffer: &mut [u8]) -> Option<Taken> {
        match self.participant.end {
            Receiver::Spsc(_) => self.recv_by::<spsc::Receiver>(buffer),
            Receiver::Mpmc(_) => self.recv_mpmc(buffer),
        }
    }

    #[inline(never)]
    fn recv_mpmc(&mut self, buffer: &mut [u8]) -> Option<Taken> {
        self.recv_by::<mpmc::Receiver>(buffer)
    }

    #[inline(always)]
    fn recv_by<R: Receives>(&mut self, buffer: &mut [u8]) -> Option<Taken> {
        let mem = self.participant.mem;
        if buffer.len() < self.swift_buffer || !self.participant.undisturbed() {
            return None;
        }
        match R::of(&mut self.participant.end)?.take(&mem) {
            Ok((mut claim, found)) if copy(&mem, claim.position(), &found, buffer) => {
                R::of(&mut self.participant.end)?.release(&mem, &mut claim);
                self.participant.count(1);
                self.participant.wake(Side::Producers);
                Some(Taken::new(&found))
            }
            Ok((claim, _)) | Err(Some(claim)) => self.met(claim),
            Err(None) => None,
        }
    }

    /// Takes a message in hand. `None` if it takes more than that.
    #[inline]
    pub(super) fn lease_swiftly(&mut self) -> Option<Taken> {
        match self.participant.end {
            Receiver::Spsc(_) => self.lease_by::<spsc::Receiver>(),
            Receiver::Mpmc(_) => self.lease_by::<mpmc::Receiver>(),
        }
    }

    #[inline(never)]
    fn lease_by<R: Receives>(&mut self) -> Option<Taken> {
        let mem = self.participant.mem;
        if !self.participant.undisturbed() {
            return None;
        }
        match R::of(&mut self.participant.end)?.take(&mem) {
            Ok((claim, found)) if found.len as usize <= mem.geometry().message_size() => {
                self.participant.count(1);
                self.participant.pending = Some(claim);
                Some(Taken::new(&found))
            }
            Ok((claim, _)) | Err(Some(claim)) => self.met(claim),
            Err(None) => None,
        }
    }

    /// Leaves a claim to the slow path: a tombstone, or a message of which something is wrong.
    #[cold]
    fn met(&mut self, claim: Claim) -> Option<Taken> {
        self.participant.met = Some(claim);
        None
    }
}

/// Copies a message into a buffer with room for any; false, and nothing copied, if it is longer than one can be.
#[inline(always)]
fn copy(mem: &Shared, position: u64, found: &Found, buffer: &mut [u8]) -> bool {
    buffer.get_mut(..found.len as usize).is_some_and(|bytes| mem.read_payload_into(position, 0, bytes))
}
