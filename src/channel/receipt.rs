//! What receiving consists of, whichever call of [`Consumer`] it is for: a claim, a look, a copy, an acknowledgement; the swift path
//! first, then that again after spinning, then the slow one.

use super::batch::Batch;
use super::consumer::Consumer;
use super::lease::Lease;
use super::message::{Message, Received};
use super::participant::{Participant, Patience, Stop};
use super::swift::Taken;
use crate::error::Error;
use crate::ring::{Claim, Found, Side};

impl Consumer {
    /// Claims up to `want` messages and passes what is left on to another sleeping consumer.
    #[inline]
    fn claim(&mut self, want: u32, patience: Patience) -> Result<Claim, Stop> {
        let participant = &mut self.participant;
        let claimed = match participant.end.claim(participant.channel.mem(), want) {
            Ok(claim) => claim,
            Err(nothing) => {
                participant.wait_for(patience, nothing, |p| p.end.claim(p.channel.mem(), want))?
            }
        };
        participant.spun = false; // of no use to the next call
        participant.chain();
        Ok(claimed)
    }

    /// Claims the next message.
    fn take(&mut self, patience: Patience) -> Result<(Claim, Found), Stop> {
        let claim = match self.participant.met.take() {
            Some(claim) => {
                self.participant.count(1);
                self.participant.chain();
                claim
            }
            None => {
                self.participant.begin()?;
                self.claim(1, patience)?
            }
        };
        self.look_at(claim, patience)
    }

    /// The message of a claim, or the next one: skips tombstones, which are freed like messages.
    #[inline]
    fn look_at(&mut self, mut claim: Claim, patience: Patience) -> Result<(Claim, Found), Stop> {
        for skipped in 1u32.. {
            if let Some(found) = self.participant.end.look(self.participant.channel.mem(), &mut claim) {
                return if self.fits(&found) { Ok((claim, found)) } else { Err(self.refuse(claim, &found)) };
            }
            let unknown = self.message_size();
            self.release(&mut claim, unknown);
            self.participant.still(patience, skipped)?;
            claim = self.claim(1, patience)?;
        }
        Err(Stop::WouldBlock) // after four thousand million tombstones
    }

    #[inline]
    fn fits(&self, found: &Found) -> bool {
        found.len as usize <= self.message_size()
    }

    /// A message longer than any can be: the channel is corrupt, and the claim given back when this handle ends.
    #[cold]
    fn refuse(&mut self, claim: Claim, found: &Found) -> Stop {
        self.participant.pending = Some(claim);
        self.participant.broken(too_long(found.len, self.message_size()))
    }

    /// Frees the claim's next slot, and wakes whoever waits for room. Up to `written` bytes of it were ever written.
    #[inline]
    fn release(&mut self, claim: &mut Claim, written: usize) {
        self.free(claim, written);
        self.participant.wake(Side::Producers);
    }

    #[inline]
    fn free(&mut self, claim: &mut Claim, written: usize) {
        let Participant { channel, end, .. } = &mut self.participant;
        if channel.header.scrub {
            channel.mem().scrub(claim.position(), written);
        }
        end.release(channel.mem(), claim);
    }

    /// Frees the slot of the message in hand, of which so many bytes were ever written.
    #[inline]
    pub(crate) fn acknowledge(&mut self, written: usize) {
        // In its place: a claim that is moved out is read back in one piece, which waits for what wrote its parts.
        let Participant { channel, mem, end, pending, .. } = &mut self.participant;
        if let Some(claim) = pending {
            if channel.header.scrub {
                mem.scrub(claim.position(), written);
            }
            end.release(mem, claim);
            self.participant.pending = None;
            self.participant.wake(Side::Producers);
        }
    }

    /// Any receipt of a copy.
    #[cold]
    fn recv_message(&mut self, patience: Patience) -> Result<Message, Stop> {
        let (claim, found) = self.take(patience)?;
        self.participant.pending = Some(claim);
        Ok(self.copy_in_hand(found.into()))
    }

    /// Copies the message in hand and acknowledges it. Its length was checked against the geometry.
    fn copy_in_hand(&mut self, Received { len, tag, attempt }: Received) -> Message {
        let data = self.participant.mem.copy_payload(self.participant.in_hand(), len);
        self.acknowledge(len);
        Message { data, tag, attempt }
    }

    /// Any receipt.
    #[cold]
    fn recv_slowly(&mut self, buffer: &mut [u8], patience: Patience) -> Result<Found, Stop> {
        let needed = self.message_size();
        if buffer.len() < needed {
            return Err(Stop::Failed(Error::BufferTooSmall { len: buffer.len(), needed }));
        }
        let (mut claim, found) = self.take(patience)?;
        let len = found.len as usize;
        self.participant.channel.mem().read_payload_into(claim.position(), 0, &mut buffer[..len]);
        self.release(&mut claim, len);
        Ok(found)
    }

    pub(crate) fn recv_bytes(&mut self, buffer: &mut [u8], patience: Patience) -> Result<usize, Stop> {
        self.recv_into_with(buffer, || patience, |stop| stop).map(|received| received.len)
    }

    #[inline]
    pub(super) fn recv_with<E>(
        &mut self,
        patience: impl FnOnce() -> Patience,
        error: fn(Stop) -> E,
    ) -> Result<Message, E> {
        if let Some(taken) = self.lease_swiftly() {
            return Ok(self.copy_in_hand(taken.into()));
        }
        let patience = patience();
        match self.lease_later(patience) {
            Some(taken) => Ok(self.copy_in_hand(taken.into())),
            None => self.recv_message(patience).map_err(error),
        }
    }

    #[inline(always)]
    pub(super) fn recv_into_with<E>(
        &mut self,
        buffer: &mut [u8],
        patience: impl FnOnce() -> Patience,
        error: fn(Stop) -> E,
    ) -> Result<Received, E> {
        if let Some(taken) = self.recv_swiftly(buffer) {
            return Ok(taken.into());
        }
        match self.recv_later(buffer, patience()) {
            Some(taken) => Ok(taken.into()),
            None => Err(error(self.stopped())),
        }
    }

    /// Spins before it takes the slow path. `None`: see [`stopped`](Self::stopped).
    #[inline(never)]
    fn recv_later(&mut self, buffer: &mut [u8], patience: Patience) -> Option<Taken> {
        // Only for what the swift path can do: not where the answer is an error that is known already.
        if buffer.len() >= self.swift_buffer && self.participant.spin_first(patience) {
            if let Some(taken) = self.recv_swiftly(buffer) {
                return Some(taken);
            }
        }
        match self.recv_slowly(buffer, patience) {
            Ok(found) => Some(Taken::new(&found)),
            Err(stop) => {
                self.stop = Some(stop);
                None
            }
        }
    }

    /// Why the last call has ended without a message: apart from what it returns, so that this fits registers.
    #[cold]
    fn stopped(&mut self) -> Stop {
        self.stop.take().unwrap_or(Stop::WouldBlock)
    }

    #[inline]
    pub(super) fn lease_with<E>(
        &mut self,
        patience: impl FnOnce() -> Patience,
        error: fn(Stop) -> E,
    ) -> Result<Lease<'_>, E> {
        if let Some(taken) = self.lease_swiftly() {
            return Ok(Lease::new(self, taken.into()));
        }
        let patience = patience();
        match self.lease_later(patience) {
            Some(taken) => Ok(Lease::new(self, taken.into())),
            None => self.lease_slowly(patience).map_err(error),
        }
    }

    /// The swift path once more, after spinning, if that has brought something.
    #[inline(never)]
    fn lease_later(&mut self, patience: Patience) -> Option<Taken> {
        if self.participant.spin_first(patience) { self.lease_swiftly() } else { None }
    }

    pub(super) fn recv_some(
        &mut self,
        batch: &mut Batch,
        max: usize,
        patience: Patience,
    ) -> Result<usize, Stop> {
        batch.clear();
        self.participant.begin()?;
        let want = u32::try_from(max).unwrap_or(u32::MAX);
        let mut skipped = 0u32;
        while batch.is_empty() && max > 0 {
            let mut claim = self.claim(want, patience)?;
            let most = self.message_size();
            let Participant { channel, end, .. } = &mut self.participant;
            if !channel.header.scrub {
                let mem = channel.mem();
                end.recv_claimed(mem, &mut claim, |position, found| {
                    let len = found.len as usize;
                    if len <= most {
                        mem.append_payload(position, len, batch.make_room(*found));
                    }
                    len <= most
                });
            }
            // What is left of it: all, if it is to be scrubbed; or what begins with a defect.
            while claim.len() > 0 {
                let Participant { channel, end, .. } = &mut self.participant;
                let mut written = channel.header.geometry.message_size();
                if let Some(found) = end.look(channel.mem(), &mut claim) {
                    if !self.fits(&found) {
                        return Err(self.refuse(claim, &found));
                    }
                    self.participant.channel.mem().append_payload(
                        claim.position(),
                        found.len as usize,
                        batch.make_room(found),
                    );
                    written = found.len as usize;
                }
                self.free(&mut claim, written);
            }
            self.participant.wake(Side::Producers);
            if batch.is_empty() {
                skipped = skipped.wrapping_add(1);
                self.participant.still(patience, skipped)?;
            }
        }
        self.participant.count(batch.len().saturating_sub(1)); // `begin` counted one
        Ok(batch.len())
    }

    /// Any lease.
    #[cold]
    fn lease_slowly(&mut self, patience: Patience) -> Result<Lease<'_>, Stop> {
        let (claim, found) = self.take(patience)?;
        self.participant.pending = Some(claim);
        Ok(Lease::new(self, found.into()))
    }
}

#[cold]
fn too_long(len: u32, most: usize) -> Error {
    Error::Corrupt { what: "message length", found: len.into(), expected: format!("at most {most}") }
}
