//! Tests of `sem::Mutex` against the kernel.

use super::super::tests::{private, until};
use super::*;
use crate::os::process;
use crate::os::testing::{self, Child, fork, sleep_for_ever};
use crate::sync::{AtomicU64, Ordering};
use std::thread;

fn mutex() -> (Mutex, testing::Set) {
    let (set, guard) = private(Mutex::SEMAPHORES);
    (Mutex::new(set).expect("a new set is a free mutex"), guard)
}

/// A child that locks the mutex and keeps it.
fn holder(mutex: &Mutex) -> Child {
    let child = fork(|| {
        let Ok(_guard) = mutex.lock() else { return 1 };
        sleep_for_ever()
    });
    until(|| mutex.holder() == Ok(Some(child.pid())));
    child
}

#[test]
fn lock_and_unlock() {
    let (mutex, _set) = mutex();
    assert_eq!(mutex.holder(), Ok(None));
    let guard = mutex.lock().expect("lock");
    assert!(!guard.previous_holder_died());
    assert_eq!(mutex.set().values(), Ok(vec![1, 1, 0]));
    assert_eq!(mutex.holder(), Ok(Some(process::pid())));
    assert!(mutex.try_lock().expect("try").is_none());
    assert!(mutex.lock_timeout(Duration::from_millis(10)).expect("timed").is_none());
    drop(guard);
    assert_eq!(mutex.set().values(), Ok(vec![0, 0, 0]));
    drop(mutex.try_lock().expect("try").expect("free"));
    drop(mutex.lock_timeout(Duration::MAX).expect("timed").expect("free"));
}

#[test]
fn threads_exclude_each_other() {
    let (mutex, _set) = mutex();
    let count = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let guard = mutex.lock().expect("lock");
                    let seen = count.load(Ordering::Relaxed);
                    thread::yield_now();
                    count.store(seen + 1, Ordering::Relaxed);
                    assert!(!guard.previous_holder_died());
                }
            });
        }
    });
    assert_eq!(count.load(Ordering::Relaxed), 2000);
}

#[test]
fn a_killed_holder_is_told_of_once() {
    let (mutex, _set) = mutex();
    holder(&mutex).kill();
    assert_eq!(mutex.set().values(), Ok(vec![0, 1, 0]), "the kernel unlocked, HELD stayed");
    let guard = mutex.try_lock().expect("try").expect("free");
    assert!(guard.previous_holder_died());
    assert_eq!(mutex.set().values(), Ok(vec![1, 1, 0]), "brought down");
    drop(guard);
    assert!(!mutex.lock().expect("lock").previous_holder_died());
}

#[test]
fn a_waiter_wakes_when_the_holder_is_killed() {
    let (mutex, _set) = mutex();
    let child = holder(&mutex);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| mutex.lock().map(|guard| guard.previous_holder_died()));
        until(|| mutex.set().waiting_for_zero(0) == Ok(1));
        child.kill();
        assert_eq!(waiter.join().expect("thread"), Ok(true));
    });
}

/// Killed between locking and bringing HELD down: whoever comes next must still be told.
#[test]
fn a_successor_killed_before_it_was_told_passes_it_on() {
    let (mutex, _set) = mutex();
    holder(&mutex).kill();
    let set = mutex.set().clone();
    let lock = [sembuf(LOCK, 0, 0), sembuf(LOCK, 1, UNDO), sembuf(HELD, 1, 0)];
    assert_eq!(fork(|| i32::from(sem::op(set.id(), &lock).is_err())).wait(), 0);
    assert_eq!(set.values(), Ok(vec![0, 2, 0]));
    assert!(mutex.lock().expect("lock").previous_holder_died());
    // Killed afterwards, as a holder: told of like every other.
    holder(&mutex).kill();
    assert!(mutex.lock().expect("lock").previous_holder_died());
    assert_eq!(set.values(), Ok(vec![0, 0, 0]));
}

#[test]
fn countless_deaths_do_not_block_the_mutex() {
    let (mutex, _set) = mutex();
    mutex.set().v_by(HELD.into(), MAX_VALUE).expect("V");
    let guard = mutex.lock().expect("lock in spite of ERANGE");
    assert!(guard.previous_holder_died());
    assert_eq!(mutex.set().values(), Ok(vec![1, 1, 0]));
}

/// A guard inherited through fork unlocked the parent's mutex when the child dropped it.
#[test]
fn a_forked_copy_of_a_guard_is_inert() {
    let (mutex, _set) = mutex();
    let mut guard = Some(mutex.lock().expect("lock"));
    let child = fork(|| {
        drop(guard.take());
        let still_held = mutex.try_lock().is_ok_and(|guard| guard.is_none());
        if still_held { 0 } else { 1 }
    });
    assert_eq!(child.wait(), 0);
    assert_eq!(mutex.holder(), Ok(Some(process::pid())), "and its exit changed nothing either");
    drop(guard);
    assert_eq!(fork(|| i32::from(mutex.lock().is_err())).wait(), 0, "the mutex itself works in a child");
    assert_eq!(mutex.set().values(), Ok(vec![0, 0, 0]));
}

#[test]
fn a_meddler_cannot_keep_it_locked() {
    let (mutex, _set) = mutex();
    let guard = mutex.lock().expect("lock");
    mutex.set().p(HELD.into()).expect("takes HELD away");
    drop(guard);
    assert_eq!(mutex.set().values(), Ok(vec![0, 0, 0]));
    drop(mutex.lock().expect("lock"));
}

#[test]
fn other_sets_are_refused() {
    for (semaphores, i, amount) in [(2, 0, 0), (4, 0, 0), (3, 0, 1), (3, 0, 2), (3, 2, 1)] {
        let (set, _guard) = private(semaphores);
        if amount > 0 {
            set.v_by(i, amount).expect("V");
        }
        assert!(matches!(Mutex::new(set), Err(Error::Foreign { .. })), "{semaphores} {i} {amount}");
    }
    let key = Key::Name(format!("semring-test-mutex-{}", process::pid()));
    assert!(matches!(Mutex::open(&key), Err(Error::NotFound { .. })));
    let mutex = Mutex::open_or_create(&key).expect("create");
    let _guard = testing::Set(mutex.set().id());
    assert_eq!(Mutex::open(&key).expect("open").set().id(), mutex.set().id());
    mutex.clone().remove().expect("remove");
    assert_eq!(mutex.lock().err(), Some(Error::Removed));
}
