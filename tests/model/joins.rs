//! Model of the end of the stream (docs/design.md section 7): when a handle may say that the other side is gone, and when
//! it must.
//!
//! One handle registers, looks, and sleeps until it is woken. Its peers register, leave, or are killed; each comes once,
//! and may stay away or be stopped for ever before any step. What a peer writes is three steps: LOCK, JOINS, and one
//! semop(2) for lease, count and LOCK; where that one fails, FAILED, and LOCK given back. A release of LOCK, leaving and
//! a death post the handle.
//!
//! Not modelled: repair and the ring (`wait.rs` has them).

use crate::bits::{Bits, coded};
use crate::search::{Liveness, Steps, System, Verdict};

/// Most peers.
const PEERS: usize = 3;
/// The handle, among the actors and as a holder of LOCK.
const HANDLE: usize = PEERS;

/// A rule that is removed. Each must make the search find a violation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutant {
    /// Only JOINS tells that somebody has been there.
    SeenNotConsulted,
    /// Only who was seen has been there.
    JoinsNotConsulted,
    /// The handle does not look at the count.
    CountNotConsulted,
    /// The handle does not ask whether LOCK was free.
    LockNotConsulted,
    /// The handle loads JOINS after the snapshot.
    JoinsLoadedLast,
    /// The handle loads FAILED before the snapshot.
    FailedLoadedFirst,
    /// What the handle finds when it comes are joins, with those that failed.
    FailuresInBase,
    /// Fewer joins than there were when the handle came, less failures, are news as well.
    FewerAreNews,
    /// A peer whose registration fails lowers JOINS again.
    FailureLowersJoins,
    /// A peer whose registration fails posts nobody when it gives LOCK back.
    FailurePostsNobody,
    /// The handle drains its tokens with the snapshot, and does not look once more.
    DrainedLast,
    /// The handle registers without LOCK.
    RegistersUnlocked,
    /// A peer raises JOINS before it has LOCK.
    JoinsBeforeLock,
    /// A peer raises JOINS when it has given LOCK back.
    JoinsAfterLock,
}

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) peers: usize,
    pub(crate) kills: u8,
    /// The rule that is removed.
    pub(crate) mutant: Option<Mutant>,
}

coded! {
    /// What a peer does next.
    Peer, 3 bits { Lock, Joins, Register, LateJoins, GiveUp, Leave, Gone, }
}

coded! {
    /// What the handle does next.
    Pc, 4 bits { Lock, Count, Base, Drain, Joins, Snapshot, Failed, Asleep, End, }
}

#[derive(Clone, Copy, Default)]
pub(crate) struct State {
    peer: [Peer; PEERS],
    joins: u8,
    failed: u8,
    count: u8,
    /// 0, or 1 + its holder.
    lock: u8,
    /// The handle: what it does next, whether it has been posted, what it knows.
    pc: Pc,
    posted: bool,
    seen: bool,
    base: u8,
    joined: u8,
    lost: u8,
    /// By its snapshot, nobody was there and LOCK was free.
    deserted: bool,
    /// At its snapshot, somebody was there.
    peopled: bool,
    /// Somebody was there when the handle came, or has been since; so has who died behind JOINS.
    been: bool,
    kills: u8,
}

pub(crate) struct Joins(Config);

impl Joins {
    pub(crate) fn new(config: Config) -> Self {
        assert!(config.peers <= PEERS);
        Joins(config)
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.0.mutant == Some(mutant)
    }

    /// The next step of a peer. It may stop for ever before any of them: none is owed.
    fn peer(&self, s: &State, i: usize, steps: &mut Steps<State>) {
        let mut t = *s;
        t.peer[i] = match s.peer[i] {
            Peer::Lock if s.lock != 0 => return,
            Peer::Lock => {
                t.lock = i as u8 + 1;
                let later = self.is(Mutant::JoinsBeforeLock) || self.is(Mutant::JoinsAfterLock);
                if later { Peer::Register } else { Peer::Joins }
            }
            Peer::Joins => {
                t.joins += 1;
                if self.is(Mutant::JoinsBeforeLock) { Peer::Lock } else { Peer::Register }
            }
            Peer::Register => {
                self.failure(s, i, steps);
                (t.count, t.lock, t.posted, t.been) = (s.count + 1, 0, true, true);
                if self.is(Mutant::JoinsAfterLock) { Peer::LateJoins } else { Peer::Leave }
            }
            Peer::LateJoins => {
                t.joins += 1;
                Peer::Leave
            }
            Peer::GiveUp => {
                t.lock = 0;
                t.posted |= !self.is(Mutant::FailurePostsNobody);
                Peer::Gone
            }
            Peer::Leave => {
                (t.count, t.posted) = (s.count - 1, true);
                Peer::Gone
            }
            Peer::Gone => return,
        };
        steps.may(t, i, s.peer[i].name());
    }

    /// The step that registers a peer fails instead: nobody has come.
    fn failure(&self, s: &State, i: usize, steps: &mut Steps<State>) {
        let mut t = *s;
        if self.is(Mutant::FailureLowersJoins) {
            t.joins -= 1;
        } else if !self.is(Mutant::JoinsAfterLock) {
            t.failed += 1;
        }
        t.peer[i] = Peer::GiveUp;
        steps.may(t, i, "fails to register");
    }

    /// A peer that has something to lose is killed: the kernel takes back lease, count and LOCK, and posts.
    fn kill(&self, s: &State, i: usize, steps: &mut Steps<State>) {
        let mut t = *s;
        match s.peer[i] {
            Peer::Lock | Peer::Gone => return,
            Peer::Joins | Peer::GiveUp => {}
            Peer::Register => t.been |= !self.is(Mutant::JoinsAfterLock),
            Peer::LateJoins | Peer::Leave => t.count -= 1,
        }
        if usize::from(s.lock) == i + 1 {
            t.lock = 0;
        }
        (t.peer[i], t.posted, t.kills) = (Peer::Gone, true, s.kills + 1);
        steps.may(t, i, "is killed");
    }

    /// The next step of the handle.
    fn handle(&self, s: &State, steps: &mut Steps<State>) {
        let mut t = *s;
        t.pc = match s.pc {
            Pc::Lock if self.is(Mutant::RegistersUnlocked) => Pc::Count,
            Pc::Lock if s.lock != 0 => return,
            Pc::Lock => {
                t.lock = HANDLE as u8 + 1;
                Pc::Count
            }
            Pc::Count => {
                t.seen = s.count > 0;
                t.been = t.seen;
                Pc::Base
            }
            Pc::Base => {
                t.base = if self.is(Mutant::FailuresInBase) { s.joins } else { s.joins - s.failed };
                if usize::from(s.lock) == HANDLE + 1 {
                    t.lock = 0;
                }
                Pc::Drain
            }
            Pc::Drain => {
                t.posted &= self.is(Mutant::DrainedLast);
                self.look()[0]
            }
            Pc::Joins => {
                t.joined = s.joins;
                self.next(&t, steps)
            }
            Pc::Snapshot => {
                t.posted &= !self.is(Mutant::DrainedLast);
                t.seen |= s.count > 0;
                t.peopled = s.count > 0;
                t.deserted = (s.count == 0 || self.is(Mutant::CountNotConsulted))
                    && (s.lock == 0 || self.is(Mutant::LockNotConsulted));
                self.next(&t, steps)
            }
            Pc::Failed => {
                t.lost = s.failed;
                self.next(&t, steps)
            }
            Pc::Asleep if !s.posted => return,
            Pc::Asleep => Pc::Drain,
            Pc::End => {
                t.pc = Pc::Drain;
                return steps.may(t, HANDLE, "asks again");
            }
        };
        steps.go(t, HANDLE, s.pc.name());
    }

    /// What a look loads, in order.
    fn look(&self) -> [Pc; 3] {
        match self.0.mutant {
            Some(Mutant::JoinsLoadedLast) => [Pc::Snapshot, Pc::Failed, Pc::Joins],
            Some(Mutant::FailedLoadedFirst) => [Pc::Joins, Pc::Failed, Pc::Snapshot],
            _ => [Pc::Joins, Pc::Snapshot, Pc::Failed],
        }
    }

    /// Goes on with the look; judges when it is complete.
    fn next(&self, s: &State, steps: &mut Steps<State>) -> Pc {
        let rest = self.look().into_iter().skip_while(|pc| *pc != s.pc).nth(1);
        rest.unwrap_or_else(|| self.judge(s, steps))
    }

    /// Is the other side gone, by what the handle knows now?
    fn judge(&self, s: &State, steps: &mut Steps<State>) -> Pc {
        let seen = s.seen && !self.is(Mutant::SeenNotConsulted);
        let (joined, known) = (s.joined, s.base + s.lost);
        let news = joined > known || joined < known && self.is(Mutant::FewerAreNews);
        if !s.deserted || !(seen || news && !self.is(Mutant::JoinsNotConsulted)) {
            return Pc::Asleep;
        }
        if !s.been {
            steps.fail("the end before anybody has been there");
        }
        if s.peopled {
            steps.fail("the end with somebody there");
        }
        Pc::End
    }
}

impl System for Joins {
    type State = State;

    fn start(&self) -> State {
        let first = if self.is(Mutant::JoinsBeforeLock) { Peer::Joins } else { Peer::Lock };
        State { peer: [first; PEERS], ..State::default() }
    }

    fn layout(&self, s: &mut State, bits: &mut Bits) {
        s.peer[..self.0.peers].iter_mut().for_each(|peer| peer.pass(bits));
        s.pc.pass(bits);
        let words = [&mut s.joins, &mut s.failed, &mut s.count, &mut s.lock];
        for field in words.into_iter().chain([&mut s.base, &mut s.joined, &mut s.lost, &mut s.kills]) {
            bits.field(field, 3);
        }
        for flag in [&mut s.posted, &mut s.seen, &mut s.deserted, &mut s.peopled, &mut s.been] {
            bits.flag(flag);
        }
    }

    fn steps(&self, s: &State, steps: &mut Steps<State>) {
        for i in 0..self.0.peers {
            self.peer(s, i, steps);
            if s.kills < self.0.kills {
                self.kill(s, i, steps);
            }
        }
        self.handle(s, steps);
    }

    fn check(&self, s: &State, _: bool) -> Verdict {
        let due = s.been && s.count == 0 && s.lock == 0;
        match s.pc {
            Pc::Asleep if due && !s.posted => Verdict::Violation("the end not seen by a sleeper"),
            _ => Verdict::Fine,
        }
    }

    fn liveness(&self) -> Liveness {
        Liveness::NoLivelock
    }

    fn actor(&self, actor: u8) -> String {
        if usize::from(actor) == HANDLE { "handle".into() } else { format!("peer {actor}") }
    }

    fn show(&self, s: &State) -> String {
        let peers: Vec<_> = s.peer[..self.0.peers].iter().map(|peer| peer.name()).collect();
        let shared = format!("joins {}, failed {}, count {}, LOCK {}", s.joins, s.failed, s.count, s.lock);
        let known = format!("base {}, seen {}, joined {}, lost {}", s.base, s.seen, s.joined, s.lost);
        let known = format!("{known}, posted {}", s.posted);
        format!("{shared}; handle {} ({known}); {}", s.pc.name(), peers.join(", "))
    }
}
