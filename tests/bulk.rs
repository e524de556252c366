//! Bulks: many values to a slot, and a slot with its values is one message in all that the channel promises.

mod common;

use std::ops::Range;
use std::time::Duration;

use bytemuck::{Pod, Zeroable};
use common::child::{self, Child};
use common::{DEADLINE, KINDS, Name, Random, options, start, within};
use semring::{
    BulkConsumer, BulkProducer, Error, Kind, Options, RecvError, RecvTimeoutError, SendBatchError, SendError,
    SendTimeoutError, TryRecvError, TrySendError,
};

#[test]
fn child_entry() {
    child::entry(&[("flood", flood), ("hold", hold), ("send_all", send_all)]);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Pod, Zeroable)]
#[repr(C)]
struct Tick {
    from: u64,
    number: u64,
    check: u64,
}

/// Values to a slot: 120 bytes, which fill no line.
const SLOT: usize = 5;
const BYTES: usize = size_of::<Tick>();

fn ticks(from: u64, numbers: Range<u64>) -> Vec<Tick> {
    numbers.map(|number| Tick { from, number, check: number.wrapping_mul(31) ^ !from }).collect()
}

fn producer(name: &str, options: Options) -> BulkProducer<Tick> {
    options.bulk_producer(name, "Tick", SLOT).expect("producer")
}

fn consumer(name: &str, options: Options) -> BulkConsumer<Tick> {
    options.bulk_consumer(name, "Tick", SLOT).expect("consumer")
}

/// A channel of each kind and so many slots, with both ends in this process.
fn for_both_kinds(slots: u64, run: fn(Kind, BulkProducer<Tick>, BulkConsumer<Tick>)) {
    for kind in KINDS {
        let name = Name::new("bulk");
        let ends = (producer(&name, options().kind(kind).capacity(slots)), consumer(&name, options()));
        within("one of the calls hangs", move || run(kind, ends.0, ends.1));
    }
}

/// Sends all, a random number at a time, by one call or another.
fn produce(producer: &mut BulkProducer<Tick>, all: &[Tick], random: &mut Random) {
    let mut rest = all;
    while !rest.is_empty() {
        let some = &rest[..rest.len().min(random.below(3 * SLOT as u64 + 1) as usize)];
        let sent = match random.below(3) {
            0 => producer.send(some).map(|()| some.len()).expect("send"),
            1 => match producer.try_send(some) {
                Err(TrySendError::Full(())) => 0,
                sent => sent.expect("try_send"),
            },
            _ => match producer.send_timeout(some, Duration::from_millis(1)) {
                Err(SendTimeoutError::Timeout(())) => 0,
                sent => sent.expect("send_timeout"),
            },
        };
        assert!(sent == some.len() || sent % SLOT == 0, "{sent} of {}: not whole slots", some.len());
        rest = &rest[sent..];
    }
}

/// A slot's values, by one call or another. `None`: no more.
fn receive(consumer: &mut BulkConsumer<Tick>, way: u64) -> Option<Vec<Tick>> {
    match way {
        0 => consumer.recv().ok().map(|bulk| bulk.to_vec()),
        1 => consumer.recv_timeout(DEADLINE).ok().map(|bulk| bulk.to_vec()),
        _ => {
            let lease = if way == 2 { consumer.lease().ok() } else { consumer.lease_timeout(DEADLINE).ok() }?;
            let values = lease.to_vec();
            lease.ack();
            Some(values)
        }
    }
}

/// Everything until the end of the stream.
fn consume(consumer: &mut BulkConsumer<Tick>, random: &mut Random) -> Vec<Tick> {
    let mut all = Vec::new();
    while let Some(values) = receive(consumer, random.below(4)) {
        assert!((1..=SLOT).contains(&values.len()), "{} values", values.len());
        all.extend(values);
    }
    assert_eq!(consumer.recv(), Err(RecvError::Disconnected));
    all
}

#[test]
fn in_order_and_complete() {
    for (seed, origin) in [(1, 0), (2, (1 << 46) - 3), (3, (1 << 58) - 3), (4, u64::MAX - 5)] {
        for (kind, slots) in [(Kind::Spsc, 4), (Kind::Spsc, 1), (Kind::Mpmc, 4), (Kind::Mpmc, 1)] {
            let name = Name::new("bulk");
            let mut producer = producer(&name, options().kind(kind).capacity(slots).origin(origin));
            let mut consumer = consumer(&name, options());
            let sent = ticks(0, 0..250 * slots); // each slot may take a switch of threads, 4 to 8 ms on a busy machine
            let all = sent.clone();
            let sending = start(move || produce(&mut producer, &all, &mut Random(seed)));
            let received = start(move || consume(&mut consumer, &mut Random(!seed))).end("receiving");
            sending.end("sending");
            assert!(received == sent, "{kind}, {slots} slots from {origin}: {received:?}");
        }
    }
}

fn flood(arguments: &[&str]) {
    let [name, from, count] = arguments else { panic!("{arguments:?}") };
    let [from, count]: [u64; 2] = [from, count].map(|a| a.parse().expect("number"));
    let mut producer = producer(name, options().existing());
    child::say("ready");
    child::hear(); // until all are there
    produce(&mut producer, &ticks(from, 0..count), &mut Random(from));
}

#[test]
fn between_processes() {
    for kind in KINDS {
        let name = Name::new("bulk");
        let mut consumer = consumer(&name, options().kind(kind).capacity(8));
        let mut other = Child::start("flood", &[&name, "7", "10000"]);
        assert_eq!(other.ask("go"), "ready");
        let received = start(move || consume(&mut consumer, &mut Random(7))).end("receiving");
        assert!(other.end().success());
        assert!(received == ticks(7, 0..10_000), "{kind}: {received:?}");
    }
}

#[test]
fn each_value_reaches_one_of_four_consumers() {
    let name = Name::new("bulk");
    let first = consumer(&name, options().capacity(8));
    let mut consumers: Vec<_> = (0..3).map(|_| first.try_clone().expect("clone")).collect();
    consumers.push(first);
    let mut floods = [0, 1].map(|from| Child::start("flood", &[&name, &from.to_string(), "8000"]));
    floods.iter_mut().for_each(|flood| assert_eq!(flood.answer(), "ready"));
    floods.iter_mut().for_each(|flood| flood.tell("go"));
    let receiving: Vec<_> = (0..)
        .zip(consumers)
        .map(|(seed, mut consumer)| start(move || consume(&mut consumer, &mut Random(seed))))
        .collect();
    let mut all = Vec::new();
    for received in receiving {
        let received = received.end("receiving");
        for from in [0, 1] {
            let numbers: Vec<_> = received.iter().filter(|t| t.from == from).map(|t| t.number).collect();
            assert!(numbers.is_sorted(), "one producer's come in its order: {numbers:?}");
        }
        all.extend(received);
    }
    floods.iter_mut().for_each(|flood| assert!(flood.end().success()));
    all.sort();
    assert!(all == [ticks(0, 0..8_000), ticks(1, 0..8_000)].concat(), "{} values", all.len());
}

#[test]
fn slots_may_be_partly_filled() {
    for_both_kinds(8, |_, mut producer, mut consumer| {
        assert_eq!((producer.values_per_slot(), consumer.values_per_slot()), (SLOT, SLOT));
        producer.send(&ticks(0, 0..13)).expect("send");
        producer.send(&ticks(0, 13..14)).expect("send");
        producer.send(&[]).expect("nothing");
        assert_eq!(producer.try_send(&[]), Ok(0));
        assert_eq!(producer.send_timeout(&[], Duration::ZERO), Ok(0));
        assert_eq!(producer.send_timeout(&ticks(0, 14..16), Duration::ZERO), Ok(2));
        assert_eq!(producer.inner().len(), 5);
        for numbers in [0..5, 5..10, 10..13, 13..14, 14..16] {
            let bulk = consumer.recv().expect("recv");
            assert_eq!((&*bulk, bulk.attempt(), bulk.redelivered()), (&*ticks(0, numbers), 1, false));
        }
        assert_eq!(consumer.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(consumer.try_lease().map(drop), Err(TryRecvError::Empty));
        let soon = Duration::from_millis(2);
        assert_eq!(consumer.recv_timeout(soon), Err(RecvTimeoutError::Timeout));
        assert_eq!(consumer.lease_timeout(soon).map(drop), Err(RecvTimeoutError::Timeout));
    });
}

#[test]
fn try_send_stops_where_the_channel_is_full() {
    for_both_kinds(2, |_, mut producer, mut consumer| {
        let all = ticks(0, 0..13);
        assert_eq!(producer.try_send(&all), Ok(10));
        assert_eq!(producer.try_send(&all[10..]), Err(TrySendError::Full(())));
        assert_eq!(&*consumer.try_recv().expect("recv"), &all[..5]);
        assert_eq!(&*consumer.try_recv().expect("recv"), &all[5..10]);
        assert_eq!(producer.try_send(&all[10..]), Ok(3));
        assert_eq!(&*consumer.try_recv().expect("recv"), &all[10..]);
    });
}

#[test]
fn send_timeout_waits_for_room_so_long() {
    for_both_kinds(2, |_, mut producer, mut consumer| {
        let (all, soon) = (ticks(0, 0..25), Duration::from_millis(5));
        assert_eq!(producer.send_timeout(&all, soon), Ok(10), "whole slots, as many as fit");
        assert_eq!(producer.send_timeout(&all[10..], soon), Err(SendTimeoutError::Timeout(())));
        for (timeout, sent) in [(DEADLINE, 10..15), (Duration::MAX, 15..25)] {
            let rest = all[sent].to_vec();
            let sending = start(move || (producer.send_timeout(&rest, timeout), rest.len(), producer));
            sending.still_running("send_timeout into a full channel");
            (0..2).for_each(|_| assert_eq!(consumer.recv().expect("recv").len(), SLOT));
            let (sent, len, back) = sending.end("send_timeout");
            assert_eq!(sent, Ok(len));
            producer = back;
            let fill = producer.try_send(&all).unwrap_or(0);
            assert_eq!(fill + len, 2 * SLOT, "the two slots that were received");
        }
    });
}

#[test]
fn the_end_of_the_stream() {
    for_both_kinds(4, |_, mut producer, mut consumer| {
        producer.send(&ticks(0, 0..7)).expect("send");
        drop(producer);
        assert_eq!(consumer.recv().expect("recv").len(), 5);
        assert_eq!(consumer.lease().expect("lease").len(), 2);
        assert_eq!(consumer.recv(), Err(RecvError::Disconnected));
        assert_eq!(consumer.try_recv(), Err(TryRecvError::Disconnected));
        assert_eq!(consumer.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
        assert_eq!(consumer.lease().map(drop), Err(RecvError::Disconnected));
    });
}

#[test]
fn without_consumers_a_send_says_how_many_it_sent() {
    for_both_kinds(2, |_, mut producer, consumer| {
        let sending = start(move || (producer.send(&ticks(0, 0..13)), producer));
        sending.still_running("send into a full channel");
        drop(consumer);
        let (sent, mut producer) = sending.end("send");
        let gone = |sent| Err(SendBatchError { sent, error: SendError::Disconnected(()) });
        assert_eq!(sent, gone(10));
        assert_eq!(producer.send(&ticks(0, 0..1)), gone(0));
        assert_eq!(producer.try_send(&ticks(0, 0..1)), Err(TrySendError::Disconnected(())));
        let later = producer.send_timeout(&ticks(0, 0..1), DEADLINE);
        assert_eq!(later, Err(SendTimeoutError::Disconnected(())));
    });
}

#[test]
fn what_is_given_back_comes_again() {
    for_both_kinds(4, |_, mut producer, mut consumer| {
        producer.send(&ticks(0, 0..8)).expect("send");
        for attempt in 1..4 {
            let lease = consumer.try_lease().expect("lease");
            let seen = (&*lease, lease.attempt(), lease.redelivered());
            assert_eq!(seen, (&*ticks(0, 0..5), attempt, attempt > 1));
            lease.retry();
        }
        let bulk = consumer.recv().expect("recv");
        assert_eq!((&*bulk, bulk.attempt(), bulk.redelivered()), (&*ticks(0, 0..5), 4, true));
        drop(consumer.lease_timeout(DEADLINE).expect("lease")); // acknowledges
        assert_eq!(consumer.try_recv(), Err(TryRecvError::Empty));
    });
}

/// Takes a slot's values and keeps them in hand.
fn hold(arguments: &[&str]) {
    let mut consumer = consumer(arguments[0], options().existing());
    consumer.recv().expect("recv"); // at most once: gone with its receiver
    let lease = consumer.lease().expect("lease");
    child::say(&format!("{:?}", lease.iter().map(|tick| tick.number).collect::<Vec<_>>()));
    child::hear();
}

#[test]
fn what_a_killed_consumer_had_in_hand_comes_again() {
    for kind in KINDS {
        let name = Name::new("bulk");
        let mut producer = producer(&name, options().kind(kind).capacity(8));
        producer.send(&ticks(0, 0..12)).expect("send");
        let mut holder = Child::start("hold", &[&name]);
        assert_eq!(holder.answer(), "[5, 6, 7, 8, 9]");
        // In an SPSC channel it can only be a successor.
        let early = (kind == Kind::Mpmc).then(|| consumer(&name, options()));
        holder.kill();
        let mut consumer = early.unwrap_or_else(|| consumer(&name, options()));
        drop(producer);
        within("the rest", move || {
            let mut rest = Vec::new();
            while let Ok(lease) = consumer.lease() {
                rest.push((lease.to_vec(), lease.attempt(), lease.redelivered()));
                lease.ack();
            }
            rest.sort();
            assert_eq!(rest, [(ticks(0, 5..10), 2, true), (ticks(0, 10..12), 1, false)]);
        });
    }
}

/// One `send` that is longer than its sender's life.
fn send_all(arguments: &[&str]) {
    let mut producer = producer(arguments[0], options().existing());
    let sent = producer.send(&ticks(0, 0..1_000_000));
    panic!("it should have been killed: {sent:?}");
}

#[test]
fn what_a_killed_producer_sent_is_a_prefix_in_whole_slots() {
    for (kind, slots) in KINDS.into_iter().flat_map(|kind| [1u64, 40, 333].map(|slots| (kind, slots))) {
        let name = Name::new("bulk");
        let mut consumer = consumer(&name, options().kind(kind).capacity(4));
        let mut sender = Child::start("send_all", &[&name]);
        let reading = start(move || {
            let some: Vec<_> = (0..slots).map(|_| consumer.recv().expect("recv").to_vec()).collect();
            (some, consumer)
        });
        let (mut all, mut consumer) = reading.end("the first");
        sender.kill();
        let rest = start(move || {
            let mut rest = Vec::new();
            while let Ok(bulk) = consumer.recv() {
                rest.push(bulk.to_vec());
            }
            assert_eq!(consumer.recv(), Err(RecvError::Disconnected));
            (rest, consumer)
        });
        let (rest, mut consumer) = rest.end("the rest");
        all.extend(rest);
        assert!(all.iter().all(|values| values.len() == SLOT), "{kind}: {all:?}");
        assert!(all.len() as u64 <= slots + 4, "no more than there was room for: {}", all.len());
        assert_eq!(all.concat(), ticks(0, 0..(all.len() * SLOT) as u64), "{kind}");
        // Its place and its slots are free again.
        let mut next = producer(&name, options());
        assert_eq!(next.try_send(&ticks(1, 0..20)), Ok(20));
        assert_eq!(&*consumer.try_recv().expect("recv"), &*ticks(1, 0..5));
    }
}

/// Refused by both sides, and nothing made.
#[track_caller]
fn invalid<T: Pod>(options: &Options, values: usize, what: &str, says: &str) {
    let name = Name::new("bulk");
    let producer = options.bulk_producer::<T>(&name, "T", values).err();
    let consumer = options.bulk_consumer::<T>(&name, "T", values).err();
    for found in [producer, consumer].map(|e| e.expect("an error")) {
        assert!(matches!(&found, Error::Invalid { what: found, .. } if *found == what), "{found:?}");
        assert!(found.to_string().contains(says), "{found}");
    }
    assert!(name.is_absent());
}

#[test]
fn bulks_that_cannot_be() {
    let options = options().capacity(1);
    invalid::<u64>(&options, 0, "values per slot", "0 values of 8 bytes");
    invalid::<[u64; 0]>(&options, 5, "values per slot", "5 values of 0 bytes");
    invalid::<u64>(&options, usize::MAX / 2, "values per slot", "values of 8 bytes");
    invalid::<u64>(&options, 1 << 61, "values per slot", "values of 8 bytes");
    invalid::<u64>(&options, 1 << 29, "message size", "4294967296 bytes");
    invalid::<u64>(&options, usize::MAX / 8, "message size", "18446744073709551608 bytes");
    invalid::<u64>(&options.clone().message_size(100), 5, "values per slot", "the 100 bytes of message_size");
    let name = Name::new("bulk");
    let said = options.message_size(40).bulk_producer::<u64>(&name, "T", 5);
    assert_eq!(said.expect("the same").inner().message_size(), 40);
}

#[test]
fn all_sides_agree_on_the_values() {
    for kind in KINDS {
        let name = Name::new("bulk");
        let mut producer = producer(&name, options().kind(kind).capacity(4));
        let mismatch = |what, asked: &str, existing: &str| {
            Some(Error::Mismatch { what, asked: asked.into(), existing: existing.into() })
        };
        let tick = "Tick (24 bytes, aligned to 8)";
        let size = |asked| mismatch("message size", asked, "120");
        assert_eq!(options().bulk_consumer::<Tick>(&name, "Tick", SLOT + 1).err(), size("144"));
        assert_eq!(options().bulk_producer::<Tick>(&name, "Tick", 1).err(), size("24"));
        assert_eq!(options().bulk_consumer::<u64>(&name, "Tick", SLOT).err(), size("40"));
        assert_eq!(options().typed_consumer::<Tick>(&name, "Tick").err(), size("24"));
        let type_of = |asked| mismatch("message type", asked, tick);
        let name_differs = options().bulk_consumer::<Tick>(&name, "Tock", SLOT).err();
        assert_eq!(name_differs, type_of("Tock (24 bytes, aligned to 8)"));
        let as_many_bytes = options().bulk_consumer::<u64>(&name, "Tick", 15).err();
        assert_eq!(as_many_bytes, type_of("Tick (8 bytes, aligned to 8)"));
        // Nobody has joined by that, and the one place of a consumer is free.
        let status = name.channel().status().expect("status");
        assert_eq!((status.producers, status.consumers, status.participants.len()), (1, 0, 1));
        producer.send(&ticks(0, 0..2)).expect("send");
        assert_eq!(&*consumer(&name, options()).recv().expect("recv"), &*ticks(0, 0..2));
        let plain = Name::new("bulk");
        let _bytes = options().kind(kind).message_size(120).capacity(4).producer(&plain).expect("producer");
        let on_plain_bytes = options().bulk_consumer::<Tick>(&plain, "Tick", SLOT).err();
        assert_eq!(on_plain_bytes, mismatch("message type", tick, "plain bytes"));
    }
}

/// Who sends plain bytes is not asked for a type.
#[test]
fn bytes_that_are_no_values() {
    for kind in KINDS {
        let name = Name::new("bulk");
        let mut consumer = consumer(&name, options().kind(kind).capacity(8));
        let mut producer = options().producer(&name).expect("producer");
        for len in [0, 1, BYTES - 1, BYTES + 1, SLOT * BYTES - 1] {
            let existing = len.to_string();
            let wrong =
                Error::Mismatch { what: "message length", asked: "24 or a multiple of it".into(), existing };
            (0..6).for_each(|_| producer.try_send(&vec![1; len]).expect("send"));
            producer.try_send(bytemuck::cast_slice(&ticks(0, 0..3))).expect("send");
            assert_eq!(consumer.recv(), Err(RecvError::Failed(wrong.clone())));
            assert_eq!(consumer.try_recv(), Err(TryRecvError::Failed(wrong.clone())));
            assert_eq!(consumer.recv_timeout(DEADLINE), Err(RecvTimeoutError::Failed(wrong.clone())));
            assert_eq!(consumer.lease().map(drop), Err(RecvError::Failed(wrong.clone())));
            assert_eq!(consumer.try_lease().map(drop), Err(TryRecvError::Failed(wrong.clone())));
            assert_eq!(consumer.lease_timeout(DEADLINE).map(drop), Err(RecvTimeoutError::Failed(wrong)));
            assert_eq!(&*consumer.recv().expect("values"), &*ticks(0, 0..3));
        }
    }
}
