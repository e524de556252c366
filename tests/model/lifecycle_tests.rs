//! The configurations of the lifecycle model: what holds, and how each mutant fails.

use crate::lifecycle::{Config, Lifecycle, Mutant};
use crate::{fails, holds};

/// Two creators and a remover.
const BASE: Config = Config { processes: 3, remover: true, kills: 2, outside: [0, 0], mutant: None };

#[test]
fn two_deaths() {
    holds("two deaths", &Lifecycle(BASE), 1743);
}

#[test]
fn three_creators() {
    holds("three creators", &Lifecycle(Config { remover: false, ..BASE }), 1896);
}

#[test]
fn removed_behind_our_back() {
    holds("removed behind our back", &Lifecycle(Config { kills: 1, outside: [1, 1], ..BASE }), 52067);
}

/// With the rule removed the search finds a violation.
macro_rules! mutants {
    ($($name:ident: $mutant:ident breaks $rule:literal, $config:expr;)*) => {$(
        #[test]
        fn $name() {
            let mutant = Some(Mutant::$mutant);
            fails(stringify!($mutant), &Lifecycle(Config { mutant, ..$config }), $rule);
        }
    )*};
}

mutants! {
    segment_before_stage: SegmentBeforeStage breaks "what is ours", BASE;
    orphan_used: OrphanUsed breaks "a former user", BASE;
    dirty_set_used: DirtySetUsed breaks "two channels", Config { outside: [0, 1], ..BASE };
    no_undo: NoUndo breaks "somebody waits", BASE;
    wreck_kept: WreckKept breaks "what is ours", BASE;
    removes_by_key: RemovesByKey breaks "a segment is removed", BASE;
    builds_unlocked: BuildsUnlocked breaks "what is ours", BASE;
}
