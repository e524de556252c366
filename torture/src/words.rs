//! Words in memory that survives whoever writes them: shared with every child, and with nobody else.

use std::sync::atomic::AtomicU64;

use semring::segment::{Key, Mapping, SegmentOptions};

/// So many words, all 0. The segment is gone with its last user.
pub(crate) struct Words(Mapping);

impl Words {
    pub(crate) fn new(count: usize) -> semring::Result<Self> {
        let segment = SegmentOptions::new().size(8 * count).create(Key::Private)?;
        let memory = segment.attach();
        segment.remove()?;
        Ok(Self(memory?))
    }

    /// # Panics
    /// Beyond the last one: a mistake of the harness.
    pub(crate) fn at(&self, i: usize) -> &AtomicU64 {
        self.0.word(8 * i).expect("within the words")
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len() / 8
    }
}
