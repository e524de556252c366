//! What the supervisor says of what it does, on standard error: for people, or one JSON object a line.
//!
//! It never waits for whoever reads it, and never ends because nobody does.

use std::fmt::Display;
use std::io::{Write, stderr};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::json;

/// How it is said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Events {
    pub(crate) json: bool,
}

impl Events {
    /// Something about a service.
    pub(crate) fn service(self, name: &str, text: impl Display) {
        let text = text.to_string();
        let line = match self.json {
            true => format!("{}\n", json!({ "service": name, "event": text })),
            false => format!("semring: {}: {text}\n", crate::text::name(name)),
        };
        put(&line);
    }

    /// Something about the supervisor.
    pub(crate) fn own(self, text: impl Display) {
        let text = text.to_string();
        put(&if self.json {
            format!("{}\n", json!({ "event": text }))
        } else {
            format!("semring: {text}\n")
        });
    }
}

/// A pipe that can be written has room for what is said, which is less than PIPE_BUF.
fn put(line: &str) {
    let stderr = stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..)) {
        let _nobody_listens = stderr.lock().write_all(line.as_bytes());
    }
}
