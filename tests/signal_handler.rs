//! What may be called from a signal handler allocates nothing and leaves `errno` alone, also where it fails.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{KINDS, Name, small};
use semring::Options;

std::thread_local! {
    static ALLOCATIONS: Cell<u32> = const { Cell::new(0) };
}

/// Counts what each thread allocates.
struct Counting;

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as our caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as our caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// A canceller of a channel that was removed meanwhile formatted an error that nobody saw.
#[test]
fn cancelling() {
    for kind in KINDS {
        let name = Name::new("handler");
        let consumer = small(kind, 8).consumer(&name).expect("consumer");
        let canceller = consumer.canceller();
        for removed in [false, true] {
            if removed {
                Options::new().open(&name).expect("open").remove().expect("remove");
            }
            // SAFETY: fails without any effect but on errno.
            unsafe { libc::close(-1) };
            let before = ALLOCATIONS.get();
            canceller.cancel();
            assert_eq!((ALLOCATIONS.get() - before, errno()), (0, libc::EBADF), "removed: {removed}");
        }
    }
}
