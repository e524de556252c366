//! What anyone can see of who has a place, and what follows from it. Pure.

use std::time::Duration;

use super::layout::NOTES;

/// What has become of who has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Life {
    /// It holds its lease, and has not said anything of itself yet: at most for some instructions, unless it is stopped.
    Starting,
    /// It holds its lease, and beats as it promised if it did.
    Alive,
    /// It holds its lease, and has been silent for longer than it promised.
    Hung,
    /// The kernel took its lease back: it has ended, whether it wanted to or not.
    Dead,
}

impl std::fmt::Display for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Life::Starting => "starting",
            Life::Alive => "alive",
            Life::Hung => "hung",
            Life::Dead => "dead",
        })
    }
}

/// Who has a place, as [`Board::members`](super::Board::members) saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Index of the place.
    pub place: usize,
    /// Its name.
    pub name: String,
    /// Is the place a supervisor's, so that it stays when its holder dies?
    pub kept: bool,
    /// Dead or alive, and if so how.
    pub life: Life,
    /// The holder, or the last one; 0 if it never had one, or it is in another pid namespace.
    pub pid: i32,
    /// The silence that it promised to stay below.
    pub silence: Option<Duration>,
    /// For how long it has been silent: since its last beat, or since it began to live.
    pub silent_for: Duration,
    /// For how long it has lived; for a dead one, how long ago it began.
    pub age: Duration,
    /// How often the place was claimed.
    pub starts: u64,
    /// What its keeper keeps there, see [`Place::note`](super::Place::note).
    pub notes: [u64; NOTES],
}

/// The words of a holder and what the kernel says of it, all of one look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signs {
    /// Who holds the lease, if anybody.
    pub(crate) holder: Option<i32>,
    /// Whose the other words are.
    pub(crate) pid: i32,
    pub(crate) beat: u64,
    pub(crate) since: u64,
    /// 0: none promised.
    pub(crate) silence: u64,
}

impl Signs {
    /// Nanoseconds since the last sign of life. A clock that is behind (or a hostile word ahead of it) makes none.
    pub(crate) fn silent_for(&self, now: u64) -> u64 {
        now.saturating_sub(self.beat.max(self.since))
    }

    pub(crate) fn life(&self, now: u64) -> Life {
        match self.holder {
            None => Life::Dead,
            // 0: a holder in another pid namespace; its words are all there is.
            Some(holder) if holder != 0 && holder != self.pid => Life::Starting,
            Some(_) if self.silence != 0 && self.silent_for(now) > self.silence => Life::Hung,
            Some(_) => Life::Alive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn death_is_the_leases_and_silence_never_is() {
        let signs = Signs { holder: Some(7), pid: 7, beat: 100, since: 50, silence: 10 };
        assert_eq!(signs.life(110), Life::Alive);
        assert_eq!(signs.life(111), Life::Hung);
        assert_eq!(Signs { silence: 0, ..signs }.life(u64::MAX), Life::Alive);
        assert_eq!(Signs { holder: None, ..signs }.life(100), Life::Dead);
        assert_eq!(Signs { holder: None, ..signs }.life(u64::MAX), Life::Dead);
    }

    /// The words are a former holder's until PID is written.
    #[test]
    fn nobody_is_hung_by_the_words_of_the_dead() {
        let signs = Signs { holder: Some(8), pid: 7, beat: 100, since: 50, silence: 10 };
        assert_eq!(signs.life(u64::MAX), Life::Starting);
        assert_eq!(Signs { holder: Some(0), ..signs }.life(105), Life::Alive);
    }

    #[test]
    fn clocks_that_disagree_and_hostile_words_make_no_silence() {
        let signs = Signs { holder: Some(7), pid: 7, beat: u64::MAX, since: 0, silence: 1 };
        assert_eq!((signs.silent_for(5), signs.life(5)), (0, Life::Alive));
    }
}
