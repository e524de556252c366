//! How far a pair is: semaphore 0 of its set, which is changed only under the lock (semaphore 1) and never undone.

use super::set::{Set, lost};
use crate::error::{Error, Result};
use crate::os;
use crate::os::sem::{NOWAIT, sembuf};

/// The semaphore that says it.
pub(crate) const IDENT: u16 = 0;

/// How far the pair of set and segment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing but the set.
    New,
    /// A segment without magic may be there.
    Building,
    /// The segment is complete.
    Ready,
}

/// What the semaphore is in each stage of one format, but 0 in the first. Odd numbers that a foreign set hardly holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stages {
    /// What such a pair is, in a message.
    kind: &'static str,
    building: u16,
    ready: u16,
}

impl Stages {
    pub(crate) const CHANNEL: Stages = Stages { kind: "a channel", building: 0x2b5d, ready: 0x5eb1 };
    pub(crate) const TABLE: Stages = Stages { kind: "a table", building: 0x3d71, ready: 0x6ae9 };
    pub(crate) const BOARD: Stages = Stages { kind: "a board", building: 0x1f85, ready: 0x52cb };

    /// What a set is that is in no stage of the format that was asked for.
    pub(crate) fn other(ident: u16) -> String {
        let all = [Self::CHANNEL, Self::TABLE, Self::BOARD];
        match all.iter().find(|stages| stages.stage(ident).is_some()) {
            Some(stages) => format!("it is {}", stages.kind),
            None => format!("its first semaphore is {ident:#x}"),
        }
    }

    /// `None` if no set of that format would say so.
    pub(crate) fn stage(self, ident: u16) -> Option<Stage> {
        [Stage::New, Stage::Building, Stage::Ready].into_iter().find(|&stage| self.ident(stage) == ident)
    }

    pub(crate) fn ident(self, stage: Stage) -> u16 {
        match stage {
            Stage::New => 0,
            Stage::Building => self.building,
            Stage::Ready => self.ready,
        }
    }
}

/// How far a pair is.
///
/// # Errors
/// `Removed`, also if no set of ours would say so: it is not the one that was verified.
pub(crate) fn stage<S: Set>(set: &S) -> Result<Stage> {
    let ident = os::sem::value(set.id(), IDENT).map_err(lost)?;
    S::STAGES.stage(ident).ok_or(Error::Removed)
}

/// How far a pair is, unless its lock is held at this moment.
pub(crate) fn stage_at_rest<S: Set>(set: &S) -> Result<Option<Stage>> {
    let mut values = vec![0; set.set_id().len()];
    os::sem::values(set.set_id(), &mut values).map_err(lost)?;
    match values[..] {
        [ident, 0, ..] => Ok(S::STAGES.stage(ident)),
        _ => Ok(None),
    }
}

/// Moves the stage; under the lock.
pub(crate) fn set_stage<S: Set>(set: &S, stage: Stage) -> Result<()> {
    let now = os::sem::value(set.id(), IDENT).map_err(lost)?;
    match i32::from(S::STAGES.ident(stage)) - i32::from(now) {
        0 => Ok(()),
        step => os::sem::op(set.id(), &[sembuf(IDENT, step as i16, NOWAIT)]).map_err(lost),
    }
}
