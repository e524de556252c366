//! Ours and everybody else: two ends each. What has to exist before the ends are opened is made by [`prepare`], in the
//! process that starts the others, and goes with [`Objects`].

pub mod bare;
pub mod bulk;
pub mod kernel;

/// The channel of this repository.
#[path = "."]
pub mod ours {
    use semring as library;
    mod channel;
    pub use channel::*;
}

/// The same, built without what only recovery after a death needs: what crash safety costs.
#[path = "."]
#[allow(dead_code)] // channels are created, and bystanders held, by the other one
pub mod unannounced {
    use semring_unannounced as library;
    mod channel;
    pub use channel::*;
}
pub mod textbook;

#[cfg(feature = "boost")]
pub mod boost;
#[cfg(feature = "crossbeam")]
pub mod crossbeam;
#[cfg(feature = "iceoryx2")]
pub mod iceoryx2;
#[cfg(feature = "ipc-channel")]
pub mod ipc_channel;
#[cfg(feature = "ringfire")]
pub mod ringfire;
#[cfg(feature = "rtrb")]
pub mod rtrb;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use semring_cli::rivals::sysv_mq::Queue;
use semring_cli::rivals::{inheritable, posix_mq, stream};

use crate::objects::Objects;
use crate::spec::{Rival, Spec};

/// Makes what the ends of this sample will find, and notes in the spec where.
pub fn prepare(spec: &mut Spec, objects: &mut Objects) -> Result<(), Box<dyn std::error::Error>> {
    for lane in 0..spec.lanes() {
        match spec.rival {
            // The one that is not crash-safe has the same format; it is removed as the other is.
            Rival::OursSpsc | Rival::OursMpmc | Rival::UnsafeSpsc | Rival::UnsafeMpmc => {
                objects.channel(ours::create(spec, lane)?);
            }
            Rival::BulkSpsc | Rival::BulkMpmc => objects.channel(lane_name(spec, lane)),
            Rival::Bare => inherit(spec, objects, [bare::memory(spec)?])?,
            Rival::Pipe => inherit(spec, objects, stream::pipe()?)?,
            Rival::Socket => inherit(spec, objects, stream::socket()?)?,
            Rival::Fifo => inherit(spec, objects, stream::fifo()?)?,
            Rival::PosixMq => inherit(spec, objects, [posix_mq::create(spec.capacity, spec.size)?])?,
            Rival::SysvMq => spec.ids.push(objects.sysv_mq(Queue::create(spec.size)?)),
            Rival::Textbook => {
                spec.ids.push(objects.segment(textbook::create_segment(spec)?));
                spec.ids.push(objects.semaphores(textbook::create_semaphores(spec)?));
            }
            #[cfg(feature = "boost")]
            Rival::Boost => objects.shared_files(lane_name(spec, lane)),
            #[cfg(feature = "iceoryx2")]
            Rival::Iceoryx2 => objects.shared_files(iceoryx2::prefix(spec)),
            _ => {}
        }
    }
    Ok(())
}

fn inherit<const K: usize>(spec: &mut Spec, objects: &mut Objects, fds: [OwnedFd; K]) -> io::Result<()> {
    for fd in fds {
        inheritable(&fd)?;
        spec.fds.push(fd.as_raw_fd());
        objects.descriptor(fd);
    }
    Ok(())
}

/// A name for one lane's object.
pub fn lane_name(spec: &Spec, lane: usize) -> String {
    format!("{}-{lane}", spec.name)
}

/// The other side makes it; how long that takes is not measured.
#[cfg(any(feature = "ringfire", feature = "iceoryx2", feature = "ipc-channel"))]
pub fn patiently<T, E: std::fmt::Display>(what: &str, mut attempt: impl FnMut() -> Result<T, E>) -> T {
    let mut last = None;
    for _ in 0..2000 {
        match attempt() {
            Ok(done) => return done,
            Err(e) => last = Some(e),
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("{what}: {}", last.map_or_else(String::new, |e| e.to_string()))
}

/// The result of a libc call that says -1 when it fails.
pub fn succeeded(call: &str, result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 {
        let e = io::Error::last_os_error();
        return Err(io::Error::new(e.kind(), format!("{call}: {e}")));
    }
    Ok(result)
}
