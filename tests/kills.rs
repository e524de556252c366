//! Random deaths under load: workers are killed, stopped and replaced all the time, and every message whose `send`
//! returned is delivered, whole, by somebody. (Deaths at every single instruction are another matter.)

mod common;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use common::child::{self, Child};
use common::{KINDS, Name, Random, checksum, eventually, options, small};
use semring::segment::{Key, Mapping, Segment, SegmentOptions};
use semring::{Channel, Kind, RecvError};

#[test]
fn child_entry() {
    child::entry(&[("produce", produce), ("consume", consume)]);
}

/// Messages that a producer may send at most: more than it can while the storm lasts, or it would end before it is told to.
/// Pages that nobody touches take no memory.
const MOST: u64 = 8_000_000;
const PRODUCERS: u64 = 3;

/// What outlives the workers: a word that says stop, one for each producer of how many sends returned, one for each
/// message of how often its delivery was completed.
struct Ledger(Mapping);

impl Ledger {
    fn new() -> (Self, String) {
        let size = 8 * (1 + PRODUCERS + PRODUCERS * MOST) as usize;
        let segment = SegmentOptions::new().size(size).prefault(false).create(Key::Private).expect("create");
        let (mapping, id) = (segment.attach().expect("attach"), segment.id());
        segment.remove().expect("remove");
        (Self(mapping), id.to_string())
    }

    fn of(id: &str) -> Self {
        Self(Segment::from_id(id.parse().expect("id")).expect("segment").attach().expect("attach"))
    }

    fn word(&self, i: u64) -> &AtomicU64 {
        self.0.word(8 * i as usize).expect("within")
    }

    fn stop(&self) -> &AtomicU64 {
        self.word(0)
    }

    fn sent(&self, producer: u64) -> &AtomicU64 {
        self.word(1 + producer)
    }

    fn delivered(&self, producer: u64, i: u64) -> &AtomicU64 {
        self.word(1 + PRODUCERS + producer * MOST + i)
    }
}

fn message(producer: u64, i: u64) -> [u8; 56] {
    let mut bytes = [0; 56];
    bytes[..8].copy_from_slice(&producer.to_le_bytes());
    bytes[8..16].copy_from_slice(&i.to_le_bytes());
    (16..48).for_each(|b| bytes[b] = (i as usize * 5 + b) as u8);
    let sum = checksum(&bytes[..48]);
    bytes[48..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn produce(arguments: &[&str]) {
    let [name, ledger, number] = arguments else { panic!("{arguments:?}") };
    let (ledger, number) = (Ledger::of(ledger), number.parse().expect("number"));
    // There is a place: whoever had it before is dead, and the kernel has told its parent so.
    let mut producer = options().existing().producer(*name).expect("producer");
    let sent = ledger.sent(number);
    while ledger.stop().load(Relaxed) == 0 && sent.load(Relaxed) < MOST - 8 {
        let i = sent.load(Relaxed);
        match i % 5 {
            0 => producer.send_batch(&[0, 1, 2].map(|k| message(number, i + k))).expect("send"),
            1 => drop(producer.reserve(56).expect("reserve")),
            _ => producer.send(&message(number, i)).expect("send"),
        }
        sent.store(i + [3, 0, 1, 1, 1][i as usize % 5], Relaxed);
        if i % 5 == 1 {
            producer.send(&message(number, i)).expect("send");
            sent.store(i + 1, Relaxed);
        }
    }
}

fn consume(arguments: &[&str]) {
    let [name, ledger] = arguments else { panic!("{arguments:?}") };
    let ledger = Ledger::of(ledger);
    let mut consumer = options().existing().consumer(*name).expect("consumer");
    let mut attempts = 0u64;
    let end = loop {
        match consumer.lease() {
            Ok(lease) => {
                let bytes = lease.to_vec();
                let [producer, i] =
                    [0, 8].map(|at| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight")));
                assert_eq!(bytes, message(producer, i), "torn");
                attempts += 1;
                if attempts % 101 == 0 {
                    lease.retry();
                    continue;
                }
                ledger.delivered(producer, i).fetch_add(1, Relaxed);
                lease.ack();
            }
            // The only producer was killed, and the next one is on its way.
            Err(RecvError::Disconnected) if ledger.stop().load(Relaxed) == 0 => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(e) => break e,
        }
    };
    assert_eq!(end, RecvError::Disconnected);
    child::say("drained");
}

fn storm(kind: Kind, capacity: u64, producers: u64, consumers: usize, kills: u64, seed: u64) {
    let name = Name::new("kills");
    let channel = small(kind, capacity)
        .when_no_consumer(semring::WhenNoConsumer::Wait)
        .participants(12)
        .create(&name)
        .expect("create");
    let (ledger, id) = Ledger::new();
    let producer = |number: u64| Child::start("produce", &[&name, &id, &number.to_string()]);
    let consumer = || Child::start("consume", &[&name, &id]);
    // Somebody who never leaves keeps the stream from ending each time the last producer is killed.
    let keeper = (kind == Kind::Mpmc).then(|| channel.producer().expect("producer"));
    let mut sources: Vec<_> = (0..producers).map(producer).collect();
    let mut sinks: Vec<_> = (0..consumers).map(|_| consumer()).collect();
    let mut random = Random(seed);
    for _ in 0..kills {
        std::thread::sleep(Duration::from_micros(random.below(12_000)));
        let at = random.below(producers + consumers as u64) as usize;
        let worker = if at < sources.len() { &mut sources[at] } else { &mut sinks[at - producers as usize] };
        if random.below(4) == 0 {
            worker.signal(libc::SIGSTOP);
            std::thread::sleep(Duration::from_micros(random.below(5_000)));
            worker.signal(libc::SIGCONT);
        } else {
            worker.kill();
            *worker = if at < producers as usize { producer(at as u64) } else { consumer() };
        }
    }
    // A consumer that comes when the last producer has gone waits for another, as it should.
    eventually("all are back", || {
        channel.status().is_ok_and(|status| status.consumers as usize == consumers)
    });
    let sent = || (0..producers).map(|p| ledger.sent(p).load(Relaxed)).collect::<Vec<_>>();
    let before = sent();
    eventually("all of them work", || sent().iter().zip(&before).all(|(now, before)| now > before));
    ledger.stop().store(1, Relaxed);
    for source in &mut sources {
        assert!(source.end().success(), "a producer");
    }
    drop(keeper);
    drain(&channel, &ledger, sinks);
    for (p, &sent) in sent().iter().enumerate() {
        let lost: Vec<_> = (0..sent).filter(|&i| ledger.delivered(p as u64, i).load(Relaxed) == 0).collect();
        assert!(lost.is_empty(), "seed {seed}: of {sent} messages of producer {p} lost: {lost:?}");
    }
    let status = channel.status().expect("status");
    assert_eq!((status.len, status.producers, status.consumers), (0, 0, 0), "seed {seed}: {status:?}");
}

/// Until nothing is left: what the last one killed had in hand may have come back when the others were gone.
fn drain(channel: &Channel, ledger: &Ledger, sinks: Vec<Child>) {
    for mut sink in sinks {
        assert!(sink.end().success(), "a consumer");
    }
    let mut rest = channel.consumer().expect("consumer");
    while let Ok(message) = rest.recv_timeout(Duration::from_millis(50)) {
        let [producer, i] =
            [0, 8].map(|at| u64::from_le_bytes(message[at..at + 8].try_into().expect("eight")));
        ledger.delivered(producer, i).fetch_add(1, Relaxed);
    }
}

#[test]
fn many_to_many() {
    for (seed, capacity) in [(1, 16), (2, 2), (3, 256)] {
        storm(KINDS[1], capacity, PRODUCERS, 3, 60, seed);
    }
}

#[test]
fn one_to_one() {
    for (seed, capacity) in [(4, 16), (5, 1)] {
        storm(KINDS[0], capacity, 1, 1, 60, seed);
    }
}
