//! Creating, opening and removing the pair of semaphore set and segment, whoever else does so at the same instant and
//! whoever dies in the middle. The stages and verdicts are a channel's: `docs/design.md` section 3 has the tables.

use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant, SystemTime};

use libc::{EACCES, EEXIST, EIDRM, EINVAL, ENOENT, EPERM, IPC_CREAT, IPC_EXCL, IPC_PRIVATE};

use super::header::{self, Header, Verdict};
use super::layout::{Geometry, MAX_CAPACITY};
use super::options::TableOptions;
use super::set::{Set, Stage};
use crate::error::{Error, OsError, Result};
use crate::os;
use crate::os::process::Generation;
use crate::segment::{Key, Mapping};

const DEFAULT_CAPACITY: u64 = 1024;
const DEFAULT_MODE: u32 = 0o600;
const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// Rounds before giving up, as for channels.
const ROUNDS: usize = 16;
/// What is wrong with a segment of zeroes that nobody is about to fill.
const HEADLESS: &str = "a segment without a table's header";

/// May opening create?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Create {
    Never,
    IfAbsent,
    Exclusive,
}

/// What is wanted.
pub(crate) struct Asked<'a> {
    pub(crate) options: &'a TableOptions,
    pub(crate) type_name: &'a str,
    pub(crate) key_size: u64,
    pub(crate) value_size: u64,
}

/// A table as this process has it: the verified set, the mapped segment, and private copies of all that was checked.
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) set: Set,
    pub(crate) segment_id: i32,
    pub(crate) header: Header,
    pub(crate) mapping: Mapping,
    pub(crate) generation: Generation,
    pub(crate) lock_timeout: Duration,
}

/// Where the pair is to be found.
#[derive(Clone, Copy)]
enum Place {
    Keys { set: i32, segment: i32 },
    Ids { set: i32, segment: i32 },
}

struct Opening<'a> {
    asked: &'a Asked<'a>,
    name: String,
    place: Place,
    timeout: Duration,
}

/// Opens the pair that a key leads to, creating it if that is asked for and needed.
pub(crate) fn open(asked: &Asked<'_>, key: &Key, create: Create) -> Result<Attachment> {
    let opening = Opening::new(asked, key, create)?;
    let create = if matches!(key, Key::Id(_)) { Create::Never } else { create };
    let deadline = Instant::now().checked_add(opening.timeout);
    for _ in 0..ROUNDS {
        match opening.round(create, deadline) {
            // Something was removed under our feet, or had to be: from the start.
            Err(Error::Removed) => continue,
            other => return other,
        }
    }
    Err(if create == Create::Never { opening.not_found() } else { Error::LockBusy { holder: 0 } })
}

/// Removes a table: the set first, which the kernel refuses whoever is not its owner, while nothing has changed yet; the
/// mark that tells readers; the segment. Killed in between, the next opener finishes the work.
pub(crate) fn remove(table: &Attachment) -> Result<()> {
    let lock = table.set.lock(Instant::now().checked_add(table.lock_timeout))?;
    header::check_live(table.mapping.load(super::layout::header::STATE).unwrap_or(0))?;
    table.set.remove().map_err(|e| match e {
        Error::Os(e) if e.errno == EPERM => {
            Error::PermissionDenied { name: table.name.clone(), detail: e.to_string() }
        }
        e => e,
    })?;
    header::mark_dead(&table.mapping);
    drop(lock); // gone with its set
    discard_segment(table.segment_id)
}

fn discard_segment(id: i32) -> Result<()> {
    match os::shm::remove(id) {
        Err(e) if !matches!(e.errno, EIDRM | EINVAL) => Err(Error::Os(e)),
        _ => Ok(()),
    }
}

fn place(key: &Key, create: Create) -> Result<(String, Place)> {
    let by_key = || -> Result<Place> { Ok(Place::Keys { set: key.set_key()?, segment: key.segment_key()? }) };
    Ok(match key {
        Key::Private if create == Create::Never => {
            return Err(Error::NotFound { name: "a private table by its key".into() });
        }
        Key::Private => ("private table".into(), Place::Keys { set: IPC_PRIVATE, segment: IPC_PRIVATE }),
        Key::Id(_) if create == Create::Exclusive => {
            let detail = format!("{key}: an id is an object's that exists");
            return Err(Error::Invalid { what: "key", detail });
        }
        Key::Id(id) => by_id(*id)?,
        Key::Name(name) => (name.clone(), by_key()?),
        Key::Number(_) | Key::Path { .. } => (format!("{:#010x}", key.segment_key()?), by_key()?),
    })
}

/// A table by its segment's id has the name that its header says.
fn by_id(id: i32) -> Result<(String, Place)> {
    let name = || format!("table with segment {id}");
    let mapping = Mapping::attach(id, true).map_err(|e| match e.errno {
        EIDRM | EINVAL => Error::NotFound { name: name() },
        EACCES => Error::PermissionDenied { name: name(), detail: e.to_string() },
        _ => Error::Os(e),
    })?;
    let (name, set) = header::whose(&mapping, id)?;
    Ok((name, Place::Ids { set, segment: id }))
}

impl<'a> Opening<'a> {
    fn new(asked: &'a Asked<'a>, key: &Key, create: Create) -> Result<Self> {
        if let Some(mode) = asked.options.mode.filter(|mode| mode & !0o777 != 0 || mode & 0o600 != 0o600) {
            let detail = format!("{mode:#o}; permissions from 0600 to 0777 are possible");
            return Err(Error::Invalid { what: "mode", detail });
        }
        let (name, place) = place(key, create)?;
        let timeout = asked.options.lock_timeout.unwrap_or(DEFAULT_LOCK_TIMEOUT);
        Ok(Self { asked, name, place, timeout })
    }

    fn foreign(&self, detail: impl Into<String>) -> Error {
        Error::Foreign { name: self.name.clone(), detail: detail.into() }
    }

    fn denied(&self, what: &str, e: &OsError) -> Error {
        Error::PermissionDenied { name: self.name.clone(), detail: format!("{what} ({e})") }
    }

    fn not_found(&self) -> Error {
        Error::NotFound { name: format!("table {}", self.name) }
    }

    /// One attempt; `Removed` means that the next one will see something else.
    fn round(&self, create: Create, deadline: Option<Instant>) -> Result<Attachment> {
        let (set, new) = self.find_set(create)?;
        let lock = set.lock(deadline).map_err(|e| match e {
            Error::Os(e) if e.errno == EACCES => self.denied("no right to change its semaphore set", &e),
            e => e,
        })?;
        let stage = set.stage()?;
        let found = self.find_segment(&set, stage).inspect_err(|_| {
            // Something else is there. Nothing of ours is left beside it.
            if new && stage == Stage::New {
                let _ = set.remove();
            }
        })?;
        let (segment_id, mapping, header) = match (found, create) {
            (None, _) if stage == Stage::Ready => {
                // A finished set without its segment: away with it.
                set.remove()?;
                return Err(if create == Create::Never { self.not_found() } else { Error::Removed });
            }
            (Some(_), Create::Exclusive) => {
                return Err(Error::AlreadyExists { name: format!("table {}", self.name) });
            }
            (Some(found), _) => {
                self.compare(&found.2, found.0, &set)?;
                found
            }
            (None, Create::Never) => return Err(self.not_found()),
            (None, _) => self.create_segment(&set).inspect_err(|_| {
                let _ = set.remove();
            })?,
        };
        set.set_stage(Stage::Ready)?;
        drop(lock);
        let generation = Generation::current()?;
        let (name, lock_timeout) = (self.name.clone(), self.timeout);
        Ok(Attachment { name, set, segment_id, header, mapping, generation, lock_timeout })
    }

    /// The verified set, made if need be; and whether it was.
    fn find_set(&self, create: Create) -> Result<(Set, bool)> {
        let found = match self.place {
            Place::Keys { set: IPC_PRIVATE, .. } => return self.make_set(IPC_PRIVATE),
            Place::Keys { set: key, .. } => os::sem::get(key, 0, 0),
            Place::Ids { set: id, .. } => Ok(id),
        };
        let id = match (found, self.place) {
            (Ok(id), _) => id,
            (Err(e), Place::Keys { set, .. }) if e.errno == ENOENT && create != Create::Never => {
                return self.make_set(set);
            }
            (Err(e), _) if e.errno == ENOENT => return Err(self.not_found()),
            (Err(e), _) if e.errno == EACCES => {
                return Err(self.denied("no right to open its semaphore set", &e));
            }
            (Err(e), _) => return Err(Error::Os(e)),
        };
        Ok((self.verified(id)?, false))
    }

    fn verified(&self, id: i32) -> Result<Set> {
        Set::verify(id, &self.name, |uid| self.asked.options.trusts(uid))
    }

    fn make_set(&self, key: i32) -> Result<(Set, bool)> {
        let size = Set::size(self.new_header()?.geometry.stripes()); // bad parameters before anything is made
        match os::sem::get(key, size, self.mode() | IPC_CREAT | IPC_EXCL) {
            Ok(id) => Ok((self.verified(id)?, true)),
            Err(e) if e.errno == EEXIST => Err(Error::Removed), // somebody was faster: the next round opens it
            Err(e) => Err(Error::Os(e)),
        }
    }

    fn mode(&self) -> i32 {
        (self.asked.options.mode.unwrap_or(DEFAULT_MODE) & 0o777) as i32
    }

    /// The live segment, or `None` if there is none and one may be made. Removes what is provably a wreck or an orphan
    /// of ours; never anything else.
    fn find_segment(&self, set: &Set, stage: Stage) -> Result<Option<(i32, Mapping, Header)>> {
        let Some((id, others, mapping)) = self.attach_segment()? else { return Ok(None) };
        match header::judge(&mapping, &self.name, set.id())? {
            Verdict::Live(header) => {
                self.prepare(&mapping)?;
                Ok(Some((id, mapping, *header)))
            }
            // Its creator died before the magic; nobody but us has it attached.
            Verdict::Blank if stage == Stage::Building && others == 0 => discard_segment(id).map(|()| None),
            Verdict::Blank => Err(self.foreign(HEADLESS)),
            Verdict::Foreign(detail) => Err(self.foreign(detail)),
            // An earlier generation whose set is gone: nobody can change it any more.
            Verdict::Orphan => discard_segment(id).map(|()| None),
            // A remover died in the middle: finish its work and start again.
            Verdict::Dying => set.remove().and_then(|()| discard_segment(id)).and(Err(Error::Removed)),
        }
    }

    /// The segment that the key leads to, of a creator whom we trust: its id, how many others have it attached, and the
    /// mapping.
    fn attach_segment(&self) -> Result<Option<(i32, u64, Mapping)>> {
        let gone = |e: OsError| match e.errno {
            EIDRM | EINVAL => Error::Removed,
            EACCES => self.denied("no right to its segment", &e),
            _ => Error::Os(e),
        };
        let found = match self.place {
            Place::Keys { segment: IPC_PRIVATE, .. } => return Ok(None),
            Place::Keys { segment: key, .. } => os::shm::get(key, 0, 0),
            Place::Ids { segment: id, .. } => Ok(id),
        };
        let id = match found {
            Ok(id) => id,
            Err(e) if e.errno == ENOENT => return Ok(None),
            Err(e) => return Err(gone(e)),
        };
        let stat = os::shm::stat(id).map_err(gone)?;
        if !self.asked.options.trusts(stat.cuid) {
            let detail = format!("its segment was created by uid {}, neither ours nor root's", stat.cuid);
            return Err(self.foreign(detail));
        }
        Ok(Some((id, stat.nattch, Mapping::attach(id, false).map_err(gone)?)))
    }

    /// The set must be made for this segment, and everything that was said must be what the table has.
    fn compare(&self, header: &Header, segment_id: i32, set: &Set) -> Result<()> {
        let (geometry, asked) = (&header.geometry, self.asked);
        if geometry.stripes() != set.stripes() {
            let expected = format!("{}, as its semaphore set has", set.stripes());
            return Err(Error::Corrupt {
                what: "number of stripes",
                found: geometry.stripes() as u64,
                expected,
            });
        }
        let check = |what: &'static str, asked: &dyn std::fmt::Display, existing: &dyn std::fmt::Display| {
            let (asked, existing) = (asked.to_string(), existing.to_string());
            if asked == existing { Ok(()) } else { Err(Error::Mismatch { what, asked, existing }) }
        };
        check("type name", &asked.type_name, &header.type_name)?;
        check("key size", &asked.key_size, &geometry.key_size())?;
        check("value size", &asked.value_size, &geometry.value_size())?;
        if let Some(capacity) = asked.options.capacity {
            check("capacity", &capacity, &geometry.capacity())?;
        }
        if let Some(mode) = asked.options.mode {
            let existing = os::shm::stat(segment_id).map_err(Error::Os)?.mode & 0o777;
            check("mode", &format!("{:04o}", mode & 0o777), &format!("{existing:04o}"))?;
        }
        Ok(())
    }

    /// What a new table is to be, checked.
    fn new_header(&self) -> Result<Header> {
        let asked = self.asked;
        let capacity = asked.options.capacity.unwrap_or(DEFAULT_CAPACITY);
        let Some(geometry) = Geometry::new(capacity, asked.key_size, asked.value_size) else {
            let sizes = format!("keys of {} and values of {} bytes", asked.key_size, asked.value_size);
            let detail = format!(
                "{capacity} records with {sizes}; 1 to {MAX_CAPACITY} are possible, and what fits the address space"
            );
            return Err(Error::Invalid { what: "capacity", detail });
        };
        Ok(Header {
            geometry,
            type_name: asked.type_name.into(),
            // What the standard library seeds its own tables with comes from the kernel's random numbers.
            seed: std::hash::RandomState::new().build_hasher().finish(),
            created: SystemTime::now(),
            creator: os::process::pid(),
        })
    }

    /// Makes and fills the segment; under LOCK. A segment that could not be finished is removed again.
    fn create_segment(&self, set: &Set) -> Result<(i32, Mapping, Header)> {
        let header = self.new_header()?;
        if header.geometry.stripes() != set.stripes() {
            // The set is a dead creator's who asked for other sizes: make both anew.
            set.remove()?;
            return Err(Error::Removed);
        }
        // From here on a segment without magic under our key is our wreck.
        set.set_stage(Stage::Building)?;
        let key = if let Place::Keys { segment, .. } = self.place { segment } else { IPC_PRIVATE };
        let flags = self.mode() | IPC_CREAT | IPC_EXCL;
        let id = os::shm::get(key, header.geometry.size(), flags).map_err(|e| match e.errno {
            EEXIST => self.foreign("a segment that somebody made just now"),
            _ => Error::Os(e),
        })?;
        match self.fill_segment(id, set, &header) {
            Ok(mapping) => Ok((id, mapping, header)),
            Err(e) => {
                let _ = os::shm::remove(id);
                Err(e)
            }
        }
    }

    fn fill_segment(&self, id: i32, set: &Set, header: &Header) -> Result<Mapping> {
        let mapping = Mapping::attach(id, false)?;
        self.prepare(&mapping)?;
        // All words of an empty table are the zeroes that the kernel made.
        header::write(&mapping, header, &self.name, set.id())?;
        Ok(mapping)
    }

    /// What every process does with its mapping: keep it out of core dumps, and touch it all unless told not to.
    fn prepare(&self, mapping: &Mapping) -> Result<()> {
        os::shm::dont_dump(mapping.base(), mapping.len())?;
        if !self.asked.options.lazy {
            os::shm::prefault(mapping.base(), mapping.len())?;
        }
        Ok(())
    }
}
