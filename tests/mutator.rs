//! A process that scribbles over a channel, more than a million words a second, and turns its semaphores at random, while
//! others send and receive. Wrong messages and every error are allowed. A panic, a fault (the segment lies between guard
//! pages), a report of the sanitizer that CI runs this under, and a call that outlives its time limit are not.
//!
//! Runs for some seconds; `SEMRING_MUTATOR_SECONDS` says for how many.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::child::{self, Child};
use common::{DEADLINE, KINDS, Name, small, start};
use semring::segment::Segment;
use semring::sem::Set;
use semring::{
    Batch, Channel, Consumer, Error, Options, Producer, RecvTimeoutError, SendTimeoutError, TryRecvError,
};

const ROUND: Duration = Duration::from_millis(150);
/// Of the calls under attack.
const SHORT: Duration = Duration::from_millis(2);
const SIZE: usize = 64;
const CAPACITY: usize = 8;
const PARTICIPANTS: usize = 8;
/// Where slots begin and how far they are apart, in words.
const SLOTS: usize = (2048 + 256 * PARTICIPANTS) / 8;
const SLOT: usize = 16;
/// Gently, so that messages flow; all that the ring goes by; the header too.
const ATTACKS: [&str; 3] = ["gentle", "ring", "all"];

#[test]
fn child_entry() {
    child::entry(&[("mutate", mutate)]);
}

/// xorshift, as good as need be.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 20) as usize % n
    }
}

/// Attacks as it is told: `segment set attack`, for a round; says how many words it wrote.
fn mutate(_: &[&str]) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id()));
    while let Some(command) = child::hear() {
        let told: Vec<&str> = command.split_whitespace().collect();
        let [segment, set, attack] = told[..] else { panic!("{command}") };
        let [segment, set] = [segment, set].map(|id| id.parse().expect("an id"));
        let memory = Segment::from_id(segment).and_then(|s| s.attach()).expect("attach");
        let set = Set::from_id(set).expect("set");
        let words: Vec<_> = (0..memory.len() / 8).map(|i| memory.word(8 * i).expect("a word")).collect();
        let end = Instant::now() + ROUND;
        let mut writes = 0u64;
        while Instant::now() < end {
            for _ in 0..1024 {
                // One number for where and how, one for what: this loop is to be fast, also under a sanitizer.
                let (r, value) = (random.next(), random.next());
                let (some, any) = (r as usize >> 8 & 0xfff, r as usize >> 20 & 0xffff);
                let record = 256 + 32 * (some % PARTICIPANTS);
                let slot = SLOTS + SLOT * (some % CAPACITY);
                let at = match (attack, r % 8) {
                    // What does not stop the traffic at once: lengths and payloads, sleepers, changes, gifts.
                    ("gentle", 0) => slot + 1,
                    ("gentle", 1..=3) => slot + 2 + any % (SLOT - 2),
                    ("gentle", 4) => record + 19, // park word
                    ("gentle", _) => 144 + any % 20,
                    // The ring's words, records, stamps and lengths, anything.
                    (_, 0) => 128 + any % 80,
                    (_, 1) => record + any % 20,
                    (_, 2..=5) => slot + any % 2,
                    ("ring", _) => 128 + any % (words.len() - 128),
                    _ => any % words.len(),
                };
                let word = words[at];
                let was = word.load(Relaxed);
                word.store(
                    match r >> 40 & 7 {
                        0 => value,
                        1 => value % 300,
                        2 => was ^ 1 << (value % 64),
                        3 => was.wrapping_add_signed((value as i8).into()),
                        4 => was ^ (value & 3) << 16,
                        5 => was.wrapping_add((value % 9) << 18),
                        6 => words[any % words.len()].load(Relaxed),
                        _ => 0,
                    },
                    Relaxed,
                );
            }
            writes += 1024;
            // A set that is gone is no reason to stop.
            let semaphore = match attack {
                "gentle" => 4 + PARTICIPANTS + random.below(PARTICIPANTS), // the wake semaphores
                _ => random.below(5 + 2 * PARTICIPANTS),
            };
            let _ = match random.below(64) {
                0 => set.try_p(semaphore).map(drop),
                1 => set.v(semaphore),
                2 => set.v_by(semaphore, 30_000),
                3 => (0..100).try_for_each(|_| set.try_p(semaphore).map(drop)),
                _ => Ok(()),
            };
        }
        child::say(&writes.to_string());
    }
}

/// How often calls ended how.
#[derive(Clone, Default)]
struct Tally(Arc<Mutex<BTreeMap<String, u64>>>);

impl Tally {
    fn count(&self, outcome: &str) {
        *self.0.lock().expect("no panic").entry(outcome.into()).or_default() += 1;
    }

    fn error(&self, e: &Error) {
        let all = format!("{e:?}");
        assert!(!e.to_string().is_empty());
        self.count(all.split([' ', '(']).next().unwrap_or_default());
    }

    fn of(&self, outcome: &str) -> u64 {
        self.0.lock().expect("no panic").get(outcome).copied().unwrap_or(0)
    }
}

/// A call with a time limit, which it keeps.
fn timed<T>(call: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = call();
    assert!(start.elapsed() < DEADLINE / 2, "a call of {SHORT:?} took {:?}", start.elapsed());
    result
}

/// Sends by every call there is until something is wrong beyond use.
fn send(producer: &mut Producer, tally: &Tally, random: &mut Random) -> Result<(), Error> {
    let bytes = [0x5a; SIZE];
    let data = &bytes[..random.below(SIZE + 1)];
    let sent = timed(|| match random.below(4) {
        0 => producer.try_send_batch(&[data; 5]).map(drop).map_err(|e| match e {
            semring::TrySendError::Full(()) => SendTimeoutError::Timeout(()),
            semring::TrySendError::Disconnected(()) => SendTimeoutError::Disconnected(()),
            semring::TrySendError::Failed((), e) => SendTimeoutError::Failed((), e),
        }),
        1 => {
            if let Ok(mut grant) = producer.try_reserve(data.len()) {
                grant.write(0, data).expect("within the length");
                if data.len() % 3 == 0 {
                    std::mem::forget(grant);
                } else if data.len() % 3 == 1 {
                    grant.commit();
                }
            }
            Ok(())
        }
        _ => producer.send_timeout(data, SHORT),
    });
    match sent {
        Ok(()) => tally.count("sent"),
        Err(SendTimeoutError::Timeout(())) => tally.count("Timeout"),
        Err(SendTimeoutError::Disconnected(())) => tally.count("Disconnected"),
        Err(SendTimeoutError::Failed((), e)) => return Err(e),
    }
    Ok(())
}

/// Receives by every call there is.
fn receive(consumer: &mut Consumer, tally: &Tally, random: &mut Random) -> Result<(), Error> {
    let within = |len: usize| assert!(len <= SIZE, "{len} bytes");
    let immediate = |e| match e {
        TryRecvError::Empty => RecvTimeoutError::Timeout,
        TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
        TryRecvError::Failed(e) => RecvTimeoutError::Failed(e),
    };
    let received = timed(|| match random.below(5) {
        0 => {
            let mut batch = Batch::new();
            let got = consumer.try_recv_batch(&mut batch, 7).map_err(immediate);
            batch.iter().for_each(|message| within(message.data.len()));
            got.map(drop)
        }
        1 => consumer.lease_timeout(SHORT).map(|lease| {
            within(lease.to_vec().len());
            assert!((1..=16).contains(&lease.attempt()));
            match lease.len() % 4 {
                0 => lease.retry(),
                1 => std::mem::forget(lease),
                _ => lease.ack(),
            }
        }),
        2 => consumer.try_recv_into(&mut [0; SIZE]).map(|got| within(got.len)).map_err(immediate),
        _ => consumer.recv_timeout(SHORT).map(|message| within(message.len())),
    });
    match received {
        Ok(()) => tally.count("received"),
        Err(RecvTimeoutError::Timeout) => tally.count("Timeout"),
        Err(RecvTimeoutError::Disconnected) => tally.count("Disconnected"),
        Err(RecvTimeoutError::Failed(e)) => return Err(e),
    }
    Ok(())
}

/// A victim: joins, works until its handle is of no use, joins again.
fn victim<H>(
    channel: &Channel,
    tally: &Tally,
    seed: u64,
    join: fn(&Channel) -> Result<H, Error>,
    work: fn(&mut H, &Tally, &mut Random) -> Result<(), Error>,
) {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let end = Instant::now() + ROUND;
    while Instant::now() < end {
        let joined = timed(|| join(channel));
        let worked = joined.and_then(|mut handle| {
            while Instant::now() < end {
                work(&mut handle, tally, &mut random)?;
            }
            Ok(())
        });
        if let Err(e) = worked {
            tally.error(&e);
        }
    }
}

/// Looks, and opens by the name: what the header says by then may be anything.
fn onlooker(name: &str, channel: &Channel, tally: &Tally) {
    let end = Instant::now() + ROUND;
    let options = Options::new().existing().lock_timeout(SHORT);
    while Instant::now() < end {
        let looks = [
            channel.status().map(|status| assert!(status.len <= status.capacity)),
            options.observe(name).map(drop),
            options.open(name).map(drop),
        ];
        looks.iter().filter_map(|look| look.as_ref().err()).for_each(|e| tally.error(e));
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn round(kind: semring::Kind, attack: &str, mutator: &mut Child, tally: &Tally, seed: u64) -> u64 {
    let name = Name::new("mutated");
    let options =
        small(kind, CAPACITY as u64).participants(PARTICIPANTS).lock_timeout(SHORT).scrub(seed % 2 == 0);
    let channel = options.create(&name).expect("create");
    let set = channel.status().expect("status").semaphore_id;
    mutator.tell(&format!("{} {set} {attack}", channel.id()));
    let each = if kind == KINDS[0] { 1 } else { 2 };
    let mut victims = Vec::new();
    for i in 0..each {
        let (theirs, tally) = (channel.clone(), tally.clone());
        victims.push(start(move || victim(&theirs, &tally, seed + i, Channel::producer, send)));
    }
    for i in 0..each {
        let (theirs, tally) = (channel.clone(), tally.clone());
        victims.push(start(move || victim(&theirs, &tally, seed + 77 + i, Channel::consumer, receive)));
    }
    let (theirs, tally, own) = (channel.clone(), tally.clone(), name.to_string());
    victims.push(start(move || onlooker(&own, &theirs, &tally)));
    victims.into_iter().for_each(|victim| victim.end("the end of a victim"));
    mutator.answer().parse().expect("a number")
}

#[test]
fn nothing_that_a_peer_writes_is_worse_than_an_error() {
    let seconds = std::env::var("SEMRING_MUTATOR_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(3);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut mutator = Child::start("mutate", &[]);
    let (tally, mut writes, mut rounds) = (Tally::default(), 0, 0);
    while Instant::now() < end {
        for kind in KINDS {
            for attack in ATTACKS {
                writes += round(kind, attack, &mut mutator, &tally, rounds);
                rounds += 1;
            }
        }
    }
    let rate = writes as f64 / (rounds as f64 * ROUND.as_secs_f64()) / 1e6;
    let outcomes: Vec<_> =
        tally.0.lock().expect("no panic").iter().map(|(name, count)| format!("{name} {count}")).collect();
    println!(
        "\n| words written into live channels, {rate:.1} million a second | {writes} | {} |",
        outcomes.join(", ")
    );
    for outcome in ["sent", "received", "Corrupt"] {
        assert!(tally.of(outcome) > 0, "never {outcome}: it was no fight");
    }
}
