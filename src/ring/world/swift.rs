//! What the swift paths do: a claim by a single attempt, and with it, for a consumer, the first look.

use super::{Role, World, ahead};
use crate::ring::probe::killed_after;
use crate::ring::{Kind, Receiver, Receives, Sender, Sends};

impl World {
    pub(super) fn claim_one(&mut self, who: usize, fuse: Option<u32>) {
        let Role::Producer(sender) = &mut self.actors[who].role else { return };
        let shared = &self.shared;
        let polled = sender.poll(shared);
        let claimed = killed_after(fuse, || match sender {
            Sender::Spsc(end) => end.claim_one(shared),
            Sender::Mpmc(end) => end.claim_one(shared),
        });
        match claimed {
            Some(Some(claim)) => {
                assert_eq!(
                    (ahead(claim.position(), self.tail), claim.len()),
                    (0, 1),
                    "claims follow each other"
                );
                if self.kind == Kind::Mpmc {
                    self.tail = claim.position().wrapping_add(1);
                }
                self.actors[who].claim = Some(claim);
            }
            Some(None) => assert!(polled.is_err(), "there was room"),
            None => self.kill(who),
        }
    }

    pub(super) fn take(&mut self, who: usize, fuse: Option<u32>) {
        let Role::Consumer(receiver) = &mut self.actors[who].role else { return };
        let shared = &self.shared;
        let polled = receiver.poll(shared);
        let taken = killed_after(fuse, || match receiver {
            Receiver::Spsc(end) => end.take(shared),
            Receiver::Mpmc(end) => end.take(shared),
        });
        let (claim, found) = match taken {
            Some(Ok((claim, found))) => (claim, Some(found)),
            Some(Err(Some(tombstone))) => (tombstone, None),
            Some(Err(None)) => {
                // There is one, and its delivery was started before. An MPMC ring has more reasons.
                let started = || self.messages[&self.key(self.head)].seen > 0;
                assert!(self.kind == Kind::Mpmc || polled.is_err() || started(), "there was a message");
                return;
            }
            None => return self.kill(who),
        };
        assert_eq!((ahead(claim.position(), self.head), claim.len()), (0, 1), "claims follow each other");
        assert!(!claim.adopted, "what is adopted takes more");
        if self.kind == Kind::Mpmc {
            self.head = claim.position().wrapping_add(1);
        }
        if let Some(found) = found {
            let key = self.key(claim.position());
            let message = self.messages.get_mut(&key).expect("a message nobody sent");
            assert_eq!((found.attempt, message.seen), (1, 0), "delivered again unflagged");
            message.seen = 1;
        }
        self.actors[who].claim = Some(claim);
    }
}
