//! Channels between Linux processes over System V shared memory.
//!
//! One named object, a segment with a lock-free ring and a semaphore set, moves messages between unrelated processes: each
//! message to exactly one consumer, without a system call while both sides keep up, and **no death loses a message**,
//! whoever is killed at whichever instruction.
//!
//! * Full blocks the producer, empty blocks the consumer; blocking sleeps in the kernel and burns no CPU.
//! * When the last producer is gone, by drop, exit, panic or `kill -9`, consumers drain the rest and then see end of
//!   stream; when the last consumer is gone, producers get `Disconnected` (`BrokenPipe`), or wait for the next one
//!   ([`WhenNoConsumer::Wait`]).
//! * A message whose `send` returned is delivered. One whose consumer died with it in hand is delivered again,
//!   flagged ([`Lease::redelivered`], [`Lease::attempt`]).
//!
//! # Examples
//! A producer and a consumer; in life they are two processes, and either may come first.
//! ```
//! use semring::Options;
//!
//! let name = format!("lib-doc-{}", std::process::id());
//! let mut consumer = Options::new().capacity(1024).message_size(256).consumer(&name)?;
//! let mut producer = Options::new().producer(&name)?; // the sizes from the existing channel
//!
//! producer.send(b"a message")?;
//! assert_eq!(&*consumer.recv()?, b"a message");
//!
//! drop(producer);
//! assert!(consumer.recv().is_err()); // end of stream
//! consumer.channel().remove()?; // System V objects stay until they are removed
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Layers
//! [`Options`], [`Channel`], [`Producer`] and [`Consumer`] stand on [`segment`] and [`sem`], which are useful alone to
//! whoever writes `shmget` and `semop` code, and so are [`daemon`] and [`heartbeat`]; those on a thin layer of system calls. The rings and the protocol of
//! sleeping and waking are pure algorithms over atomics. `docs/design.md` has the byte map, the states, the crash table.
#![deny(unsafe_code)]
#![cfg_attr(all(test, loom), allow(dead_code, unused_imports))] // the models use the rings and parking only
#![cfg(target_os = "linux")]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("semring needs 64-bit pointers and atomics");

mod error;
mod layout;
mod pair;
mod park;
mod ring;
mod sync;
mod table;

#[cfg(not(all(test, loom)))]
mod channel;
#[cfg(not(all(test, loom)))]
pub mod daemon;
#[cfg(not(all(test, loom)))]
pub mod heartbeat;
#[cfg(not(all(test, loom)))]
mod inventory;
#[cfg(not(all(test, loom)))]
mod os;
#[cfg(not(all(test, loom)))]
pub mod segment;
#[cfg(not(all(test, loom)))]
pub mod sem;

pub use error::{
    Error, OsError, RecvError, RecvTimeoutError, Result, SendError, SendTimeoutError, TryRecvError,
    TrySendError,
};
pub use ring::Kind;
/// What the fuzz targets drive that is no part of the interface.
#[cfg(fuzzing)]
#[doc(hidden)]
pub use ring::hostile;

#[cfg(not(all(test, loom)))]
pub use channel::{
    Batch, BatchMessage, Bulk, BulkConsumer, BulkLease, BulkProducer, Canceller, Channel, Consumer, Grant,
    IntoIter, Iter, Lease, Message, Observer, Options, ParticipantStatus, Peeked, Producer, Received, Role,
    SendBatchError, Status, TryIter, TypedConsumer, TypedProducer, WakeMode, WhenNoConsumer,
};
#[cfg(not(all(test, loom)))]
pub use inventory::{Condition, Found, Object, boards, channels, tables, unreadable};
#[cfg(not(all(test, loom)))]
pub use table::{Iter as TableIter, Table, TableOptions, TableStatus};

/// The snippets of the documents are tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/from-sysv.md")]
mod from_sysv {}
