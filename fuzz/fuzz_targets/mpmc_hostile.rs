//! Both ends of an MPMC ring, and whoever settles what the dead left, against a peer that writes any word at any moment,
//! also between two reads of one word: nobody changes a word but its own and the stamps it has claimed or settles,
//! nobody copies more than a slot holds, and everybody comes to an end.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use semring::hostile::{self, Step};

#[derive(Arbitrary, Debug)]
struct Input {
    capacity: u8,
    size: u8,
    origin: u64,
    steps: Vec<Step>,
}

fuzz_target!(|input: Input| {
    let steps = &input.steps[..input.steps.len().min(200)];
    hostile::against_a_peer(false, input.capacity, input.size, input.origin, steps);
});
