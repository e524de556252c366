//! What the header of a board's segment says, besides what every pair's does: see `pair::header`.

use std::time::SystemTime;

use super::layout::{self, MAX_PLACES, header as at};
use super::set::Set;
use crate::error::Result;
use crate::pair::header::{corrupt, to_nanos, word};
use crate::pair::layout::header::SIZE;
use crate::pair::{self, Format};
use crate::segment::Mapping;

/// A valid header's contents, as private copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// 1 to [`MAX_PLACES`], and what the segment has room for.
    pub(crate) places: usize,
    pub(super) created: u64,
    pub(super) creator: u64,
}

impl Header {
    pub(crate) fn new(places: usize) -> Self {
        let creator = u64::from(crate::os::process::pid() as u32);
        Header { places, created: to_nanos(SystemTime::now()), creator }
    }
}

impl pair::Header for Header {
    const FORMAT: Format = Format { kind: "board", magic: layout::MAGIC, version: layout::VERSION };

    fn read(mapping: &Mapping) -> Result<Self> {
        let found = word(mapping, at::PLACES);
        let places = usize::try_from(found).ok().filter(|places| (1..=MAX_PLACES).contains(places));
        let places =
            places.ok_or_else(|| corrupt("number of places", found, format!("1 to {MAX_PLACES}")))?;
        let (size, needed) = (word(mapping, SIZE), layout::size(places));
        if size != needed as u64 || mapping.len() != needed {
            let expected = format!("{needed} for {places} places, in a segment of {} bytes", mapping.len());
            return Err(corrupt("size", size, expected));
        }
        Ok(Header { places, created: word(mapping, at::CREATED), creator: word(mapping, at::CREATOR) })
    }

    fn words(&self) -> Vec<(usize, u64)> {
        vec![(at::PLACES, self.places as u64), (at::CREATED, self.created), (at::CREATOR, self.creator)]
    }

    fn type_name(&self) -> &str {
        ""
    }

    fn segment_size(&self) -> usize {
        layout::size(self.places)
    }

    fn set_size(&self) -> usize {
        Set::size(self.places)
    }
}
