//! The ends of an SPSC ring against a peer that writes any word at any moment, also between two reads of one word: each
//! end goes by its own position, changes no word but its own, copies no more than a slot holds, and comes to an end.
#![no_main]

mod hostile_input;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: hostile_input::Input| input.run(true));
