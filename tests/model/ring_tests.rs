//! scratch
use crate::ring::*;
use crate::search::explore;

#[test]
fn scratch() {
    use Mutant::*;
    const K1: Config = Config { kills: 1, ..BASE };
    const G: Config = Config { counts: true, gives: 1, kills: 1, producers: 1, messages: [2, 0, 0, 0], ..BASE };
    const C12: Config = Config { producers: 1, messages: [2, 0, 0, 0], ..BASE };
    const C13: Config = Config { producers: 1, consumers: 3, messages: [2, 0, 0, 0], ..BASE };
    let small = Config { messages: [1, 1, 0, 0], kills: 1, ..BASE };
    for (n, c) in [
        (NoWinnerIdentity, Config { clears: true, ..K1 }),
        (NoWinnerIdentity, Config { clears: true, ..small }),
        (NoWinnerIdentity, Config { clears: true, consumers: 1, ..small }),
        (AnnouncementWins, K1), (AnnouncementWins, small), (AnnouncementWins, Config { consumers: 1, ..small }),
        (AnnouncementsIgnored, K1), (AnnouncementsIgnored, Config { consumers: 1, messages: [1, 2, 0, 0], ..K1 }), (AnnouncementsIgnored, C12),
        (NoSecondLook, Config { slots: 3, messages: [1, 2, 0, 0], consumers: 1, ..K1 }),
        (InnerPrevIsOuter, Config { batch: 2, messages: [2, 2, 0, 0], reversed: true, ..K1 }),
        (InnerPrevIsOuter, Config { batch: 2, messages: [2, 2, 0, 0], reversed: true, consumers: 1, ..K1 }),
        (InnerPrevIsOuter, Config { batch: 2, messages: [2, 1, 0, 0], reversed: true, consumers: 1, ..K1 }),
        (VoidDropsPrev, Config { messages: [1, 1, 0, 0], consumers: 1, ..BASE }),
        (TakenDropsPrev, Config { restarts: 1, ..C12 }),
        (TakenDropsPrev, C13),
        (FreeDropsPrev, K1), (FreeDropsPrev, small), (FreeDropsPrev, Config { kills: 1, ..C12 }),
        (RecordClearedFirst, K1), (RecordClearedFirst, small), (RecordClearedFirst, Config { kills: 2, consumers: 1, ..small }),
        (StampedBeforeRecorded, C13),(StampedBeforeRecorded, C12),(StampedBeforeRecorded, Config { restarts: 1, ..C12 }),
        (ReusedUnrecovered, Config { consumers: 1, restarts: 1, ..K1 }),
        (ReusedUnrecovered, Config { consumers: 1, restarts: 1, ..small }),
        (AdoClearedFirst, C12),
        (AdoClearedFirst, Config { restarts: 1, ..C12 }),
        (SecondAdoption, C13),
        (SecondAdoption, Config { messages: [3, 0, 0, 0], ..C13 }),
        (AnnouncedAfterwards, small),
        (AnnouncedAfterwards, Config { consumers: 1, ..small }),
        (PlainComparison, Config { start: 46, ..small }),
        (PlainComparison, Config { start: 46, kills: 0, ..C12 }),
        (PlainComparison, Config { start: 46, ..K1 }),
        (LeftReady, small),
        (LeftReady, Config { kills: 1, ..C12 }),
        (NoLock, Config { restarts: 1, ..C12 }), (NoLock, C13), (NoLock, Config { restarts: 1, ..BASE }),
        (TimeoutIsDeath, small),
        (TimeoutIsDeath, Config { consumers: 1, ..small }),
        (NoTombstone, Config { consumers: 1, ..small }),
        (ServedDropsPrev, C13),
        (ServedDropsPrev, C12),
        (ServedDropsPrev, Config { restarts: 1, ..C12 }),
        (RecordWiped, Config { restarts: 1, consumers: 1, producers: 1, messages: [1, 0, 0, 0], ..K1 }),
        (WordSkipped, small),
        (WordSkipped, Config { consumers: 1, ..small }),
        (AttemptsReset, G), (AttemptsReset, Config { counts: true, ..C12 }), (AttemptsReset, Config { counts: true, ..C13 }),
        (AttemptsCountedLate, G), (AttemptsCountedLate, Config { kills: 1, counts: true, ..C12 }), (AttemptsCountedLate, Config { restarts: 1, counts: true, ..C12 }),
        (GivenBeforeStamped, Config { kills: 0, ..G }),
        (OwnerClearedFirst, G),
        (ClaimsWhileGiven, Config { restarts: 1, ..G }),
        (ClaimsWhileGiven, G),
        (ClaimsWhileGiven, Config { gives: 2, kills: 0, ..G }),
        (TakesBackUnlocked, Config { kills: 0, ..G }),
        (TakesOverUnfinished, Config { gives: 2, ..G }),
        (TakesOverUnfinished, Config { consumers: 3, gives: 1, ..G }),
        (TurnsUnrecovered, Config { consumers: 1, restarts: 1, turns: true, ..small }),
        (TurnsUnrecovered, Config { producers:1, restarts: 1, turns: true, ..small }),
    ] {
        let t = std::time::Instant::now();
        let r = explore(&Ring::new(Config { mutant: Some(n), ..c }));
        println!("{n:?} {}P{}C {:?} k{} r{} g{}: {} {:?} {:?} len {}", c.producers, c.consumers, c.messages, c.kills, c.restarts, c.gives, r.states, r.failure.as_ref().map(|f| f.why), t.elapsed(), r.failure.as_ref().map_or(0, |f| f.path.len()));
    }
}
