//! What a participant sees of the others: who lives, who needs repair, and whether the other side is gone.

use std::sync::Arc;

use super::attachment::Attachment;
use super::header::WhenNoConsumer;
use super::participant::{End, Participant};
use super::recovery;
use super::set::Snapshot;
use crate::error::{Error, Result};
use crate::layout::MAX_PARTICIPANTS;
use crate::park::Look;
use crate::ring::Side;
use crate::ring::probe::mutant;
use crate::sync::Ordering;

/// What a participant can see of the others.
struct Sight {
    /// Joins of the other side before the snapshot, less failures until after it.
    joined: u64,
    observed: [u64; MAX_PARTICIPANTS],
    snapshot: Snapshot,
}

impl Sight {
    fn of(channel: &Attachment, side: Side) -> Result<Self> {
        let joins = || channel.joins(side.other()).load(Ordering::Acquire); // SYNC(joins)
        let failed = || channel.failed(side.other()).load(Ordering::Relaxed); // ordered by LOCK, as the snapshot has it
        // Joins before the snapshot: a join that we see and whose lock is free in the snapshot is complete, dead or failed.
        let joined = joins();
        let early = mutant("failures before the leases").then(failed);
        // Park words before the leases too: a mark must hit the sleep of the one who is dead, not of its successor.
        let observed = recovery::observe_sleepers(channel);
        let snapshot = channel.set.snapshot()?;
        // Failures after it: none of a join that we see is missing. Others may hide a join; they make us look again.
        let failed = early.unwrap_or_else(failed);
        let joined = if mutant("joins after the leases") { joins() } else { joined };
        Ok(Self { joined: joined.wrapping_sub(failed), observed, snapshot })
    }
}

impl<E: End> Participant<E> {
    /// One snapshot of the leases and what follows from it; and whether LOCK was found taken.
    pub(super) fn look_around(&mut self, drain: bool) -> Result<(Look, bool)> {
        let channel = Arc::clone(&self.channel);
        let mut sight = Sight::of(&channel, E::SIDE)?;
        let tokens = sight.snapshot.tokens(self.me);
        if drain && tokens > 0 {
            channel.set.drain(self.me, tokens)?;
            // Whatever they told may be newer than the words, and nobody will tell it again.
            sight = Sight::of(&channel, E::SIDE)?;
        }
        let Sight { joined, observed, snapshot } = sight;
        channel.check_live().inspect_err(|e| {
            if matches!(e, Error::Corrupt { .. }) {
                self.broken = Some(e.clone());
            }
        })?;
        let alive = snapshot.alive();
        recovery::mark_dead_sleepers(&channel, &observed, alive);
        let mut busy = !snapshot.unlocked();
        if self.end.needs_repair(&channel, self.me, alive) {
            if channel.set.try_lock()? {
                // A fresh look under the lock: others may have repaired and registered since.
                let changed =
                    channel.set.snapshot().map(|now| self.end.repair(&channel, self.me, now.alive()));
                channel.set.unlock_participant()?;
                if changed? {
                    return Ok((Look::Repaired, false));
                }
            } else {
                busy = true;
            }
        }
        Ok((self.judge(&snapshot, joined, busy), busy))
    }

    /// Is the other side gone?
    fn judge(&mut self, snapshot: &Snapshot, joined: u64, busy: bool) -> Look {
        if snapshot.count(E::SIDE.other()) > 0 {
            self.seen = true;
            return Look::Wait;
        }
        let waits =
            E::SIDE == Side::Producers && self.channel.header.when_no_consumer == WhenNoConsumer::Wait;
        // Fewer than when we came: failures since then, of joins that this look did not see.
        let more = joined.wrapping_sub(self.base) as i64 > 0;
        let has_been_there = self.seen || more;
        if has_been_there && !busy && !waits { Look::Gone } else { Look::Wait }
    }
}
