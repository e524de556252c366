//! Breadth-first search of every reachable state of a small system of communicating participants.
//!
//! A [`System`] says which states follow a state; [`explore`] visits them all, each once, stops at the first
//! violation and rebuilds the shortest path to it. States are kept bit-packed in one arena, found again
//! through an open-addressing table of indices, and remember only their parent. Progress in the long run is
//! asked of [`crate::liveness`].
//!
//! The search knows nothing of rings or sleepers, and checks interleavings only: every step is atomic and
//! seen by all.

use crate::bits::Bits;
use crate::liveness;

/// States above this many make the search give up (an edge keeps four bits for its actor).
const CEILING: usize = 1 << 28;

/// One successor of a state.
pub(crate) struct Step<T> {
    /// The state after the step.
    pub(crate) next: T,
    /// Who moves; a number below 16.
    pub(crate) actor: u8,
    /// Whether the step counts when asking for progress. Deaths, registrations and changes of mind do not.
    pub(crate) progress: bool,
    /// What happens, for the counter-example.
    pub(crate) what: &'static str,
}

/// The successors of one state, and the violation that one of its steps commits, if any.
pub(crate) struct Steps<T> {
    /// In a fixed order, so that every run visits the states in the same order.
    pub(crate) list: Vec<Step<T>>,
    /// The first rule broken by a step from this state.
    pub(crate) violation: Option<&'static str>,
}

impl<T> Steps<T> {
    /// Adds a step that counts as progress.
    pub(crate) fn go(&mut self, next: T, actor: usize, what: &'static str) {
        self.list.push(Step { next, actor: actor as u8, progress: true, what });
    }

    /// Adds a step that does not.
    pub(crate) fn may(&mut self, next: T, actor: usize, what: &'static str) {
        self.list.push(Step { next, actor: actor as u8, progress: false, what });
    }

    /// Reports a broken rule.
    pub(crate) fn fail(&mut self, why: &'static str) {
        self.violation.get_or_insert(why);
    }
}

/// What a look at one state says.
pub(crate) enum Verdict {
    /// Nothing to say.
    Fine,
    /// Worth counting, though allowed.
    Noted,
    /// A rule is broken.
    Violation(&'static str),
}

/// A system of participants that take atomic steps.
pub(crate) trait System {
    /// An unpacked state.
    type State: Copy + Default;

    /// The one initial state.
    fn start(&self) -> Self::State;

    /// Passes every field of `state` to `bits`, in a fixed order.
    fn layout(&self, state: &mut Self::State, bits: &mut Bits);

    /// The packed state that stands for `state`: itself, or the least of those that differ by names only.
    fn canonical(&self, state: &Self::State) -> Bits {
        pack(self, state)
    }

    /// All steps from `state`.
    fn steps(&self, state: &Self::State, steps: &mut Steps<Self::State>);

    /// Judges a state; `moves` says whether a step of progress leaves it.
    fn check(&self, state: &Self::State, moves: bool) -> Verdict;

    /// For each set of participants stopped for ever (bit number = the set), whether the others have achieved
    /// it all.
    fn goals(&self, _: &Self::State) -> u32 {
        0
    }

    /// For each such set, whether the others owe that the goal stays within reach.
    fn duties(&self, _: &Self::State) -> u32 {
        0
    }

    /// What progress in the long run means here.
    fn liveness(&self) -> Liveness;

    /// The name of an actor.
    fn actor(&self, actor: u8) -> String;

    /// One line that describes a state.
    fn show(&self, state: &Self::State) -> String;
}

/// The question asked about progress once every state is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// None.
    Unasked,
    /// From every state with a duty its goal can be reached by the steps of those not stopped.
    Drains,
    /// No cycle of progress steps: nobody runs for ever without an outside event.
    NoLivelock,
}

/// Packs a state as it is.
pub(crate) fn pack<S: System + ?Sized>(system: &S, state: &S::State) -> Bits {
    let mut bits = Bits::writer();
    system.layout(&mut state.clone(), &mut bits);
    bits
}

/// What an exhaustive search found.
#[derive(Debug)]
pub(crate) struct Report {
    /// Distinct states reached before the search ended.
    pub(crate) states: usize,
    /// States that no step of progress leaves.
    pub(crate) quiescent: usize,
    /// States noted by [`System::check`].
    pub(crate) noted: usize,
    /// Pairs of a state and a stopped set from which the others reach the goal.
    pub(crate) drains: u64,
    /// The broken rule, and the shortest way to break it.
    pub(crate) failure: Option<Failure>,
}

/// A broken rule.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Which rule.
    pub(crate) why: &'static str,
    /// A line for each step, from the initial state.
    pub(crate) path: Vec<String>,
}

/// Every state found so far, numbered in the order of discovery.
struct Store {
    stride: usize,
    words: Vec<u64>,
    table: Vec<u32>,
    parent: Vec<u32>,
}

impl Store {
    const VACANT: u32 = u32::MAX;

    fn new(width: u32) -> Self {
        let stride = width.div_ceil(64) as usize;
        Self { stride, words: Vec::new(), table: vec![Self::VACANT; 1 << 12], parent: Vec::new() }
    }

    fn len(&self) -> usize {
        self.parent.len()
    }

    fn packed(&self, index: usize) -> &[u64] {
        &self.words[index * self.stride..][..self.stride]
    }

    fn unpack<S: System>(&self, system: &S, index: usize) -> S::State {
        let mut state = S::State::default();
        system.layout(&mut state, &mut Bits::reader(self.packed(index)));
        state
    }

    /// The place of `packed` in the table, or the vacant place where it belongs.
    fn place(&self, packed: &[u64]) -> usize {
        let mask = self.table.len() - 1;
        let mut hash = 0x9E37_79B9_7F4A_7C15_u64;
        for word in packed {
            hash = (hash ^ word).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
            hash ^= hash >> 32;
        }
        hash = hash.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        let mut place = (hash ^ hash >> 29) as usize & mask;
        while self.table[place] != Self::VACANT && self.packed(self.table[place] as usize) != packed {
            place = (place + 1) & mask;
        }
        place
    }

    /// The number of `bits`, which is new if nobody came here before.
    fn intern(&mut self, bits: &Bits, parent: usize) -> u32 {
        let packed = bits.words(self.stride);
        let place = self.place(packed);
        if self.table[place] != Self::VACANT {
            return self.table[place];
        }
        let index = self.len() as u32;
        self.table[place] = index;
        self.words.extend_from_slice(packed);
        self.parent.push(parent as u32);
        if self.len() * 10 >= self.table.len() * 7 {
            self.table = vec![Self::VACANT; self.table.len() * 2];
            for known in 0..self.len() {
                let place = self.place(self.packed(known));
                self.table[place] = known as u32;
            }
        }
        index
    }

    /// The steps from the initial state to state `last`.
    fn path<S: System>(&self, system: &S, last: usize) -> Vec<String> {
        let mut path = vec![last];
        while path[path.len() - 1] != 0 {
            path.push(self.parent[path[path.len() - 1]] as usize);
        }
        path.reverse();
        let mut lines = vec![format!("start | {}", system.show(&self.unpack(system, 0)))];
        for pair in path.windows(2) {
            let mut steps = Steps { list: Vec::new(), violation: None };
            system.steps(&self.unpack(system, pair[0]), &mut steps);
            let step = steps
                .list
                .iter()
                .find(|step| system.canonical(&step.next).words(self.stride) == self.packed(pair[1]));
            let (who, what) = step.map_or((String::new(), "?"), |step| (system.actor(step.actor), step.what));
            lines.push(format!("{who} {what} | {}", system.show(&self.unpack(system, pair[1]))));
        }
        lines
    }
}

/// Visits every reachable state of `system`, or those up to the first violation.
///
/// # Panics
///
/// If there are more than 2^28 states: the configuration is too big to say anything.
pub(crate) fn explore<S: System>(system: &S) -> Report {
    let first = system.canonical(&system.start());
    let mut store = Store::new(first.at());
    store.intern(&first, 0);
    let mut graph = liveness::Graph::new(system.liveness());
    let mut report = Report { states: 0, quiescent: 0, noted: 0, drains: 0, failure: None };
    let mut steps = Steps { list: Vec::new(), violation: None };
    let mut broken = None;
    let mut visited = 0;
    while visited < store.len() && broken.is_none() {
        let state = store.unpack(system, visited);
        steps.list.clear();
        system.steps(&state, &mut steps);
        broken = steps.violation.map(|why| (why, visited));
        let moves = steps.list.iter().any(|step| step.progress);
        report.quiescent += usize::from(!moves);
        match system.check(&state, moves) {
            Verdict::Fine => {}
            Verdict::Noted => report.noted += 1,
            Verdict::Violation(why) => broken = broken.or(Some((why, visited))),
        }
        for step in &steps.list {
            let next = store.intern(&system.canonical(&step.next), visited);
            if step.progress {
                graph.edge(next, step.actor);
            }
        }
        graph.close(system.goals(&state), system.duties(&state));
        visited += 1;
        assert!(store.len() < CEILING, "more than {CEILING} states");
    }
    report.states = store.len();
    if broken.is_none() {
        store.table = Vec::new();
        match graph.judge() {
            Ok(drains) => report.drains = drains,
            Err(found) => broken = Some(found),
        }
    }
    report.failure = broken.map(|(why, index)| Failure { why, path: store.path(system, index) });
    report
}
