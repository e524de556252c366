//! Finding the pair that a key leads to, and making it if that is asked for and needed.

use std::fmt::Display;
use std::time::{Duration, Instant};

use libc::{EACCES, EIDRM, EINVAL, ENOENT, IPC_PRIVATE};

use super::attachment::Attachment;
use super::header::{self, Header, Verdict};
use super::place::{self, Place};
use super::removing::discard_segment;
use super::set::Set;
use super::stage::{Stage, set_stage, stage};
use super::terms::Terms;
use crate::error::{Error, OsError, Result};
use crate::os;
use crate::os::process::Generation;
use crate::segment::{Key, Mapping};

/// Rounds before giving up. Two were the most ever needed under exhaustive pairs of kills.
const ROUNDS: usize = 16;

/// May opening create?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Create {
    Never,
    IfAbsent,
    Exclusive,
}

/// What somebody wants who opens or creates a pair of one kind.
pub(crate) trait Asked {
    type Set: Set;
    type Header: Header;

    fn terms(&self) -> &Terms;

    /// What a new pair is to be, checked.
    ///
    /// # Errors
    /// `Invalid`.
    fn new_header(&self) -> Result<Self::Header>;

    /// Writes what a new segment has besides its header and is not zero.
    fn fill(&self, mapping: &Mapping, header: &Self::Header);

    /// Everything that was said must be what the pair has.
    ///
    /// # Errors
    /// `Mismatch`.
    fn compare(&self, header: &Self::Header) -> Result<()>;
}

/// Refuses what differs from what was asked for, if anything was.
///
/// # Errors
/// `Mismatch`, with both.
pub(crate) fn agree<T: PartialEq + Display>(what: &'static str, asked: Option<T>, existing: T) -> Result<()> {
    match asked {
        Some(asked) if asked != existing => {
            Err(Error::Mismatch { what, asked: asked.to_string(), existing: existing.to_string() })
        }
        _ => Ok(()),
    }
}

/// What is wrong with a segment of zeroes that nobody is about to fill.
fn headless(kind: &str) -> String {
    format!("a segment without a {kind}'s header")
}

/// A segment that belongs to the set.
pub(super) struct Segment<H> {
    pub(super) id: i32,
    pub(super) mapping: Mapping,
    pub(super) header: H,
}

/// One opening, under way.
pub(super) struct Opening<'a, A> {
    pub(super) asked: &'a A,
    /// As the header and the messages to people say it.
    pub(super) name: String,
    pub(super) place: Place,
    /// Asked for before anything is made, for it may fail.
    generation: Generation,
}

type Opened<A> = Attachment<<A as Asked>::Set, <A as Asked>::Header>;
type Lock<A> = <<A as Asked>::Set as Set>::Lock;

/// Opens the pair that a key leads to, creating it if that is asked for and needed. Its lock is held on return, so that
/// more can be done in the same critical section.
///
/// # Errors
/// `NotFound`, `AlreadyExists`, `Mismatch`, `Foreign`, `PermissionDenied`, `Version`, `Corrupt`, `Invalid`, `LockBusy`.
pub(crate) fn open<A: Asked>(asked: &A, key: &Key, create: Create) -> Result<(Opened<A>, Lock<A>)> {
    let opening = Opening::new(asked, key, create)?;
    let create = if matches!(key, Key::Id(_)) { Create::Never } else { create };
    let deadline = Instant::now().checked_add(asked.terms().lock_timeout());
    let exhausted =
        || if create == Create::Never { opening.not_found() } else { Error::LockBusy { holder: 0 } };
    rounds(|| opening.round(create, deadline), exhausted)
}

/// Opens the pair that a key leads to for reading only: no lock, no change, no remedy for what others left half done.
///
/// # Errors
/// As [`open`].
pub(crate) fn observe<A: Asked>(asked: &A, key: &Key) -> Result<Opened<A>> {
    let opening = Opening::new(asked, key, Create::Never)?;
    rounds(|| opening.look(), || opening.not_found())
}

/// Tries again when something was removed under our feet, or had to be: from the start.
fn rounds<T>(round: impl Fn() -> Result<T>, exhausted: impl Fn() -> Error) -> Result<T> {
    for _ in 0..ROUNDS {
        match round() {
            Err(Error::Removed) => continue,
            other => return other,
        }
    }
    Err(exhausted())
}

impl<'a, A: Asked> Opening<'a, A> {
    fn new(asked: &'a A, key: &Key, create: Create) -> Result<Self> {
        asked.terms().check_mode()?;
        let (name, place) = place::find(&A::Header::FORMAT, key, create)?;
        Ok(Self { asked, name, place, generation: Generation::current()? })
    }

    pub(super) fn terms(&self) -> &Terms {
        self.asked.terms()
    }

    /// The name with what it is.
    fn title(&self) -> String {
        format!("{} {}", A::Header::FORMAT.kind, self.name)
    }

    pub(super) fn foreign(&self, detail: impl Into<String>) -> Error {
        Error::Foreign { name: self.name.clone(), detail: detail.into() }
    }

    fn denied(&self, what: &str, e: &OsError) -> Error {
        Error::PermissionDenied { name: self.name.clone(), detail: format!("{what} ({e})") }
    }

    fn not_found(&self) -> Error {
        Error::NotFound { name: self.title() }
    }

    /// One attempt; `Removed` means that the next one will see something else.
    fn round(&self, create: Create, deadline: Option<Instant>) -> Result<(Opened<A>, Lock<A>)> {
        let (set, new) = self.find_set(create)?;
        let lock = set.take_lock(deadline).map_err(|e| match e {
            Error::Os(e) if e.errno == EACCES => self.denied("no right to change its semaphore set", &e),
            e => e,
        })?;
        let stage = stage(&set)?;
        let found = self.find_segment(&set, stage).inspect_err(|_| {
            // Something else is there. Nothing of ours is left beside it: not a set that this call has made and that
            // nobody has built on.
            if new && stage == Stage::New {
                let _ = set.remove();
            }
        })?;
        let segment = match (found, create) {
            (None, _) if stage == Stage::Ready => {
                // A finished set without its segment: ghosts may hang on it. Away with it.
                set.remove()?;
                return Err(if create == Create::Never { self.not_found() } else { Error::Removed });
            }
            (Some(_), Create::Exclusive) => return Err(Error::AlreadyExists { name: self.title() }),
            (Some(found), _) => {
                self.compare(&found, &set)?;
                set_stage(&set, Stage::Ready)?;
                found
            }
            (None, Create::Never) => return Err(self.not_found()),
            (None, _) => self.create_segment(&set)?,
        };
        Ok((self.attachment(set, segment, self.terms().lock_timeout()), lock))
    }

    /// The pair as it stands, for reading only.
    fn look(&self) -> Result<Opened<A>> {
        let (set, _) = self.find_set(Create::Never)?;
        let stage = stage(&set);
        let Some((id, _, mapping)) = self.attach_segment(true)? else { return Err(self.not_found()) };
        let header = match header::judge(&mapping, &self.name, set.id())? {
            Verdict::Live(header) => *header,
            Verdict::Blank if stage == Ok(Stage::Ready) => {
                return Err(self.foreign(headless(A::Header::FORMAT.kind)));
            }
            Verdict::Foreign(detail) => return Err(self.foreign(detail)),
            // Not there yet, or not any more.
            Verdict::Blank | Verdict::Orphan | Verdict::Dying => return Err(self.not_found()),
        };
        let segment = Segment { id, mapping, header };
        self.compare(&segment, &set)?;
        os::shm::dont_dump(segment.mapping.base(), segment.mapping.len())?;
        Ok(self.attachment(set, segment, Duration::ZERO))
    }

    fn attachment(&self, set: A::Set, segment: Segment<A::Header>, lock_timeout: Duration) -> Opened<A> {
        let Segment { id: segment_id, mapping, header } = segment;
        let (name, generation) = (self.name.clone(), self.generation);
        Attachment { name, set, segment_id, header, mapping, lock_timeout, generation }
    }

    /// The verified set, made if need be; and whether it was.
    fn find_set(&self, create: Create) -> Result<(A::Set, bool)> {
        let found = match self.place {
            Place::Keys { set: IPC_PRIVATE, .. } => return Ok((self.create_set()?, true)),
            Place::Keys { set: key, .. } => os::sem::get(key, 0, 0),
            Place::Ids { set: id, .. } => Ok(id),
        };
        match found {
            Ok(id) => Ok((self.verified(id)?, false)),
            Err(e) if e.errno == ENOENT && create != Create::Never => Ok((self.create_set()?, true)),
            Err(e) if e.errno == ENOENT => Err(self.not_found()),
            Err(e) if e.errno == EACCES => Err(self.denied("no right to open its semaphore set", &e)),
            Err(e) => Err(Error::Os(e)),
        }
    }

    pub(super) fn verified(&self, id: i32) -> Result<A::Set> {
        A::Set::verify(id, &self.name, |uid| self.terms().trusts(uid))
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
        if !self.terms().trusts(stat.cuid) {
            let detail = format!("its segment was created by uid {}, neither ours nor root's", stat.cuid);
            return Err(self.foreign(detail));
        }
        Ok(Some((id, stat.nattch, Mapping::attach(id, read_only).map_err(gone)?)))
    }

    /// The live segment, or `None` if there is none and one may be made. Removes what is provably a wreck or an orphan
    /// of ours; never anything else.
    fn find_segment(&self, set: &A::Set, stage: Stage) -> Result<Option<Segment<A::Header>>> {
        let Some((id, others, mapping)) = self.attach_segment(false)? else { return Ok(None) };
        match header::judge(&mapping, &self.name, set.id())? {
            Verdict::Live(header) => {
                self.prepare(&mapping)?;
                Ok(Some(Segment { id, mapping, header: *header }))
            }
            // Its creator died before the magic; nobody but us has it attached.
            Verdict::Blank if stage == Stage::Building && others == 0 => discard_segment(id).map(|()| None),
            Verdict::Blank => Err(self.foreign(headless(A::Header::FORMAT.kind))),
            Verdict::Foreign(detail) => Err(self.foreign(detail)),
            // An earlier generation whose set is gone: nobody can use it any more, whoever still has it attached.
            Verdict::Orphan => discard_segment(id).map(|()| None),
            // A remover died in the middle: finish its work and start again.
            Verdict::Dying => set.remove().and_then(|()| discard_segment(id)).and(Err(Error::Removed)),
        }
    }

    /// The set must be made for this segment, and everything that was said must be what the pair has.
    fn compare(&self, segment: &Segment<A::Header>, set: &A::Set) -> Result<()> {
        let (found, needed) = (set.set_id().len(), segment.header.set_size());
        if found != needed {
            let expected = format!("{needed}, as its header says");
            return Err(Error::Corrupt { what: "number of semaphores", found: found as u64, expected });
        }
        self.asked.compare(&segment.header)?;
        if let Some(mode) = self.terms().mode {
            let existing = os::shm::stat(segment.id).map_err(Error::Os)?.mode & 0o777;
            agree("mode", Some(format!("{:04o}", mode & 0o777)), format!("{existing:04o}"))?;
        }
        Ok(())
    }
}
