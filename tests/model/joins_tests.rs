//! The configurations of the model of the end of the stream: what holds, and how each mutant fails.

use crate::cases::{hold, mutants};
use crate::joins::{Config, Joins, Mutant};

/// Two peers, nobody harmed.
const BASE: Config = Config { peers: 2, kills: 0, mutant: None };

hold! { Joins if true;
    two_peers: 3008, BASE;
    three_peers_two_deaths: 78502, Config { peers: 3, kills: 2, ..BASE };
}

mutants! { Joins;
    seen_not_consulted: SeenNotConsulted breaks "the end not seen", BASE;
    joins_not_consulted: JoinsNotConsulted breaks "the end not seen", BASE;
    count_not_consulted: CountNotConsulted breaks "the end with somebody there", BASE;
    lock_not_consulted: LockNotConsulted breaks "the end before anybody", BASE;
    joins_loaded_last: JoinsLoadedLast breaks "the end before anybody", BASE;
    failed_loaded_first: FailedLoadedFirst breaks "the end before anybody", BASE;
    failures_in_base: FailuresInBase breaks "the end not seen", BASE;
    fewer_are_news: FewerAreNews breaks "the end before anybody", BASE;
    failure_lowers_joins: FailureLowersJoins breaks "the end before anybody", BASE;
    failure_posts_nobody: FailurePostsNobody breaks "the end not seen", BASE;
    drained_last: DrainedLast breaks "the end not seen", BASE;
    registers_unlocked: RegistersUnlocked breaks "the end not seen", BASE;
    joins_before_lock: JoinsBeforeLock breaks "the end before anybody", BASE;
    joins_after_lock: JoinsAfterLock breaks "the end not seen", Config { kills: 1, ..BASE };
}
