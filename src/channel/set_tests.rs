//! A set in the hands of somebody who does not follow the protocol.

use super::*;
use crate::os::testing::{Set as Kernel, fork};

fn set() -> (Kernel, Set) {
    let kernel = Kernel::new(Set::size(2));
    let set = Set::verify(kernel.0, "abused", |_| true).expect("all zero");
    (kernel, set)
}

fn zero_lock(set: &Set) {
    os::sem::op(set.id(), &[sembuf(LOCK as u16, -1, NOWAIT)]).expect("it is held");
}

/// Releasing a lock that somebody had released for us once waited for ever.
#[test]
fn a_lock_that_was_taken_away_is_not_waited_for() {
    let (_kernel, set) = set();
    for participant in [false, true] {
        for zeroed in [true, false] {
            match participant {
                true => assert_eq!(set.try_lock(), Ok(true)),
                false => set.lock(None).expect("free"),
            }
            if zeroed {
                zero_lock(&set);
            }
            let unlocked = if participant { set.unlock_participant() } else { set.unlock() };
            match unlocked {
                Err(Error::Corrupt { what: "lock", found: 0, .. }) => assert!(zeroed),
                other => assert_eq!((other, zeroed), (Ok(()), false)),
            }
            assert!(set.snapshot().expect("snapshot").unlocked());
        }
    }
    set.lock(None).expect("free");
    zero_lock(&set);
    let index = Index::new(0, 2).expect("below 2");
    assert!(matches!(set.register(index, Side::Producers, 0), Err(Error::Corrupt { what: "lock", .. })));
    assert!(set.unlock().is_err());
    assert_eq!(set.snapshot().expect("snapshot").alive(), 0);
}

/// What the kernel takes back at our end must not be the next holder's lock.
#[test]
fn the_undo_of_a_lock_that_was_taken_away_is_gone_too() {
    let (_kernel, set) = set();
    let (reader, writer) = std::io::pipe().expect("pipe");
    let child = fork(|| {
        set.lock(None).expect("free");
        zero_lock(&set);
        let refused = set.unlock().is_err();
        drop(std::io::Write::write_all(&mut &writer, &[1]));
        // Until the parent has the lock.
        while set.snapshot().is_ok_and(|snapshot| snapshot.unlocked()) {
            std::thread::yield_now();
        }
        i32::from(!refused)
    });
    std::io::Read::read_exact(&mut &reader, &mut [0]).expect("the child is done");
    assert_eq!(set.try_lock(), Ok(true));
    assert_eq!(child.wait(), 0);
    assert!(!set.snapshot().expect("snapshot").unlocked(), "released by the death of somebody else");
    set.unlock_participant().expect("still ours");
}
