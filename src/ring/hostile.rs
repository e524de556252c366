//! A peer that writes any word at any moment, and what its victims may do about it: the harness of the fuzz targets
//! and of a test. The peer's words arrive before the access that the script names, so also between two reads of one word.
//!
//! After every step each word of the segment is what the peer made it, but for the few that the victim's own operation
//! is for. So a victim that follows a forged word out of its slot, or settles what it must not, is seen at once, though
//! nothing crashes; and no step takes more accesses than an honest ring can cost.

use core::cell::Cell;
use std::rc::Rc;

use super::probe::meddled;
use super::word::{Adopted, Announcement, Cursor, Phase, Stamp};
use super::world::{World, memory};
use super::*;
use crate::layout::{Geometry, record, shared as at, slot};

/// One step: what the victim does, how, before which of its accesses the peer writes, which word, and what (see
/// [`Victims::forge`]).
pub type Step = (u8, u8, u8, u16, u8, u64);

/// The accesses that no step exceeds: the races that a claim may lose, each with a scan.
const MOST_ACCESSES: usize = 256 * 80;
const PARTICIPANTS: usize = 4;
const SENDER: usize = 0;
const RECEIVER: usize = 1;

fn index(i: usize) -> Index {
    Index::new(i % PARTICIPANTS, PARTICIPANTS).unwrap()
}

struct Victims {
    memory: Vec<u64>,
    shared: Rc<Shared>,
    geometry: Geometry,
    kind: Kind,
    origin: u64,
    sender: Sender,
    receiver: Receiver,
    sending: Option<Claim>,
    receiving: Option<Claim>,
    /// SPSC: where the next claim of each side begins, whatever the peer says; `None` until it has claimed once.
    next: [Option<u64>; 2],
}

impl Victims {
    fn new(kind: Kind, shift: u8, size: u8, origin: u64) -> Self {
        let geometry = Geometry::new(1 << (shift % 4), u64::from(size % 40), PARTICIPANTS).unwrap();
        let (memory, shared) = memory(geometry);
        init(&shared, kind, origin);
        let sender = Sender::resume(kind, &shared, index(SENDER));
        let receiver = Receiver::resume(kind, &shared, index(RECEIVER));
        let (sending, receiving, shared) = (None, None, Rc::new(shared));
        Self { memory, shared, geometry, kind, origin, sender, receiver, sending, receiving, next: [None; 2] }
    }

    /// Which word the peer writes, and what: mostly something that belongs into one of the ring's words, about a position
    /// near where it began.
    fn forge(&self, word: u16, how: u8, number: u64) -> (usize, u64) {
        // The ring's words and the records; the header is judged once and never read again.
        let first = at::TAIL / 8;
        let word = first + usize::from(word) % (self.geometry.size() / 8 - first);
        let was = self.memory[word];
        let near = self.origin.wrapping_add_signed(i64::from(number as i8 / 4));
        let owner = index((number >> 8) as usize).into();
        let len = 1 + (number >> 24) as u32 % 256;
        let value = match how % 13 {
            0 => number,
            1 => was.wrapping_add_signed((number as i8).into()),
            2 => was ^ 1 << (number % 64),
            3 => near,
            4 => Cursor::new(near, owner).bits(),
            5 => Stamp::new(near, Phase::Free, owner).bits(),
            6 => Stamp::new(near, Phase::Ready, if len % 2 == 0 { Owner::NOBODY } else { owner }).bits(),
            7 => Stamp::new(near, Phase::Void, owner).bits(),
            8 => Stamp::taken(near, owner, index(RECEIVER).into(), len % 20).bits(),
            9 => Announcement::new(Side::Producers, near, len, owner).bits(),
            10 => Announcement::new(Side::Consumers, near, len, owner).bits(),
            11 => Adopted::new(near, len).bits(),
            _ => Adopted::new(near, len).given().bits(),
        };
        (word * 8, value)
    }

    /// One step of a victim, with the peer at work; checks what it changed.
    fn step(&mut self, (what, how, when, word, forged, number): Step) {
        let (target, value) = self.forge(word, forged, number);
        let before = self.memory.clone();
        let (shared, accesses) = (Rc::clone(&self.shared), Rc::new(Cell::new(0)));
        let count = Rc::clone(&accesses);
        let peer = move |_: usize, _: &crate::sync::AtomicU64| {
            if count.get() == usize::from(when) {
                poke(&shared, target, value);
            }
            count.set(count.get() + 1);
            assert!(count.get() < MOST_ACCESSES, "runs in circles");
        };
        let mut allowed = vec![target];
        meddled(peer, || self.operate(what, how, &mut allowed));
        if accesses.get() <= usize::from(when) {
            poke(&self.shared, target, value); // the step was over before it came to that
        }
        for (i, (was, is)) in before.iter().zip(&self.memory).enumerate() {
            let offset = 8 * i;
            assert!(was == is || allowed.contains(&offset), "{what}: byte {offset} from {was:#x} to {is:#x}");
        }
    }

    fn stamps(&self) -> impl Iterator<Item = usize> + use<> {
        let geometry = self.geometry;
        (0..geometry.capacity()).map(move |x| geometry.slot(x) + slot::STAMP)
    }

    /// The words of the slot that the claim is at.
    fn slot(&self, claim: &Claim) -> impl Iterator<Item = usize> + use<> {
        let start = self.geometry.slot(claim.position());
        (start..start + slot::PAYLOAD + self.geometry.message_size()).step_by(8)
    }

    /// An SPSC end goes by its own position once it has one.
    fn follows(&mut self, side: Side, claim: &Claim) {
        if self.kind == Kind::Spsc {
            let next = self.next[side as usize].get_or_insert(claim.position());
            assert_eq!(*next, claim.position(), "{side:?}");
        }
    }

    fn went_on(&mut self, side: Side) {
        self.next[side as usize] = self.next[side as usize].map(|next| next.wrapping_add(1));
    }

    fn operate(&mut self, what: u8, how: u8, allowed: &mut Vec<usize>) {
        let (shared, geometry) = (Rc::clone(&self.shared), self.geometry);
        let record = |i: usize, field: usize| geometry.record(i % PARTICIPANTS) + field;
        let want = u32::from(how % 9);
        let most = u64::from(want.max(1)).min(geometry.capacity()) as u32;
        match what % 12 {
            0 | 1 if self.sending.is_none() => {
                allowed.extend([at::TAIL, record(SENDER, record::ANNOUNCED)]);
                allowed.extend(self.stamps()); // tombstones for a claim that was forgotten
                if let Ok(claim) = self.sender.claim(&shared, want) {
                    assert!((1..=most).contains(&claim.len()));
                    self.follows(Side::Producers, &claim);
                    self.sending = Some(claim);
                }
            }
            0..=2 => {
                let Some(mut claim) = self.sending.take() else { return };
                allowed.extend(self.slot(&claim));
                allowed.push(at::TAIL);
                let bytes = vec![how; geometry.message_size()];
                assert!(shared.write_payload(claim.position(), 0, &bytes));
                let left = claim.len();
                if how % 8 == 7 {
                    self.sender.abandon(&shared, &mut claim);
                } else {
                    self.sender.publish(&shared, &mut claim, bytes.len() as u32, 0);
                    self.went_on(Side::Producers);
                }
                assert_eq!(claim.len(), left - 1);
                self.sending = (claim.len() > 0).then_some(claim);
            }
            3 | 4 if self.receiving.is_none() => {
                allowed.extend([
                    at::HEAD,
                    record(RECEIVER, record::ANNOUNCED),
                    record(RECEIVER, record::ADOPTED),
                ]);
                allowed.extend(self.stamps()); // of what was forgotten
                if let Ok(claim) = self.receiver.claim(&shared, want) {
                    assert!((1..=most).contains(&claim.len()));
                    self.follows(Side::Consumers, &claim);
                    self.receiving = Some(claim);
                }
            }
            3..=6 => {
                let Some(mut claim) = self.receiving.take() else { return };
                allowed.extend([geometry.slot(claim.position()), at::HEAD, at::FREE, at::IN_HAND]);
                allowed.push(record(RECEIVER, record::ADOPTED));
                if let Some(found) = self.receiver.look(&shared, &mut claim) {
                    assert!((1..=16).contains(&found.attempt));
                    let len = (found.len as usize).min(64);
                    let copied = shared.read_payload_into(claim.position(), 0, &mut vec![0; len]);
                    assert_eq!(copied, len <= geometry.message_size());
                }
                let left = claim.len();
                self.receiver.release(&shared, &mut claim);
                self.went_on(Side::Consumers);
                assert_eq!(claim.len(), left - 1);
                self.receiving = (claim.len() > 0).then_some(claim);
            }
            7 => {
                allowed.push(record(RECEIVER, record::ADOPTED));
                allowed.extend(self.stamps());
                if let Some(mut claim) = self.receiving.take() {
                    self.receiver.give_back(&shared, &mut claim);
                } else {
                    self.receiver.take_back(&shared);
                }
            }
            8 => (self.sending, self.receiving) = (None, None), // forgotten
            9 => {
                // Somebody dead is settled. Between operations of its author, as the channel has it.
                let dead = 2 + usize::from(how % 2);
                let side = if how % 4 < 2 { Side::Producers } else { Side::Consumers };
                let author = match how % 3 {
                    0 => Author::Outsider,
                    1 => Author::Consumer(index(RECEIVER)),
                    _ => Author::Heir,
                };
                allowed.extend([record(dead, record::ANNOUNCED), record(dead, record::ADOPTED)]);
                allowed.push(record(RECEIVER, record::ADOPTED));
                allowed.extend(self.stamps());
                settle(&shared, self.kind, index(dead), side, author);
                adopt_given(&shared, index(dead), index(RECEIVER));
            }
            10 => {
                let words = [
                    at::TAIL,
                    at::FREE,
                    record(SENDER, record::ANNOUNCED),
                    record(RECEIVER, record::ANNOUNCED),
                ];
                allowed.extend(words);
                allowed.push(record(RECEIVER, record::ADOPTED));
                (self.sending, self.receiving) = (None, None);
                self.sender.clean(&shared);
                self.receiver.clean(&shared);
                self.next = [None; 2];
                self.sender = Sender::resume(self.kind, &shared, index(SENDER));
                self.receiver = Receiver::resume(self.kind, &shared, index(RECEIVER));
            }
            _ => {
                let _ = (self.sender.poll(&shared), self.receiver.poll(&shared));
                let _ = (self.sender.glance(&shared), self.receiver.glance(&shared));
                assert!(occupancy(&shared, self.kind) <= geometry.capacity());
                for i in 0..PARTICIPANTS {
                    let held = holds(&shared, self.kind, index(i), Side::Consumers);
                    assert!(held.is_none_or(|(_, slots)| (1..=256).contains(&slots)));
                }
            }
        }
    }
}

/// The peer's store: to any word but the padding of slots, which nobody reads.
fn poke(shared: &Shared, offset: usize, value: u64) {
    let geometry = *shared.geometry();
    let slots = geometry.slot(0);
    if offset < record::BASE {
        return shared.word(offset).store(value, Ordering::Relaxed);
    }
    if offset < slots {
        let (i, field) = ((offset - record::BASE) / record::SIZE, (offset - record::BASE) % record::SIZE);
        return shared.record(index(i), field).store(value, Ordering::Relaxed);
    }
    let stride = (geometry.size() - slots) / geometry.capacity() as usize;
    let (x, field) = (((offset - slots) / stride) as u64, (offset - slots) % stride);
    match field {
        slot::STAMP => shared.stamp(x).store(value, Ordering::Relaxed),
        slot::META => shared.set_meta(x, value),
        _ => {
            let (from, bytes) = (field - slot::PAYLOAD, value.to_ne_bytes());
            let len = geometry.message_size().saturating_sub(from).min(8);
            let _fits = shared.write_payload(x, from, &bytes[..len]);
        }
    }
}

/// The producer's and the consumer's end of one ring, or both ends and the dead of a shared one, against a peer that
/// can write every word.
pub fn against_a_peer(spsc: bool, shift: u8, size: u8, origin: u64, steps: &[Step]) {
    let mut victims = Victims::new(if spsc { Kind::Spsc } else { Kind::Mpmc }, shift, size, origin);
    for step in steps {
        victims.step(*step);
    }
}

/// Participants that are killed before any of their stores, and a plain model of what each position holds. In the end
/// the living drain the ring, and nothing that was sent is missing.
pub fn with_kills(
    spsc: bool,
    shift: u8,
    size: u8,
    participants: u8,
    origin: u64,
    actions: &[(u8, u8, u8, Option<u8>)],
) {
    let kind = if spsc { Kind::Spsc } else { Kind::Mpmc };
    let participants = 2 + usize::from(participants % 5);
    let mut world = World::new(kind, 1 << (shift % 5), u64::from(size % 40), participants, origin);
    for action in actions {
        world.act(*action);
    }
    world.finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator() -> impl FnMut() -> u64 {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        }
    }

    const ORIGINS: [u64; 3] = [0, (1 << 46) - 2, u64::MAX - 3];

    #[test]
    fn victims_touch_nothing_but_what_is_theirs() {
        let mut random = generator();
        for round in 0..2_000 {
            let steps: Vec<Step> = (0..40)
                .map(|_| {
                    let r = random();
                    (
                        r as u8,
                        (r >> 8) as u8,
                        (r >> 16) as u8 % 12,
                        (r >> 24) as u16,
                        (r >> 40) as u8,
                        random(),
                    )
                })
                .collect();
            against_a_peer(round % 2 == 0, random() as u8, random() as u8, ORIGINS[round % 3], &steps);
        }
        println!(
            "\n| ring operations, a forged word at any access | 80000 | nobody changed a word that was not its own |"
        );
    }

    #[test]
    fn scripts_of_kills_are_played() {
        let mut random = generator();
        for round in 0..200 {
            let actions: Vec<_> = (0..60)
                .map(|_| random())
                .map(|r| {
                    (
                        r as u8,
                        (r >> 8) as u8,
                        (r >> 16) as u8,
                        (r >> 30 & 7 == 0).then_some((r >> 24) as u8 % 6),
                    )
                })
                .collect();
            with_kills(
                round % 2 == 0,
                random() as u8,
                random() as u8,
                random() as u8,
                ORIGINS[round % 3],
                &actions,
            );
        }
    }
}
