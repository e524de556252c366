//! Many messages between processes, numbered and with checksums: each arrives once, whole, and in its sender's order.

mod common;

use common::child::{self, Child};
use common::{Name, checksum};
use semring::segment::{Key, Mapping, Segment, SegmentOptions};
use semring::{Batch, Kind, Options};

#[test]
fn child_entry() {
    child::entry(&[("flood", flood), ("collect", collect)]);
}

/// Producer number, sequence number, checksum of all the rest, filling.
fn message(producer: u64, sequence: u64) -> Vec<u8> {
    let filling = (producer * 31 + sequence * 7) % 120;
    let mut bytes = [producer, sequence].map(u64::to_le_bytes).concat();
    bytes.extend((0..filling).map(|i| (sequence + i) as u8));
    let sum = checksum(&bytes);
    bytes.splice(16..16, sum.to_le_bytes());
    bytes
}

/// Sends so many messages, one by one or in batches.
fn flood(arguments: &[&str]) {
    let [name, number, count, batch] = arguments else { panic!("{arguments:?}") };
    let [number, count, batch]: [u64; 3] = [number, count, batch].map(|a| a.parse().expect("number"));
    let mut producer = Options::new().existing().producer(*name).expect("producer");
    child::say("ready");
    child::hear(); // until all are there: the first must not come and go alone, which is an end of stream
    if batch == 1 {
        (0..count).for_each(|i| producer.send_tagged(number as u32, &message(number, i)).expect("send"));
    } else {
        let all: Vec<_> = (0..count).map(|i| message(number, i)).collect();
        all.chunks(batch as usize).for_each(|some| producer.send_batch(some).expect("send"));
    }
}

/// Receives to the end of stream; counts every message in the ledger, where the parent finds it.
fn collect(arguments: &[&str]) {
    let [name, ledger, producers, count, batch] = arguments else { panic!("{arguments:?}") };
    let [producers, count, batch]: [u64; 3] = [producers, count, batch].map(|a| a.parse().expect("number"));
    let ledger = Segment::from_id(ledger.parse().expect("id")).expect("ledger").attach().expect("attach");
    let mut consumer = Options::new().existing().consumer(*name).expect("consumer");
    child::say("ready");
    let mut next = vec![0; producers as usize];
    let mut received = 0u64;
    let mut enter = |data: &[u8], tag: u32| {
        let [producer, sequence, sum] =
            [0, 8, 16].map(|at| u64::from_le_bytes(data[at..at + 8].try_into().expect("eight bytes")));
        assert_eq!(data, message(producer, sequence), "torn");
        assert_eq!(sum, checksum(&[&data[..16], &data[24..]].concat()));
        assert!(tag == 0 || u64::from(tag) == producer);
        // Each producer's messages come in its order.
        assert!(
            sequence >= next[producer as usize],
            "{sequence} of {producer} after {}",
            next[producer as usize]
        );
        next[producer as usize] = sequence + 1;
        let word = ledger.word(8 * (producer * count + sequence) as usize).expect("within the ledger");
        word.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        received += 1;
    };
    if batch == 1 {
        for message in &mut consumer {
            let message = message.expect("receive");
            assert!(!message.redelivered());
            enter(&message, message.tag);
        }
    } else {
        let mut messages = Batch::new();
        while consumer.recv_batch(&mut messages, batch as usize).is_ok() {
            messages.iter().for_each(|m| enter(m.data, m.tag));
        }
    }
    child::say(&format!("received {received}"));
}

/// All messages of so many producers reach so many consumers exactly once.
fn every_message_is_accounted_for(options: Options, producers: u64, consumers: u64, count: u64, batch: u64) {
    let name = Name::new("stream");
    let channel = options.message_size(160).create(&name).expect("create");
    let ledger =
        SegmentOptions::new().size((8 * producers * count) as usize).create(Key::Private).expect("ledger");
    let entries: Mapping = ledger.attach().expect("attach");
    let id = ledger.id().to_string();
    ledger.remove().ok(); // it stays as long as somebody has it attached, and by its id it can still be
    let numbers = [producers, count, batch].map(|n| n.to_string());
    let mut collectors: Vec<_> = (0..consumers)
        .map(|_| Child::start("collect", &[&name, &id, &numbers[0], &numbers[1], &numbers[2]]))
        .collect();
    collectors.iter_mut().for_each(|c| assert_eq!(c.answer(), "ready"));
    let mut floods: Vec<_> = (0..producers)
        .map(|p| Child::start("flood", &[&name, &p.to_string(), &numbers[1], &numbers[2]]))
        .collect();
    floods.iter_mut().for_each(|f| assert_eq!(f.answer(), "ready"));
    floods.iter_mut().for_each(|f| f.tell("go"));
    let received: u64 = collectors
        .iter_mut()
        .map(|c| c.answer().strip_prefix("received ").and_then(|n| n.parse::<u64>().ok()).expect("a number"))
        .sum();
    floods.iter_mut().chain(&mut collectors).for_each(|c| assert!(c.end().success()));
    assert_eq!(received, producers * count);
    for i in 0..producers * count {
        assert_eq!(entries.load(8 * i as usize), Some(1), "deliveries of message {i}");
    }
    let status = channel.status().expect("status");
    assert_eq!((status.len, status.producers, status.consumers), (0, 0, 0));
    assert_eq!((status.sent, status.received), (producers * count, producers * count));
    assert!(status.participants.is_empty(), "{status:?}");
}

#[test]
fn many_to_many() {
    every_message_is_accounted_for(Options::new().capacity(64), 4, 4, 4_000, 1);
}

#[test]
fn many_to_many_in_batches() {
    every_message_is_accounted_for(Options::new().capacity(64), 4, 4, 4_000, 23);
}

#[test]
fn many_to_many_with_fences() {
    let fence = Options::new().wake_mode(semring::WakeMode::Fence);
    every_message_is_accounted_for(fence.capacity(8), 3, 3, 3_000, 1);
}

#[test]
fn many_to_many_through_one_slot() {
    every_message_is_accounted_for(Options::new().capacity(1), 3, 3, 400, 1);
}

#[test]
fn one_to_one() {
    every_message_is_accounted_for(Options::new().kind(Kind::Spsc).capacity(64), 1, 1, 30_000, 1);
}

#[test]
fn one_to_one_in_batches() {
    every_message_is_accounted_for(Options::new().kind(Kind::Spsc).capacity(100), 1, 1, 30_000, 23);
}

#[test]
fn one_to_one_through_one_slot() {
    every_message_is_accounted_for(Options::new().kind(Kind::Spsc).capacity(1), 1, 1, 1_000, 1);
}
