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
use crate::sync::Ordering;

/// What a participant can see of the others.
struct Sight {
    joined: u64,
    observed: [u64; MAX_PARTICIPANTS],
    snapshot: Snapshot,
}

impl Sight {
    fn of(channel: &Attachment, side: Side) -> Result<Self> {
        Ok(Self {
            // Joins before the snapshot: a join that we see and whose lock is free in the snapshot is complete, or dead.
            joined: channel.joins(side.other()).load(Ordering::Acquire), // SYNC(joins)
            // Park words before the leases too: a mark must hit the sleep of the one who is dead, not of its successor.
            observed: recovery::observe_sleepers(channel),
            snapshot: channel.set.snapshot()?,
        })
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
        let has_been_there = self.seen || joined != self.base;
        if has_been_there && !busy && !waits { Look::Gone } else { Look::Wait }
    }
}
