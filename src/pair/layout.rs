//! What the headers of all formats have in common. Pure.

use static_assertions::const_assert;

/// Longest name of a channel, a table or a type in bytes.
pub(crate) const MAX_NAME: usize = 248;

/// Byte offsets of the words with which every header begins, and of its names.
pub(crate) mod header {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const VERSION: usize = 8;
    pub(crate) const SIZE: usize = 16;
    pub(crate) const SEMID: usize = 24;
    pub(crate) const STATE: usize = 32;
    /// Length in bytes, then the bytes.
    pub(crate) const NAME: usize = 256;
    /// Length in bytes, then the bytes; length 0 for plain bytes.
    pub(crate) const TYPE_NAME: usize = 512;
    /// Bytes of the header.
    pub(crate) const BYTES: usize = 1024;
}

const_assert!(header::NAME + 8 + MAX_NAME <= header::TYPE_NAME);
const_assert!(header::TYPE_NAME + 8 + MAX_NAME <= header::BYTES);
