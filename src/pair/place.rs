//! Where a pair is to be found: from a key to its name, and to the keys or ids of set and segment.

use libc::{EACCES, EIDRM, EINVAL, IPC_PRIVATE};

use super::header::{Format, whose};
use super::opening::Create;
use crate::error::{Error, Result};
use crate::segment::{Key, Mapping};

/// Where the pair is to be found.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Keys {
        set: i32,
        segment: i32,
    },
    /// By the segment's id, and that of the set, which its header names.
    Ids {
        set: i32,
        segment: i32,
    },
}

impl Place {
    /// For creating; nothing is created by an id.
    pub(super) fn set_key(self) -> i32 {
        if let Place::Keys { set, .. } = self { set } else { IPC_PRIVATE }
    }

    pub(super) fn segment_key(self) -> i32 {
        if let Place::Keys { segment, .. } = self { segment } else { IPC_PRIVATE }
    }
}

/// The name, as the header and the messages to people say it, and the place of the pair that a key leads to.
pub(super) fn find(format: &Format, key: &Key, create: Create) -> Result<(String, Place)> {
    let kind = format.kind;
    let by_key = || Ok::<_, Error>(Place::Keys { set: key.set_key()?, segment: key.segment_key()? });
    Ok(match key {
        Key::Private if create == Create::Never => {
            return Err(Error::NotFound { name: format!("a private {kind} by its key") });
        }
        Key::Private => (format!("private {kind}"), Place::Keys { set: IPC_PRIVATE, segment: IPC_PRIVATE }),
        Key::Id(_) if create == Create::Exclusive => {
            let detail = format!("{key}: an id is an object's that exists");
            return Err(Error::Invalid { what: "key", detail });
        }
        Key::Id(id) => by_id(format, *id)?,
        Key::Name(name) => (name.clone(), by_key()?),
        Key::Number(_) | Key::Path { .. } => (format!("{:#010x}", key.segment_key()?), by_key()?),
    })
}

/// A pair by its segment's id has the name that its header says.
fn by_id(format: &Format, id: i32) -> Result<(String, Place)> {
    let name = || format!("{} with segment {id}", format.kind);
    let mapping = Mapping::attach(id, true).map_err(|e| match e.errno {
        EIDRM | EINVAL => Error::NotFound { name: name() },
        EACCES => Error::PermissionDenied { name: name(), detail: e.to_string() },
        _ => Error::Os(e),
    })?;
    let (name, set) = whose(format, &mapping, id)?;
    Ok((name, Place::Ids { set, segment: id }))
}
