//! What can go wrong, in the words of whoever has to act on it.
//!
//! [`Error`] names the call, its arguments, the errno and the remedy. The operations of a channel wrap it in the
//! error names of `std::sync::mpsc` and crossbeam ([`TrySendError`], [`RecvError`], ...), which hand an unsent
//! value back. All of them convert into [`std::io::Error`].

use std::fmt;
use std::io;

/// A failed system call: what was called with which arguments, what the kernel answered and what to do about it.
///
/// # Examples
/// ```
/// use semring::Error;
/// use semring::segment::{Key, SegmentOptions};
///
/// match SegmentOptions::new().size(isize::MAX as usize).create(Key::Private) {
///     Err(Error::Os(e)) => eprintln!("{e}"), // the call, its arguments, the reason and the remedy
///     other => panic!("{other:?}"),
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct OsError {
    /// Name of the system call, as in section 2 of the manual.
    pub call: &'static str,
    /// Its arguments, written as `ipcs` and the manual write them.
    pub arguments: String,
    /// The error number, from `<errno.h>`.
    pub errno: i32,
    /// What to do about it; empty where nothing general can be said.
    pub remedy: &'static str,
}

impl fmt::Display for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}): {}", self.call, self.arguments, io::Error::from_raw_os_error(self.errno))?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

impl fmt::Debug for OsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OsError({self})")
    }
}

impl std::error::Error for OsError {}

/// Everything that can go wrong but the ordinary answers of a channel (full, empty, disconnected, timeout).
///
/// # Examples
/// ```
/// use std::io;
///
/// use semring::{Error, Options};
///
/// let error = Options::new().open("nobody-has-made-this-one").unwrap_err();
/// assert!(matches!(&error, Error::NotFound { .. }));
/// assert_eq!(io::Error::from(error).kind(), io::ErrorKind::NotFound);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no object of that name or key.
    NotFound {
        /// The name or key, as it was given.
        name: String,
    },
    /// An object of that name or key exists already.
    AlreadyExists {
        /// The name or key, as it was given.
        name: String,
    },
    /// We may not do this to that object.
    PermissionDenied {
        /// The name or key, as it was given.
        name: String,
        /// Which right is missing, and how to get it.
        detail: String,
    },
    /// The key leads to an object that is not ours, or is of another kind: it was left untouched.
    Foreign {
        /// The name or key, as it was given.
        name: String,
        /// What gives the object away.
        detail: String,
    },
    /// The channel was made by another version of this crate.
    Version {
        /// Layout version of the channel.
        found: u64,
        /// Layout version that this crate speaks.
        expected: u64,
    },
    /// The existing object differs from what was asked for.
    Mismatch {
        /// Which property differs.
        what: &'static str,
        /// The value asked for.
        asked: String,
        /// The value that the object has.
        existing: String,
    },
    /// A parameter is out of range.
    Invalid {
        /// Which parameter.
        what: &'static str,
        /// Its value, and what is accepted.
        detail: String,
    },
    /// All places for participants, or the one place of this side of an SPSC channel, are taken.
    NoRoom {
        /// What is full.
        what: &'static str,
        /// How many there are room for.
        limit: usize,
    },
    /// Another process holds the channel's lock for longer than the call was willing to wait.
    LockBusy {
        /// The process that holds it, as the kernel recorded it (0 if it is in another pid namespace).
        holder: i32,
    },
    /// A message is longer than the channel's messages can be. Nothing of it was sent.
    MessageTooLong {
        /// Bytes of the message.
        len: usize,
        /// Most bytes of a message of this channel.
        max: usize,
    },
    /// The receive buffer is shorter than the channel's longest message. Nothing was taken.
    BufferTooSmall {
        /// Bytes of the buffer.
        len: usize,
        /// Bytes needed: the channel's message size.
        needed: usize,
    },
    /// The channel, set or segment was removed while we used it.
    Removed,
    /// The call was cancelled by a [`Canceller`](crate::Canceller).
    Cancelled,
    /// The handle was inherited through `fork`: it is inert here, open the channel again.
    Forked,
    /// Shared memory holds what no participant that follows the protocol writes; the handle refuses further use.
    Corrupt {
        /// Which field.
        what: &'static str,
        /// The value found.
        found: u64,
        /// What would have been right.
        expected: String,
    },
    /// A table's record was replaced again and again while it was being copied; nothing was changed. Rare beyond
    /// measure unless somebody means it: another try may do.
    Overtaken,
    /// In-place access needs the promise of [`Options::trust_peers`](crate::Options::trust_peers).
    NotTrusted,
    /// A system call failed in a way that none of the above says better.
    Os(OsError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotFound { name } => write!(f, "{name} does not exist: create it first, or wait until it exists"),
            Error::AlreadyExists { name } => write!(f, "{name} exists already: open it, or remove it first"),
            Error::PermissionDenied { name, detail } => write!(f, "permission denied on {name}: {detail}"),
            Error::Foreign { name, detail } => {
                write!(f, "{name} leads to something else ({detail}); it was left untouched: choose another name, or remove it (semring ls --all)")
            }
            Error::Version { found, expected } => {
                write!(f, "the channel has layout version {found}, this program speaks {expected}: rebuild one of them, or remove the channel")
            }
            Error::Mismatch { what, asked, existing } => {
                write!(f, "{what} differs: asked for {asked}, the existing one has {existing}")
            }
            Error::Invalid { what, detail } => write!(f, "invalid {what}: {detail}"),
            Error::NoRoom { what, limit } => write!(f, "no room for another {what}: all {limit} taken"),
            Error::LockBusy { holder } => {
                write!(f, "the channel's lock is held by process {holder}: is it stopped? continue or kill it")
            }
            Error::MessageTooLong { len, max } => {
                write!(f, "a message of {len} bytes does not fit: messages of this channel have at most {max} bytes")
            }
            Error::BufferTooSmall { len, needed } => {
                write!(f, "a receive buffer of {len} bytes is too small: messages of this channel have up to {needed} bytes")
            }
            Error::Removed => f.write_str("the channel was removed"),
            Error::Cancelled => f.write_str("the call was cancelled"),
            Error::Forked => {
                f.write_str("this handle was inherited through fork and is inert here: open the channel again in this process")
            }
            Error::Corrupt { what, found, expected } => {
                write!(f, "the segment is corrupt: {what} is {found:#x}, expected {expected}")
            }
            Error::Overtaken => f.write_str("the record changed at every attempt to copy it: try again"),
            Error::NotTrusted => {
                f.write_str("in-place access needs the promise of Options::trust_peers when the channel is opened")
            }
            Error::Os(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Os(e) => Some(e),
            _ => None,
        }
    }
}

impl From<OsError> for Error {
    fn from(e: OsError) -> Self {
        Error::Os(e)
    }
}

impl From<Error> for io::Error {
    fn from(e: Error) -> Self {
        use io::ErrorKind as K;
        let kind = match &e {
            Error::NotFound { .. } => K::NotFound,
            Error::AlreadyExists { .. } => K::AlreadyExists,
            Error::PermissionDenied { .. } => K::PermissionDenied,
            Error::Foreign { .. } | Error::Version { .. } | Error::Mismatch { .. } => K::InvalidData,
            Error::Invalid { .. } | Error::MessageTooLong { .. } | Error::BufferTooSmall { .. } => {
                K::InvalidInput
            }
            Error::NoRoom { .. } => K::QuotaExceeded,
            Error::LockBusy { .. } | Error::Overtaken => K::ResourceBusy,
            Error::Removed => K::NotConnected,
            Error::Cancelled => K::Interrupted,
            Error::Forked | Error::NotTrusted => K::Unsupported,
            Error::Corrupt { .. } => K::InvalidData,
            Error::Os(os) => io::Error::from_raw_os_error(os.errno).kind(),
        };
        io::Error::new(kind, e)
    }
}

/// Result of everything that is not a send or a receive.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Declares one error of a channel operation: its ordinary answers, each with the unsent value, and `Failed`.
macro_rules! operation_error {
    ($(#[$doc:meta])* $name:ident<T> { $($(#[$vdoc:meta])* $variant:ident => $text:literal, $kind:ident;)* }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub enum $name<T = ()> {
            $($(#[$vdoc])* $variant(T),)*
            /// Something else went wrong; the value was not sent.
            Failed(T, Error),
        }

        impl<T> $name<T> {
            /// Takes the value that was not sent.
            pub fn into_inner(self) -> T {
                match self {
                    $($name::$variant(value) => value,)*
                    $name::Failed(value, _) => value,
                }
            }

            /// The same answer with another value.
            pub fn map<U>(self, f: impl FnOnce(T) -> U) -> $name<U> {
                match self {
                    $($name::$variant(value) => $name::$variant(f(value)),)*
                    $name::Failed(value, e) => $name::Failed(f(value), e),
                }
            }
        }

        // By hand, without `T: Debug`, as in std: the error of a send is useful whatever the value is.
        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$variant(_) => f.write_str(concat!(stringify!($variant), "(..)")),)*
                    $name::Failed(_, e) => write!(f, "Failed(.., {e:?})"),
                }
            }
        }

        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$variant(_) => f.write_str($text),)*
                    $name::Failed(_, e) => e.fmt(f),
                }
            }
        }

        impl<T> std::error::Error for $name<T> {}

        impl<T> From<$name<T>> for io::Error {
            fn from(e: $name<T>) -> Self {
                match e {
                    $($name::$variant(_) => io::Error::new(io::ErrorKind::$kind, $text),)*
                    $name::Failed(_, e) => e.into(),
                }
            }
        }
    };
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident => $text:literal, $kind:ident;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// Something else went wrong; nothing was taken.
            Failed(Error),
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$variant => f.write_str($text),)*
                    $name::Failed(e) => e.fmt(f),
                }
            }
        }

        impl std::error::Error for $name {}

        impl From<$name> for io::Error {
            fn from(e: $name) -> Self {
                match e {
                    $($name::$variant => io::Error::new(io::ErrorKind::$kind, $text),)*
                    $name::Failed(e) => e.into(),
                }
            }
        }
    };
}

operation_error! {
    /// Why a blocking send did not send.
    SendError<T> {
        /// No consumer is left (`EPIPE` of a pipe).
        Disconnected => "sending into a channel that no consumer has open", BrokenPipe;
    }
}

operation_error! {
    /// Why a send that does not block did not send.
    TrySendError<T> {
        /// Every slot is taken.
        Full => "the channel is full", WouldBlock;
        /// No consumer is left (`EPIPE` of a pipe).
        Disconnected => "sending into a channel that no consumer has open", BrokenPipe;
    }
}

operation_error! {
    /// Why a send with a time limit did not send.
    SendTimeoutError<T> {
        /// The time is over and every slot is still taken.
        Timeout => "timed out waiting for room in the channel", TimedOut;
        /// No consumer is left (`EPIPE` of a pipe).
        Disconnected => "sending into a channel that no consumer has open", BrokenPipe;
    }
}

operation_error! {
    /// Why a blocking receive received nothing.
    RecvError {
        /// End of stream: no producer is left and everything was received.
        Disconnected => "the channel is empty and no producer has it open", UnexpectedEof;
    }
}

operation_error! {
    /// Why a receive that does not block received nothing.
    TryRecvError {
        /// Nothing is there now.
        Empty => "the channel is empty", WouldBlock;
        /// End of stream: no producer is left and everything was received.
        Disconnected => "the channel is empty and no producer has it open", UnexpectedEof;
    }
}

operation_error! {
    /// Why a receive with a time limit received nothing.
    RecvTimeoutError {
        /// The time is over and nothing is there.
        Timeout => "timed out waiting for a message", TimedOut;
        /// End of stream: no producer is left and everything was received.
        Disconnected => "the channel is empty and no producer has it open", UnexpectedEof;
    }
}
