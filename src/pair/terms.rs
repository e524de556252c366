//! The options that all kinds of pairs have.

use std::time::Duration;

use super::layout::MAX_NAME;
use crate::error::{Error, Result};
use crate::os::process::euid;

const DEFAULT_MODE: u32 = 0o600;
const DEFAULT_LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// On which terms a pair is to be opened or created.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) mode: Option<u32>,
    pub(crate) lock_timeout: Option<Duration>,
    pub(crate) lazy: bool,
    pub(crate) huge_pages: bool,
    pub(crate) lock_memory: bool,
    pub(crate) owners: Vec<u32>,
    pub(crate) any_owner: bool,
}

impl Terms {
    /// Is a user one whose objects we use?
    pub(crate) fn trusts(&self, uid: u32) -> bool {
        self.any_owner || uid == 0 || uid == euid() || self.owners.contains(&uid)
    }

    pub(crate) fn lock_timeout(&self) -> Duration {
        self.lock_timeout.unwrap_or(DEFAULT_LOCK_TIMEOUT)
    }

    /// Permissions of what is made anew, as the kernel takes them.
    pub(super) fn mode(&self) -> i32 {
        (self.mode.unwrap_or(DEFAULT_MODE) & 0o777) as i32
    }

    pub(super) fn check_mode(&self) -> Result<()> {
        match self.mode {
            // Without 0600 the creator could not open it again.
            Some(mode) if mode & !0o777 != 0 || mode & 0o600 != 0o600 => {
                let detail = format!("{mode:#o}; permissions from 0600 to 0777 are possible");
                Err(Error::Invalid { what: "mode", detail })
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a name of a type that the header has no room for.
pub(crate) fn check_type_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME {
        let detail = format!("{name:?} has {} bytes, 1 to {MAX_NAME} are possible", name.len());
        return Err(Error::Invalid { what: "type name", detail });
    }
    Ok(())
}

/// The methods by which users say the terms, for options that have them as `terms`.
macro_rules! terms_methods {
    ($options:ident, $kind:literal) => {
        impl $options {
            #[doc = concat!("Also trust a ", $kind, " that this user created. By default only our own and root's are")]
            /// trusted, so that nobody can put an object of theirs under a name of ours.
            pub fn allow_owner(mut self, uid: u32) -> Self {
                self.terms.owners.push(uid);
                self
            }

            #[doc = concat!("Trust a ", $kind, " whoever created it: when a group shares it, the mode decides.")]
            pub fn allow_any_owner(mut self) -> Self {
                self.terms.any_owner = true;
                self
            }

            /// Touch all memory when opening (the default), so that neither a page fault nor a shortage of memory comes
            /// later; or not.
            pub fn prefault(mut self, prefault: bool) -> Self {
                self.terms.lazy = !prefault;
                self
            }

            /// Ask for huge pages when creating; the system must have some reserved (`vm.nr_hugepages`).
            pub fn huge_pages(mut self, huge: bool) -> Self {
                self.terms.huge_pages = huge;
                self
            }

            /// Lock the segment in memory when creating (`SHM_LOCK`; needs a sufficient `RLIMIT_MEMLOCK`).
            pub fn lock_memory(mut self, lock: bool) -> Self {
                self.terms.lock_memory = lock;
                self
            }

            /// How long waiting for a lock may take that others hold for microseconds; default 5 s.
            pub fn lock_timeout(mut self, timeout: std::time::Duration) -> Self {
                self.terms.lock_timeout = Some(timeout);
                self
            }
        }
    };
}
pub(crate) use terms_methods;
