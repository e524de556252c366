//! For tests only: a private channel that is removed at the end, also when the test fails.

use super::{Channel, Options};
use crate::os;
use crate::pair::Set as _;
use crate::segment::Key;

pub(super) struct Bench(pub(super) Channel);

impl Bench {
    pub(super) fn of(options: &Options) -> Self {
        Self(options.create(Key::Private).expect("create"))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = (os::shm::remove(self.0.id()), self.0.attachment.set.remove());
    }
}
