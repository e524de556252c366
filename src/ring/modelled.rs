//! `slots` for loom: metas and payloads are plain cells, so that loom reports every access that the stamps do not
//! order.
//!
//! Every word has a **turnstile**, a relaxed counter passed before each access. Loom looks for other orders of two
//! accesses only between one and the last before it, so a load that is followed by another thread's load and store
//! would never be tried behind that store (loom 0.7, `last_dependent_access`): a model of this ring then missed half
//! of its outcomes, and every mutant passed. Passing the turnstile is a change, which conflicts with every other
//! passing, and being relaxed it orders nothing.
#![allow(unsafe_code)]

use core::mem::MaybeUninit;
use std::collections::BTreeMap;

use loom::cell::UnsafeCell;

use super::Index;
use crate::layout::{Geometry, LINE as APART, record, shared};
use crate::sync::{AtomicU64, Ordering};

pub(super) const LINE: usize = 64;
const WORD: usize = size_of::<u64>();

#[derive(Default)]
struct Word {
    turnstile: AtomicU64,
    value: AtomicU64,
}

impl Word {
    fn enter(&self) -> &AtomicU64 {
        self.turnstile.fetch_add(1, Ordering::Relaxed);
        &self.value
    }
}

struct Slot {
    stamp: Word,
    /// Meta first, then the payload's words.
    cells: Vec<UnsafeCell<u64>>,
}

/// A segment of the words of the ring and of sleeping only.
pub(crate) struct Shared {
    words: BTreeMap<usize, Word>,
    slots: Vec<Slot>,
    geometry: Geometry,
}

// SAFETY: loom's cells check every access themselves, and its threads take turns on one thread.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    pub(crate) fn new(geometry: Geometry) -> Self {
        let sleepers = [shared::SLEEPERS, shared::SLEEPERS + APART];
        let ring = [shared::TAIL, shared::HEAD, shared::IN_HAND, shared::FREE];
        let records = (0..geometry.participants()).flat_map(|index| {
            [record::ANNOUNCED, record::ADOPTED, record::PARK].map(|field| geometry.record(index) + field)
        });
        let cells = 1 + geometry.message_size().div_ceil(WORD);
        let slot =
            |_| Slot { stamp: Word::default(), cells: (0..cells).map(|_| UnsafeCell::new(0)).collect() };
        Shared {
            words: sleepers
                .into_iter()
                .chain(ring)
                .chain(records)
                .map(|offset| (offset, Word::default()))
                .collect(),
            slots: (0..geometry.capacity()).map(slot).collect(),
            geometry,
        }
    }

    pub(crate) fn aside(&self) -> &Shared {
        self
    }

    pub(crate) fn prefetch_for_write(&self, _position: u64) {}

    pub(crate) fn prefetch_message(&self, _position: u64) {}

    pub(crate) fn prefetch_rest(&self, _position: u64) {}

    pub(crate) fn has_wide_slots(&self) -> bool {
        false
    }

    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(crate) fn word(&self, offset: usize) -> &AtomicU64 {
        self.words[&offset].enter()
    }

    pub(crate) fn record(&self, index: Index, field: usize) -> &AtomicU64 {
        self.word(self.geometry.record(index.get()) + field)
    }

    pub(crate) fn stamp(&self, position: u64) -> &AtomicU64 {
        self.slot(position).stamp.enter()
    }

    pub(crate) fn meta(&self, position: u64) -> u64 {
        self.load(position, 0)
    }

    pub(crate) fn set_meta(&self, position: u64, meta: u64) {
        self.store(position, 0, meta);
    }

    /// Whole words only: the models send nothing else.
    #[must_use]
    pub(crate) fn write_payload(&self, position: u64, at: usize, bytes: &[u8]) -> bool {
        for (i, chunk) in bytes.chunks_exact(WORD).enumerate() {
            self.store(position, 1 + at / WORD + i, u64::from_ne_bytes(chunk.try_into().unwrap()));
        }
        true
    }

    #[must_use]
    pub(crate) fn read_payload(&self, position: u64, at: usize, bytes: &mut [MaybeUninit<u8>]) -> bool {
        for (i, chunk) in bytes.chunks_exact_mut(WORD).enumerate() {
            let word = self.load(position, 1 + at / WORD + i).to_ne_bytes();
            chunk.iter_mut().zip(word).for_each(|(to, from)| {
                to.write(from);
            });
        }
        true
    }

    fn slot(&self, position: u64) -> &Slot {
        &self.slots[(position & (self.geometry.capacity() - 1)) as usize]
    }

    fn load(&self, position: u64, cell: usize) -> u64 {
        // SAFETY: the pointer is valid during the call; loom fails the test if somebody writes meanwhile.
        self.slot(position).cells[cell].with(|value| unsafe { *value })
    }

    fn store(&self, position: u64, cell: usize, new: u64) {
        // SAFETY: the pointer is valid during the call; loom fails the test if anybody else is there.
        self.slot(position).cells[cell].with_mut(|value| unsafe { *value = new });
    }
}

pub(crate) fn prefetch(_line: *const u8) {}
