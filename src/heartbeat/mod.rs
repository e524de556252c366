//! Heartbeats: who lives, who is silent, who is dead, on a [`Board`] in shared memory. `semring supervise` is built on it.
//!
//! A process takes a place on the board by its name ([`Board::register`]) and may promise not to be silent for longer than
//! it says; [`Heart::beat`] is one store. **Death is proved by the kernel**, which takes the place's lease back (SEM_UNDO),
//! never by a timeout and never by a pid: silence only means that a living process is [`Life::Hung`].
//!
//! A [`Keeper`] is the one process that starts and ends others on a board. A child claims the place between fork and exec
//! ([`Place::claim_for_program`]), so its program holds it exactly as long as it lives, whoever watches.
//!
//! Times are CLOCK_MONOTONIC, which stands still while the machine is suspended; processes in another time namespace do
//! not belong on one board. `docs/design.md` section 14 has the byte map and the crash table.
//!
//! # Examples
//! ```
//! use std::time::Duration;
//!
//! use semring::heartbeat::{BoardOptions, Life};
//!
//! let name = format!("heartbeat-doc-{}", std::process::id());
//! let board = BoardOptions::new().open_or_create(&name)?;
//! let heart = board.register("worker", Some(Duration::from_millis(5)))?;
//! heart.beat();
//! assert_eq!(board.find("worker")?.unwrap().life, Life::Alive);
//! std::thread::sleep(Duration::from_millis(10));
//! assert_eq!(board.find("worker")?.unwrap().life, Life::Hung);
//! # drop(heart);
//! board.remove()?;
//! # Ok::<(), semring::Error>(())
//! ```

mod board;
mod header;
mod heart;
mod keeper;
mod layout;
mod member;
mod observer;
mod options;
mod place;
mod record;
mod set;
mod status;
#[cfg(test)]
mod tests;

pub use board::Board;
pub use heart::{BOARD_VARIABLE, Heart, SERVICE_VARIABLE};
pub use keeper::Keeper;
pub use layout::{MAX_NAME, MAX_PLACES};
pub use member::{Life, Member};
pub use observer::Observer;
pub use options::BoardOptions;
pub use place::Place;
pub use record::is_name;
pub use status::BoardStatus;
pub(crate) use {header::Header, layout::is_size, set::Set};
