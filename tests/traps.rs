//! What the kernel does with leases when processes exec, are not waited for, live in another pid namespace, when a
//! semop(2) may have few operations only, and when somebody removes the set. fork is in `fork.rs`, threads in
//! `lifecycle.rs`.

mod common;

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::child::{self, Child};
use common::puppet::Puppet;
use common::{DEADLINE, KINDS, Name, asleep, eventually, options, small, start, sys};
use semring::segment::Key;
use semring::{Channel, Error, Kind, RecvError, RecvTimeoutError, Role, TryRecvError, WhenNoConsumer};

#[test]
fn child_entry() {
    child::entry(&[("exec", exec), ("inside", inside), ("few", few), ("fewer", fewer), ("lowered", lowered)]);
}

const BRIEF: Duration = Duration::from_millis(20);

/// exec(3) drops the memory and keeps the lease: documented, and what a supervisor builds on. It goes with the program.
#[test]
fn exec_keeps_the_lease_until_the_program_ends() {
    for kind in KINDS {
        let name = Name::new("exec");
        let mut consumer = small(kind, 4).consumer(&name).expect("consumer");
        let mut child = Child::start("exec", &[&name]);
        assert_eq!(child.answer(), "exec");
        let comm = format!("/proc/{}/comm", child.pid());
        eventually("it is another program", || std::fs::read_to_string(&comm).is_ok_and(|c| c == "cat\n"));
        assert_eq!(&*consumer.recv().expect("recv"), b"before exec");
        // Nobody is there who could send, and the lease says that somebody is.
        assert_eq!(consumer.recv_timeout(BRIEF), Err(RecvTimeoutError::Timeout));
        let status = consumer.status().expect("status");
        let producer = status.participants.iter().find(|p| p.role == Role::Producer).expect("a producer");
        assert_eq!((producer.pid as u32, producer.alive), (child.pid(), true));
        let waiting = start(move || (consumer.recv(), consumer));
        waiting.still_running("while the program runs");
        assert!(child.end().success());
        let (end, consumer) = waiting.end("the end of the program");
        assert_eq!(end, Err(RecvError::Disconnected));
        assert_eq!(consumer.status().expect("status").producers, 0);
        drop(consumer.channel().producer().expect("its place is free"));
    }
}

fn exec(arguments: &[&str]) {
    let mut producer = options().existing().producer(arguments[0]).expect("producer");
    producer.send(b"before exec").expect("send");
    child::say("exec");
    // It ends when its standard input does.
    panic!("exec: {}", Command::new("cat").exec());
}

fn is_zombie(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("not waited for");
    stat.rsplit_once(')').expect("a name").1.trim_start().starts_with('Z')
}

/// Its parent need not have waited for it: what it had is undone before.
#[test]
fn a_zombie_is_dead() {
    for kind in KINDS {
        let name = Name::new("zombie");
        let mut consumer = small(kind, 4).consumer(&name).expect("consumer");
        let producer = Puppet::with(&format!("producer {name}"));
        let waiting = start(move || (consumer.recv(), consumer));
        waiting.still_running("nothing was sent");
        producer.signal(libc::SIGKILL);
        let (end, mut consumer) = waiting.end("a death");
        assert_eq!(end, Err(RecvError::Disconnected));
        eventually("it is a zombie", || is_zombie(producer.pid()));
        // Its place can be taken while it is one.
        let mut next = consumer.channel().producer().expect("its place");
        assert!(is_zombie(producer.pid()));
        next.send(b"next").expect("send");
        assert_eq!(&*consumer.recv().expect("recv"), b"next");
        let pids: Vec<i32> = consumer.status().expect("status").participants.iter().map(|p| p.pid).collect();
        assert_eq!(pids, [std::process::id() as i32; 2]);
    }
}

/// Runs a child and has its answer: done, or why it may not do that here.
fn run(scenario: &str, arguments: &[&str]) {
    let mut child = Child::start(scenario, arguments);
    match child.answer().as_str() {
        "done" => assert!(child.end().success()),
        why => println!("skipped: {why}"),
    }
}

fn kind(word: &str) -> Kind {
    if word == "spsc" { Kind::Spsc } else { Kind::Mpmc }
}

/// A process whose pid means nothing here, or is somebody else's: nothing is decided by pids.
#[test]
fn another_pid_namespace() {
    for kind in KINDS {
        run("inside", &[&Name::new("namespace"), &kind.to_string()]);
    }
}

/// The first process of a new pid namespace; what it returns.
fn first_of_its_namespace(run: impl FnOnce()) -> i32 {
    sys::wait(sys::fork(|| {
        // For its children. It has one thread, as this needs.
        assert!(sys::unshare(libc::CLONE_NEWPID));
        sys::wait(sys::fork(|| {
            assert_eq!(std::process::id(), 1);
            run();
            sys::exit_now(0)
        }))
    }))
}

fn inside(arguments: &[&str]) {
    let name = arguments[0];
    if sys::wait(sys::fork(|| i32::from(!sys::unshare(libc::CLONE_NEWPID)))) != 0 {
        return child::say("no pid namespaces for us");
    }
    let mut consumer = small(kind(arguments[1]), 4).consumer(name).expect("consumer");
    let status = first_of_its_namespace(|| {
        let mut producer = options().existing().producer(name).expect("producer");
        producer.send(b"from pid 1").expect("send");
        std::mem::forget(producer.reserve(1).expect("reserve"));
        let status = producer.status().expect("status");
        assert_eq!((status.producers, status.consumers), (1, 1));
        sys::exit_now(0)
    });
    assert_eq!(status, 0);
    assert_eq!(&*consumer.recv_timeout(DEADLINE).expect("recv"), b"from pid 1");
    assert_eq!(consumer.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
    drop(consumer);

    let mut producer = options().existing().producer(name).expect("producer");
    producer.send(b"twice").expect("send");
    let status = first_of_its_namespace(|| {
        let mut consumer = options().existing().consumer(name).expect("consumer");
        let lease = consumer.lease().expect("lease");
        assert_eq!(lease.to_vec(), b"twice");
        sys::exit_now(0)
    });
    assert_eq!(status, 0);
    let mut consumer = options().existing().consumer(name).expect("consumer");
    let message = consumer.recv_timeout(DEADLINE).expect("again");
    assert_eq!((message.data.as_slice(), message.redelivered()), (&b"twice"[..], true));
    child::say("done");
}

/// Fewer operations in one semop(2) than a channel of 64 would use.
#[test]
fn a_low_semopm() {
    for kind in KINDS {
        for semopm in ["16", "32"] {
            run("few", &[&kind.to_string(), semopm]);
        }
        run("fewer", &[&kind.to_string(), "10"]);
        run("lowered", &[&kind.to_string(), "4"]);
    }
}

/// An IPC namespace of our own, where the limits are ours to set; false if we may not.
fn own_limits() -> bool {
    sys::unshare(libc::CLONE_NEWIPC) && limit_operations("500")
}

fn limit_operations(semopm: &str) -> bool {
    std::fs::write("/proc/sys/kernel/sem", format!("32000 1024000000 {semopm} 32000")).is_ok()
}

/// As many participants as fit, and everything works.
fn few(arguments: &[&str]) {
    let (kind, semopm) = (kind(arguments[0]), arguments[1]);
    if !own_limits() {
        return child::say("no IPC namespaces for us");
    }
    assert!(limit_operations(semopm));
    let most = semopm.parse::<usize>().expect("a number") - 4;
    let more = small(kind, 4).participants(most + 1).create("few");
    assert!(matches!(more, Err(Error::Invalid { what: "number of participants", .. })), "{more:?}");
    let channel = small(kind, 4).create("few").expect("create");
    assert_eq!(channel.status().expect("status").limit, most);
    everything_works(&channel);
    channel.remove().expect("remove");
    child::say("done");
}

/// Made for 64 when there were more: every call is cut into pieces from now on.
fn fewer(arguments: &[&str]) {
    let (kind, semopm) = (kind(arguments[0]), arguments[1]);
    if !own_limits() {
        return child::say("no IPC namespaces for us");
    }
    drop(small(kind, 4).participants(64).create("fewer").expect("create"));
    assert!(limit_operations(semopm));
    let channel = options().open("fewer").expect("open");
    assert_eq!(channel.status().expect("status").limit, 64);
    everything_works(&channel);
    channel.remove().expect("remove");
    child::say("done");
}

/// Lowered under open handles, which know the number of before: a participant could not even leave then.
fn lowered(arguments: &[&str]) {
    let (kind, semopm) = (kind(arguments[0]), arguments[1]);
    if !own_limits() {
        return child::say("no IPC namespaces for us");
    }
    let channel = small(kind, 4).participants(64).create("lowered").expect("create");
    let mut consumer = channel.consumer().expect("consumer");
    let mut producer = channel.producer().expect("producer");
    assert!(limit_operations(semopm));
    let waiting = start(move || (consumer.recv().map(|m| m.data), consumer.recv(), consumer));
    waiting.still_running("nothing was sent");
    producer.send(b"lowered").expect("send");
    drop(producer);
    let (message, end, consumer) = waiting.end("a message, and the end");
    assert_eq!((message.as_deref(), end), (Ok(&b"lowered"[..]), Err(RecvError::Disconnected)));
    drop(consumer);
    assert!(channel.status().expect("status").participants.is_empty());
    everything_works(&channel);
    channel.remove().expect("remove");
    child::say("done");
}

fn everything_works(channel: &Channel) {
    let name = channel.name();
    let limit = channel.status().expect("status").limit;
    let pairs = if channel.kind() == Kind::Spsc { 1 } else { limit / 2 };
    let mut all: Vec<_> = (0..pairs)
        .map(|_| (channel.producer().expect("producer"), channel.consumer().expect("consumer")))
        .collect();
    assert!(matches!(channel.producer(), Err(Error::NoRoom { .. })));
    for (producer, consumer) in &mut all {
        producer.send(b"1").expect("send");
        assert_eq!(&*consumer.recv().expect("recv"), b"1");
    }
    drop(all);
    let mut consumer = channel.consumer().expect("consumer");
    let status = sys::wait(sys::fork(|| {
        let mut producer = options().existing().producer(name).expect("producer");
        producer.send(b"2").expect("send");
        std::mem::forget(producer.reserve(1).expect("reserve"));
        sys::exit_now(0)
    }));
    assert_eq!(status, 0);
    assert_eq!(&*consumer.recv_timeout(DEADLINE).expect("recv"), b"2");
    assert_eq!(consumer.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
    drop(consumer);
    let mut producer = channel.producer().expect("producer");
    let mut consumer = channel.consumer().expect("consumer");
    let waiting = start(move || (consumer.recv(), consumer.recv()));
    waiting.still_running("nothing was sent");
    producer.send(b"3").expect("send");
    drop(producer);
    let (message, end) = waiting.end("a message, and the end");
    assert_eq!((message.expect("recv").data.as_slice(), end), (&b"3"[..], Err(RecvError::Disconnected)));
    assert!(channel.status().expect("status").participants.is_empty());
}

/// `ipcrm -s` while a producer waits for room. A consumer that waits for a message is in `lifecycle.rs`.
#[test]
fn the_set_is_removed_while_a_producer_sleeps() {
    for kind in KINDS {
        let name = Name::new("removed-asleep");
        let options = small(kind, 2).message_size(16).when_no_consumer(WhenNoConsumer::Wait);
        let channel = options.create(&name).expect("create");
        let mut producer = Puppet::with(&format!("producer {name}"));
        producer.expect("send_range 0 2", "ok");
        producer.tell("send 2");
        asleep(&name, producer.pid());
        sys::remove_set(Key::from(&name).set_key().expect("key"));
        producer.then("err Failed(.., Removed)");
        assert_eq!(channel.status().err(), Some(Error::Removed));
        producer.expect("send 2", "err Failed(.., Removed)");
    }
}

/// `ipcrm -s` while messages stream: those who are awake find out without being woken.
#[test]
fn the_set_is_removed_under_load() {
    for kind in KINDS {
        let name = Name::new("removed-busy");
        let mut consumer = small(kind, 8).message_size(16).consumer(&name).expect("consumer");
        let mut producer = Puppet::with(&format!("producer {name}"));
        let received = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&received);
        let receiving = start(move || {
            loop {
                match consumer.recv() {
                    Ok(_) => count.fetch_add(1, Ordering::Relaxed),
                    Err(e) => return (e, consumer.try_recv()),
                };
            }
        });
        producer.tell("send_on");
        eventually("messages move", || received.load(Ordering::Relaxed) > 1_000);
        sys::remove_set(Key::from(&name).set_key().expect("key"));
        producer.then("err Failed(.., Removed)");
        let (first, second) = receiving.end("the removal");
        assert_eq!(first, RecvError::Failed(Error::Removed));
        assert_eq!(second, Err(TryRecvError::Failed(Error::Removed)));
        producer.expect("drop", "ok");
    }
}
