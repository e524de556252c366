//! The MPMC ring: its shared words, its participants, the rules that can be removed.
//!
//! `tail` and `head` name the winner of the last claim; every stamp carries the owner of the claim before its
//! position; a claim is announced and then won by one CAS. See section 5 of `docs/design.md` for the
//! protocol, and `ring_ops.rs` (push, pop, redelivery), `ring_give.rs` (giving back), `ring_recover.rs` (the
//! dead) and `ring_world.rs` (the kernel and the properties) for the steps.
//!
//! *Modelled:* every access to a shared word is one step. Any participant may be killed before any step (the
//! kernel then drops its lease and LOCK at once), and any set of participants that hold nothing may be
//! stopped for ever. The living recover the dead under LOCK, and dead indices are registered again, on the
//! same side or (`turns`) on the other. Batches, abandoned grants, positions that wrap, attempt counts and
//! messages given back are modelled.
//!
//! *Not modelled:* orderings weaker than sequential consistency (loom checks those), sleeping and waking
//! (`wait.rs`), a peer that breaks the protocol, leaving in good order (it is a death with less to recover),
//! the frontier caches.

use crate::bits::{Bits, coded};

/// Most ring slots.
pub(crate) const SLOTS: usize = 3;
/// Most participants.
pub(crate) const MEMBERS: usize = 4;
/// Most messages.
pub(crate) const MESSAGES: usize = 8;
/// Positions are counted modulo this; every number of slots up to [`SLOTS`] divides it.
pub(crate) const MODULUS: u8 = 48;
/// LOCK is free.
pub(crate) const NOBODY: u8 = 7;
/// Attempt counts saturate here.
pub(crate) const MOST_TRIES: u8 = 3;

/// A rule that is removed, or a step put in the wrong place. Each must make the search find a violation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutant {
    /// No winner identity: a claim is settled unless a live announcement covers it.
    NoWinnerIdentity,
    /// An announcement counts as a win.
    AnnouncementWins,
    /// Announcements of others are not consulted.
    AnnouncementsIgnored,
    /// No second look at `stamp[q]` after the announcements.
    NoSecondLook,
    /// Inner stamps of a batch carry the previous owner instead of the claimer itself.
    InnerPrevIsOuter,
    /// Recovery's VOID drops `prev`.
    VoidDropsPrev,
    /// TAKEN drops `prev`.
    TakenDropsPrev,
    /// A consumer's FREE drops `prev`.
    FreeDropsPrev,
    /// The dead record is cleared before its slots are settled.
    RecordClearedFirst,
    /// Stamps become TAKEN before `ado` records them.
    StampedBeforeRecorded,
    /// A dead index is registered again before it was recovered.
    ReusedUnrecovered,
    /// `ado` is cleared before the adopted slots are freed.
    AdoClearedFirst,
    /// A second range is adopted over an unfinished one.
    SecondAdoption,
    /// The announcement follows the CAS.
    AnnouncedAfterwards,
    /// Positions are compared as plain integers.
    PlainComparison,
    /// A dead consumer's message stays READY instead of being adopted.
    LeftReady,
    /// Recovery without LOCK.
    NoLock,
    /// A stopped participant is taken for dead: a time-out instead of a lease.
    TimeoutIsDeath,
    /// A dead producer's slots get no tombstone.
    NoTombstone,
    /// The release of an adopted slot drops `prev`.
    ServedDropsPrev,
    /// A registering consumer wipes the record instead of inheriting it.
    RecordWiped,
    /// The winner test skips the position word.
    WordSkipped,
    /// An adopted message that changes hands starts at attempt 1 again.
    AttemptsReset,
    /// An adopted message is read first and counted afterwards.
    AttemptsCountedLate,
    /// GIVEN is set before the stamp is TAKEN.
    GivenBeforeStamped,
    /// A batch that is given back is recorded without the part that was released before.
    PartRecorded,
    /// The taker clears the owner's `ado` before it has moved the stamps.
    OwnerClearedFirst,
    /// The owner claims anew while it has given something back that nobody took.
    ClaimsWhileGiven,
    /// The owner takes back without LOCK.
    TakesBackUnlocked,
    /// A consumer takes a range given back while it still serves an adopted one.
    TakesOverUnfinished,
    /// An index changes sides before it was recovered.
    TurnsUnrecovered,
}

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// Indices `0..producers` start as producers.
    pub(crate) producers: usize,
    /// The indices after them start as consumers.
    pub(crate) consumers: usize,
    /// Ring slots.
    pub(crate) slots: u8,
    /// Largest batch.
    pub(crate) batch: u8,
    /// Messages that each index sends (a consumer's: should it turn into a producer).
    pub(crate) messages: [u8; MEMBERS],
    /// How many may be killed.
    pub(crate) kills: u8,
    /// How many dead indices may be registered again.
    pub(crate) restarts: u8,
    /// A claimer may abandon its grant (VOID).
    pub(crate) abandons: bool,
    /// An idle participant may clear its announcement.
    pub(crate) clears: bool,
    /// A batch is published last slot first.
    pub(crate) reversed: bool,
    /// The first position.
    pub(crate) start: u8,
    /// Stamps count attempts.
    pub(crate) counts: bool,
    /// How often a live consumer may give a message back. Needs `counts`.
    pub(crate) gives: u8,
    /// A dead index may be registered on the other side.
    pub(crate) turns: bool,
    /// The rule that is removed.
    pub(crate) mutant: Option<Mutant>,
}

/// Two producers, two consumers, two slots, three messages, two deaths.
pub(crate) const BASE: Config = Config {
    producers: 2,
    consumers: 2,
    slots: 2,
    batch: 1,
    messages: [2, 1, 0, 0],
    kills: 2,
    restarts: 0,
    abandons: false,
    clears: false,
    reversed: false,
    start: 0,
    counts: false,
    gives: 0,
    turns: false,
    mutant: None,
};

coded! {
    /// The state of a slot.
    Phase, 2 bits { Free, Ready, Void, Taken, }
}

coded! {
    /// What a participant does next.
    Pc, 6 bits {
        Idle,
        PushLook, PushAnnounce, PushClaim, PushWrite, PushWriteRest, PushReady, PushVoid,
        PopLook, PopAnnounce, PopClaim, PopRead, PopReadRest, PopFree,
        ServeLook, ServeCount, ServeRead, ServeReadRest, ServeFree, ServeDone,
        GiveRecord, GiveStamp, GiveFlag, TakeBack, TakeRead, TakeRecord, TakeStamp, TakeClear,
        AdoRead, AdoHeld, AdoRecord, AdoStamp, AdoClear,
        ClaimRead, ClaimClearedEarly, WinWord, WinVeto, WinStamp, WinOthers, WinStampAgain,
        VoidStamp, Held, HeldRecord, HeldStamp, ClaimClear, Unlock,
    }
}

/// `tail` or `head`: the next position to claim, and who won the last claim.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) pos: u8,
    pub(crate) owner: u8,
}

/// A slot's stamp. `own` and `tries` count only while TAKEN and are zero otherwise.
#[derive(Clone, Copy, Default)]
pub(crate) struct Stamp {
    pub(crate) pos: u8,
    pub(crate) phase: Phase,
    pub(crate) prev: u8,
    pub(crate) own: u8,
    pub(crate) tries: u8,
}

/// An announcement; `k == 0`: none.
#[derive(Clone, Copy, Default)]
pub(crate) struct Claim {
    pub(crate) k: u8,
    pub(crate) pos: u8,
    pub(crate) prev: u8,
}

/// An adopted range; `k == 0`: none.
#[derive(Clone, Copy, Default)]
pub(crate) struct Adopted {
    pub(crate) k: u8,
    pub(crate) pos: u8,
    pub(crate) given: bool,
}

/// A participant's private variables; all zero when idle.
#[derive(Clone, Copy, Default)]
pub(crate) struct Part {
    pub(crate) pc: Pc,
    /// The range in hand and the owner before it.
    pub(crate) pos: u8,
    pub(crate) own: u8,
    pub(crate) k: u8,
    /// The slot of the range, the participant that is looked at.
    pub(crate) i: u8,
    pub(crate) j: u8,
    /// The dead (or giving) participant that is dealt with.
    pub(crate) d: u8,
    /// Which slots are VOID.
    pub(crate) v: u8,
    /// A registrant that will change the side of the index.
    pub(crate) turn: bool,
}

/// Everything shared, everything private, and ghosts that only the properties look at.
#[derive(Clone, Copy, Default)]
pub(crate) struct State {
    pub(crate) tail: Word,
    pub(crate) head: Word,
    pub(crate) stamp: [Stamp; SLOTS],
    /// Two halves, so that a torn message shows.
    pub(crate) payload: [[u8; 2]; SLOTS],
    pub(crate) ann: [Claim; MEMBERS],
    pub(crate) ado: [Adopted; MEMBERS],
    pub(crate) lock: u8,
    pub(crate) dead: u8,
    /// Which indices are consumers.
    pub(crate) takers: u8,
    pub(crate) kills: u8,
    pub(crate) restarts: u8,
    pub(crate) gives: u8,
    pub(crate) part: [Part; MEMBERS],
    /// The next message of each producer.
    pub(crate) next: [u8; MEMBERS],
    /// Ghost: one more than the last message of each producer that was claimed.
    pub(crate) last: [u8; MEMBERS],
    /// Ghosts: acknowledged, and delivered without being due again.
    pub(crate) published: u8,
    pub(crate) delivered: u8,
    /// Ghost: how often each message was handed out, saturating.
    pub(crate) handed: [u8; MESSAGES],
}

impl State {
    pub(crate) fn alive(&self, g: usize) -> bool {
        self.dead >> g & 1 == 0
    }

    pub(crate) fn takes(&self, g: usize) -> bool {
        self.takers >> g & 1 == 1
    }

    /// Whether `g`'s record still says something that recovery has to settle.
    pub(crate) fn unclean(&self, g: usize) -> bool {
        self.ann[g].k > 0 || (self.takes(g) && self.ado[g].k > 0)
    }

    /// The `j`-th index on a side.
    pub(crate) fn nth(&self, members: usize, takers: bool, j: u8) -> Option<usize> {
        (0..members).filter(|&g| self.takes(g) == takers).nth(usize::from(j))
    }
}

/// A configuration with what follows from it.
pub(crate) struct Ring {
    pub(crate) config: Config,
    pub(crate) members: usize,
    /// The first message of each index.
    pub(crate) base: [u8; MEMBERS],
    pub(crate) total: u8,
}

impl Ring {
    pub(crate) fn new(config: Config) -> Self {
        let mut base = [0; MEMBERS];
        for g in 1..MEMBERS {
            base[g] = base[g - 1] + config.messages[g - 1];
        }
        let total = config.messages.iter().sum();
        let members = config.producers + config.consumers;
        assert!(usize::from(total) <= MESSAGES && members <= MEMBERS && usize::from(config.slots) <= SLOTS);
        assert!(config.gives == 0 || config.counts, "a message given back needs its attempts counted");
        Self { config, members, base, total }
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.config.mutant == Some(mutant)
    }

    /// The position `i` after `pos`.
    pub(crate) fn add(&self, pos: u8, i: u8) -> u8 {
        (pos + i) % MODULUS
    }

    /// The signed distance `a - b`.
    pub(crate) fn diff(&self, a: u8, b: u8) -> i32 {
        let plain = i32::from(a) - i32::from(b);
        let (modulus, half) = (i32::from(MODULUS), i32::from(MODULUS) / 2);
        if self.is(Mutant::PlainComparison) { plain } else { (plain + modulus + half) % modulus - half }
    }

    /// The slot of a position.
    pub(crate) fn slot(&self, pos: u8) -> usize {
        usize::from(pos % self.config.slots)
    }

    /// The owner before slot `i` of a claim by `owner`: the one before the claim, then the claimer itself.
    pub(crate) fn prev_of(&self, r: &Part, i: u8, owner: usize) -> u8 {
        if i == 0 || self.is(Mutant::InnerPrevIsOuter) { r.own } else { owner as u8 }
    }

    pub(crate) fn layout(&self, s: &mut State, bits: &mut Bits) {
        let c = &self.config;
        for word in [&mut s.tail, &mut s.head] {
            bits.field(&mut word.pos, 6);
            bits.field(&mut word.owner, 2);
        }
        for (stamp, payload) in s.stamp.iter_mut().zip(&mut s.payload).take(usize::from(c.slots)) {
            bits.field(&mut stamp.pos, 6);
            stamp.phase.pass(bits);
            bits.field(&mut stamp.prev, 2);
            bits.field(&mut stamp.own, 2);
            bits.field(&mut stamp.tries, 2);
            bits.field(&mut payload[0], 3);
            bits.field(&mut payload[1], 3);
        }
        bits.field(&mut s.lock, 3);
        bits.field(&mut s.dead, 4);
        bits.field(&mut s.takers, 4);
        bits.field(&mut s.kills, 2);
        bits.field(&mut s.restarts, 2);
        bits.field(&mut s.gives, 2);
        bits.field(&mut s.published, u32::from(self.total));
        bits.field(&mut s.delivered, u32::from(self.total));
        for handed in s.handed.iter_mut().take(if c.counts { usize::from(self.total) } else { 0 }) {
            bits.field(handed, 2);
        }
        for g in 0..self.members {
            bits.field(&mut s.ann[g].k, 2);
            bits.field(&mut s.ann[g].pos, 6);
            bits.field(&mut s.ann[g].prev, 2);
            if g >= c.producers || c.turns {
                bits.field(&mut s.ado[g].k, 2);
                bits.field(&mut s.ado[g].pos, 6);
                bits.flag(&mut s.ado[g].given);
            }
            if c.messages[g] > 0 {
                bits.field(&mut s.next[g], 3);
                bits.field(&mut s.last[g], 4);
            }
            let r = &mut s.part[g];
            r.pc.pass(bits);
            bits.field(&mut r.pos, 6);
            bits.field(&mut r.own, 2);
            bits.field(&mut r.k, 2);
            bits.field(&mut r.i, 2);
            bits.field(&mut r.j, 3);
            bits.field(&mut r.d, 2);
            bits.field(&mut r.v, 3);
            bits.flag(&mut r.turn);
        }
    }
}
