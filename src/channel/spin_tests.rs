//! Spinning before the slow path: only for what the swift path can take, and for this call only.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::testing::Bench;
use super::*;
use crate::layout::{LINE, shared};
use crate::ring::{Kind, Side, meddled};

/// Slots, so few that they are soon full, and so many that a look at the leases is not due at each call.
const SLOTS: u64 = 16;
/// More than two attempts and a look at the leases take; a spin in vain has hundreds.
const FEW: u32 = 60;
const BRIEF: Duration = Duration::from_millis(1);

fn small(kind: Kind) -> Bench {
    Bench::of(&Options::new().kind(kind).capacity(SLOTS).message_size(8).participants(5))
}

/// How often a call comes by any word of the channel.
fn accesses(call: impl FnOnce()) -> u32 {
    let count = Rc::new(Cell::new(0));
    let counted = Rc::clone(&count);
    meddled(move |_, _: &_| counted.set(counted.get() + 1), call);
    count.get()
}

/// A call that cannot succeed said so only after the time that others spin for, and the next one did not spin.
#[test]
fn what_is_wrong_is_said_at_once() {
    for kind in [Kind::Spsc, Kind::Mpmc] {
        let bench = small(kind);
        let mut consumer = bench.0.consumer().expect("consumer");
        let mut producer = bench.0.producer().expect("producer");
        assert!(
            accesses(|| assert!(consumer.recv_into(&mut [0; 7]).is_err())) < FEW,
            "a short buffer, {kind:?}"
        );
        (0..SLOTS).for_each(|_| producer.send(b"fills it").expect("room"));
        assert!(accesses(|| assert!(producer.send(&[0; 9]).is_err())) < FEW, "a long message, {kind:?}");
        assert!(accesses(|| assert!(producer.reserve(9).is_err())) < FEW, "long in place, {kind:?}");
        assert!(
            accesses(|| assert!(producer.try_send(b"no room").is_err())) < FEW,
            "does not wait, {kind:?}"
        );
        assert!(!consumer.participant.spun && !producer.participant.spun);
    }
}

/// A message that came between the spin and the claim left the note behind, and the next call went to sleep at once.
#[test]
fn a_spin_in_vain_is_forgotten_with_its_call() {
    for kind in [Kind::Spsc, Kind::Mpmc] {
        let bench = small(kind);
        let mut producer = Some(bench.0.producer().expect("producer"));
        let mut consumer = bench.0.consumer().expect("consumer");
        // Swift path, spin and slow path each begin with a look at the word.
        let (word, mut seen) = (shared::CHANGES + LINE * Side::Producers as usize, 0);
        let (say, hear) = std::sync::mpsc::channel();
        let at_last = move |offset, _: &_| {
            seen += u32::from(offset == word);
            if let Some(mut producer) = producer.take_if(|_| seen == 3) {
                producer.send(b"late").expect("room");
                let _ = say.send(producer);
            }
        };
        let received = meddled(at_last, || consumer.recv_into_timeout(&mut [0; 8], BRIEF));
        assert_eq!(received.map(|received| received.len), Ok(4));
        assert!(hear.try_recv().is_ok(), "it came after the spin");
        assert!(!consumer.participant.spun, "{kind:?}");
    }
}
