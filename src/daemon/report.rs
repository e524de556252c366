//! What the daemon tells the process that started it, or its parent of its death: one frame over a socket, or the end of
//! that, which says that it died, too.
//!
//! ```text
//! kind 1 byte | pid 4 | length 4 | text; for a failed call errno 4, number of the call 1, its arguments; for a death its
//! wait status 4
//! ```

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::DaemonError;
use crate::error::OsError;
use crate::os::{failed, process};

/// One report; the first is the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    Ready,
    Failed(OsError),
    Privileges(String),
    Said(String),
    /// By its parent: its wait status.
    Died(i32),
}

/// The calls that a daemon makes on its way, by their number in a report.
const CALLS: [&str; 11] = [
    "setsid",
    "fork",
    "chdir",
    "ftruncate",
    "write",
    "dup2",
    "setgroups",
    "setgid",
    "setuid",
    "getgroups",
    "?",
];
/// More than any reason needs.
const LONGEST: usize = 16 * 1024;

impl Report {
    /// What a daemon that failed on its way reports.
    pub(super) fn of(error: DaemonError) -> Self {
        match error {
            DaemonError::Os(error) => Report::Failed(error),
            DaemonError::Privileges { detail } => Report::Privileges(detail),
            other => Report::Said(other.to_string()),
        }
    }

    pub(super) fn send(&self, mut to: &UnixStream) -> io::Result<()> {
        to.write_all(&self.encode(process::pid()))
    }

    /// Waits for the daemon's report, or its end: its pid, or why there is none.
    pub(super) fn receive(mut from: UnixStream) -> Result<i32, DaemonError> {
        let (pid, report) = Self::read(&mut from).ok_or(DaemonError::Died { status: None })?;
        match report {
            Report::Ready => Ok(pid),
            Report::Failed(error) => Err(error.into()),
            Report::Privileges(detail) => Err(DaemonError::Privileges { detail }),
            Report::Said(reason) => Err(DaemonError::NotReady { reason }),
            Report::Died(status) => Err(DaemonError::Died { status: Some(ExitStatus::from_raw(status)) }),
        }
    }

    fn encode(&self, pid: i32) -> Vec<u8> {
        let (kind, mut text) = match self {
            Report::Ready => (0, Vec::new()),
            Report::Failed(error) => {
                let call = CALLS.iter().position(|call| *call == error.call).unwrap_or(CALLS.len() - 1);
                let mut text = error.errno.to_le_bytes().to_vec();
                text.push(call as u8);
                text.extend_from_slice(error.arguments.as_bytes());
                (1, text)
            }
            Report::Privileges(text) => (2, text.clone().into_bytes()),
            Report::Said(text) => (3, text.clone().into_bytes()),
            Report::Died(status) => (4, status.to_le_bytes().to_vec()),
        };
        text.truncate(LONGEST);
        let mut frame = vec![kind];
        frame.extend_from_slice(&pid.to_le_bytes());
        frame.extend_from_slice(&(text.len() as u32).to_le_bytes());
        frame.append(&mut text);
        frame
    }

    /// `None` if it ended before all of it was there.
    fn read(from: &mut impl Read) -> Option<(i32, Self)> {
        let kind = word::<1>(from)?[0];
        let pid = i32::from_le_bytes(word(from)?);
        let mut text = vec![0; (u32::from_le_bytes(word(from)?) as usize).min(LONGEST)];
        from.read_exact(&mut text).ok()?;
        let said = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let report = match kind {
            0 => Report::Ready,
            1 => {
                let mut text = &text[..];
                let (errno, call) = (i32::from_le_bytes(word(&mut text)?), word::<1>(&mut text)?[0]);
                Report::Failed(failed(CALLS.get(usize::from(call))?, said(text), errno))
            }
            2 => Report::Privileges(said(&text)),
            4 => Report::Died(i32::from_le_bytes(word(&mut &text[..])?)),
            _ => Report::Said(said(&text)),
        };
        Some((pid, report))
    }
}

fn word<const N: usize>(from: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).ok().map(|()| bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_arrive_as_they_were_and_half_a_report_is_none() {
        let reports = [
            Report::Ready,
            Report::Failed(failed("chdir", "/nowhere".into(), libc::ENOENT)),
            Report::Privileges("still in group 7".into()),
            Report::Said("no such channel".into()),
            Report::Died(0x8b),
        ];
        for report in reports {
            let frame = report.encode(4711);
            assert_eq!(Report::read(&mut &frame[..]), Some((4711, report)));
            for end in 0..frame.len() {
                assert_eq!(Report::read(&mut &frame[..end]), None, "{end} bytes");
            }
        }
        let long = Report::Said("x".repeat(LONGEST + 1)).encode(1);
        assert_eq!(Report::read(&mut &long[..]), Some((1, Report::Said("x".repeat(LONGEST)))));
    }

    /// A call that is missing in the table would be reported without its name.
    #[test]
    fn every_call_on_the_way_has_a_number() {
        for call in ["setsid", "fork", "chdir", "dup2", "setgroups", "setgid", "setuid"] {
            assert!(CALLS.contains(&call), "{call}");
        }
    }
}
