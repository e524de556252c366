//! Whoever was woken and gives up although something is there wakes another one.

use std::time::Duration;

use super::testing::Bench;
use super::*;
use crate::error::RecvTimeoutError;
use crate::layout::{record, shared};
use crate::park;
use crate::ring::{Index, Side, meddled};
use crate::sync::Ordering;

const BRIEF: Duration = Duration::from_millis(1);
/// More than the races that a claim loses before it gives up.
const MANY: u32 = 400;
/// States of a park word.
const SLEEPING: u64 = 1;
const NOTIFIED: u64 = 2;

fn state(channel: &Channel, index: Index) -> u64 {
    channel.attachment.mem().record(index, record::PARK).load(Ordering::Acquire) & 3
}

/// As a participant that sleeps.
fn asleep(consumer: &Consumer) -> Index {
    let (mem, me) = (consumer.participant.mem, consumer.participant.me);
    mem.record(me, record::PARK).fetch_add(4 | SLEEPING, Ordering::AcqRel);
    park::sleepers(&mem, Side::Consumers).fetch_or(me.bit(), Ordering::AcqRel);
    me
}

/// Many messages with one wake-up, as by a batch.
fn publish(producer: &mut Producer) {
    let participant = &mut producer.participant;
    for _ in 0..MANY {
        let mut claim = participant.end.claim(&participant.mem, 1).expect("room");
        participant.end.publish(&participant.mem, &mut claim, 0, 0);
    }
    participant.wake(Side::Consumers);
}

/// Two were woken: one that is stopped, and one that lost every race to another, which has not slept and so wakes nobody, until its
/// time was over.
#[test]
fn a_loser_of_all_races() {
    let options = Options::new().capacity(512).message_size(8).participants(5);
    let bench = Bench::of(&options.recheck_interval(None));
    let mut producer = Some(bench.0.producer().expect("producer"));
    let [mut loser, stopped, sleeper, mut winner] = [(); 4].map(|()| bench.0.consumer().expect("consumer"));
    winner.participant.checkup_at = u64::MAX; // the slow path, which chains, is not due
    let [stopped_at, sleeper_at] = [&stopped, &sleeper].map(asleep);
    let (channel, me) = (bench.0.clone(), loser.participant.me);
    let (mut published, mut looks) = (false, 0);
    let outrun = move |offset, _: &_| {
        if offset != shared::HEAD {
            return;
        }
        if let Some(mut producer) = producer.take_if(|_| state(&channel, me) == SLEEPING) {
            publish(&mut producer);
            std::mem::forget(producer);
            std::thread::sleep(BRIEF);
            published = true;
        } else if published {
            looks += 1;
            if looks % 2 == 1 {
                return; // it reads the cursor before it tries to move it
            }
            assert!(winner.try_recv_into(&mut [0; 8]).is_ok());
        }
    };
    let outcome = meddled(outrun, || loser.recv_timeout(BRIEF));
    assert_eq!(outcome, Err(RecvTimeoutError::Timeout));
    assert!(!bench.0.is_empty(), "there is more");
    assert_eq!([stopped_at, sleeper_at].map(|index| state(&bench.0, index)), [NOTIFIED; 2]);
}
