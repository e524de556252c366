//! How long a command waits for a semaphore: `--timeout` and `--nonblock`, as flock(1) has them.

use std::time::Duration;

use clap::Args;

/// For how long.
#[derive(Args, Debug)]
pub(crate) struct Waiting {
    /// Wait no longer than this
    #[arg(long, short = 'w', value_name = "SECONDS", value_parser = parse_seconds)]
    timeout: Option<Duration>,

    /// Do not wait at all
    #[arg(long, short, conflicts_with = "timeout")]
    nonblock: bool,
}

impl Waiting {
    /// The limit; `Duration::MAX` for none.
    pub(crate) fn limit(&self) -> Duration {
        if self.nonblock { Duration::ZERO } else { self.timeout.unwrap_or(Duration::MAX) }
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "a number of seconds is 0 or more".into())
}
