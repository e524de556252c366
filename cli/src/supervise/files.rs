//! Descriptors: the supervisor may have as many as the system allows it, a few for each service; its services what was
//! meant for them.

use std::io;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// The soft and the hard limit that we were given.
static GIVEN: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Raises our limit. As many as it was will have to do if that fails.
pub(crate) fn raise() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let (soft, hard) = *GIVEN.get_or_init(|| (soft, hard));
        if soft < hard {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        }
    }
}

/// Gives a program the limit that we were given; called between fork and exec, after [`raise`]: one system call.
pub(crate) fn restore() -> io::Result<()> {
    match GIVEN.get() {
        Some(&(soft, hard)) if soft < hard => Ok(setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?),
        _ => Ok(()),
    }
}
