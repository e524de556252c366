//! A world for tests: participants of one ring in one thread, interleaved between operations and killed inside of
//! them, next to a plain model of what every position holds. It panics as soon as the two differ.

mod finish;
mod swift;

use core::mem::MaybeUninit;
use core::ptr::NonNull;
use std::collections::BTreeMap;

use super::probe::killed_after;
use super::word::{Phase, Stamp, ahead};
use super::{
    Author, Claim, Index, Kind, Nothing, Receiver, Sender, Settled, Shared, Side, adopt_given, init,
    occupancy, received, sent, settle,
};
use crate::layout::Geometry;

/// A ring in private memory, which must live as long as the `Shared`.
pub(super) fn memory(geometry: Geometry) -> (Vec<u64>, Shared) {
    let mut words = vec![0u64; geometry.size().div_ceil(8)];
    let base = NonNull::new(words.as_mut_ptr().cast::<u8>()).unwrap();
    // SAFETY: the vector is aligned, large enough, returned along, and not touched otherwise.
    #[allow(unsafe_code)]
    let shared = unsafe { Shared::new(base, geometry) };
    (words, shared)
}

/// What a position holds, as the model has it.
#[derive(Clone, Debug, Default)]
struct Message {
    id: Option<u64>,
    /// Its send returned.
    sent: bool,
    /// The highest attempt that anybody looked at.
    seen: u32,
    /// Its release returned.
    released: bool,
}

enum Role {
    Vacant,
    Producer(Sender),
    Consumer(Receiver),
    Dead(Side),
}

struct Actor {
    role: Role,
    claim: Option<Claim>,
}

/// From this `how` on a claim is made by the swift path.
const SWIFT: u8 = 128;

/// One step of a test: who, what, how, and before which store the actor is killed.
pub(super) type Action = (u8, u8, u8, Option<u8>);

pub(super) struct World {
    shared: Shared,
    _memory: Vec<u64>,
    kind: Kind,
    actors: Vec<Actor>,
    messages: BTreeMap<u64, Message>,
    origin: u64,
    next_id: u64,
    /// Where the next claim of each side must begin.
    tail: u64,
    head: u64,
}

fn bytes_of(id: u64, most: usize) -> Vec<u8> {
    let len = (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % (most + 1);
    (0..len).map(|i| (id as u8).wrapping_mul(31).wrapping_add(i as u8)).collect()
}

impl World {
    pub(super) fn new(kind: Kind, capacity: u64, size: u64, participants: usize, origin: u64) -> Self {
        let geometry = Geometry::new(capacity, size, participants).unwrap();
        let (memory, shared) = memory(geometry);
        init(&shared, kind, origin);
        let actors = (0..participants).map(|_| Actor { role: Role::Vacant, claim: None }).collect();
        let (tail, head) = (origin, origin);
        World {
            shared,
            _memory: memory,
            kind,
            actors,
            messages: BTreeMap::new(),
            origin,
            next_id: 1,
            tail,
            head,
        }
    }

    fn index(&self, i: usize) -> Index {
        Index::new(i, self.actors.len()).unwrap()
    }

    /// Positions count from the origin in the model. Those from adopted ranges have 46 bits only.
    fn key(&self, position: u64) -> u64 {
        super::word::distance(position, self.origin).try_into().unwrap()
    }

    fn count(&self, side: Side) -> usize {
        let on_side = |actor: &&Actor| match actor.role {
            Role::Producer(_) => side == Side::Producers,
            Role::Consumer(_) => side == Side::Consumers,
            Role::Dead(_) | Role::Vacant => false,
        };
        self.actors.iter().filter(on_side).count()
    }

    pub(super) fn act(&mut self, (who, what, how, fuse): Action) {
        let who = who as usize % self.actors.len();
        let fuse = fuse.map(u32::from);
        match (&self.actors[who].role, what % 16) {
            (Role::Vacant | Role::Dead(_), _) => {
                self.join(who, if how % 2 == 0 { Side::Producers } else { Side::Consumers }, fuse);
            }
            (_, 0) => self.kill(who),
            (_, 1) => self.actors[who].claim = None, // forgotten
            (_, 2) => self.leave(who, fuse),
            (_, 3 | 4) if self.actors[who].claim.is_none() => self.settle(who, how as usize, fuse),
            (_, 5) if self.actors[who].claim.is_none() => self.adopt_given(who, how as usize, fuse),
            (Role::Producer(_), _) if how >= SWIFT && self.actors[who].claim.is_none() => {
                self.claim_one(who, fuse)
            }
            (Role::Consumer(_), _) if how >= SWIFT && self.actors[who].claim.is_none() => {
                self.take(who, fuse)
            }
            (Role::Producer(_), _) => self.produce(who, how, fuse),
            (Role::Consumer(_), _) => self.consume(who, how, fuse),
        }
        assert!(occupancy(&self.shared, self.kind) <= self.shared.geometry().capacity());
    }

    fn kill(&mut self, who: usize) {
        let side = match self.actors[who].role {
            Role::Producer(_) => Side::Producers,
            Role::Consumer(_) => Side::Consumers,
            Role::Dead(_) | Role::Vacant => return,
        };
        self.actors[who] = Actor { role: Role::Dead(side), claim: None };
    }

    fn join(&mut self, who: usize, side: Side, fuse: Option<u32>) {
        if self.kind == Kind::Spsc && self.count(side) > 0 {
            return;
        }
        let (kind, me, shared) = (self.kind, self.index(who), &self.shared);
        if let Role::Dead(was) = self.actors[who].role {
            let heir = side == Side::Consumers && was == side;
            let author = if heir { Author::Heir } else { Author::Outsider };
            match killed_after(fuse, || settle(shared, kind, me, was, author)) {
                Some(Settled::Done { .. }) => self.actors[who].role = Role::Vacant,
                Some(Settled::Postponed) => assert!(!heir, "an heir has to have room"),
                None => {}
            }
        }
        if let Role::Vacant = self.actors[who].role {
            self.actors[who].role = match side {
                Side::Producers => Role::Producer(Sender::resume(kind, shared, me)),
                Side::Consumers => Role::Consumer(Receiver::resume(kind, shared, me)),
            };
            if self.kind == Kind::Spsc && side == Side::Producers {
                let tail = sent(&self.shared, kind);
                let grown = ahead(tail, self.tail);
                assert!(grown == 0 || grown == 1 && self.messages[&self.key(self.tail)].id.is_some());
                self.tail = tail;
            }
            if self.kind == Kind::Spsc && side == Side::Consumers {
                self.head = received(&self.shared, kind);
            }
        }
    }

    fn leave(&mut self, who: usize, fuse: Option<u32>) {
        let Actor { role, claim } = &mut self.actors[who];
        *claim = None;
        let shared = &self.shared;
        let clean = killed_after(fuse, || match role {
            Role::Producer(sender) => sender.clean(shared),
            Role::Consumer(receiver) => receiver.clean(shared),
            Role::Dead(_) | Role::Vacant => true,
        });
        match clean {
            Some(true) => *role = Role::Vacant,
            Some(false) | None => self.kill(who),
        }
    }

    fn settle(&mut self, who: usize, whom: usize, fuse: Option<u32>) {
        let whom = whom % self.actors.len();
        let Role::Dead(side) = self.actors[whom].role else { return };
        let (kind, shared, dead, me) = (self.kind, &self.shared, self.index(whom), self.index(who));
        let author = match self.actors[who].role {
            Role::Consumer(_) => Author::Consumer(me),
            _ => Author::Outsider,
        };
        match killed_after(fuse, || settle(shared, kind, dead, side, author)) {
            Some(Settled::Done { .. }) => self.actors[whom].role = Role::Vacant,
            Some(Settled::Postponed) => {}
            None => self.kill(who),
        }
    }

    fn adopt_given(&mut self, who: usize, whom: usize, fuse: Option<u32>) {
        let whom = whom % self.actors.len();
        if let (Role::Consumer(_), Role::Consumer(_)) = (&self.actors[who].role, &self.actors[whom].role) {
            let (shared, owner, me) = (&self.shared, self.index(whom), self.index(who));
            if killed_after(fuse, || adopt_given(shared, owner, me)).is_none() {
                self.kill(who);
            }
        }
    }

    fn produce(&mut self, who: usize, how: u8, fuse: Option<u32>) {
        let most = self.shared.geometry().message_size();
        let kind = self.kind;
        let Actor { role: Role::Producer(sender), claim } = &mut self.actors[who] else { unreachable!() };
        let shared = &self.shared;
        let Some(current) = claim else {
            let polled = sender.poll(shared);
            match killed_after(fuse, || sender.claim(shared, u32::from(how % 5))) {
                Some(Ok(new)) => {
                    assert_eq!(ahead(new.position(), self.tail), 0, "claims follow each other");
                    if kind == Kind::Mpmc {
                        self.tail = new.position().wrapping_add(u64::from(new.len()));
                    }
                    *claim = Some(new);
                }
                Some(Err(nothing)) => assert_eq!(polled, Err(nothing)),
                None => self.kill(who),
            }
            return;
        };
        let position = current.position();
        let key: u64 = super::word::distance(position, self.origin).try_into().unwrap();
        if how.trailing_zeros() >= 3 {
            let done = killed_after(fuse, || sender.abandon(shared, current)).is_some();
            if done && current.len() == 0 {
                *claim = None;
            } else if !done {
                self.kill(who);
            }
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        let bytes = bytes_of(id, most);
        assert!(shared.write_payload(position, 0, &bytes));
        let entry = self.messages.entry(key).or_default();
        assert!(!entry.sent, "position {key} is given out twice");
        let done = killed_after(fuse, || sender.publish(shared, current, bytes.len() as u32, id as u32));
        // Of a killed send either is right; this is what it left behind.
        let stamp = Stamp::from_bits(shared.stamp(position).load(crate::sync::Ordering::Relaxed));
        if stamp.is(position, Phase::Ready) {
            entry.id = Some(id);
        }
        if done.is_some() {
            entry.id = Some(id);
            entry.sent = true;
            if kind == Kind::Spsc {
                self.tail = position.wrapping_add(1);
            }
            if claim.as_ref().is_some_and(|claim| claim.len() == 0) {
                *claim = None;
            }
        } else {
            self.kill(who);
        }
    }

    fn consume(&mut self, who: usize, how: u8, fuse: Option<u32>) {
        let kind = self.kind;
        let Actor { role: Role::Consumer(receiver), claim } = &mut self.actors[who] else { unreachable!() };
        let shared = &self.shared;
        let Some(current) = claim else {
            if receiver.given_back(shared) {
                assert!(receiver.claim(shared, 1).is_err());
                if how % 2 == 0 && killed_after(fuse, || receiver.take_back(shared)).is_none() {
                    self.kill(who);
                }
                return;
            }
            // A range of which others took the rest looks like something until a claim has cleared it.
            let polled = (!receiver.has_adopted(shared)).then(|| receiver.poll(shared));
            match killed_after(fuse, || receiver.claim(shared, u32::from(how % 5))) {
                Some(Ok(new)) => {
                    if !new.adopted {
                        assert_eq!(ahead(new.position(), self.head), 0, "claims follow each other");
                        if kind == Kind::Mpmc {
                            self.head = new.position().wrapping_add(u64::from(new.len()));
                        }
                    }
                    *claim = Some(new);
                }
                Some(Err(Nothing::None)) => {
                    // Before a killed producer's successor has looked, the tail may be one behind.
                    assert!(ahead(self.tail, self.head) <= 0, "not empty");
                    assert!(polled.is_none_or(|polled| polled == Err(Nothing::None)));
                }
                Some(Err(Nothing::Midway)) => {
                    assert!(polled.is_none_or(|polled| polled == Err(Nothing::Midway)))
                }
                Some(Err(Nothing::Corrupt(defect))) => panic!("{defect:?}"),
                None => self.kill(who),
            }
            return;
        };
        if how.trailing_zeros() >= 3 {
            match killed_after(fuse, || receiver.give_back(shared, current)) {
                Some(()) => *claim = None,
                None => self.kill(who),
            }
            return;
        }
        let position = current.position();
        let key: u64 = super::word::distance(position, self.origin).try_into().unwrap();
        let again = current.attempt != 0;
        let Some(found) = killed_after(fuse, || receiver.look(shared, current)) else {
            return self.kill(who);
        };
        if let Some(found) = found {
            let message = self.messages.get_mut(&key).expect("a message nobody sent");
            assert!(!message.released, "delivered again after it was acknowledged");
            assert!(
                again || found.attempt > message.seen || found.attempt == 16,
                "delivered again unflagged"
            );
            let next = (message.seen + 1).min(16);
            assert!(
                again || kind == Kind::Mpmc || found.attempt == next,
                "flagged without having been delivered"
            );
            message.seen = found.attempt;
            let id = message.id.expect("a message nobody sent");
            let mut bytes = vec![MaybeUninit::new(0xee); found.len as usize];
            assert!(shared.read_payload(position, 0, &mut bytes));
            // SAFETY: initialised from the start.
            #[allow(unsafe_code)]
            let bytes: Vec<u8> = bytes.into_iter().map(|byte| unsafe { byte.assume_init() }).collect();
            assert_eq!(bytes, bytes_of(id, shared.geometry().message_size()), "torn");
            assert_eq!(found.tag, id as u32);
            assert_eq!(receiver.look(shared, current), Some(found), "looking again is harmless");
        }
        if how % 8 == 1 {
            return; // looked, not released
        }
        let done = killed_after(fuse, || receiver.release(shared, current)).is_some();
        let stamp = Stamp::from_bits(shared.stamp(position).load(crate::sync::Ordering::Relaxed));
        let freed = match kind {
            Kind::Spsc => ahead(received(shared, kind), position) > 0,
            Kind::Mpmc => stamp.distance_from(position) > 0,
        };
        if done || freed {
            if let (Some(_), Some(message)) = (found, self.messages.get_mut(&key)) {
                message.released = true;
            }
        }
        if !done {
            return self.kill(who);
        }
        if kind == Kind::Spsc {
            self.head = position.wrapping_add(1);
        }
        if claim.as_ref().is_some_and(|claim| claim.len() == 0) {
            *claim = None;
        }
    }
}
