//! The ends of an SPSC ring against a peer that writes any word at any moment, also between two reads of one word: each
//! end goes by its own position, changes no word but its own, copies no more than a slot holds, and comes to an end.
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
    hostile::against_a_peer(true, input.capacity, input.size, input.origin, steps);
});
