//! What the participants of the sleep model share, and what each has for itself.

use crate::bits::coded;

/// Most participants.
pub(crate) const MEMBERS: usize = 5;
/// Most messages.
pub(crate) const ITEMS: usize = 4;

coded! {
    /// The state of a position.
    Slot, 3 bits { Empty, Ready, Taken, Freed, Tomb, Given, }
}

coded! {
    /// A park word; its epoch is implicit.
    Park, 2 bits { Awake, Sleeping, Notified, }
}

coded! {
    /// What a participant does next.
    Pc, 5 bits {
        Top, ChainBits, ChainRing, Publish, Pick, Post, Mark,
        Look, MarkDead, TryLock, Arm, ArmRest, Barrier, Ring, Sleep,
        Disarm, DisarmRest, LastTry, Caller, Parked, Leave, LeaveRest, Done,
        Repair, Settle, Unlock, Blocked, RingFirst, Gone, Swift,
    }
}

coded! {
    /// Where disarming leads.
    Next, 2 bits { Top, LastTry, Leave, Caller, }
}

/// A participant's private variables.
#[derive(Clone, Copy, Default)]
pub(crate) struct Part {
    pub(crate) pc: Pc,
    /// One more than the position claimed; the last one of several.
    pub(crate) pos: u8,
    /// One more than the position of the buffered store; likewise.
    pub(crate) buf: u8,
    /// How many more positions before it were claimed with it.
    pub(crate) more: u8,
    /// Waking: sleepers left to try, targets, targets whose park word is unchanged, wake-ups owed.
    pub(crate) left: u8,
    pub(crate) targets: u8,
    pub(crate) fresh: u8,
    pub(crate) owed: u8,
    /// Waking: the targets are producers; the message is published afterwards.
    pub(crate) wakes_producers: bool,
    pub(crate) publishes: bool,
    /// Waking: one more than the position just given back.
    pub(crate) gave: u8,
    /// Waiting: the dead seen, or the buffers still to flush, or the dead one in repair.
    pub(crate) mask: u8,
    /// Waiting: the other side was gone; LOCK was busy (asleep: somebody is midway).
    pub(crate) gone: bool,
    pub(crate) busy: bool,
    pub(crate) next: Next,
}

impl Part {
    pub(crate) fn wakes(&self) -> bool {
        (Pc::Pick..=Pc::Mark).contains(&self.pc)
    }

    pub(crate) fn end_wait(&mut self) {
        (self.mask, self.gone, self.busy, self.next) = (0, false, false, Next::Top);
    }

    pub(crate) fn end_wake(&mut self) {
        (self.left, self.targets, self.fresh, self.owed, self.gave) = (0, 0, 0, 0, 0);
        (self.wakes_producers, self.publishes) = (false, false);
    }
}

/// Everything shared, everything private. Sets of participants are bitmaps.
#[derive(Clone, Copy, Default)]
pub(crate) struct State {
    pub(crate) slot: [Slot; ITEMS],
    pub(crate) head: u8,
    pub(crate) tail: u8,
    /// The bitmap of sleepers.
    pub(crate) bits: u8,
    pub(crate) park: [Park; MEMBERS],
    /// The wake semaphores.
    pub(crate) tokens: u8,
    /// Killed, but the kernel has not undone anything yet; then dead; then repaired.
    pub(crate) dying: u8,
    pub(crate) dead: u8,
    pub(crate) repaired: u8,
    /// One more than the holder of LOCK.
    pub(crate) lock: u8,
    /// Stopped for ever; the bit above the participants is the outsider's.
    pub(crate) stopped: u8,
    pub(crate) kills: u8,
    pub(crate) stops: u8,
    pub(crate) timeouts: u8,
    pub(crate) gives: u8,
    /// The outsider: not yet, has LOCK, done.
    pub(crate) outsider: u8,
    pub(crate) part: [Part; MEMBERS],
}
