//! What was given back reaches somebody though the giver asks no more, whatever else goes on.

use std::time::Duration;

use super::testing::Bench;
use super::*;
use crate::layout::shared;
use crate::ring::meddled;

/// Far more than a look takes.
const SOON: Duration = Duration::from_secs(5);

impl Bench {
    /// With some messages.
    fn with(messages: &[&str]) -> Self {
        let bench = Self::of(&Options::new().capacity(8).message_size(8).participants(5));
        bench.0.producer().expect("producer").send_batch(messages).expect("room");
        bench
    }

    fn consumer(&self) -> Consumer {
        self.0.consumer().expect("consumer")
    }

    /// A consumer that has given the next message back, and does nothing more.
    fn giver(&self) -> Consumer {
        let mut giver = self.consumer();
        giver.lease().expect("message").retry();
        giver
    }
}

fn receives_all_of(taker: &mut Consumer, messages: &[&str]) {
    let next = |_: &&str| taker.recv_timeout(SOON).expect("a message that was given back").data;
    let mut all: Vec<_> = messages.iter().map(next).collect();
    all.sort();
    assert_eq!(all, messages.iter().map(|m| m.as_bytes()).collect::<Vec<_>>());
}

/// Whoever had its hands full took the gift off the list all the same.
#[test]
fn one_message_adopted_and_another_given_back() {
    let bench = Bench::with(&["1", "2"]);
    let [mut taker, mut leaver, mut giver] = [(); 3].map(|()| bench.consumer());
    std::mem::forget(leaver.lease().expect("message"));
    drop(leaver);
    giver.lease().expect("message").retry();
    receives_all_of(&mut taker, &["1", "2"]);
}

/// A message that was given back right after the one before had been taken was taken off the list with it.
#[test]
fn given_back_again_while_another_takes() {
    for nth in 1.. {
        let bench = Bench::with(&["1"]);
        let mut taker = bench.consumer();
        let mut others = Some((bench.giver(), bench.0.producer().expect("producer")));
        let (say, hear) = std::sync::mpsc::channel();
        let mut seen = 0;
        let again = move |offset, _: &_| {
            seen += u32::from(offset == shared::GIVEN);
            if let (true, Some((mut giver, mut producer))) = (seen == nth, others.take_if(|_| seen == nth)) {
                producer.send(b"2").expect("room");
                // It cannot claim while the one before is on offer and LOCK is taken.
                giver.try_lease().into_iter().for_each(Lease::retry);
                let _ = say.send((giver, producer)); // they live on
            }
        };
        let first = meddled(again, || taker.recv_timeout(SOON).expect("message").data);
        let Ok(_others) = hear.try_recv() else {
            assert!(nth > 4, "every step of the taking was interrupted");
            return;
        };
        receives_all_of(&mut taker, if first == b"1" { &["2"] } else { &["1"] });
    }
}

/// Asked again at once, the giver takes it back itself, also by a call that does not wait.
#[test]
fn the_giver_asks_again() {
    let bench = Bench::with(&["1"]);
    let mut giver = bench.consumer();
    for attempt in 1..5 {
        let lease = giver.try_lease().expect("message");
        assert_eq!(lease.attempt(), attempt);
        lease.retry();
    }
}
