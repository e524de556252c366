//! What both rings meet: a ring of some size, and what its ends and the peer do.

use arbitrary::Arbitrary;
use semring::hostile::{self, Step};

#[derive(Arbitrary, Debug)]
pub struct Input {
    capacity: u8,
    size: u8,
    origin: u64,
    steps: Vec<Step>,
}

impl Input {
    pub fn run(&self, spsc: bool) {
        let steps = &self.steps[..self.steps.len().min(200)];
        hostile::against_a_peer(spsc, self.capacity, self.size, self.origin, steps);
    }
}
