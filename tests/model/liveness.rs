//! Progress in the long run, asked of the whole graph of states once [`crate::search`] has found them all.
//!
//! *Drains* walks the progress steps backwards from the goal states, for every set of participants stopped
//! for ever at once: bit `z` of a state's mask says that the goal for stopped set `z` can be reached without
//! a step of anybody in `z`. *No livelock* removes states without a predecessor until none is left; what
//! remains then lies on a cycle or behind one. Both speak of what can happen under a scheduler that may be
//! kind, not of fairness.

use crate::search::Liveness;

/// The progress steps between the states, in the order in which their sources were visited.
pub(crate) struct Graph {
    question: Liveness,
    /// Target in the low 28 bits, actor above.
    edges: Vec<u32>,
    /// Where each state's edges end.
    ends: Vec<u32>,
    goals: Vec<u32>,
    duties: Vec<u32>,
}

const TARGET: u32 = (1 << 28) - 1;

impl Graph {
    /// A graph that keeps what `question` needs.
    pub(crate) fn new(question: Liveness) -> Self {
        Self { question, edges: Vec::new(), ends: Vec::new(), goals: Vec::new(), duties: Vec::new() }
    }

    /// Adds a progress step from the state that is being visited.
    pub(crate) fn edge(&mut self, target: u32, actor: u8) {
        if self.question != Liveness::Unasked {
            self.edges.push(target | u32::from(actor) << 28);
        }
    }

    /// Ends the visit of a state.
    pub(crate) fn close(&mut self, goals: u32, duties: u32) {
        if self.question == Liveness::Unasked {
            return;
        }
        self.ends.push(self.edges.len() as u32);
        if self.question == Liveness::Drains {
            self.goals.push(goals);
            self.duties.push(duties);
        }
    }

    /// The number of (state, stopped set) pairs that reach the goal, or the rule that is broken and where.
    pub(crate) fn judge(self) -> Result<u64, (&'static str, usize)> {
        match self.question {
            Liveness::Unasked => Ok(0),
            Liveness::Drains => self.drains(),
            Liveness::NoLivelock => self.no_livelock(),
        }
    }

    fn drains(mut self) -> Result<u64, (&'static str, usize)> {
        let reversed = self.reverse();
        let mut reach = self.goals;
        let mut waiting = vec![false; reach.len()];
        let mut work: Vec<u32> =
            (0..reach.len() as u32).filter(|&state| reach[state as usize] != 0).collect();
        while let Some(state) = work.pop() {
            let state = state as usize;
            waiting[state] = false;
            for edge in reversed.sources(state) {
                let (source, actor) = ((edge & TARGET) as usize, edge >> 28);
                let gained = reach[state] & without(actor) & !reach[source];
                if gained != 0 {
                    reach[source] |= gained;
                    if !waiting[source] {
                        waiting[source] = true;
                        work.push(source as u32);
                    }
                }
            }
        }
        let wedged = (0..reach.len()).find(|&state| self.duties[state] & !reach[state] != 0);
        match wedged {
            Some(state) => {
                Err(("L wedged: those not stopped can no longer drain and recover the ring", state))
            }
            None => Ok(reach.iter().map(|mask| u64::from(mask.count_ones())).sum()),
        }
    }

    fn no_livelock(self) -> Result<u64, (&'static str, usize)> {
        let mut incoming = vec![0_u32; self.ends.len()];
        for edge in &self.edges {
            incoming[(edge & TARGET) as usize] += 1;
        }
        let mut work: Vec<u32> = (0..incoming.len() as u32).filter(|&x| incoming[x as usize] == 0).collect();
        let mut removed = 0;
        while let Some(state) = work.pop() {
            removed += 1;
            let state = state as usize;
            let begin = if state == 0 { 0 } else { self.ends[state - 1] };
            for edge in &self.edges[begin as usize..self.ends[state] as usize] {
                let target = edge & TARGET;
                incoming[target as usize] -= 1;
                if incoming[target as usize] == 0 {
                    work.push(target);
                }
            }
        }
        match incoming.iter().position(|&count| count != 0) {
            Some(state) if removed < incoming.len() => Err(("livelock: a cycle of progress steps", state)),
            _ => Ok(0),
        }
    }

    /// The same edges by target: counting sort. Frees the forward edges.
    fn reverse(&mut self) -> Reversed {
        let edges = std::mem::take(&mut self.edges);
        let ends = std::mem::take(&mut self.ends);
        let mut begins = vec![0_u32; ends.len() + 2];
        for edge in &edges {
            begins[(edge & TARGET) as usize + 2] += 1;
        }
        for index in 1..begins.len() {
            begins[index] += begins[index - 1];
        }
        let mut sources = vec![0_u32; edges.len()];
        let mut at = 0;
        for (source, end) in ends.iter().enumerate() {
            while at < *end {
                let edge = edges[at as usize];
                let place = &mut begins[(edge & TARGET) as usize + 1];
                sources[*place as usize] = source as u32 | edge & !TARGET;
                *place += 1;
                at += 1;
            }
        }
        Reversed { begins, edges: sources }
    }
}

struct Reversed {
    begins: Vec<u32>,
    edges: Vec<u32>,
}

impl Reversed {
    /// The edges that lead into `state`.
    fn sources(&self, state: usize) -> impl Iterator<Item = u32> + '_ {
        self.edges[self.begins[state] as usize..self.begins[state + 1] as usize].iter().copied()
    }
}

/// The stopped sets that do not contain `actor`, one bit each (up to five participants).
fn without(actor: u32) -> u32 {
    [0x5555_5555, 0x3333_3333, 0x0F0F_0F0F, 0x00FF_00FF, 0x0000_FFFF][actor as usize]
}
