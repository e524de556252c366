//! The ring of the textbook: two counting semaphores, P and V for each message, System V as ours.

use std::ptr::NonNull;

use super::succeeded;
use crate::ends::{self, Between};
use crate::spec::Spec;

/// The semaphores of a set.
const ROOM: u16 = 0;
const MESSAGES: u16 = 1;

pub struct Textbook;

/// Both ends.
struct Ring {
    set: i32,
    slots: NonNull<u8>,
    count: usize,
    passed: usize,
}

pub struct Tx(Ring);
pub struct Rx(Ring);

pub fn create_segment(spec: &Spec) -> std::io::Result<i32> {
    // SAFETY: takes numbers only.
    succeeded("shmget", unsafe { libc::shmget(libc::IPC_PRIVATE, spec.capacity * spec.size, 0o600) })
}

pub fn create_semaphores(spec: &Spec) -> std::io::Result<i32> {
    // SAFETY: takes numbers only.
    let set = succeeded("semget", unsafe { libc::semget(libc::IPC_PRIVATE, 2, 0o600) })?;
    change(set, ROOM, spec.capacity as i16)?;
    Ok(set)
}

fn change(set: i32, semaphore: u16, by: i16) -> std::io::Result<()> {
    let mut operation = libc::sembuf { sem_num: semaphore, sem_op: by, sem_flg: 0 };
    // SAFETY: one operation is passed, and one is there.
    succeeded("semop", unsafe { libc::semop(set, &mut operation, 1) }).map(|_| ())
}

impl Ring {
    fn open(spec: &Spec, lane: usize) -> Self {
        // SAFETY: attaches at an address of the kernel's choice.
        let slots = unsafe { libc::shmat(spec.ids[2 * lane], std::ptr::null(), 0) };
        assert_ne!(slots as isize, -1, "shmat: {}", std::io::Error::last_os_error());
        let slots = NonNull::new(slots.cast()).expect("an address");
        Ring { set: spec.ids[2 * lane + 1], slots, count: spec.capacity, passed: 0 }
    }

    /// Where the next message is, of `size` bytes.
    fn next(&mut self, size: usize) -> *mut u8 {
        let slot = self.passed % self.count * size;
        self.passed = self.passed.wrapping_add(1);
        self.slots.as_ptr().wrapping_add(slot)
    }
}

impl Between for Textbook {
    type Tx<const N: usize> = Tx;
    type Rx<const N: usize> = Rx;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> Tx {
        Tx(Ring::open(spec, lane))
    }

    fn rx<const N: usize>(spec: &Spec, lane: usize) -> Rx {
        Rx(Ring::open(spec, lane))
    }
}

impl<const N: usize> ends::Tx<N> for Tx {
    fn send(&mut self, message: &[u8; N]) {
        change(self.0.set, ROOM, -1).expect("P(room)");
        // SAFETY: within the segment, in a slot that the P gave us.
        unsafe { self.0.next(N).copy_from_nonoverlapping(message.as_ptr(), N) };
        change(self.0.set, MESSAGES, 1).expect("V(messages)");
    }
}

impl<const N: usize> ends::Rx<N> for Rx {
    fn recv(&mut self, message: &mut [u8; N]) {
        change(self.0.set, MESSAGES, -1).expect("P(messages)");
        // SAFETY: within the segment, in a slot that the P gave us.
        unsafe { self.0.next(N).copy_to_nonoverlapping(message.as_mut_ptr(), N) };
        change(self.0.set, ROOM, 1).expect("V(room)");
    }
}
