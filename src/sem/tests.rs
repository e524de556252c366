//! Tests of `sem::Set` against the kernel.

use super::*;
use crate::os::process;
use crate::os::testing::{self, fork, sleep_for_ever};
use std::thread;

/// A private set; removed at the end of the test.
pub(super) fn private(semaphores: usize) -> (Set, testing::Set) {
    let set = SetOptions::new(semaphores).create(Key::Private).expect("create");
    let guard = testing::Set(set.id());
    (set, guard)
}

/// Yields until `condition` holds.
pub(super) fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn create_open_remove() {
    let key = Key::Name(format!("semring-test-set-{}", process::pid()));
    let options = SetOptions::new(3).mode(0o640);
    assert!(matches!(options.open(&key), Err(Error::NotFound { .. })));
    let set = options.create(&key).expect("create");
    let _guard = testing::Set(set.id());
    assert!(matches!(options.create(&key), Err(Error::AlreadyExists { .. })));
    assert_eq!(options.open(&key).expect("open").id(), set.id());
    assert_eq!(options.open_or_create(&key).expect("open").id(), set.id());
    assert_eq!(SetOptions::new(0).open(&key).expect("any size").len(), 3);
    for other in [2, 4] {
        let what = "number of semaphores";
        let (asked, existing) = (other.to_string(), "3".to_string());
        assert_eq!(SetOptions::new(other).open(&key).err(), Some(Error::Mismatch { what, asked, existing }));
    }
    let by_id = Set::from_id(set.id()).expect("by id");
    assert_eq!((by_id.len(), by_id.key().set_key()), (3, key.set_key()));
    let status = set.status().expect("status");
    assert_eq!((status.semaphores, status.mode, status.uid), (3, 0o640, process::euid()));
    assert_eq!((status.creator_uid, status.operation_time), (process::euid(), None));
    assert!(status.change_time.is_some());
    set.set_mode(0o600).expect("mode");
    set.v(0).expect("V");
    let status = set.status().expect("status");
    assert!(status.mode == 0o600 && status.operation_time.is_some());
    assert!(list().expect("list").contains(&status));
    set.clone().remove().expect("remove");
    assert_eq!(set.p(0), Err(Error::Removed));
    assert_eq!(set.value(0), Err(Error::Removed));
    assert_eq!(set.values(), Err(Error::Removed));
    assert_eq!(set.clone().remove(), Err(Error::Removed));
    assert!(matches!(Set::from_id(set.id()), Err(Error::NotFound { .. })));
}

#[test]
fn bad_parameters() {
    let invalid = |e: Error| matches!(e, Error::Invalid { .. });
    assert!(invalid(SetOptions::new(0).create(Key::Private).expect_err("none")));
    assert!(invalid(SetOptions::new(1).mode(0o2000).create(Key::Private).expect_err("mode")));
    assert!(invalid(SetOptions::new(1).open(Key::Private).expect_err("private")));
    let e = SetOptions::new(usize::MAX).create(Key::Private).expect_err("too many");
    assert!(matches!(e, Error::Os(e) if e.remedy.contains("SEMMSL")));
    let (set, _guard) = private(2);
    for i in [2, 65_536, usize::MAX] {
        assert!(invalid(set.p(i).expect_err("index")) && invalid(set.v(i).expect_err("index")));
        assert!(invalid(set.value(i).expect_err("index")) && invalid(set.last_pid(i).expect_err("index")));
    }
    for amount in [0, 32_768] {
        assert!(invalid(set.p_by(0, amount).expect_err("amount")));
        assert!(invalid(set.v_by(0, amount).expect_err("amount")));
    }
    set.v_by(0, 32_767).expect("SEMVMX");
    assert!(matches!(set.v(0), Err(Error::Os(e)) if e.errno == libc::ERANGE));
}

#[test]
fn p_and_v() {
    let (set, _guard) = private(2);
    set.v_by(0, 5).expect("V");
    set.p_by(0, 3).expect("P");
    assert_eq!(set.values(), Ok(vec![2, 0]));
    assert_eq!((set.try_p(0), set.try_p(0), set.try_p(0)), (Ok(true), Ok(true), Ok(false)));
    assert_eq!(set.p_timeout(0, Duration::from_millis(10)), Ok(false));
    assert_eq!((set.last_pid(0), set.last_pid(1)), (Ok(Some(process::pid())), Ok(None)));
    set.wait_zero(0).expect("is zero");
    set.v(1).expect("V");
    assert_eq!(set.wait_zero_timeout(1, Duration::from_millis(10)), Ok(false));
    assert_eq!(set.p_timeout(1, Duration::MAX), Ok(true));
}

#[test]
fn waiters_wake() {
    let (set, _guard) = private(2);
    set.v(1).expect("V");
    thread::scope(|scope| {
        let p = scope.spawn(|| set.p_by(0, 2));
        let zero = scope.spawn(|| set.wait_zero(1));
        until(|| set.waiting(0) == Ok(1) && set.waiting_for_zero(1) == Ok(1));
        set.v(0).expect("V");
        assert_eq!(set.waiting(0), Ok(1), "one is not enough");
        set.v(0).expect("V");
        set.p(1).expect("P");
        assert_eq!((p.join().expect("thread"), zero.join().expect("thread")), (Ok(()), Ok(())));
        let removed = scope.spawn(|| set.p(0));
        until(|| set.waiting(0) == Ok(1));
        set.clone().remove().expect("remove");
        assert_eq!(removed.join().expect("thread"), Err(Error::Removed));
    });
}

#[test]
fn the_kernel_gives_back_what_the_dead_took() {
    let (set, _guard) = private(3);
    set.v(0).expect("V");
    let child = fork(|| {
        if set.p_undo(0).is_err() || set.v_undo(1).is_err() || set.v(2).is_err() {
            return 1;
        }
        sleep_for_ever()
    });
    until(|| set.value(2) == Ok(1));
    assert_eq!(set.values(), Ok(vec![0, 1, 1]));
    child.kill();
    assert_eq!(set.values(), Ok(vec![1, 0, 1]));
    let child = fork(|| i32::from(set.p_undo(0).and_then(|()| set.v_undo(0)).is_err()));
    assert_eq!((child.wait(), set.value(0)), (0, Ok(1)), "paired: nothing to give back");
}
