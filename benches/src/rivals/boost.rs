//! boost.interprocess: its message_queue, through a few lines of C++ (`cpp/boost.cpp`).

use std::ffi::{CString, c_char, c_int, c_void};

use super::lane_name;
use crate::ends::{self, Between};
use crate::spec::Spec;

unsafe extern "C" {
    /// A queue, created if it is not there; null if that fails.
    fn boost_queue_open(name: *const c_char, messages: usize, size: usize) -> *mut c_void;
    fn boost_queue_send(queue: *mut c_void, bytes: *const u8, size: usize) -> c_int;
    fn boost_queue_receive(queue: *mut c_void, bytes: *mut u8, size: usize) -> c_int;
}

pub struct Boost;

pub struct Tx(*mut c_void);
pub struct Rx(*mut c_void);

fn open(spec: &Spec, lane: usize) -> *mut c_void {
    let name = CString::new(lane_name(spec, lane)).expect("a name without a zero");
    // SAFETY: the name is a C string.
    let queue = unsafe { boost_queue_open(name.as_ptr(), spec.capacity, spec.size) };
    assert!(!queue.is_null(), "a boost.interprocess message_queue");
    queue
}

impl Between for Boost {
    type Tx<const N: usize> = Tx;
    type Rx<const N: usize> = Rx;

    fn tx<const N: usize>(spec: &Spec, lane: usize) -> Tx {
        Tx(open(spec, lane))
    }

    fn rx<const N: usize>(spec: &Spec, lane: usize) -> Rx {
        Rx(open(spec, lane))
    }
}

impl<const N: usize> ends::Tx<N> for Tx {
    fn send(&mut self, message: &[u8; N]) {
        // SAFETY: a queue that was opened and is never closed; N bytes are there.
        let sent = unsafe { boost_queue_send(self.0, message.as_ptr(), N) };
        assert_eq!(sent, 0, "send");
    }
}

impl<const N: usize> ends::Rx<N> for Rx {
    fn recv(&mut self, message: &mut [u8; N]) {
        // SAFETY: as above; there is room for N bytes.
        let received = unsafe { boost_queue_receive(self.0, message.as_mut_ptr(), N) };
        assert_eq!(received, 0, "receive");
    }
}
