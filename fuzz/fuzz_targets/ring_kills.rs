//! Participants of one ring are killed before any of their stores, and others settle what they left, among them some that
//! are killed at it. A plain model knows what each position holds; in the end everything that was sent has come out.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use semring::hostile;

#[derive(Arbitrary, Debug)]
struct Input {
    spsc: bool,
    capacity: u8,
    size: u8,
    participants: u8,
    origin: u64,
    /// Who, what, how, and before which store that one is killed.
    actions: Vec<(u8, u8, u8, Option<u8>)>,
}

fuzz_target!(|input: Input| {
    let actions: Vec<_> = input.actions.iter().take(400).copied().collect();
    hostile::with_kills(input.spsc, input.capacity, input.size, input.participants, input.origin, &actions);
});
