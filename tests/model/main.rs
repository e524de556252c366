//! The project's own model checker: the protocols of the ring and of sleeping and waking, explored
//! exhaustively.
//!
//! These are models, not the code: every access to shared memory is one step of a participant that may be
//! killed or stopped before it, and a breadth-first search visits every state that any schedule can reach.
//! Each rule of the protocols can be removed by a named mutant, and for each mutant the search must find a
//! violation.
//!
//! ```text
//! bits      packed states                     search    visits every state, shortest counter-example
//! liveness  progress, asked of the whole graph
//! ring      state, rules     ring_ops   push, pop, redelivery     ring_give     giving back
//!                            ring_recover  the dead               ring_world    kernel, properties
//! wait      rules, symmetry  wait_state     state              wait_steps    operate, wake, repair
//!                            wait_sleep  look, arm, sleep      wait_world    kernel, property
//! lifecycle  creating, opening and removing the pair of set and segment
//! joins      when the other side is gone: the end of the stream, by the count and JOINS
//! ```
//!
//! `cargo test --test model` runs every mutant and small correct configurations. The big ones take minutes
//! and up to some gigabytes: `SEMRING_MODEL=full cargo test --release --test model`. Wherever the model is
//! the same, the numbers of states are those of the C++ reference that the protocol was designed with.

mod bits;
mod cases;
mod joins;
mod joins_tests;
mod lifecycle;
mod lifecycle_tests;
mod liveness;
mod ring;
mod ring_give;
mod ring_ops;
mod ring_recover;
mod ring_tests;
mod ring_world;
mod search;
mod wait;
mod wait_sleep;
mod wait_state;
mod wait_steps;
mod wait_tests;
mod wait_world;

use std::sync::Mutex;
use std::time::Instant;

use search::{System, explore};

/// Big searches run one at a time, for the sake of memory.
static ALONE: Mutex<()> = Mutex::new(());

/// Whether the big configurations are asked for.
fn full() -> bool {
    std::env::var_os("SEMRING_MODEL").is_some_and(|value| value == "full")
}

/// Asserts that no reachable state breaks a rule, and that there are as many states as there were before.
#[track_caller]
fn holds<S: System>(name: &str, system: &S, states: usize) {
    let _alone =
        if full() { Some(ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())) } else { None };
    let started = Instant::now();
    let report = explore(system);
    let seconds = started.elapsed().as_secs_f32();
    println!("{name}: {} states, {} noted, {seconds:.1} s", report.states, report.noted);
    if let Some(failure) = report.failure {
        panic!("{name}: {}\n  {}", failure.why, failure.path.join("\n  "));
    }
    assert_eq!(report.states, states, "{name}: the model has changed");
}

/// Asserts that the search finds a violation of the rule that starts with `rule`.
#[track_caller]
fn fails<S: System>(name: &str, system: &S, rule: &str) {
    let report = explore(system);
    let Some(failure) = report.failure else {
        panic!("{name}: nothing is wrong in {} states", report.states);
    };
    println!("{name}: {} after {} states, {} steps", failure.why, report.states, failure.path.len() - 1);
    assert!(failure.why.starts_with(rule), "{name}: {}", failure.why);
}
