//! How every walk ends: whatever happened, the living can drain the ring and leave it as good as new.

use super::{Actor, Role, World};
use crate::ring::word::{Phase, Stamp};
use crate::ring::{Kind, Side, occupancy, sent};
use crate::sync::Ordering;

impl World {
    /// Lets the living finish, the dead be settled and the ring be drained, and checks what is left of it.
    pub(in crate::ring) fn finish(mut self) {
        let participants = self.actors.len();
        for round in 0..64 * participants as u64 + 8 * self.shared.geometry().capacity() {
            for who in 0..participants {
                let how = if round % 2 == 0 { 2 } else { 4 };
                match self.actors[who].role {
                    Role::Vacant => {}
                    Role::Dead(_) if self.count(Side::Consumers) == 0 => {
                        self.join(who, Side::Consumers, None)
                    }
                    Role::Dead(_) => {}
                    Role::Producer(_) if self.actors[who].claim.is_some() => self.produce(who, 0, None),
                    Role::Producer(_) => self.leave_or_abandon(who),
                    Role::Consumer(_) => {
                        self.consume(who, how, None);
                        if self.actors[who].claim.is_none() {
                            (0..participants).for_each(|dead| self.settle(who, dead, None));
                        }
                    }
                }
            }
            if self.count(Side::Consumers) == 0 {
                (0..participants).for_each(|who| {
                    if self.count(Side::Consumers) == 0 && matches!(self.actors[who].role, Role::Vacant) {
                        self.join(who, Side::Consumers, None);
                    }
                });
            }
        }
        for actor in &self.actors {
            assert!(matches!(actor.role, Role::Vacant | Role::Consumer(_)), "somebody could not be settled");
        }
        assert_eq!(occupancy(&self.shared, self.kind), 0, "not drained");
        for (position, message) in &self.messages {
            assert!(message.released || !message.sent, "the message at {position} is lost");
        }
        if self.kind == Kind::Mpmc {
            let tail = sent(&self.shared, self.kind);
            for i in 0..self.shared.geometry().capacity() {
                let position = tail.wrapping_add(i);
                let stamp = Stamp::from_bits(self.shared.stamp(position).load(Ordering::Relaxed));
                assert!(stamp.is(position, Phase::Free), "slot {i} is not free: {stamp:?}");
            }
        }
    }

    fn leave_or_abandon(&mut self, who: usize) {
        let Actor { role: Role::Producer(sender), claim } = &mut self.actors[who] else { return };
        match sender.clean(&self.shared) {
            true => self.actors[who].role = Role::Vacant,
            // A forgotten claim: the next one makes it tombstones.
            false => {
                *claim = sender.claim(&self.shared, 1).ok();
                if let Some(claim) = claim {
                    if self.kind == Kind::Mpmc {
                        self.tail = claim.position().wrapping_add(1);
                    }
                }
            }
        }
    }
}
