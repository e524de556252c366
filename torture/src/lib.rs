//! Crash tests of [`semring`]: its users are killed and stopped at every instruction, and every message and record is accounted for.
//!
//! A victim is a child process that is single-stepped with ptrace(2) through one public operation, and killed with
//! SIGKILL after so many instructions, or stopped there while others work. Then survivors and newcomers go on, and
//! everything is checked: they make progress, every message is delivered as promised, no place is lost, no semaphore is
//! off, and removing the channel leaves nothing. Only the public interface is used.
//!
//! ```text
//! cases       the table: which operation, on which ring, how full, in which company
//! operations  what the victim of a case does;  peers: what the others do
//! scene       what surrounds a victim: channel, handles of the harness, company, dead;  channel: what they do
//! tracer      a child that is stepped;  driver: who leads it;  route: the quick way to an instruction
//! point       one point: kill, stop, double kill or failing call, whatever surrounds the victim
//! failing     system calls that fail;  calls: how they can
//! checker     what must hold afterwards;  fault: what can go wrong
//! ledger      who sent and received what;  reader: one consumer's view of it;  words: the memory they are in
//! table       the same of a record table: cases, what the processes do, what must hold afterwards
//! subject     a case of either
//! survey      which points there are;  suite: many of them, on several processors
//! storm       random deaths and stops under load;  deaths: one after the other;  latency: how fast one is noticed
//! plan        what is to be done;  report: what came of it
//! ```
//!
//! Every child is forked without exec, so whoever calls [`run`] must have one thread.
#![cfg(target_os = "linux")]

mod calls;
mod cases;
mod channel;
mod checker;
mod deaths;
mod driver;
mod failing;
mod fault;
mod latency;
mod ledger;
mod message;
mod operations;
mod peers;
mod plan;
mod point;
mod random;
mod reader;
mod report;
mod route;
mod scene;
mod storm;
mod subject;
mod suite;
mod survey;
mod sys;
mod table;
mod tracer;
mod words;

pub use fault::{FAULTS, Fault};
pub use latency::Latency;
pub use plan::{Observer, Plan, run};
pub use report::{Report, Row, Suite};
pub use storm::StormTally;
pub use suite::Tally;
