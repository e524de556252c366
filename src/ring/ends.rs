//! The two ends of a channel's ring, whichever ring it is: what the channel calls.

use super::{Claim, Found, Index, Kind, Nothing, Shared, mpmc, spsc};

/// A producer's end of one kind of ring: what a message in one go takes.
pub(crate) trait Sends: Sized {
    fn of(either: &mut Sender) -> Option<&mut Self>;
    /// Claims a free slot, in a single attempt. `None` if that takes more; what, the next claim says.
    fn claim_one(&mut self, shared: &Shared) -> Option<Claim>;
    /// As [`Sender::publish`].
    fn publish(&mut self, shared: &Shared, claim: &mut Claim, len: u32, tag: u32);
}

/// A consumer's end of one kind of ring, likewise.
pub(crate) trait Receives: Sized {
    fn of(either: &mut Receiver) -> Option<&mut Self>;
    /// Claims a message, in a single attempt, and begins its first delivery. `Err` if that takes more: a claim that is to be
    /// completed by steps, or none; what is in its way, the next claim says.
    fn take(&mut self, shared: &Shared) -> Result<(Claim, Found), Option<Claim>>;
    /// As [`Receiver::look`].
    fn look(&mut self, shared: &Shared, claim: &mut Claim) -> Option<Found>;
    /// As [`Receiver::release`].
    fn release(&mut self, shared: &Shared, claim: &mut Claim);
}

/// The producer's end of either ring.
pub(crate) enum Sender {
    Spsc(spsc::Sender),
    Mpmc(mpmc::Sender),
}

/// Calls the same method of whichever ring it is.
macro_rules! either {
    ($self:ident, $end:ident => $call:expr) => {
        match $self {
            Self::Spsc($end) => $call,
            Self::Mpmc($end) => $call,
        }
    };
}

impl Sender {
    /// Goes on where the ring stands. `me` is registered, and its former life, if any, is settled.
    pub(crate) fn resume(kind: Kind, shared: &Shared, me: Index) -> Self {
        match kind {
            Kind::Spsc => Self::Spsc(spsc::Sender::resume(shared)),
            Kind::Mpmc => Self::Mpmc(mpmc::Sender::resume(shared, me)),
        }
    }

    /// Claims between 1 and `want` free slots.
    #[inline]
    pub(crate) fn claim(&mut self, shared: &Shared, want: u32) -> Result<Claim, Nothing> {
        either!(self, end => end.claim(shared, want))
    }

    /// Publishes all slots of a claim, one after the other: `fill` writes each payload and says how long it is.
    #[inline]
    pub(crate) fn send_claimed(
        &mut self,
        shared: &Shared,
        claim: &mut Claim,
        mut fill: impl FnMut(u64) -> u32,
    ) {
        either!(self, end => {
            while claim.len() > 0 {
                let len = fill(claim.position());
                end.publish(shared, claim, len, 0);
            }
        })
    }

    /// Publishes the claim's next slot, whose payload is written. Nothing if the claim is used up.
    #[inline]
    pub(crate) fn publish(&mut self, shared: &Shared, claim: &mut Claim, len: u32, tag: u32) {
        either!(self, end => end.publish(shared, claim, len, tag))
    }

    /// Gives the claim's next slot up: no message will come out of it.
    #[inline]
    pub(crate) fn abandon(&mut self, shared: &Shared, claim: &mut Claim) {
        either!(self, end => end.abandon(shared, claim))
    }

    /// Whether what failed last was not a miss but a race: others were faster, and what they left may be there now.
    pub(crate) fn raced(&mut self) -> bool {
        match self {
            Self::Spsc(_) => false,
            Self::Mpmc(end) => end.raced(),
        }
    }

    /// Clears the own record before leaving. False if something of ours is unfinished: then leave like the dying,
    /// and the others will settle it.
    pub(crate) fn clean(&mut self, shared: &Shared) -> bool {
        match self {
            Self::Spsc(_) => true,
            Self::Mpmc(end) => end.clean(shared),
        }
    }
}

/// The consumer's end of either ring.
pub(crate) enum Receiver {
    Spsc(spsc::Receiver),
    Mpmc(mpmc::Receiver),
}

impl Receiver {
    /// Goes on where the ring stands. `me` is registered, and its former life, if any, is settled or inherited.
    pub(crate) fn resume(kind: Kind, shared: &Shared, me: Index) -> Self {
        match kind {
            Kind::Spsc => Self::Spsc(spsc::Receiver::resume(shared)),
            Kind::Mpmc => Self::Mpmc(mpmc::Receiver::resume(shared, me)),
        }
    }

    /// Claims between 1 and `want` messages or tombstones; adopted ones first.
    #[inline]
    pub(crate) fn claim(&mut self, shared: &Shared, want: u32) -> Result<Claim, Nothing> {
        either!(self, end => end.claim(shared, want))
    }

    /// Takes all messages of a claim, one after the other: `copy` reads each payload. Stops where it refuses.
    #[inline]
    pub(crate) fn recv_claimed(
        &mut self,
        shared: &Shared,
        claim: &mut Claim,
        mut copy: impl FnMut(u64, &Found) -> bool,
    ) {
        either!(self, end => {
            while claim.len() > 0 {
                if let Some(found) = end.look(shared, claim) {
                    if !copy(claim.position(), &found) {
                        return;
                    }
                }
                end.release(shared, claim);
            }
        })
    }

    /// Looks at the claim's next slot, which starts a delivery; `None` for a tombstone, which is just released.
    /// Looking again is harmless.
    #[inline]
    pub(crate) fn look(&mut self, shared: &Shared, claim: &mut Claim) -> Option<Found> {
        either!(self, end => end.look(shared, claim))
    }

    /// Frees the claim's next slot: the message is acknowledged. Nothing if the claim is used up.
    #[inline]
    pub(crate) fn release(&mut self, shared: &Shared, claim: &mut Claim) {
        either!(self, end => end.release(shared, claim))
    }

    /// Returns what is left of the claim undelivered. MPMC: any consumer may take it from now on, so settle
    /// [`given_back`](Self::given_back) before the next claim. SPSC: our own next claim finds it again.
    pub(crate) fn give_back(&mut self, shared: &Shared, claim: &mut Claim) {
        either!(self, end => end.give_back(shared, claim))
    }

    /// Whether messages that we gave back still wait for a taker. No claim succeeds until somebody took them, or
    /// [`take_back`](Self::take_back) did.
    #[inline]
    pub(crate) fn given_back(&self, shared: &Shared) -> bool {
        match self {
            Self::Spsc(_) => false,
            Self::Mpmc(end) => end.given_back(shared),
        }
    }

    /// Takes back what we gave and nobody took, as adopted messages. The caller holds LOCK.
    pub(crate) fn take_back(&mut self, shared: &Shared) {
        if let Self::Mpmc(end) = self {
            end.take_back(shared);
        }
    }

    /// Whether a range of adopted messages is recorded for us.
    #[inline]
    pub(crate) fn has_adopted(&self, shared: &Shared) -> bool {
        match self {
            Self::Spsc(_) => false,
            Self::Mpmc(end) => end.has_adopted(shared),
        }
    }

    /// Publishes what was held back for speed, before every sleep and on leaving; a producer may wait for it if there
    /// was anything, which is what it says.
    #[inline]
    pub(crate) fn before_sleep(&mut self, shared: &Shared) -> bool {
        match self {
            Self::Spsc(end) => end.publish_free(shared),
            Self::Mpmc(_) => false,
        }
    }

    /// As [`Sender::raced`].
    pub(crate) fn raced(&mut self) -> bool {
        match self {
            Self::Spsc(_) => false,
            Self::Mpmc(end) => end.raced(),
        }
    }

    /// Clears the own record before leaving. False if something of ours is unfinished or adopted: then leave like
    /// the dying, and the others will settle it.
    pub(crate) fn clean(&mut self, shared: &Shared) -> bool {
        match self {
            Self::Spsc(end) => {
                end.publish_free(shared);
                true
            }
            Self::Mpmc(end) => end.clean(shared),
        }
    }
}
