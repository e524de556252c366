//! The configurations of the ring model: what holds, and how each mutant fails.

use crate::cases::{hold, mutants};
use crate::full;
use crate::ring::{BASE, Config, Mutant, Ring};

/// Two producers and a consumer, one death.
const MANY_TO_ONE: Config = Config { consumers: 1, messages: [1, 1, 0, 0], kills: 1, ..BASE };
/// A producer and two consumers, two deaths.
const ONE_TO_TWO: Config = Config { producers: 1, messages: [2, 0, 0, 0], ..BASE };
/// A producer and three consumers, two deaths.
const ONE_TO_THREE: Config = Config { consumers: 3, ..ONE_TO_TWO };
/// A producer and two consumers, one of which may give a message back; one death.
const GIVING: Config = Config { counts: true, gives: 1, kills: 1, ..ONE_TO_TWO };
/// Two messages, one death.
const SMALL: Config = Config { messages: [1, 1, 0, 0], kills: 1, ..BASE };

hold! { Ring if true;
    two_to_two: 73968, SMALL;
    /// Batches, index reuse and abandoned grants; positions wrap.
    many_to_one_with_batches: 37406, Config {
        slots: 3, batch: 2, restarts: 1, abandons: true, reversed: true, start: 46, ..MANY_TO_ONE
    };
    attempts_are_counted: 22723, Config { counts: true, ..ONE_TO_TWO };
    giving_back: 116871, Config { gives: 2, ..GIVING };
    giving_back_a_batch: 86288, Config {
        slots: 3, batch: 3, messages: [3, 0, 0, 0], restarts: 1, consumers: 1, ..GIVING
    };
    turning: 38501, Config { restarts: 1, turns: true, messages: [1, 1, 1, 0], ..ONE_TO_TWO };
}

hold! { Ring if full();
    two_to_two_two_deaths: 1722250, BASE;
    two_to_two_index_reuse: 15363113, Config { restarts: 1, ..BASE };
    two_to_two_three_deaths: 5616512, Config { kills: 3, restarts: 1, messages: [1, 1, 0, 0], ..BASE };
    two_to_two_abandoned: 12542454, Config {
        restarts: 1, clears: true, abandons: true, messages: [1, 1, 0, 0], ..BASE
    };
    two_to_two_batches: 6532560, Config { batch: 2, ..BASE };
    two_to_two_wrapping: 1722250, Config { start: 46, ..BASE };
    one_slot: 5499496, Config { slots: 1, restarts: 1, ..BASE };
    three_consumers: 4000564, Config { messages: [3, 0, 0, 0], ..ONE_TO_THREE };
    three_consumers_batches: 3588417, Config { batch: 2, ..ONE_TO_THREE };
    three_producers: 2519940, Config { producers: 3, consumers: 1, messages: [2, 1, 1, 0], ..BASE };
    one_to_two_batches_two_restarts: 9470803, Config { batch: 2, kills: 3, restarts: 2, ..ONE_TO_TWO };
    one_to_two_batches_abandoned: 491327, Config {
        batch: 2, kills: 1, restarts: 1, abandons: true, ..ONE_TO_TWO
    };
    giving_back_index_reuse: 1975264, Config { gives: 2, kills: 2, restarts: 1, ..GIVING };
    giving_back_three_consumers: 6201588, Config { kills: 2, consumers: 3, ..GIVING };
    giving_back_batches_abandoned: 635223, Config { kills: 2, batch: 2, abandons: true, ..GIVING };
    turning_twice: 927484, Config {
        kills: 2, restarts: 2, turns: true, messages: [1, 1, 1, 0], ..MANY_TO_ONE
    };
    giving_back_two_to_two: 2802879, Config { kills: 1, producers: 2, messages: [2, 1, 0, 0], ..GIVING };
    giving_back_three_consumers_twice: 5769712, Config { kills: 1, gives: 2, consumers: 3, ..GIVING };
    giving_back_clearing: 3239186, Config {
        kills: 2, restarts: 1, clears: true, abandons: true, start: 46, ..GIVING
    };
    giving_back_batches_two_restarts: 11347670, Config { kills: 2, restarts: 2, batch: 2, ..GIVING };
    giving_back_and_turning: 24779319, Config {
        kills: 2, restarts: 2, turns: true, gives: 2, messages: [2, 1, 0, 0], ..GIVING
    };
    giving_back_batches_of_three: 24822183, Config {
        slots: 3, batch: 3, messages: [3, 0, 0, 0], restarts: 1, ..GIVING
    };
    one_to_two_batches_abandoned_two_deaths: 21989016, Config {
        batch: 2, restarts: 1, abandons: true, messages: [3, 0, 0, 0], ..ONE_TO_TWO
    };
    two_to_one_batches_abandoned: 19839440, Config {
        consumers: 1, batch: 2, restarts: 1, abandons: true, messages: [2, 2, 0, 0], ..BASE
    };
    one_to_two_batches_of_three: 26757381, Config {
        slots: 3, batch: 3, restarts: 1, messages: [3, 0, 0, 0], ..ONE_TO_TWO
    };
    giving_back_one_slot: 1305207, Config { slots: 1, kills: 2, restarts: 1, gives: 3, ..GIVING };
}

mutants! { Ring;
    no_winner_identity: NoWinnerIdentity breaks "L", Config { clears: true, ..MANY_TO_ONE };
    announcement_wins: AnnouncementWins breaks "S2", MANY_TO_ONE;
    announcements_ignored: AnnouncementsIgnored breaks "L", Config { messages: [1, 2, 0, 0], ..MANY_TO_ONE };
    no_second_look: NoSecondLook breaks "L", Config { slots: 3, messages: [1, 2, 0, 0], ..MANY_TO_ONE };
    inner_prev_is_outer: InnerPrevIsOuter breaks "S2", Config {
        batch: 2, reversed: true, messages: [2, 2, 0, 0], ..MANY_TO_ONE
    };
    void_drops_prev: VoidDropsPrev breaks "L", Config { kills: 2, ..MANY_TO_ONE };
    taken_drops_prev: TakenDropsPrev breaks "L", Config { restarts: 1, ..ONE_TO_TWO };
    free_drops_prev: FreeDropsPrev breaks "L", Config { kills: 1, ..ONE_TO_TWO };
    record_cleared_first: RecordClearedFirst breaks "L", Config { kills: 2, ..MANY_TO_ONE };
    stamped_before_recorded: StampedBeforeRecorded breaks "L", Config { restarts: 1, ..ONE_TO_TWO };
    reused_unrecovered: ReusedUnrecovered breaks "L", Config { restarts: 1, ..MANY_TO_ONE };
    ado_cleared_first: AdoClearedFirst breaks "L", Config { restarts: 1, ..ONE_TO_TWO };
    second_adoption: SecondAdoption breaks "L", Config { restarts: 1, ..ONE_TO_TWO };
    announced_afterwards: AnnouncedAfterwards breaks "L", MANY_TO_ONE;
    plain_comparison: PlainComparison breaks "L", Config { start: 46, ..SMALL };
    left_ready: LeftReady breaks "L", Config { kills: 1, ..ONE_TO_TWO };
    no_lock: NoLock breaks "S2", Config { restarts: 1, ..ONE_TO_TWO };
    timeout_is_death: TimeoutIsDeath breaks "S2", MANY_TO_ONE;
    no_tombstone: NoTombstone breaks "L", MANY_TO_ONE;
    served_drops_prev: ServedDropsPrev breaks "L", Config { restarts: 1, ..ONE_TO_TWO };
    record_wiped: RecordWiped breaks "L", Config { restarts: 1, kills: 1, consumers: 1, ..ONE_TO_TWO };
    word_skipped: WordSkipped breaks "L", MANY_TO_ONE;
    attempts_reset: AttemptsReset breaks "A2", GIVING;
    attempts_counted_late: AttemptsCountedLate breaks "A1", GIVING;
    given_before_stamped: GivenBeforeStamped breaks "L", Config { kills: 0, ..GIVING };
    part_recorded: PartRecorded breaks "L", Config {
        slots: 3, batch: 3, messages: [3, 0, 0, 0], restarts: 1, consumers: 1, ..GIVING
    };
    owner_cleared_first: OwnerClearedFirst breaks "L", GIVING;
    claims_while_given: ClaimsWhileGiven breaks "L", Config { restarts: 1, ..GIVING };
    claims_while_given_and_gives_again: ClaimsWhileGiven breaks "L", Config { kills: 0, gives: 2, ..GIVING };
    takes_back_unlocked: TakesBackUnlocked breaks "S2", Config { kills: 0, ..GIVING };
    takes_over_unfinished: TakesOverUnfinished breaks "L", Config { gives: 2, ..GIVING };
    turns_unrecovered: TurnsUnrecovered breaks "L", Config {
        producers: 1, restarts: 1, turns: true, ..SMALL
    };
}
