//! Keys of System V objects: names, numbers, paths. Pure, but for the `stat` of a path.
//!
//! `SegmentOptions` and `SetOptions` take a [`Key`]; `channel` names its pair with one. The errors of both kinds of
//! object are put into words here, because they have to name the key.

use crate::error::{Error, OsError, Result};
use crate::os;
use crate::pair::layout::MAX_NAME;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::str::FromStr;

/// What an object is found by.
///
/// The kernel knows 32-bit keys only; a name or a path is turned into one. Two names may meet in the same key (among
/// 1,000 names with a chance of 1 in 4,300): a channel has its name in its header and notices; whoever uses a bare
/// [`Segment`](crate::segment::Segment) should do the same.
///
/// Strings convert into keys: `0x` and up to eight hexadecimal digits, as `ipcs` prints them, is a
/// [`Number`](Self::Number), everything else a [`Name`](Self::Name).
///
/// # Examples
///
/// ```
/// use semring::segment::Key;
///
/// assert_eq!(Key::from("orders"), Key::Name("orders".into()));
/// assert_eq!(Key::from("0x51a70011"), Key::Number(0x51a70011));
/// assert_eq!(Key::Number(0x51a70011).to_string(), "0x51a70011");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// 1 to 248 bytes of UTF-8 without control characters. Hashed: segments and semaphore sets differently.
    Name(String),
    /// The key itself, not 0. The same for a segment and a set: the kernel keeps them apart.
    Number(i32),
    /// The key of ftok(3), to meet C programs that use it. It keeps 16 bits of the inode and 8 of the device, so
    /// many files share a key, and a file that is replaced has another one.
    Path {
        /// A file that exists and stays.
        path: PathBuf,
        /// The project id of ftok(3), by custom not 0.
        project: u8,
    },
    /// A new object that nothing leads to but its id (`IPC_PRIVATE`): it can be created, not opened.
    Private,
    /// An object that exists, by its id as `ipcs` prints it: how a private one is handed over. The id of a channel is
    /// that of its segment. It can be opened, not created.
    Id(i32),
}

impl Key {
    /// The key of the segment.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a bad name, the number 0, [`Key::Private`] and [`Key::Id`]; [`Error::NotFound`],
    /// [`Error::PermissionDenied`] or [`Error::Os`] if the path cannot be looked at.
    pub fn segment_key(&self) -> Result<i32> {
        self.number(SEGMENT_SEED)
    }

    /// The key of the semaphore set.
    ///
    /// # Errors
    ///
    /// As [`segment_key`](Self::segment_key).
    pub fn set_key(&self) -> Result<i32> {
        self.number(SET_SEED)
    }

    fn number(&self, seed: u64) -> Result<i32> {
        let invalid = |detail: &str| Error::Invalid { what: "key", detail: format!("{self}: {detail}") };
        let number = match self {
            Key::Name(name) => {
                if name.is_empty() || name.len() > MAX_NAME {
                    let detail = format!("{} bytes, a name has 1 to {MAX_NAME}", name.len());
                    return Err(Error::Invalid { what: "name", detail });
                }
                if name.chars().any(char::is_control) {
                    let detail = format!("{name:?} has control characters");
                    return Err(Error::Invalid { what: "name", detail });
                }
                hash(name.as_bytes(), seed)
            }
            Key::Number(number) => *number,
            Key::Path { path, project } => {
                let file = std::fs::metadata(path).map_err(|e| self.stat_error(&e))?;
                // As glibc and musl, bit for bit; the tests compare.
                let key = file.ino() & 0xffff | (file.dev() & 0xff) << 16 | u64::from(*project) << 24;
                key as u32 as i32
            }
            Key::Private => return Err(invalid("a private object is found by its id only")),
            Key::Id(_) => return Err(invalid("an id leads to an object that exists, and has no key")),
        };
        if number == 0 { Err(invalid("0 is the key of private objects (IPC_PRIVATE)")) } else { Ok(number) }
    }

    fn stat_error(&self, e: &io::Error) -> Error {
        let errno = e.raw_os_error().unwrap_or(libc::EINVAL);
        let arguments = match self {
            Key::Path { path, .. } => path.display().to_string(),
            other => other.to_string(),
        };
        self.error(os::failed("stat", arguments, errno))
    }

    /// Puts a failed call on the object of this key into words.
    pub(crate) fn error(&self, e: OsError) -> Error {
        match (e.call, e.errno) {
            (_, libc::ENOENT) => Error::NotFound { name: self.to_string() },
            (_, libc::EEXIST) => Error::AlreadyExists { name: self.to_string() },
            (_, libc::EACCES | libc::EPERM) => {
                Error::PermissionDenied { name: self.to_string(), detail: e.to_string() }
            }
            (_, libc::EIDRM) => Error::Removed,
            // These take an id, and nothing else of theirs can be invalid: it was one, so it was removed.
            ("shmat" | "shmctl" | "semctl" | "semop" | "semtimedop", libc::EINVAL) => Error::Removed,
            _ => Error::Os(e),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Name(name) => f.write_str(name),
            Key::Number(number) => write!(f, "{number:#010x}"),
            Key::Path { path, project } => write!(f, "ftok({}, {project:#x})", path.display()),
            Key::Private => f.write_str("private object"),
            Key::Id(id) => write!(f, "id {id}"),
        }
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        let digits =
            text.strip_prefix("0x").filter(|d| d.len() <= 8 && d.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|d| u32::from_str_radix(d, 16).ok()) {
            Some(number) => Key::Number(number as i32),
            None => Key::Name(text.into()),
        }
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Key::from(text.as_str())
    }
}

impl From<&String> for Key {
    fn from(text: &String) -> Self {
        Key::from(text.as_str())
    }
}

impl From<i32> for Key {
    fn from(number: i32) -> Self {
        Key::Number(number)
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        key.clone()
    }
}

impl FromStr for Key {
    type Err = Error;

    /// As `From<&str>`, but refuses what could not be used, such as an empty name or `0x0`.
    fn from_str(text: &str) -> Result<Self> {
        let key = Key::from(text);
        key.segment_key().map(|_| key)
    }
}

/// The offset basis of FNV-1a, and one made by hashing "set" with it: any other number would do.
const SEGMENT_SEED: u64 = 0xcbf2_9ce4_8422_2325;
const SET_SEED: u64 = fnv1a(b"set", SEGMENT_SEED);

/// FNV-1a with 64 bits (draft-eastlake-fnv).
const fn fnv1a(bytes: &[u8], seed: u64) -> u64 {
    let (mut hash, mut i) = (seed, 0);
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

/// 31 bits of it, never 0. Part of the format: programs of different versions must find each other.
fn hash(bytes: &[u8], seed: u64) -> i32 {
    let long = fnv1a(bytes, seed);
    let folded = (long ^ long >> 32) as u32 & 0x7fff_ffff;
    folded.max(1) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::ffi::CString;

    #[test]
    fn strings() {
        for (text, key) in [
            ("orders", Key::Name("orders".into())),
            ("0x51a70011", Key::Number(0x51a7_0011)),
            ("0xFFFFFFFF", Key::Number(-1)),
            ("0x1", Key::Number(1)),
            ("0x", Key::Name("0x".into())),
            ("0x+1", Key::Name("0x+1".into())),
            ("0x123456789", Key::Name("0x123456789".into())),
            ("a/b ä", Key::Name("a/b ä".into())),
        ] {
            assert_eq!(Key::from(text), key);
            assert_eq!(text.parse::<Key>(), Ok(key));
        }
        for bad in ["", "a\0b", "a\nb", "0x0", "0x00000000", &"x".repeat(249)] {
            assert!(matches!(bad.parse::<Key>(), Err(Error::Invalid { .. })), "{bad:?}");
        }
        assert!("x".repeat(248).parse::<Key>().is_ok());
        assert_eq!(Key::Number(-1).to_string(), "0xffffffff");
        assert_eq!(Key::Number(0x11).to_string(), "0x00000011");
    }

    #[test]
    fn numbers() {
        assert_eq!((Key::Number(7).segment_key(), Key::Number(7).set_key()), (Ok(7), Ok(7)));
        assert!(matches!(Key::Number(0).segment_key(), Err(Error::Invalid { .. })));
        assert!(matches!(Key::Private.set_key(), Err(Error::Invalid { .. })));
    }

    /// Part of the format: these numbers must never change.
    #[test]
    fn names_hash_as_ever() {
        let keys = |name: &str| (Key::from(name).segment_key(), Key::from(name).set_key());
        assert_eq!(fnv1a(b"", SEGMENT_SEED), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar", SEGMENT_SEED), 0x8594_4171_f739_67e8, "the vector of the draft");
        assert_eq!(keys("orders"), (Ok(ORDERS.0), Ok(ORDERS.1)));
        let names: Vec<String> = (0..5000).map(|i| format!("channel-{i}")).collect();
        let segments: HashSet<_> = names.iter().map(|n| keys(n).0.expect("key")).collect();
        let sets: HashSet<_> = names.iter().map(|n| keys(n).1.expect("key")).collect();
        assert!(segments.len() >= 4998 && sets.len() >= 4998, "{} {}", segments.len(), sets.len());
        assert!(segments.iter().chain(&sets).all(|&k| k > 0));
    }

    const ORDERS: (i32, i32) = (1_353_504_478, 240_576_469);

    #[test]
    fn paths_are_those_of_ftok() {
        let mut compared = 0;
        for directory in ["/usr/bin", "/etc", "/proc/self", "/"] {
            for entry in std::fs::read_dir(directory).expect("directory").flatten() {
                let path = entry.path();
                let Ok(c_path) = CString::new(path.to_string_lossy().as_bytes()) else { continue };
                if !path.exists() {
                    continue;
                }
                for project in [1, 0x51, 0xff] {
                    let key = Key::Path { path: path.clone(), project };
                    assert_eq!(key.segment_key(), Ok(os::testing::ftok(&c_path, project)), "{key}");
                    assert_eq!(key.segment_key(), key.set_key());
                    compared += 1;
                }
            }
        }
        assert!(compared > 100);
        let missing = Key::Path { path: "/does/not/exist".into(), project: 1 };
        assert!(matches!(missing.segment_key(), Err(Error::NotFound { .. })));
        let below_a_file = Key::Path { path: "/etc/passwd/x".into(), project: 1 };
        assert!(matches!(below_a_file.segment_key(), Err(Error::Os(e)) if e.errno == libc::ENOTDIR));
    }
}
