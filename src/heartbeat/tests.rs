use std::time::{Duration, Instant};

use super::layout::{self, place as at};
use super::record::{Kind, Record};
use super::*;
use crate::error::Error;
use crate::os::testing::{become_nobody, fork};
use crate::pair::Set as _;
use crate::segment::Key;
use crate::sync::{AtomicU64, Ordering};

/// A board of its own, gone in the end.
struct Own(Board);

impl Own {
    fn new(places: usize) -> Self {
        Own(BoardOptions::new().places(places).create(Key::Private).expect("board"))
    }

    fn record(&self, index: usize) -> Record<'_> {
        Record::new(&self.0.attachment().mapping, index)
    }

    fn word(&self, place: usize, at: usize) -> &AtomicU64 {
        self.0.attachment().mapping.word(layout::word(place, at)).expect("word")
    }

    fn names(&self) -> Vec<(String, Life)> {
        self.0.members().expect("members").into_iter().map(|m| (m.name, m.life)).collect()
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = self.0.remove();
    }
}

#[test]
fn one_of_each_name_and_as_many_as_fit() {
    let own = Own::new(2);
    let board = &own.0;
    let a = board.register("a", None).expect("a");
    assert!(matches!(board.register("a", None), Err(Error::AlreadyExists { .. })));
    let b = board.register("b", Some(Duration::from_secs(1000))).expect("b");
    assert!(matches!(board.register("c", None), Err(Error::NoRoom { limit: 2, .. })));
    assert_eq!(own.names(), [("a".into(), Life::Alive), ("b".into(), Life::Alive)]);
    drop(a);
    assert_eq!(own.names(), [("b".into(), Life::Alive)]);
    let c = board.register("c", None).expect("the place of a");
    assert_eq!(board.find("c").expect("find").expect("c").place, 0);
    for bad in ["", "a\n", &"x".repeat(MAX_NAME + 1)] {
        assert!(matches!(board.register(bad, None), Err(Error::Invalid { .. })));
    }
    drop((b, c));
}

#[test]
fn the_kernel_proves_death_and_the_dead_ones_place_is_used_again() {
    let own = Own::new(1);
    let register = |name: &'static str| {
        fork(|| {
            // A handle of its own: copies of the parent's are inert.
            let key = Key::Id(own.0.attachment().segment_id);
            let Ok(board) = BoardOptions::new().open(key) else { return 1 };
            match board.register(name, Some(Duration::from_nanos(1))) {
                Ok(heart) => std::mem::forget(heart), // dies with it
                Err(_) => return 2,
            }
            0
        })
    };
    assert_eq!(register("first").wait(), 0);
    let dead = own.0.find("first").expect("find").expect("still there to be seen");
    assert_eq!((dead.life, dead.starts, dead.kept), (Life::Dead, 1, false));
    assert_ne!(dead.pid, std::process::id() as i32);
    assert_eq!(register("first").wait(), 0);
    assert_eq!(own.0.find("first").expect("find").expect("there").starts, 2, "the same place, claimed again");
    assert_eq!(register("second").wait(), 0);
    assert_eq!(own.names(), [("second".into(), Life::Dead)]);
}

#[test]
fn silence_is_hung_and_a_beat_is_alive() {
    let own = Own::new(1);
    let heart = own.0.register("a", Some(Duration::from_millis(1))).expect("register");
    std::thread::sleep(Duration::from_millis(5));
    let member = own.0.find("a").expect("find").expect("a");
    assert_eq!(member.life, Life::Hung);
    assert!(member.silent_for >= Duration::from_millis(5) && member.age >= member.silent_for);
    let before = own.word(0, at::BEAT).load(Ordering::Relaxed);
    heart.beat();
    assert!(own.word(0, at::BEAT).load(Ordering::Relaxed) > before);
}

#[test]
fn a_forked_copy_beats_and_releases_nothing() {
    let own = Own::new(1);
    let mut heart = Some(own.0.register("a", None).expect("register"));
    let beat = own.word(0, at::BEAT).load(Ordering::Relaxed);
    let child = fork(|| {
        let copy = heart.take(); // the child's only
        copy.iter().for_each(Heart::beat);
        drop(copy);
        i32::from(!matches!(own.0.register("b", None), Err(Error::Forked)))
    });
    assert_eq!(child.wait(), 0);
    assert!(heart.is_some());
    assert_eq!(own.word(0, at::BEAT).load(Ordering::Relaxed), beat);
    assert_eq!(own.names(), [("a".into(), Life::Alive)]);
}

#[test]
fn kept_places_stay_and_released_ones_go() {
    let own = Own::new(2);
    let keeper = own.0.try_keep().expect("keep").expect("nobody else");
    let place = keeper.place("web").expect("place");
    place.set_note(7, 42);
    assert_eq!((place.note(7), place.note(6), place.ran()), (42, 0, None));
    assert_eq!(own.names(), [("web".into(), Life::Dead)]);
    let heart = own.0.register("web", None).expect("who comes by itself may have it");
    assert_eq!(place.holder().expect("holder"), Some(std::process::id() as i32));
    assert!(place.ran().is_some());
    drop(heart);
    assert_eq!(keeper.kept().expect("kept"), ["web"]);
    keeper.release(&place).expect("release");
    assert_eq!(own.names(), []);
    assert_eq!(keeper.place("web").expect("place").note(7), 0, "a new life");
}

/// A child claims for the program that it executes: exclusive, until the program ends, adopted by the program itself.
#[test]
fn a_claim_for_a_program_is_exclusive_and_the_programs() {
    let own = Own::new(1);
    let keeper = own.0.try_keep().expect("keep").expect("nobody else");
    let place = keeper.place("web").expect("place");
    let claim = || place.claim_for_program(None).map_err(|e| e.raw_os_error());
    let child = fork(|| {
        // The second stands for another child, which a second supervisor might have forked.
        let (first, second) = (claim(), claim());
        let held = place.is_alive() == Ok(true) && place.holder() == Ok(Some(crate::os::process::pid()));
        let board = BoardOptions::new().open(Key::Id(own.0.attachment().segment_id));
        let heart = board.and_then(|board| board.register("web", Some(Duration::from_secs(9))));
        drop(heart.is_ok().then_some(heart));
        // Dropping the heart does not give up what was claimed for the program.
        let still = place.is_alive() == Ok(true);
        i32::from(!(first.is_ok() && second == Err(Some(libc::EALREADY)) && held && still))
    });
    assert_eq!(child.wait(), 0);
    assert_eq!(place.is_alive(), Ok(false));
    assert!(place.wait_for_death(Duration::ZERO).expect("wait"));
}

#[test]
fn one_keeper_and_the_next_when_it_dies() {
    let own = Own::new(1);
    let (begun, done) = (Own::new(1), Own::new(1));
    let child = fork(|| {
        let keeper = BoardOptions::new()
            .open(Key::Id(own.0.attachment().segment_id))
            .and_then(|board| board.try_keep());
        let kept = matches!(&keeper, Ok(Some(_)));
        begun.word(0, at::BEAT).store(1 + u64::from(kept), Ordering::Release);
        while done.word(0, at::BEAT).load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        std::mem::forget(keeper);
        i32::from(!kept)
    });
    while begun.word(0, at::BEAT).load(Ordering::Acquire) == 0 {
        std::thread::yield_now();
    }
    assert_eq!(own.0.keeper().expect("keeper"), Some(child.pid()));
    assert!(own.0.try_keep().expect("try").is_none());
    assert!(own.0.keep(Duration::from_millis(1)).expect("keep").is_none());
    done.word(0, at::BEAT).store(1, Ordering::Release);
    let keeper = own.0.keep(Duration::from_secs(60)).expect("keep").expect("it died");
    assert_eq!(child.wait(), 0);
    let heart = own.0.register("a", None).expect("register");
    assert!(!keeper.end().expect("end"), "somebody lives on it");
    assert_eq!(own.0.ended(), 1);
    drop(heart);
    let keeper = own.0.try_keep().expect("keep").expect("free again");
    assert!(keeper.leave().expect("leave"));
    assert_eq!(own.0.members(), Err(Error::Removed));
}

/// A lease can outlive its claimant, whose number is then somebody else's in time.
#[test]
fn a_number_that_is_used_again_is_not_the_holder() {
    let own = Own::new(1);
    let heart = own.0.register("a", None).expect("register");
    let (place, pid) = (own.0.place("a").expect("place").expect("a"), crate::os::process::pid());
    assert_eq!((place.is_holder(pid), place.is_holder(1)), (Ok(true), Ok(false)));
    let began = own.word(0, at::BEGAN).fetch_add(1, Ordering::Relaxed);
    assert_eq!((began, place.is_holder(pid)), (crate::os::start_time::own(), Ok(false)));
    // What a former holder has left behind says nothing about one that has only just claimed.
    own.word(0, at::PID).store(1, Ordering::Relaxed);
    assert_eq!(place.is_holder(pid), Ok(true));
    drop(heart);
    assert_eq!(place.is_holder(pid), Ok(false));
}

#[test]
fn a_removal_wakes_who_waits_for_it() {
    let own = Own::new(1);
    assert_eq!(own.0.wait_for_removal(Duration::ZERO), Ok(false));
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| own.0.wait_for_removal(Duration::from_secs(60)));
        let asleep = || crate::os::sem::waiting_for_zero(own.0.attachment().set.id(), 0) == Ok(1);
        while !asleep() && !waiter.is_finished() {
            std::thread::yield_now();
        }
        own.0.remove().expect("remove");
        assert_eq!(waiter.join().expect("waiter"), Ok(true));
    });
    assert_eq!(own.0.wait_for_removal(Duration::MAX), Ok(true), "gone already");
}

/// Whoever died while naming a place left it in disorder: it is nobody's, and the next one has it.
#[test]
fn a_name_half_written_is_nobodys() {
    let own = Own::new(1);
    drop(own.0.register("a", None).expect("register"));
    let version = own.word(0, at::VERSION).load(Ordering::Relaxed);
    own.word(0, at::VERSION).store(version & !3 | 2, Ordering::Relaxed);
    assert_eq!(own.record(0).kind(), Kind::Writing);
    assert_eq!(own.names(), []);
    let _heart = own.0.register("b", None).expect("register");
    assert_eq!(own.names(), [("b".into(), Life::Alive)]);
}

/// A name is read whole or not at all, whoever renames the place meanwhile.
#[test]
fn names_are_never_torn() {
    let own = Own::new(1);
    let names = ["a".repeat(MAX_NAME), "b".repeat(MAX_NAME / 2)];
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while done.load(Ordering::Acquire) == 0 {
                for name in &names {
                    own.record(0).name(name, Kind::Named).expect("name");
                }
            }
        });
        let looks = || -> Result<u32, Error> {
            let (mut seen, mut looks, since) = (0, 0, Instant::now());
            // So many that some meet a change, and until one has not.
            while (looks < 300_000 || seen == 0) && since.elapsed() < Duration::from_secs(60) {
                looks += 1;
                match own.record(0).identity() {
                    Ok(Some((name, _))) if names.contains(&name) => seen += 1,
                    Ok(Some((name, _))) => return Err(Error::NotFound { name }),
                    Ok(None) | Err(Error::Overtaken) => {}
                    Err(other) => return Err(other),
                }
            }
            Ok(seen)
        };
        let seen = looks();
        done.store(1, Ordering::Release);
        assert!(matches!(seen, Ok(1..)), "{seen:?}");
    });
}

/// Words that no participant writes are errors or clamped, never a panic, and never an endless loop.
#[test]
fn hostile_words() {
    let own = Own::new(2);
    let heart = own.0.register("a", Some(Duration::from_secs(1))).expect("register");
    let interesting = [0, 1, 2, 3, 63, 64, 65, 248, 249, 1 << 31, 1 << 32, u64::MAX >> 1, u64::MAX];
    for at in (0..at::SIZE).step_by(8) {
        let word = own.word(0, at);
        let good = word.load(Ordering::Relaxed);
        for bad in interesting {
            word.store(bad, Ordering::Relaxed);
            let _ = (own.0.members(), own.0.find("a"), own.0.find("b"), own.0.register("a", None).is_ok());
            heart.beat();
        }
        word.store(good, Ordering::Relaxed);
    }
    own.word(0, at::NAME).store(1 << 40, Ordering::Relaxed);
    assert!(matches!(own.0.members(), Err(Error::Corrupt { what: "name's length", .. })));
    own.word(0, at::NAME).store(1, Ordering::Relaxed);
    own.word(0, at::NAME + 8).store(0xff, Ordering::Relaxed);
    assert!(matches!(own.0.members(), Err(Error::Corrupt { .. })));
}

#[test]
fn headers_are_judged() {
    let own = Own::new(3);
    let mapping = &own.0.attachment().mapping;
    let open = || BoardOptions::new().open(Key::Id(own.0.attachment().segment_id)).map(drop);
    let change = |at: usize, value: u64| {
        let word = mapping.word(at).expect("word");
        let before = word.swap(value, Ordering::Relaxed);
        let result = open();
        word.store(before, Ordering::Relaxed);
        result
    };
    assert_eq!(open(), Ok(()));
    for bad in [0, 1, 2, 4, 1025, u64::MAX] {
        assert!(matches!(change(layout::header::PLACES, bad), Err(Error::Corrupt { .. })), "{bad}");
    }
    assert!(matches!(change(16, 1), Err(Error::Corrupt { what: "size", .. })));
    assert!(matches!(change(8, 99), Err(Error::Version { found: 99, .. })));
    assert!(matches!(change(0, 99), Err(Error::Foreign { .. })));
    for places in [0, MAX_PLACES + 1] {
        let wrong = BoardOptions::new().places(places).create(Key::Private);
        assert!(matches!(wrong, Err(Error::Invalid { .. })));
    }
}

/// With the right to read everything can be seen, death can be waited for, and nothing can be changed.
#[test]
fn readers_look_and_change_nothing() {
    let own = Own(BoardOptions::new().places(2).mode(0o604).create(Key::Private).expect("board"));
    let _heart = own.0.register("a", Some(Duration::from_secs(1000))).expect("register");
    let child = fork(|| {
        if !become_nobody() {
            return 0; // only root can try
        }
        let (key, options) = (Key::Id(own.0.attachment().segment_id), BoardOptions::new().allow_any_owner());
        let Ok(observer) = options.observe(key.clone()) else { return 1 };
        let alive = matches!(observer.find("a"), Ok(Some(member)) if member.life == Life::Alive && member.starts == 1);
        let waited = observer.wait_for_death("a", Duration::ZERO) == Ok(false);
        let listed = observer.members().is_ok_and(|members| members.len() == 1);
        let refused = matches!(options.open(key), Err(Error::PermissionDenied { .. }));
        i32::from(!(alive && waited && listed && refused)) * 2
    });
    assert_eq!(child.wait(), 0);
}

#[test]
fn a_heart_of_a_service_needs_its_environment() {
    assert!(matches!(Heart::of_service(), Err(Error::Invalid { what: "environment", .. })));
}
