//! Where the sockets of a board's services are: in a directory that is ours, each a file that only its service may write to.
//!
//! The path follows from the board's name and the nanosecond of its creation. So every supervisor of the board finds the same
//! one, and nobody else could have taken it before there was a board. It is not taken from the environment: a successor may
//! have another one.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use nix::libc::{O_DIRECTORY, O_NOFOLLOW};
use nix::unistd::{AccessFlags, access, geteuid};
use semring::heartbeat::{Board, MAX_NAME};

use super::units::nanos;

/// Room of an address, with the byte that ends it (unix(7)).
const SUN_PATH: usize = 108;
const SUFFIX: &str = ".socket";
const _: () =
    assert!("/run/semring-0123456789abcdef/".len() + MAX_NAME + SUFFIX.len() < SUN_PATH, "it always fits");

/// Others may pass through, for their own sockets, and not look around.
const MODE: u32 = 0o711;

/// The directory of a board's sockets, which need not be there. Where only root can write if we may: nobody tidies up there.
pub(crate) fn directory(board: &Board) -> PathBuf {
    let base = if access("/run", AccessFlags::W_OK).is_ok() { "/run" } else { "/tmp" };
    let created = board.created().duration_since(UNIX_EPOCH).map_or(0, nanos);
    Path::new(base).join(format!("semring-{:016x}", super::tag(board.name(), &created.to_string())))
}

/// The socket of a service.
pub(crate) fn path(directory: &Path, service: &str) -> PathBuf {
    directory.join(format!("{service}{SUFFIX}"))
}

/// Makes the directory unless it is there.
///
/// # Errors
/// Those of the system, with the path; and if it is somebody else's, or a link.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", directory.display()));
    match DirBuilder::new().mode(MODE).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(named(error)),
        _ => {}
    }
    let opened = OpenOptions::new().read(true).custom_flags(O_DIRECTORY | O_NOFOLLOW).open(directory);
    let opened = opened.map_err(named)?;
    let found = opened.metadata()?;
    if found.uid() != geteuid().as_raw() {
        return Err(io::Error::other(format!(
            "{} belongs to user {}: remove it",
            directory.display(),
            found.uid()
        )));
    }
    // The umask has perhaps taken away what others need, or somebody has given them more.
    if found.mode() & 0o777 != MODE {
        opened.set_permissions(Permissions::from_mode(MODE)).map_err(named)?;
    }
    Ok(())
}

/// Takes the directory away, with what is left in it.
pub(crate) fn remove(directory: &Path) {
    if fs::symlink_metadata(directory).is_ok_and(|found| found.uid() == geteuid().as_raw()) {
        let _goes_on_without = fs::remove_dir_all(directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{lchown, symlink};

    fn temporary(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("semring-sockets-{name}-{}", std::process::id()))
    }

    #[test]
    fn the_directory_is_ours_and_others_only_pass() {
        let directory = temporary("mode");
        for found in [None, Some(0o700), Some(0o777)] {
            if let Some(mode) = found {
                fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
            }
            make(&directory).unwrap();
            assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, MODE, "{found:?}");
        }
        fs::write(path(&directory, "a"), "").unwrap();
        remove(&directory);
        assert!(!directory.exists());
        remove(&directory);
    }

    #[test]
    fn what_is_a_link_or_somebody_elses_is_not_used() {
        let (directory, elsewhere) = (temporary("link"), temporary("elsewhere"));
        make(&elsewhere).unwrap();
        symlink(&elsewhere, &directory).unwrap();
        let refused = make(&directory).unwrap_err().to_string();
        fs::remove_file(&directory).unwrap();
        assert!(refused.starts_with(directory.to_str().unwrap()), "{refused}");
        if geteuid().is_root() {
            lchown(&elsewhere, Some(65_534), None).unwrap();
            let refused = make(&elsewhere).unwrap_err().to_string();
            remove(&elsewhere);
            assert!(elsewhere.exists(), "it is not ours to remove");
            assert!(refused.contains("belongs to user 65534: remove it"), "{refused}");
        }
        fs::remove_dir(&elsewhere).unwrap();
    }
}
