//! Semaphores that somebody posts, fills or zeroes: each of them, before and while a channel is used. Messages may be
//! late or lost, and every error is allowed; but every call ends, and with a time limit within it.

mod common;

use std::time::{Duration, Instant};

use common::{DEADLINE, KINDS, Name, child, small, within};
use semring::sem::Set;
use semring::{Options, Role};

const PARTICIPANTS: usize = 3;
const SEMAPHORES: usize = 5 + 2 * PARTICIPANTS;
const SHORT: Duration = Duration::from_millis(3);
/// Of every wake semaphore; SEMVMX.
const FULL: u16 = 32_767;

#[test]
fn child_entry() {
    child::entry(&[]);
}

type Abuse = fn(&Set, usize);

fn post(set: &Set, i: usize) {
    let _ = set.v(i);
}

fn fill(set: &Set, i: usize) {
    let _ = set.value(i).and_then(|value| set.v_by(i, FULL - value));
}

fn zero(set: &Set, i: usize) {
    while set.try_p(i) == Ok(true) {}
}

#[test]
fn every_semaphore_in_other_hands() {
    let abuses: [(&str, Abuse); 3] = [("posted", post), ("filled", fill), ("zeroed", zero)];
    let mut cases = 0;
    for kind in KINDS {
        for (what, abuse) in abuses {
            for semaphore in 0..SEMAPHORES {
                let name = Name::new("abused");
                let options = small(kind, 2).participants(PARTICIPANTS).lock_timeout(SHORT);
                let channel = options.create(&name).expect("create");
                let (mut producer, mut consumer) =
                    (channel.producer().expect("p"), channel.consumer().expect("c"));
                let set = Set::from_id(name.set().expect("set")).expect("set");
                let own = name.to_string();
                let case = format!("{kind}: {semaphore} {what}");
                within(&case, move || {
                    for round in 0..4 {
                        let start = Instant::now();
                        abuse(&set, semaphore);
                        let _ = producer.send_timeout(b"x", SHORT);
                        abuse(&set, semaphore);
                        let _ = consumer.recv_timeout(SHORT);
                        abuse(&set, semaphore);
                        let _ =
                            (consumer.try_lease().map(|lease| lease.retry()), consumer.recv_timeout(SHORT));
                        let _ = (
                            producer.try_send_batch(&[b"a", b"b", b"c"]),
                            producer.send_timeout(b"x", SHORT),
                        );
                        abuse(&set, semaphore);
                        let _ =
                            (channel.producer().map(drop), channel.consumer().map(drop), channel.status());
                        let _ = Options::new().existing().lock_timeout(SHORT).producer(&*own);
                        if let Ok(observer) = Options::new().observe(&*own) {
                            let _ = observer.wait_until_gone(Role::Producer, SHORT);
                        }
                        if round == 2 {
                            producer = match channel.producer() {
                                Ok(another) => another,
                                Err(_) => producer,
                            };
                        }
                        assert!(start.elapsed() < DEADLINE / 2);
                    }
                    drop((producer, consumer));
                    let _ = channel.remove_if_unused();
                });
                cases += 1;
            }
        }
    }
    println!(
        "\n| semaphores posted, filled or zeroed under every call | {cases} | every call ended in time |"
    );
}
