//! What can be seen of a channel from outside, at one moment.

use std::time::SystemTime;

use super::attachment::Attachment;
use super::header::WhenNoConsumer;
use super::recovery;
use crate::error::Result;
use crate::layout::{record, shared};
use crate::pair::Set as _;
use crate::pair::header::from_nanos;
use crate::park;
use crate::ring::{self, Kind, Side};
use crate::sync::Ordering;

/// Everything about a channel at one moment; positions and leases are read one after the other.
///
/// # Examples
/// ```
/// use semring::Options;
///
/// # let name = format!("status-doc-{}", std::process::id());
/// let mut producer = Options::new().capacity(8).producer(&name)?;
/// producer.send(b"waits")?;
/// let status = producer.status()?;
/// assert_eq!((status.producers, status.consumers, status.len, status.capacity), (1, 0, 1, 8));
/// # producer.channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Name, or the key in hexadecimal.
    pub name: String,
    /// Which ring.
    pub kind: Kind,
    /// Slots.
    pub capacity: u64,
    /// Most bytes of a message.
    pub message_size: usize,
    /// What producers do without consumers.
    pub when_no_consumer: WhenNoConsumer,
    /// Name of the type of its messages, if it is typed.
    pub message_type: Option<String>,
    /// Permissions of the segment (`0o777` bits).
    pub mode: u32,
    /// Owner's uid.
    pub owner_uid: u32,
    /// Creator's uid.
    pub creator_uid: u32,
    /// When it was created.
    pub created: SystemTime,
    /// The segment's id, as `ipcs -m` shows it.
    pub segment_id: i32,
    /// The segment's key, as `ipcs -m` shows it.
    pub segment_key: i32,
    /// The semaphore set's id, as `ipcs -s` shows it.
    pub semaphore_id: i32,
    /// The semaphore set's key, as `ipcs -s` shows it.
    pub semaphore_key: i32,
    /// Bytes of the segment.
    pub size_bytes: usize,
    /// Mappings of the segment, by anybody.
    pub attached: u64,
    /// Messages in the channel now, those being written included.
    pub len: u64,
    /// Messages sent since it was created (tombstones of dead or aborting producers included).
    pub sent: u64,
    /// Messages taken since it was created.
    pub received: u64,
    /// Producers alive.
    pub producers: u32,
    /// Consumers alive.
    pub consumers: u32,
    /// Participants there is room for.
    pub limit: usize,
    /// Participants, and dead ones that nobody has recovered yet.
    pub participants: Vec<ParticipantStatus>,
    /// Dead participants recovered since it was created.
    pub recoveries: u64,
    /// Messages adopted from dead consumers, or given back.
    pub adopted: u64,
    /// Slots of dead producers that were passed over.
    pub tombstones: u64,
    /// Process that holds the lock, if it is held.
    pub lock_holder: Option<i32>,
}

/// One participant of a [`Status`].
///
/// # Examples
/// ```
/// use semring::{Options, Role};
///
/// # let name = format!("participants-doc-{}", std::process::id());
/// let consumer = Options::new().consumer(&name)?;
/// for participant in consumer.status()?.participants {
///     assert_eq!((participant.role, participant.alive), (Role::Consumer, true));
///     assert_eq!(participant.pid as u32, std::process::id());
/// }
/// # consumer.channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParticipantStatus {
    /// Its index.
    pub index: usize,
    /// Which side it is on.
    pub role: Role,
    /// Its process, as it recorded it (in its own pid namespace).
    pub pid: i32,
    /// Does the kernel say that it lives?
    pub alive: bool,
    /// Is it asleep, or about to be?
    pub sleeping: bool,
    /// Slots that it has claimed and is not done with: from this position, so many.
    pub holds: Option<(u64, u32)>,
    /// When it joined.
    pub joined: SystemTime,
}

/// Side of a participant.
///
/// # Examples
/// ```
/// use semring::{Options, Role};
///
/// # let name = format!("role-doc-{}", std::process::id());
/// let producer = Options::new().producer(&name)?;
/// let is_producer = |p: &&semring::ParticipantStatus| p.role == Role::Producer;
/// assert_eq!(producer.status()?.participants.iter().filter(is_producer).count(), 1);
/// # producer.channel().remove()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It sends.
    Producer,
    /// It receives.
    Consumer,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Role::Producer => "producer",
            Role::Consumer => "consumer",
        })
    }
}

/// Reads it all; changes nothing, and takes no lock.
pub(crate) fn read(channel: &Attachment) -> Result<Status> {
    channel.check_fork()?;
    let snapshot = channel.set.snapshot()?;
    let (segment, set) = channel.stats()?;
    let (mem, header) = (channel.mem(), &channel.header);
    let alive = snapshot.alive();
    let participants = recovery::indices(channel)
        .filter_map(|index| recovery::role(channel, index).map(|side| (index, side)))
        .map(|(index, side)| {
            let field = |at| mem.record(index, at).load(Ordering::Relaxed);
            ParticipantStatus {
                index: index.get(),
                role: if side == Side::Producers { Role::Producer } else { Role::Consumer },
                pid: field(record::PID) as u32 as i32,
                alive: alive & index.bit() != 0,
                sleeping: park::is_sleeping(mem, index),
                holds: ring::holds(mem, header.kind, index, side),
                joined: from_nanos(field(record::JOINED)),
            }
        })
        .collect();
    let (sent, received) = ring::traffic(mem, header.kind, header.origin);
    let counter = |at| channel.counter(at).load(Ordering::Relaxed);
    Ok(Status {
        name: channel.name.clone(),
        kind: header.kind,
        capacity: header.geometry.capacity(),
        message_size: header.geometry.message_size(),
        when_no_consumer: header.when_no_consumer,
        message_type: header.message_type.as_ref().map(|t| t.name.clone()),
        mode: segment.mode & 0o777,
        owner_uid: segment.uid,
        creator_uid: segment.cuid,
        created: header.created,
        segment_id: channel.segment_id,
        segment_key: segment.key,
        semaphore_id: channel.set.id(),
        semaphore_key: set.key,
        size_bytes: segment.size,
        attached: segment.nattch,
        len: ring::occupancy(mem, header.kind),
        sent,
        received,
        producers: snapshot.count(Side::Producers).into(),
        consumers: snapshot.count(Side::Consumers).into(),
        limit: header.geometry.participants(),
        participants,
        recoveries: counter(shared::RECOVERIES),
        adopted: counter(shared::ADOPTED),
        tombstones: counter(shared::TOMBSTONES),
        lock_holder: if snapshot.unlocked() { None } else { Some(channel.set.lock_holder()?) },
    })
}
