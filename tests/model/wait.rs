//! Sleeping and waking: the words, the kernel's semaphores, the rules that can be removed.
//!
//! A sleeper arms (park word, bitmap, membarrier), looks again and sleeps on its wake semaphore; a publisher
//! stores, reads the bitmap without a fence and posts. See section 6 of `docs/design.md` for the protocol;
//! `wait_state.rs` has the state, `wait_steps.rs` the steps of a participant, `wait_world.rs` the kernel and the
//! property.
//!
//! *Modelled:*
//! * Every access to shared memory and every system call is one step. A participant may be killed, or stopped
//!   for ever, before any step, and a sleeper may time out.
//! * TSO: the two plain stores of the hot path (a message published, a slot freed) wait in their owner's
//!   store buffer until flushed: at any moment by themselves, by the owner's next RMW or system call, by
//!   another's membarrier.
//! * A killed participant takes no step; its buffer drains; then, as one step, the kernel undoes its presence
//!   and its locks and posts every wake semaphore (the obituary).
//! * A wake semaphore is binary, posts saturate: the hardest case, the real one only adds spurious wake-ups.
//! * A CAS on a park word succeeds if the word was not written since it was loaded: an epoch that never
//!   wraps.
//! * An outsider (a registrant or an opener) may take LOCK once, and be killed or stopped while it holds it.
//! * A sleeper that saw somebody midway through the position it needs sleeps with a limit and looks again
//!   (`poll`).
//! * After any completed operation a participant may stay in its caller's code for ever.
//! * A consumer may give its message back (`gives`) and a live one may take it under LOCK, each as one step.
//!
//! *Not modelled:* the ring's claims and the repair of one dead participant are single steps (`ring.rs` has
//! them); index reuse, the rule about generations of joiners, orderings weaker than TSO.
//!
//! Participants of one side are interchangeable: states are kept up to permutation. That is exact because
//! whoever goes through a set of participants may do so in any order. With `lowest_first` it goes from the
//! lowest index up and no states are merged, which is the system that the C++ reference explores with its own
//! reduction switched off.

use crate::bits::Bits;
use crate::search::pack;
use crate::wait_state::{ITEMS, MEMBERS, Pc, State};

/// A rule that is removed, or two steps swapped. Each must make the search find a violation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutant {
    /// The sleeper does not run membarrier.
    NoBarrier,
    /// A death posts nothing.
    NoObituary,
    /// A woken participant does not pass the wake-up on.
    NoChaining,
    /// Also who slept in this call makes an attempt in one go.
    SwiftAfterSleep,
    /// The waker clears the sleeper's bit, then posts.
    WakerClearsBit,
    /// The waker marks NOTIFIED, then posts.
    MarkedBeforePosted,
    /// The park word has no epoch.
    NoEpoch,
    /// No park word: wakers post the lowest bits only.
    NoParkWord,
    /// A waker whose CAS failed does not try the next sleeper.
    NoNext,
    /// Time-out: re-check, then disarm.
    CheckedThenCleared,
    /// Sleepers found dead are not marked before LOCK is had.
    DeadUnmarked,
    /// No look at the leases before sleeping.
    NoLook,
    /// Look and drain after arming instead of before.
    LooksArmed,
    /// The ring is re-checked before the look and drain.
    LooksLast,
    /// Unlocking does not post the wake semaphores.
    SilentUnlock,
    /// An outsider takes LOCK without obituaries.
    OutsiderWithoutObituary,
    /// A sleeper that finds LOCK taken blocks on it.
    BlocksOnLock,
    /// No re-check of the ring after arming.
    NoRecheck,
    /// Leaving posts, then withdraws presence.
    PostsBeforeLeaving,
    /// End of stream is decided without repairing dead consumers.
    EndWithoutRepair,
    /// End of stream: the ring is looked at before the count of producers.
    EndRingFirst,
    /// Giving back posts nobody.
    SilentGift,
    /// A sleeper's re-check does not look at what others gave back.
    GiftNotRechecked,
    /// End of stream is reported though a message was given back.
    EndIgnoresGifts,
}

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) producers: usize,
    pub(crate) consumers: usize,
    /// Messages, in all.
    pub(crate) items: u8,
    /// Ring slots.
    pub(crate) slots: u8,
    pub(crate) kills: u8,
    pub(crate) stops: u8,
    pub(crate) timeouts: u8,
    /// How many sleepers a publisher wakes.
    pub(crate) wake: u8,
    /// Sleeping behind somebody midway has a time limit.
    pub(crate) poll: bool,
    /// An outsider takes LOCK once.
    pub(crate) outsider: bool,
    /// How often a consumer may give its message back.
    pub(crate) gives: u8,
    /// A call begins with an attempt in one go, which passes no wake-up on: only who has waited does.
    pub(crate) swift: bool,
    /// Slots that a producer, and messages that a consumer claims and completes together, if they are there; with more
    /// than one no call begins in one go. Only where nobody is harmed and nothing given back.
    pub(crate) sends: u8,
    pub(crate) takes: u8,
    /// Allowed variant: the bit is set before the park word.
    pub(crate) bit_first: bool,
    /// Allowed variant: disarming clears the bit before the park word.
    pub(crate) clear_bit_first: bool,
    /// Sets are gone through in the order of indices, and no two states are merged.
    pub(crate) lowest_first: bool,
    /// Also search for cycles of progress steps.
    pub(crate) cycles: bool,
    /// The rule that is removed.
    pub(crate) mutant: Option<Mutant>,
}

/// One producer, one consumer, one message, one slot, nobody harmed.
pub(crate) const BASE: Config = Config {
    producers: 1,
    consumers: 1,
    items: 1,
    slots: 1,
    kills: 0,
    stops: 0,
    timeouts: 0,
    wake: 2,
    poll: true,
    outsider: false,
    gives: 0,
    swift: false,
    sends: 1,
    takes: 1,
    bit_first: false,
    clear_bit_first: false,
    lowest_first: false,
    cycles: false,
    mutant: None,
};

/// A configuration with what follows from it.
pub(crate) struct Wait {
    pub(crate) config: Config,
    pub(crate) members: usize,
    /// Old index of each new one, for every renumbering that keeps the sides.
    renumberings: Vec<[usize; MEMBERS]>,
}

impl Wait {
    pub(crate) fn new(config: Config) -> Self {
        let members = config.producers + config.consumers;
        assert!(members <= MEMBERS && config.producers <= 3 && config.consumers <= 3);
        assert!(usize::from(config.items) <= ITEMS);
        let harmless = config.kills + config.stops + config.gives == 0;
        assert!(harmless || config.sends.max(config.takes) == 1);
        let mut renumberings = vec![];
        for producers in permutations(0, config.producers) {
            for consumers in permutations(config.producers, members) {
                let mut numbers = [0; MEMBERS];
                for (new, old) in producers.iter().chain(&consumers).enumerate() {
                    numbers[new] = *old;
                }
                renumberings.push(numbers);
            }
        }
        Self { config, members, renumberings }
    }

    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.config.mutant == Some(mutant)
    }

    pub(crate) fn produces(&self, i: usize) -> bool {
        i < self.config.producers
    }

    /// The members of `set` that may come first.
    pub(crate) fn first_of(&self, set: u8) -> impl Iterator<Item = usize> {
        let set = if self.config.lowest_first { set & set.wrapping_neg() } else { set };
        (0..self.members).filter(move |i| set >> i & 1 == 1)
    }

    /// The participants of one side.
    pub(crate) fn side(&self, producers: bool) -> u8 {
        let first = (1 << self.config.producers) - 1;
        if producers { first } else { ((1 << self.members) - 1) & !first }
    }

    pub(crate) fn layout(&self, s: &mut State, bits: &mut Bits) {
        let n = self.members as u32;
        for slot in &mut s.slot[..usize::from(self.config.items)] {
            slot.pass(bits);
        }
        bits.field(&mut s.head, 3);
        bits.field(&mut s.tail, 3);
        for set in [&mut s.bits, &mut s.tokens, &mut s.dying, &mut s.dead, &mut s.repaired] {
            bits.field(set, n);
        }
        bits.field(&mut s.lock, 3);
        bits.field(&mut s.stopped, n + 1);
        for count in [&mut s.kills, &mut s.stops, &mut s.timeouts, &mut s.gives, &mut s.outsider] {
            bits.field(count, 2);
        }
        #[allow(clippy::needless_range_loop)]
        for i in 0..self.members {
            s.park[i].pass(bits);
            let p = &mut s.part[i];
            p.pc.pass(bits);
            bits.field(&mut p.pos, 3);
            bits.field(&mut p.buf, 3);
            bits.field(&mut p.more, if self.config.sends.max(self.config.takes) > 1 { 2 } else { 0 });
            let gifts = if self.config.gives > 0 { 3 } else { 0 };
            let end = bits.at() + 13 + gifts;
            if p.wakes() {
                bits.flag(&mut p.wakes_producers);
                bits.flag(&mut p.publishes);
                bits.field(&mut p.owed, 2);
                bits.field(&mut p.gave, gifts);
                let below = if p.wakes_producers { 0 } else { self.config.producers };
                for set in [&mut p.left, &mut p.targets, &mut p.fresh] {
                    let mut own = *set >> below;
                    bits.field(&mut own, 3);
                    *set = own << below;
                }
            } else if p.pc == Pc::ChainRing {
                bits.field(&mut p.left, n);
            } else {
                bits.field(&mut p.mask, n);
                bits.flag(&mut p.gone);
                bits.flag(&mut p.busy);
                p.next.pass(bits);
            }
            bits.skip_to(end);
        }
    }

    /// What distinguishes participant `i` whatever its number; most renumberings are ruled out by it.
    fn signature(&self, s: &State, i: usize) -> u64 {
        let p = &s.part[i];
        let sets = [s.bits, s.tokens, s.dying, s.dead, s.repaired, s.stopped];
        let flags = sets.iter().fold(0, |all, set| all << 1 | u64::from(set >> i & 1));
        let word =
            u64::from(p.pc as u8) << 8 | u64::from(p.pos) << 5 | u64::from(p.buf) << 2 | s.park[i] as u64;
        (word << 8 | flags) << 3 | if p.wakes() { u64::from(p.gave) } else { 0 }
    }

    fn renumber(&self, s: &State, old: &[usize; MEMBERS]) -> State {
        let above = u8::MAX << self.members;
        let set =
            |set: u8| (0..self.members).fold(set & above, |all, new| all | (set >> old[new] & 1) << new);
        let mut t = *s;
        for sets in [&mut t.bits, &mut t.tokens, &mut t.dying, &mut t.dead, &mut t.repaired, &mut t.stopped] {
            *sets = set(*sets);
        }
        if (1..=self.members).contains(&usize::from(s.lock)) {
            let holder = old.iter().position(|&old| old + 1 == usize::from(s.lock));
            t.lock = holder.map_or(s.lock, |new| new as u8 + 1);
        }
        #[allow(clippy::needless_range_loop)] // two numberings of the same participants
        for new in 0..self.members {
            t.park[new] = s.park[old[new]];
            let p = &mut t.part[new];
            *p = s.part[old[new]];
            for sets in [&mut p.left, &mut p.targets, &mut p.fresh, &mut p.mask] {
                *sets = set(*sets);
            }
        }
        t
    }

    /// The least of the packed states that differ from `s` by the numbers of participants of one side only.
    pub(crate) fn least(&self, s: &State) -> Bits {
        if self.config.lowest_first {
            return pack(self, s);
        }
        let mut signatures = [0; MEMBERS];
        #[allow(clippy::needless_range_loop)]
        for i in 0..self.members {
            signatures[i] = self.signature(s, i);
        }
        let sorted = |old: &&[usize; MEMBERS]| {
            (1..self.members)
                .all(|j| j == self.config.producers || signatures[old[j - 1]] <= signatures[old[j]])
        };
        let candidates = self.renumberings.iter().filter(sorted);
        let packed = candidates.map(|old| pack(self, &self.renumber(s, old)));
        packed.min().unwrap_or_else(|| pack(self, s))
    }
}

/// The permutations of `from..to`.
fn permutations(from: usize, to: usize) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for item in from..to {
        all = all
            .into_iter()
            .flat_map(|some: Vec<usize>| {
                (0..=some.len()).map(move |place| {
                    let mut more = some.clone();
                    more.insert(place, item);
                    more
                })
            })
            .collect();
    }
    all
}
