//! Creating, opening and removing the pair of semaphore set and segment, whoever else does so at the same instant
//! and whoever dies in the middle. `docs/design.md` section 3 has the stages and the crash table.
//!
//! The set comes first: it needs no initialisation and holds the lock under which everything else happens. Its first
//! semaphore says how far the pair is, so a segment without magic under BUILDING is a dead creator's wreck, and a
//! finished set without its segment is a dead remover's (or ipcrm's) remainder.

use std::sync::Arc;
use std::time::{Duration, Instant};

use libc::{EACCES, EEXIST, EIDRM, EINVAL, ENOENT, EPERM, IPC_CREAT, IPC_EXCL};

use super::attachment::Attachment;
use super::header::{self, Header, TypeInfo, Verdict, WakeMode, WhenNoConsumer};
use super::options::Options;
use super::set::{Set, Stage};
use crate::error::{Error, OsError, Result};
use crate::layout::{Geometry, MAX_CAPACITY, MAX_MESSAGE, MAX_PARTICIPANTS};
use crate::os;
use crate::ring::{self, Kind, Shared};
use crate::segment::{Key, Mapping};

const DEFAULT_CAPACITY: u64 = 1024;
const DEFAULT_MESSAGE_SIZE: u64 = 4096;
const DEFAULT_MODE: u32 = 0o600;
const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// What is wrong with a segment of zeroes that nobody is about to fill.
const HEADLESS: &str = "a segment without a channel's header";

/// Rounds before giving up. Two were the most ever needed under exhaustive pairs of kills.
const ROUNDS: usize = 16;

/// May opening create?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Create {
    Never,
    IfAbsent,
    Exclusive,
}

/// LOCK, held by us; given back on drop.
pub(crate) struct Lock {
    set: Set,
    held: bool,
}

impl Lock {
    /// Takes the lock of a channel that is open already.
    pub(crate) fn take(channel: &Attachment) -> Result<Lock> {
        let lock = Lock::of(channel.set, Instant::now().checked_add(channel.lock_timeout))?;
        channel.check_live()?;
        Ok(lock)
    }

    fn of(set: Set, deadline: Option<Instant>) -> Result<Lock> {
        set.lock(deadline)?;
        Ok(Lock { set, held: true })
    }

    /// Gives the lock back and says whether that worked.
    pub(crate) fn release(mut self) -> Result<()> {
        self.held = false;
        self.set.unlock()
    }

    /// The lock was given back by the same step that did something else.
    pub(crate) fn passed_on(mut self) {
        self.held = false;
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.held {
            // It can only fail when the set is gone, and the lock with it.
            let _ = self.set.unlock();
        }
    }
}

/// The identity of a channel before it is open.
struct Identity<'a> {
    options: &'a Options,
    /// As the header and the messages to people say it.
    name: String,
    place: Place,
}

/// Where the pair is to be found.
#[derive(Clone, Copy)]
enum Place {
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
    fn set_key(self) -> i32 {
        if let Place::Keys { set, .. } = self { set } else { libc::IPC_PRIVATE }
    }

    fn segment_key(self) -> i32 {
        if let Place::Keys { segment, .. } = self { segment } else { libc::IPC_PRIVATE }
    }
}

/// Opens the pair that a key leads to, creating it if that is asked for and needed. LOCK is held on return, so that
/// registering happens in the same critical section.
///
/// # Errors
/// See [`Options::open`] and [`Options::create`].
pub(crate) fn open_locked(options: &Options, key: &Key, create: Create) -> Result<(Arc<Attachment>, Lock)> {
    let id = Identity::new(options, key, create)?;
    let create = if matches!(key, Key::Id(_)) { Create::Never } else { create };
    let timeout = options.lock_timeout.unwrap_or(DEFAULT_LOCK_TIMEOUT);
    let deadline = Instant::now().checked_add(timeout);
    for _ in 0..ROUNDS {
        match id.round(create, deadline, timeout) {
            // Something was removed under our feet, or had to be: from the start.
            Err(Error::Removed) => continue,
            other => return other,
        }
    }
    Err(if create == Create::Never { id.not_found() } else { Error::LockBusy { holder: 0 } })
}

/// Opens the pair that a key leads to for reading only: no lock, no change, no remedy for what others left half done.
///
/// # Errors
/// See [`Options::observe`].
pub(crate) fn observe(options: &Options, key: &Key) -> Result<Attachment> {
    let id = Identity::new(options, key, Create::Never)?;
    for _ in 0..ROUNDS {
        match id.look() {
            Err(Error::Removed) => continue,
            other => return other,
        }
    }
    Err(id.not_found())
}

impl<'a> Identity<'a> {
    fn new(options: &'a Options, key: &Key, create: Create) -> Result<Self> {
        if let Some(mode) = options.mode.filter(|mode| mode & !0o777 != 0 || mode & 0o600 != 0o600) {
            // Without 0600 the creator could not open it again.
            let detail = format!("{mode:#o}; permissions from 0600 to 0777 are possible");
            return Err(Error::Invalid { what: "mode", detail });
        }
        let private = *key == Key::Private;
        if private && create == Create::Never {
            return Err(Error::NotFound { name: "a private channel by its key".into() });
        }
        let (name, place) = match key {
            Key::Id(_) if create == Create::Exclusive => {
                let detail = format!("{key}: an id is an object's that exists");
                return Err(Error::Invalid { what: "key", detail });
            }
            Key::Id(id) => by_id(*id)?,
            Key::Private => {
                let place = Place::Keys { set: libc::IPC_PRIVATE, segment: libc::IPC_PRIVATE };
                ("private channel".into(), place)
            }
            Key::Name(name) => (name.clone(), by_key(key)?),
            Key::Number(_) | Key::Path { .. } => (format!("{:#010x}", key.segment_key()?), by_key(key)?),
        };
        Ok(Identity { options, name, place })
    }
}

fn by_key(key: &Key) -> Result<Place> {
    Ok(Place::Keys { set: key.set_key()?, segment: key.segment_key()? })
}

/// A channel by its segment's id has the name that its header says.
fn by_id(id: i32) -> Result<(String, Place)> {
    let name = || format!("channel with segment {id}");
    let mapping = Mapping::attach(id, true).map_err(|e| match e.errno {
        EIDRM | EINVAL => Error::NotFound { name: name() },
        EACCES => Error::PermissionDenied { name: name(), detail: e.to_string() },
        _ => Error::Os(e),
    })?;
    let (name, set) = header::whose(&mapping, id)?;
    Ok((name, Place::Ids { set, segment: id }))
}

impl Identity<'_> {
    fn foreign(&self, detail: impl Into<String>) -> Error {
        Error::Foreign { name: self.name.clone(), detail: detail.into() }
    }

    fn denied(&self, what: &str, e: &OsError) -> Error {
        Error::PermissionDenied { name: self.name.clone(), detail: format!("{what} ({e})") }
    }

    fn not_found(&self) -> Error {
        Error::NotFound { name: format!("channel {}", self.name) }
    }

    /// One attempt; `Removed` means that the next one will see something else.
    fn round(
        &self,
        create: Create,
        deadline: Option<Instant>,
        timeout: Duration,
    ) -> Result<(Arc<Attachment>, Lock)> {
        let (set, new) = self.find_set(create)?;
        let lock = Lock::of(set, deadline).map_err(|e| match e {
            Error::Os(e) if e.errno == EACCES => self.denied("no right to change its semaphore set", &e),
            e => e,
        })?;
        let stage = set.snapshot()?.stage().ok_or(Error::Removed)?;
        let found = self.find_segment(&set, stage).inspect_err(|_| {
            // Something else is there. Nothing of ours is left beside it: not a set that this call has made and that
            // nobody has built on.
            if new && stage == Stage::New {
                let _ = set.remove();
            }
        })?;
        let found = match found {
            Some(found) => Some(found),
            None if stage == Stage::Ready => {
                // A finished set without its segment: ghosts may hang on it. Away with it.
                set.remove()?;
                return Err(if create == Create::Never { self.not_found() } else { Error::Removed });
            }
            None => None,
        };
        let (segment_id, mapping, header) = match (found, create) {
            (Some(_), Create::Exclusive) => {
                return Err(Error::AlreadyExists { name: format!("channel {}", self.name) });
            }
            (Some((segment_id, mapping, header)), _) => {
                self.compare(&header, segment_id, &set)?;
                set.set_stage(Stage::Ready)?;
                (segment_id, mapping, header)
            }
            (None, Create::Never) => return Err(self.not_found()),
            (None, _) => self.create_segment(&set).inspect_err(|_| {
                // Nothing is left behind: not the wreck of a segment, which create_segment removes, nor the set.
                let _ = set.remove();
            })?,
        };
        if header.wake == WakeMode::Membarrier {
            os::process::register_membarrier()?;
        }
        let mem = view(&mapping, header.geometry);
        let trusted = self.options.trusted;
        let attachment = Attachment::new(
            self.name.clone(),
            set,
            segment_id,
            header,
            mem,
            mapping,
            trusted,
            timeout,
            self.options.recheck,
        )?;
        Ok((Arc::new(attachment), lock))
    }

    /// The channel as it stands, for reading only.
    fn look(&self) -> Result<Attachment> {
        let (set, _) = self.find_set(Create::Never)?;
        let stage = set.snapshot()?.stage();
        let Some((id, _, mapping)) = self.attach_segment(true)? else { return Err(self.not_found()) };
        let header = match header::judge(&mapping, &self.name, set.id())? {
            Verdict::Live(header) => *header,
            Verdict::Blank if stage == Some(Stage::Ready) => return Err(self.foreign(HEADLESS)),
            Verdict::Foreign(detail) => return Err(self.foreign(detail)),
            // Not there yet, or not any more.
            Verdict::Blank | Verdict::Orphan | Verdict::Dying => return Err(self.not_found()),
        };
        self.compare(&header, id, &set)?;
        os::shm::dont_dump(mapping.base(), mapping.len())?;
        let mem = view(&mapping, header.geometry);
        Attachment::new(
            self.name.clone(),
            set,
            id,
            header,
            mem,
            mapping,
            false,
            Duration::ZERO,
            self.options.recheck,
        )
    }

    /// The verified set, made if need be; and whether it was.
    fn find_set(&self, create: Create) -> Result<(Set, bool)> {
        let found = match self.place {
            Place::Keys { set: libc::IPC_PRIVATE, .. } => return self.make_set(),
            Place::Keys { set: key, .. } => os::sem::get(key, 0, 0),
            Place::Ids { set: id, .. } => Ok(id),
        };
        let id = match found {
            Ok(id) => id,
            Err(e) if e.errno == ENOENT && create != Create::Never => return self.make_set(),
            Err(e) if e.errno == ENOENT => return Err(self.not_found()),
            Err(e) if e.errno == EACCES => return Err(self.denied("no right to open its semaphore set", &e)),
            Err(e) => return Err(Error::Os(e)),
        };
        Ok((Set::verify(id, &self.name, |uid| self.options.trusts(uid))?, false))
    }

    fn make_set(&self) -> Result<(Set, bool)> {
        let id = self.create_set()?;
        Ok((Set::verify(id, &self.name, |uid| self.options.trusts(uid))?, true))
    }

    fn create_set(&self) -> Result<i32> {
        let header = self.new_header()?; // refuse bad parameters before anything is made
        let mode = self.mode() as i32;
        let size = Set::size(header.geometry.participants());
        match os::sem::get(self.place.set_key(), size, mode | IPC_CREAT | IPC_EXCL) {
            Err(e) if e.errno == EEXIST => Err(Error::Removed), // somebody was faster: the next round opens it
            other => other.map_err(Error::Os),
        }
    }

    fn mode(&self) -> u32 {
        self.options.mode.unwrap_or(DEFAULT_MODE) & 0o777
    }

    /// The segment that the key leads to, if there is one, of a creator whom we trust: its id, how many others have it
    /// attached, and the mapping.
    fn attach_segment(&self, read_only: bool) -> Result<Option<(i32, u64, Mapping)>> {
        let gone = |e: OsError| match e.errno {
            EIDRM | EINVAL => Error::Removed,
            EACCES => self.denied("no right to its segment", &e),
            _ => Error::Os(e),
        };
        let found = match self.place {
            Place::Keys { segment: libc::IPC_PRIVATE, .. } => return Ok(None),
            Place::Keys { segment: key, .. } => os::shm::get(key, 0, 0),
            Place::Ids { segment: id, .. } => Ok(id),
        };
        let id = match found {
            Ok(id) => id,
            Err(e) if e.errno == ENOENT => return Ok(None),
            Err(e) => return Err(gone(e)),
        };
        let stat = os::shm::stat(id).map_err(gone)?;
        if !self.options.trusts(stat.cuid) {
            let detail = format!("its segment was created by uid {}, neither ours nor root's", stat.cuid);
            return Err(self.foreign(detail));
        }
        Ok(Some((id, stat.nattch, Mapping::attach(id, read_only).map_err(gone)?)))
    }

    /// The live segment, or `None` if there is none and one may be made. Removes what is provably a wreck or an orphan
    /// of ours; never anything else.
    fn find_segment(&self, set: &Set, stage: Stage) -> Result<Option<(i32, Mapping, Header)>> {
        let Some((id, others, mapping)) = self.attach_segment(false)? else { return Ok(None) };
        let discard = |what: Option<Set>| -> Result<()> {
            if let Some(set) = what {
                set.remove()?;
            }
            match os::shm::remove(id) {
                Err(e) if !matches!(e.errno, EIDRM | EINVAL) => Err(Error::Os(e)),
                _ => Ok(()),
            }
        };
        match header::judge(&mapping, &self.name, set.id())? {
            Verdict::Live(header) => {
                self.prepare(&mapping)?;
                Ok(Some((id, mapping, *header)))
            }
            // Its creator died before the magic; nobody but us has it attached.
            Verdict::Blank if stage == Stage::Building && others == 0 => discard(None).map(|()| None),
            Verdict::Blank => Err(self.foreign(HEADLESS)),
            Verdict::Foreign(detail) => Err(self.foreign(detail)),
            // An earlier generation whose set is gone: nobody can use it any more, whoever still has it attached.
            Verdict::Orphan => discard(None).map(|()| None),
            // A remover died in the middle: finish its work and start again.
            Verdict::Dying => discard(Some(*set)).and(Err(Error::Removed)),
        }
    }

    /// The set must be made for this segment, and everything that was said must be what the channel has.
    fn compare(&self, header: &Header, segment_id: i32, set: &Set) -> Result<()> {
        let (found, places) = (header.geometry.participants(), set.participants());
        if found != places {
            let expected = format!("{places}, as its semaphore set has room for");
            return Err(Error::Corrupt { what: "number of participants", found: found as u64, expected });
        }
        fn check<T: PartialEq + std::fmt::Display>(
            what: &'static str,
            asked: Option<T>,
            existing: T,
        ) -> Result<()> {
            match asked {
                Some(asked) if asked != existing => {
                    Err(Error::Mismatch { what, asked: asked.to_string(), existing: existing.to_string() })
                }
                _ => Ok(()),
            }
        }
        let options = self.options;
        let capacity = options.capacity.map(|c| c.checked_next_power_of_two().unwrap_or(c));
        check("kind", options.kind, header.kind)?;
        check("capacity", capacity, header.geometry.capacity())?;
        check("message size", options.message_size, header.geometry.message_size() as u64)?;
        check("number of participants", options.participants, header.geometry.participants())?;
        check("policy without consumers", options.when_no_consumer, header.when_no_consumer)?;
        check("wake mode", options.wake, header.wake)?;
        check("scrubbing", options.scrub, header.scrub)?;
        if let Some(mode) = options.mode {
            let existing = os::shm::stat(segment_id).map_err(Error::Os)?.mode & 0o777;
            check("mode", Some(format!("{:04o}", mode & 0o777)), format!("{existing:04o}"))?;
        }
        if let Some(asked) = &options.message_type {
            let describe = |t: &TypeInfo| format!("{} ({} bytes, aligned to {})", t.name, t.size, t.align);
            let existing = header.message_type.as_ref().map_or("plain bytes".into(), describe);
            check("message type", Some(describe(asked)), existing)?;
        }
        Ok(())
    }

    /// What a new channel is to be, checked.
    fn new_header(&self) -> Result<Header> {
        let options = self.options;
        let capacity = options.capacity.unwrap_or(DEFAULT_CAPACITY);
        let message_size = options.message_size.unwrap_or(DEFAULT_MESSAGE_SIZE);
        let most = Set::most_participants()?;
        let participants = options.participants.unwrap_or(most);
        let invalid = |what, detail| Err(Error::Invalid { what, detail });
        if !(1..=MAX_CAPACITY).contains(&capacity) {
            return invalid("capacity", format!("{capacity} messages; 1 to {MAX_CAPACITY} are possible"));
        }
        if message_size > MAX_MESSAGE {
            return invalid("message size", format!("{message_size} bytes; 0 to {MAX_MESSAGE} are possible"));
        }
        if !(2..=most).contains(&participants) {
            let detail = match most {
                MAX_PARTICIPANTS => format!("{participants}; 2 to {most} are possible"),
                _ => format!(
                    "{participants}; 2 to {most} are possible with the SEMOPM of this host (sysctl kernel.sem)"
                ),
            };
            return invalid("number of participants", detail);
        }
        let Some(geometry) = Geometry::new(capacity, message_size, participants) else {
            let detail = format!("{capacity} messages of {message_size} bytes exceed the address space");
            return invalid("capacity", detail);
        };
        Ok(Header {
            kind: options.kind.unwrap_or(Kind::Mpmc),
            geometry,
            when_no_consumer: options.when_no_consumer.unwrap_or(WhenNoConsumer::Disconnect),
            wake: options.wake.unwrap_or_else(|| match os::process::register_membarrier() {
                Ok(()) => WakeMode::Membarrier,
                Err(_) => WakeMode::Fence,
            }),
            message_type: options.message_type.clone(),
            origin: options.origin,
            scrub: options.scrub.unwrap_or(false),
            created: std::time::SystemTime::now(),
            creator: os::process::pid(),
        })
    }

    /// Makes and fills the segment, and says that it is ready; under LOCK. A segment that could not be finished is removed again.
    fn create_segment(&self, set: &Set) -> Result<(i32, Mapping, Header)> {
        let header = self.new_header()?;
        if header.geometry.participants() != set.participants() {
            // The set is a dead creator's who asked for other parameters: make both anew.
            set.remove()?;
            return Err(Error::Removed);
        }
        // From here on a segment without magic under our key is our wreck.
        set.set_stage(Stage::Building)?;
        let huge = if self.options.huge_pages { libc::SHM_HUGETLB } else { 0 };
        let flags = self.mode() as i32 | IPC_CREAT | IPC_EXCL | huge;
        let id =
            os::shm::get(self.place.segment_key(), header.geometry.size(), flags).map_err(|e| {
                match e.errno {
                    EEXIST => self.foreign("a segment that somebody made just now"),
                    _ => Error::Os(e),
                }
            })?;
        let filled = self.fill_segment(id, set, &header);
        match filled.and_then(|mapping| set.set_stage(Stage::Ready).map(|()| mapping)) {
            Ok(mapping) => Ok((id, mapping, header)),
            Err(e) => {
                let _ = os::shm::remove(id);
                Err(e)
            }
        }
    }

    fn fill_segment(&self, id: i32, set: &Set, header: &Header) -> Result<Mapping> {
        let mapping = Mapping::attach(id, false)?;
        if self.options.lock_memory {
            os::shm::lock(id).map_err(Error::Os)?;
        }
        self.prepare(&mapping)?;
        ring::init(&view(&mapping, header.geometry), header.kind, header.origin);
        header::write(&mapping, header, &self.name, set.id())?;
        Ok(mapping)
    }

    /// What every process does with its mapping: keep it out of core dumps, and touch it all unless told not to.
    fn prepare(&self, mapping: &Mapping) -> Result<()> {
        os::shm::dont_dump(mapping.base(), mapping.len())?;
        if !self.options.lazy {
            os::shm::prefault(mapping.base(), mapping.len())?;
        }
        Ok(())
    }
}

/// The ring's view of a mapping that a geometry was checked against.
#[allow(unsafe_code)]
fn view(mapping: &Mapping, geometry: Geometry) -> Shared {
    debug_assert!(mapping.len() >= geometry.size());
    // SAFETY: the mapping is as long as the geometry says (checked when the header was read; chosen when it was written),
    // page-aligned, and lives as long as the attachment that holds both. Of an observer's, which is read-only, nothing
    // but loads is made.
    unsafe { Shared::new(mapping.base(), geometry) }
}

/// Removes a channel: the set first, which wakes every sleeper, and which the kernel refuses whoever is not its owner,
/// while nothing has changed yet; the mark that tells those who are awake; the segment. Killed in between, the next
/// opener finds an orphan or the mark, and finishes the work.
pub(crate) fn remove(channel: &Attachment, lock: Lock) -> Result<()> {
    channel.set.remove().map_err(|e| match e {
        Error::Os(e) if e.errno == EPERM => {
            Error::PermissionDenied { name: channel.name.clone(), detail: e.to_string() }
        }
        e => e,
    })?;
    lock.passed_on();
    channel.mark_dead();
    match os::shm::remove(channel.segment_id) {
        Err(e) if !matches!(e.errno, EIDRM | EINVAL) => Err(Error::Os(e)),
        _ => Ok(()),
    }
}
