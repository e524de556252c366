//! What a channel has of its own when it is opened, created and removed; the rest is the pair's: see `pair`.

use std::sync::Arc;

use super::attachment::Attachment;
use super::header::{Header, TypeInfo, WakeMode, WhenNoConsumer};
use super::lock::Lock;
use super::options::Options;
use super::set::Set;
use crate::error::{Error, Result};
use crate::layout::{Geometry, MAX_CAPACITY, MAX_MESSAGE, MAX_PARTICIPANTS};
use crate::os;
use crate::pair::{self, Create, Terms, agree};
use crate::ring::{self, Kind, Shared};
use crate::segment::{Key, Mapping};

const DEFAULT_CAPACITY: u64 = 1024;
const DEFAULT_MESSAGE_SIZE: u64 = 4096;

/// Opens the pair that a key leads to, creating it if that is asked for and needed. LOCK is held on return, so that
/// registering happens in the same critical section.
///
/// # Errors
/// See [`Options::open`] and [`Options::create`].
pub(crate) fn open_locked(options: &Options, key: &Key, create: Create) -> Result<(Arc<Attachment>, Lock)> {
    let (pair, lock) = pair::open(options, key, create)?;
    if pair.header.wake == WakeMode::Membarrier {
        os::process::register_membarrier()?;
    }
    let mem = view(&pair.mapping, pair.header.geometry);
    Ok((Arc::new(Attachment::new(pair, mem, options.trusted, options.recheck)), lock))
}

/// Opens the pair that a key leads to for reading only: no lock, no change, no remedy for what others left half done.
///
/// # Errors
/// See [`Options::observe`].
pub(crate) fn observe(options: &Options, key: &Key) -> Result<Attachment> {
    let pair = pair::observe(options, key)?;
    let mem = view(&pair.mapping, pair.header.geometry);
    Ok(Attachment::new(pair, mem, false, options.recheck))
}

/// Removes a channel.
pub(crate) fn remove(channel: &Attachment, lock: Lock) -> Result<()> {
    pair::remove(&channel.name, &channel.set, channel.segment_id, || {
        lock.passed_on(); // gone with its set
        channel.mark_dead();
    })
}

impl pair::Asked for Options {
    type Set = Set;
    type Header = Header;

    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn fill(&self, mapping: &Mapping, header: &Header) {
        ring::init(&view(mapping, header.geometry), header.kind, header.origin);
    }

    fn compare(&self, header: &Header) -> Result<()> {
        let geometry = &header.geometry;
        let capacity = self.capacity.map(|c| c.checked_next_power_of_two().unwrap_or(c));
        agree("kind", self.kind, header.kind)?;
        agree("capacity", capacity, geometry.capacity())?;
        agree("message size", self.message_size, geometry.message_size() as u64)?;
        agree("number of participants", self.participants, geometry.participants())?;
        agree("policy without consumers", self.when_no_consumer, header.when_no_consumer)?;
        agree("wake mode", self.wake, header.wake)?;
        agree("scrubbing", self.scrub, header.scrub)?;
        if let Some(asked) = &self.message_type {
            let describe = |t: &TypeInfo| format!("{} ({} bytes, aligned to {})", t.name, t.size, t.align);
            let existing = header.message_type.as_ref().map_or("plain bytes".into(), describe);
            agree("message type", Some(describe(asked)), existing)?;
        }
        Ok(())
    }

    fn new_header(&self) -> Result<Header> {
        let capacity = self.capacity.unwrap_or(DEFAULT_CAPACITY);
        let message_size = self.message_size.unwrap_or(DEFAULT_MESSAGE_SIZE);
        let most = Set::most_participants()?;
        let participants = self.participants.unwrap_or(most);
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
            kind: self.kind.unwrap_or(Kind::Mpmc),
            geometry,
            when_no_consumer: self.when_no_consumer.unwrap_or(WhenNoConsumer::Disconnect),
            wake: self.wake.unwrap_or_else(|| match os::process::register_membarrier() {
                Ok(()) => WakeMode::Membarrier,
                Err(_) => WakeMode::Fence,
            }),
            message_type: self.message_type.clone(),
            origin: self.origin,
            scrub: self.scrub.unwrap_or(false),
            created: std::time::SystemTime::now(),
            creator: os::process::pid(),
        })
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
