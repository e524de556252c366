//! The *pair* of a semaphore set and a segment, which a channel and a table are: creating, opening, looking at and
//! removing it, whoever else does so at the same instant and whoever dies in the middle. `docs/design.md` section 3 has
//! the stages and the crash table.
//!
//! The set comes first: it needs no initialisation and holds the lock under which everything else happens. Its first
//! semaphore says how far the pair is, so a segment without magic under BUILDING is a dead creator's wreck, and a
//! finished set without its segment is a dead remover's (or ipcrm's) remainder.
//!
//! A kind of pair says what it has of its own by three traits: [`Set`] (what the semaphores are, and how the lock is
//! taken), [`Header`] (what the segment's first words say) and [`Asked`] (what somebody wants who opens one). For that
//! [`open`] finds or makes the pair ([`place`], [`opening`], [`creating`]), [`observe`] looks at it, and [`remove`] takes
//! it away. [`terms`] are the options that all kinds have.

pub(crate) mod layout;

#[cfg(not(all(test, loom)))]
mod attachment;
#[cfg(not(all(test, loom)))]
mod creating;
#[cfg(not(all(test, loom)))]
pub(crate) mod header;
#[cfg(not(all(test, loom)))]
mod held;
#[cfg(not(all(test, loom)))]
mod opening;
#[cfg(not(all(test, loom)))]
mod place;
#[cfg(not(all(test, loom)))]
mod removing;
#[cfg(not(all(test, loom)))]
mod set;
#[cfg(not(all(test, loom)))]
mod stage;
#[cfg(not(all(test, loom)))]
mod terms;

#[cfg(not(all(test, loom)))]
pub(crate) use {
    attachment::Attachment,
    header::{Format, Header},
    held::Held,
    opening::{Asked, Create, agree, observe, open},
    removing::{removal_denied, remove},
    set::{Set, lost, oddity_of_flags, verify},
    stage::{IDENT, Stage, Stages, stage, stage_at_rest},
    terms::{Terms, check_type_name, terms_methods},
};
