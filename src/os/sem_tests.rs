//! Tests of `os::sem` against the kernel.

use super::*;
use crate::os::testing::{Set, Thread, fork, sleep_for_ever};
use crate::sync::{AtomicU64, Ordering};

use std::sync::mpsc;
use std::thread;

const NEVER: &dyn Fn() -> bool = &|| false;

#[test]
fn life_of_a_set() {
    let set = Set::new(3);
    let id = set.0;
    let stat = stat(id).expect("stat");
    assert_eq!((stat.nsems, stat.mode, stat.key, stat.otime), (3, 0o600, 0, 0));
    let verified = verify(id).expect("verify");
    assert_eq!((verified.id(), verified.len()), (id, 3));
    op(id, &[sembuf(0, 5, 0), sembuf(2, 7, UNDO)]).expect("semop");
    let mut buf = [9; 4];
    values(verified, &mut buf).expect("GETALL");
    assert_eq!(buf, [5, 0, 7, 9], "only the set's values are written");
    assert_eq!(values(verified, &mut [0; 2]).expect_err("too short").errno, libc::EINVAL);
    assert_eq!((value(id, 2), pid(id, 2)), (Ok(7), Ok(crate::os::testing::own_pid())));
    assert_eq!((waiting(id, 1), waiting_for_zero(id, 0)), (Ok(0), Ok(0)));
    super::set(id, stat.uid, stat.gid, 0o644).expect("IPC_SET");
    assert!(list().expect("list").iter().any(|s| s.id == id && s.mode == 0o644 && s.nsems == 3));
    assert_eq!(try_op(id, &[sembuf(1, -1, NOWAIT)]), Ok(false));
    assert_eq!(try_op(id, &[sembuf(0, -5, NOWAIT)]), Ok(true));
    remove(id).expect("IPC_RMID");
    assert_eq!(value(id, 0).expect_err("removed").errno, libc::EINVAL);
}

/// An id can come back as a larger set: GETALL then must not write past the buffer.
#[test]
fn a_larger_set_cannot_overrun_the_buffer() {
    let set = Set::new(3000);
    for pretended in [0, 1, 100, 2999] {
        let id = SetId { id: set.0, nsems: pretended };
        assert_eq!(values(id, &mut vec![0; pretended]).expect_err("larger").errno, libc::EFAULT);
    }
    values(verify(set.0).expect("verify"), &mut vec![0; 3000]).expect("exact");
    let absurd = SetId { id: set.0, nsems: 70_000 };
    assert_eq!(values(absurd, &mut vec![0; 70_000]).expect_err("no such set").errno, libc::EINVAL);
}

#[test]
fn limits_are_those_of_sysctl() {
    let text = std::fs::read_to_string("/proc/sys/kernel/sem").expect("sysctl kernel.sem");
    let numbers: Vec<usize> = text.split_whitespace().map(|n| n.parse().expect("number")).collect();
    let limits = limits().expect("IPC_INFO");
    assert_eq!(numbers, [limits.semmsl, limits.semmns, limits.semopm, limits.semmni]);
    let set = Set::new(1);
    let e = op(set.0, &vec![sembuf(0, 1, 0); limits.semopm + 1]).expect_err("E2BIG");
    assert_eq!(e.errno, libc::E2BIG);
    assert!(e.arguments.ends_with(&format!("{{0, +1}}, ...], {}", limits.semopm + 1)), "{e}");
}

#[test]
fn range_and_numbers() {
    let set = Set::new(1);
    op(set.0, &[sembuf(0, MAX_VALUE as i16, 0)]).expect("up to SEMVMX");
    assert_eq!(op(set.0, &[sembuf(0, 1, 0)]).expect_err("above").errno, libc::ERANGE);
    assert_eq!(op(set.0, &[sembuf(1, 1, 0)]).expect_err("no such semaphore").errno, libc::EFBIG);
}

#[test]
fn deadlines() {
    let set = Set::new(1);
    let start = Instant::now();
    let waited = wait(set.0, &[sembuf(0, -1, 0)], clock::deadline(Duration::from_millis(30)), NEVER);
    assert_eq!(waited, Ok(Waited::TimedOut));
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert_eq!(wait(set.0, &[sembuf(0, -1, 0)], Some(start), NEVER), Ok(Waited::TimedOut), "in the past");
    assert_eq!(wait(set.0, &[sembuf(0, 0, 0)], Some(start), NEVER), Ok(Waited::Done), "still one try");
}

/// semop(2) is never restarted by the kernel, whatever SA_RESTART says: a stray signal ended waits early.
#[test]
fn a_signal_neither_ends_nor_prolongs_the_wait() {
    let set = Set::new(1);
    let id = set.0;
    let signals = AtomicU64::new(0);
    let (send, receive) = mpsc::channel();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            send.send(Thread::current()).expect("receiver");
            let count = &|| {
                signals.fetch_add(1, Ordering::Relaxed);
                false
            };
            let start = Instant::now();
            let timed_out = wait(id, &[sembuf(0, -1, 0)], clock::deadline(Duration::from_millis(300)), count);
            let elapsed = start.elapsed();
            let done = wait(id, &[sembuf(0, -1, 0)], None, count);
            let interrupted = wait(id, &[sembuf(0, -1, 0)], None, &|| true);
            (timed_out, elapsed, done, interrupted)
        });
        let thread = receive.recv().expect("waiter");
        for _ in 0..20 {
            thread::sleep(Duration::from_millis(10));
            thread.interrupt();
        }
        while signals.load(Ordering::Relaxed) < 3 {
            thread::sleep(Duration::from_millis(1));
            thread.interrupt();
        }
        thread::sleep(Duration::from_millis(300));
        op(id, &[sembuf(0, 1, 0)]).expect("V");
        while !waiter.is_finished() {
            thread::sleep(Duration::from_millis(20));
            if waiting(id, 0) == Ok(1) && value(id, 0) == Ok(0) {
                thread.interrupt();
            }
        }
        let (timed_out, elapsed, done, interrupted) = waiter.join().expect("waiter");
        assert_eq!((timed_out, done), (Ok(Waited::TimedOut), Ok(Waited::Done)));
        assert_eq!(interrupted, Ok(Waited::Interrupted));
        assert!((300..2000).contains(&elapsed.as_millis()), "{elapsed:?}");
    });
}

#[test]
fn removal_wakes_sleepers() {
    let set = Set::new(1);
    let id = set.0;
    thread::scope(|scope| {
        let waiter = scope.spawn(|| wait(id, &[sembuf(0, -1, 0)], None, NEVER));
        while waiting(id, 0) != Ok(1) {
            thread::sleep(Duration::from_millis(1));
        }
        remove(id).expect("IPC_RMID");
        let e = waiter.join().expect("waiter").expect_err("removed");
        assert_eq!((e.call, e.errno), ("semtimedop", libc::EIDRM));
    });
}

#[test]
fn the_kernel_undoes_what_the_dead_held() {
    let set = Set::new(2);
    let id = set.0;
    let child = fork(|| {
        if op(id, &[sembuf(0, 1, UNDO), sembuf(1, 1, 0)]).is_err() {
            return 1;
        }
        sleep_for_ever()
    });
    wait(id, &[sembuf(1, -1, 0)], clock::deadline(Duration::from_secs(10)), NEVER).expect("child");
    assert_eq!((value(id, 0), pid(id, 0)), (Ok(1), Ok(child.pid())));
    child.kill();
    assert_eq!(value(id, 0), Ok(0));
}

/// A handle in thread-local storage may be dropped after the thread's GETALL buffer.
#[test]
fn values_work_while_a_thread_ends() {
    struct Late(Option<(SetId, mpsc::Sender<u16>)>);
    impl Drop for Late {
        fn drop(&mut self) {
            if let Some((id, sender)) = self.0.take() {
                let mut buf = [0];
                let _ = values(id, &mut buf).map(|()| sender.send(buf[0]));
            }
        }
    }
    thread_local! {
        static BEFORE: std::cell::RefCell<Late> = const { std::cell::RefCell::new(Late(None)) };
        static AFTER: std::cell::RefCell<Late> = const { std::cell::RefCell::new(Late(None)) };
    }
    let set = Set::new(1);
    op(set.0, &[sembuf(0, 5, 0)]).expect("V");
    let id = verify(set.0).expect("verify");
    let (send, receive) = mpsc::channel();
    let ends = thread::spawn(move || {
        BEFORE.with(|late| late.borrow_mut().0 = Some((id, send.clone())));
        values(id, &mut [0]).expect("GETALL");
        AFTER.with(|late| late.borrow_mut().0 = Some((id, send)));
    });
    ends.join().expect("thread");
    assert_eq!(receive.iter().collect::<Vec<_>>(), [5, 5]);
}
