//! What the header of a table's segment says, besides what every pair's does: see `pair::header`.

use std::time::SystemTime;

use super::layout::{self, Geometry, header as at};
use super::set::Set;
use crate::error::Result;
use crate::pair::header::{corrupt, from_nanos, read_name, to_nanos, word};
use crate::pair::{self, Format};
use crate::segment::Mapping;

/// A valid header's contents, as private copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) geometry: Geometry,
    pub(crate) type_name: String,
    pub(crate) seed: u64,
    pub(crate) created: SystemTime,
    pub(crate) creator: i32,
}

impl pair::Header for Header {
    const FORMAT: Format = Format { kind: "table", magic: layout::MAGIC, version: layout::VERSION };

    fn read(mapping: &Mapping) -> Result<Self> {
        let (len, type_name) = read_name(mapping, at::TYPE_NAME);
        let type_name = type_name.filter(|name| !name.is_empty());
        Ok(Self {
            geometry: read_geometry(mapping)?,
            type_name: type_name
                .ok_or_else(|| corrupt("type name's length", len, "1 to 248 bytes of UTF-8"))?,
            seed: word(mapping, at::SEED),
            created: from_nanos(word(mapping, at::CREATED)),
            creator: word(mapping, at::CREATOR) as u32 as i32,
        })
    }

    fn words(&self) -> Vec<(usize, u64)> {
        vec![
            (at::CAPACITY, self.geometry.capacity() as u64),
            (at::STRIPES, self.geometry.stripes() as u64),
            (at::KEY_SIZE, self.geometry.key_size() as u64),
            (at::VALUE_SIZE, self.geometry.value_size() as u64),
            (at::SEED, self.seed),
            (at::CREATED, to_nanos(self.created)),
            (at::CREATOR, u64::from(self.creator as u32)),
        ]
    }

    fn type_name(&self) -> &str {
        &self.type_name
    }

    fn segment_size(&self) -> usize {
        self.geometry.size()
    }

    fn set_size(&self) -> usize {
        Set::size(self.geometry.stripes())
    }
}

/// The sizes: each in its range, and together what the header and the kernel say the segment has.
fn read_geometry(mapping: &Mapping) -> Result<Geometry> {
    let [capacity, key, value] = [at::CAPACITY, at::KEY_SIZE, at::VALUE_SIZE].map(|at| word(mapping, at));
    let stripes = word(mapping, at::STRIPES);
    let Some(geometry) = Geometry::new(capacity, key, value) else {
        let expected =
            format!("1 to {}, with keys of {key} and values of {value} bytes", layout::MAX_CAPACITY);
        return Err(corrupt("capacity", capacity, expected));
    };
    if stripes != geometry.stripes() as u64 {
        return Err(corrupt("number of stripes", stripes, geometry.stripes().to_string()));
    }
    let size = word(mapping, at::SIZE);
    if size != geometry.size() as u64 || mapping.len() != geometry.size() {
        let all = format!("{capacity} records of {key} and {value} bytes");
        let expected = format!("{} for {all}, in a segment of {} bytes", geometry.size(), mapping.len());
        return Err(corrupt("size", size, expected));
    }
    Ok(geometry)
}
