//! The configurations of the sleep model: what holds, and how each mutant fails.

use crate::cases::{hold, mutants};
use crate::full;
use crate::wait::{BASE, Config, Mutant, Wait};

/// A producer, two consumers, one message.
const ONE_TO_TWO: Config = Config { consumers: 2, ..BASE };
/// Two producers, a consumer, one message.
const MANY_TO_ONE: Config = Config { producers: 2, ..BASE };
/// A producer, two consumers, two messages, two slots.
const TWO_FOR_TWO: Config = Config { items: 2, slots: 2, ..ONE_TO_TWO };
/// Two producers, a consumer, two messages, two slots.
const TWO_FROM_TWO: Config = Config { items: 2, slots: 2, ..MANY_TO_ONE };
/// Two producers, two consumers, two messages, two slots.
const TWO_TO_TWO: Config = Config { producers: 2, ..TWO_FOR_TWO };

hold! { Wait if true;
    one_to_one: 25241, Config { kills: 1, stops: 1, timeouts: 1, outsider: true, cycles: true, ..BASE };
    one_to_two: 93239, Config { kills: 1, stops: 1, cycles: true, ..ONE_TO_TWO };
    two_to_one: 10847, Config { kills: 1, stops: 1, cycles: true, ..MANY_TO_ONE };
    giving_back: 18640, Config { gives: 1, cycles: true, ..ONE_TO_TWO };
}

hold! { Wait if true;
    swift_one_to_one: 5523, Config { kills: 1, stops: 1, timeouts: 1, swift: true, ..BASE };
    swift_one_to_two: 98272, Config { kills: 1, stops: 1, cycles: true, swift: true, ..ONE_TO_TWO };
    swift_two_to_one: 10777, Config { kills: 1, stops: 1, cycles: true, swift: true, ..MANY_TO_ONE };
}

hold! { Wait if full();
    swift_two_for_two: 474443, Config { kills: 1, stops: 1, cycles: true, swift: true, ..TWO_FOR_TWO };
    swift_two_for_two_outsider: 1206886, Config {
        kills: 1, timeouts: 1, outsider: true, swift: true, ..TWO_FOR_TWO
    };
    swift_two_from_two: 380570, Config {
        slots: 1, kills: 1, stops: 1, cycles: true, swift: true, ..TWO_FROM_TWO
    };
    swift_two_to_two_one_stopped: 3968667, Config { stops: 1, swift: true, ..TWO_TO_TWO };
    swift_two_to_two_one_death: 2587881, Config { kills: 1, swift: true, ..TWO_TO_TWO };
    swift_two_to_two_one_woken: 664394, Config { wake: 1, swift: true, ..TWO_TO_TWO };
    swift_one_to_three_one_woken: 2080763, Config {
        items: 2, slots: 2, consumers: 3, wake: 1, swift: true, ..BASE
    };
    swift_two_for_two_timeouts: 773796, Config { timeouts: 2, stops: 1, swift: true, ..TWO_FOR_TWO };
    /// Several messages with one wake-up, taken one by one; several slots freed with one, filled one by one.
    swift_from_a_batch: 5919432, Config {
        items: 3, slots: 3, consumers: 3, sends: 3, timeouts: 1, wake: 1, swift: true, ..BASE
    };
    swift_from_batches: 5203761, Config {
        items: 3, sends: 2, wake: 1, swift: true, ..TWO_TO_TWO
    };
    swift_after_a_batch: 11251471, Config {
        items: 4, slots: 2, producers: 3, takes: 2, wake: 1, swift: true, ..BASE
    };
    swift_after_batches: 11168669, Config {
        items: 3, takes: 2, wake: 1, swift: true, ..TWO_TO_TWO
    };
    swift_giving_back: 350462, Config {
        gives: 1, stops: 1, outsider: true, cycles: true, swift: true, ..ONE_TO_TWO
    };
}

hold! { Wait if full();
    one_to_one_two_deaths: 253084, Config {
        items: 2, kills: 2, stops: 1, timeouts: 2, outsider: true, cycles: true, ..BASE
    };
    two_for_two: 459884, Config { kills: 1, stops: 1, cycles: true, ..TWO_FOR_TWO };
    two_for_two_outsider: 1166201, Config {
        kills: 1, timeouts: 1, outsider: true, cycles: true, ..TWO_FOR_TWO
    };
    two_from_two: 365305, Config { slots: 1, kills: 1, stops: 1, cycles: true, ..TWO_FROM_TWO };
    two_from_two_outsider: 1248273, Config {
        slots: 1, kills: 1, timeouts: 1, outsider: true, cycles: true, ..TWO_FROM_TWO
    };
    two_to_two_one_stopped: 3814017, Config { stops: 1, ..TWO_TO_TWO };
    two_to_two_one_death: 2508692, Config { kills: 1, ..TWO_TO_TWO };
    /// The wake-up swallowed by a stopped participant is noted, not missed.
    two_for_two_one_woken: 434048, Config { kills: 1, stops: 1, wake: 1, ..TWO_FOR_TWO };
    bit_before_park_word: 419085, Config { kills: 1, stops: 1, bit_first: true, ..TWO_FOR_TWO };
    bit_cleared_before_park_word: 474560, Config { kills: 1, stops: 1, clear_bit_first: true, ..TWO_FOR_TWO };
    giving_back_and_dying: 207594, Config { gives: 1, kills: 1, stops: 1, cycles: true, ..ONE_TO_TWO };
    giving_back_twice: 650517, Config { gives: 2, stops: 1, cycles: true, ..TWO_FOR_TWO };
    giving_back_outsider: 316270, Config { gives: 1, stops: 1, outsider: true, cycles: true, ..ONE_TO_TWO };
    giving_back_timeouts: 1004843, Config { gives: 2, timeouts: 1, kills: 1, outsider: true, ..ONE_TO_TWO };
    giving_back_three_consumers: 4946032, Config {
        gives: 1, stops: 1, items: 1, consumers: 3, ..TWO_FOR_TWO
    };
}

// The C++ reference without its reduction goes through sets from the lowest index up: the numbers must agree.
hold! { Wait if full();
    reference_one_to_two: 878251, Config { kills: 1, stops: 1, lowest_first: true, ..TWO_FOR_TWO };
    reference_two_to_one: 716009, Config { slots: 1, kills: 1, stops: 1, lowest_first: true, ..TWO_FROM_TWO };
    reference_two_to_two: 2802902, Config { lowest_first: true, ..TWO_TO_TWO };
}

mutants! { Wait;
    no_barrier: NoBarrier breaks "a takeable message", Config { poll: false, ..BASE };
    no_obituary: NoObituary breaks "end of stream not seen", Config { kills: 1, ..BASE };
    no_chaining: NoChaining breaks "a takeable message", Config { wake: 1, ..TWO_TO_TWO };
    swift_after_sleep: SwiftAfterSleep breaks "a takeable message", Config {
        wake: 1, swift: true, ..TWO_TO_TWO
    };
    waker_clears_bit: WakerClearsBit breaks "a takeable message", Config { stops: 1, ..TWO_FROM_TWO };
    marked_before_posted: MarkedBeforePosted breaks "a takeable message", Config { stops: 1, ..TWO_FROM_TWO };
    no_epoch: NoEpoch breaks "a takeable message", Config { items: 3, slots: 3, ..BASE };
    no_park_word: NoParkWord breaks "a takeable message", Config { stops: 1, wake: 1, ..TWO_FOR_TWO };
    no_next: NoNext breaks "a takeable message", Config { timeouts: 1, wake: 1, ..ONE_TO_TWO };
    checked_then_cleared: CheckedThenCleared breaks "a takeable message", Config {
        timeouts: 1, wake: 1, ..TWO_FOR_TWO
    };
    dead_unmarked: DeadUnmarked breaks "a takeable message", Config {
        kills: 1, stops: 1, outsider: true, wake: 1, ..ONE_TO_TWO
    };
    no_look: NoLook breaks "end of stream not seen", Config { kills: 1, ..BASE };
    looks_armed: LooksArmed breaks "a takeable message", Config { items: 2, ..BASE };
    looks_last: LooksLast breaks "a takeable message", BASE;
    silent_unlock: SilentUnlock breaks "end of stream not seen", Config { kills: 1, ..ONE_TO_TWO };
    outsider_without_obituary: OutsiderWithoutObituary breaks "end of stream not seen", Config {
        kills: 2, outsider: true, ..BASE
    };
    blocks_on_lock: BlocksOnLock breaks "a takeable message", Config {
        kills: 1, stops: 1, outsider: true, ..MANY_TO_ONE
    };
    no_recheck: NoRecheck breaks "a takeable message", BASE;
    posts_before_leaving: PostsBeforeLeaving breaks "end of stream not seen", BASE;
    end_without_repair: EndWithoutRepair breaks "end of stream while", Config { kills: 1, ..ONE_TO_TWO };
    end_ring_first: EndRingFirst breaks "end of stream with", BASE;
    silent_gift: SilentGift breaks "a message given back", Config { gives: 1, ..ONE_TO_TWO };
    gift_not_rechecked: GiftNotRechecked breaks "a message given back", Config { gives: 1, ..ONE_TO_TWO };
    end_ignores_gifts: EndIgnoresGifts breaks "end of stream while", Config {
        gives: 1, outsider: true, ..ONE_TO_TWO
    };
}
