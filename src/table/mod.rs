//! [`Table`]: a fixed number of plain-data records in shared memory, found by key. States, invariants and the crash table
//! are in `docs/design.md` section 11.
//!
//! `layout`, `memory`, `record` and `index` are the pure part, which the models run; `set`, `header` and `lifecycle` are
//! the objects in the kernel.

mod index;
mod layout;
mod memory;
mod record;

#[cfg(not(all(test, loom)))]
mod header;
#[cfg(not(all(test, loom)))]
mod lifecycle;
#[cfg(all(test, loom))]
mod models;
#[cfg(not(all(test, loom)))]
mod options;
#[cfg(not(all(test, loom)))]
#[path = "table.rs"]
mod public;
#[cfg(not(all(test, loom)))]
mod set;
#[cfg(not(all(test, loom)))]
mod status;
#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(not(all(test, loom)))]
pub use options::TableOptions;
#[cfg(not(all(test, loom)))]
pub use public::{Iter, Table};
#[cfg(not(all(test, loom)))]
pub use status::TableStatus;
#[cfg(not(all(test, loom)))]
pub(crate) use {header::Header, set::Set};
