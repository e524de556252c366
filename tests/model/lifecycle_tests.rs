//! The configurations of the lifecycle model: what holds, and how each mutant fails.

use crate::cases::{hold, mutants};
use crate::lifecycle::{Config, Lifecycle, Mutant};

/// Two creators and a remover.
const BASE: Config = Config { processes: 3, remover: true, kills: 2, outside: [0, 0], mutant: None };

hold! { Lifecycle if true;
    two_deaths: 1743, BASE;
    three_creators: 1896, Config { remover: false, ..BASE };
    removed_behind_our_back: 52067, Config { kills: 1, outside: [1, 1], ..BASE };
}

mutants! { Lifecycle;
    segment_before_stage: SegmentBeforeStage breaks "what is ours", BASE;
    orphan_used: OrphanUsed breaks "a former user", BASE;
    dirty_set_used: DirtySetUsed breaks "two channels", Config { outside: [0, 1], ..BASE };
    no_undo: NoUndo breaks "somebody waits", BASE;
    wreck_kept: WreckKept breaks "what is ours", BASE;
    removes_by_key: RemovesByKey breaks "a segment is removed", BASE;
    builds_unlocked: BuildsUnlocked breaks "what is ours", BASE;
}
