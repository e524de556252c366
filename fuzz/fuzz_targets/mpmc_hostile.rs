//! Both ends of an MPMC ring, and whoever settles what the dead left, against a peer that writes any word at any moment,
//! also between two reads of one word: nobody changes a word but its own and the stamps it has claimed or settles,
//! nobody copies more than a slot holds, and everybody comes to an end.
#![no_main]

mod hostile_input;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: hostile_input::Input| input.run(false));
