//! `semring top`: the channels as they work, each second.

mod screen;
mod view;

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::failure::{Context, Failure};
use crate::listing::Entry;
use crate::signals::Signals;
use screen::{Next, Screen};
use view::{Line, lines};

/// How long it may take to restore the terminal after a signal.
const GRACE: Duration = Duration::from_secs(2);

/// Watch the channels: who uses them, what goes in and out a second, how full they are
///
/// Refreshed each second; q quits. Where standard output is no terminal it prints one picture after the other.
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring top
  semring top --interval 0.2
  semring top --count 2 --json           a line with everything, and a second later one with rates")]
pub(crate) struct Top {
    /// How long a picture stays
    #[arg(long, short, value_name = "SECONDS", default_value = "1", value_parser = parse_interval)]
    interval: Duration,

    /// End after so many pictures
    #[arg(long, short = 'n', value_name = "PICTURES")]
    count: Option<u64>,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| "not a number of seconds".to_string())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(interval) if interval >= Duration::from_millis(50) => Ok(interval),
        _ => Err("an interval is 0.05 seconds or longer".into()),
    }
}

impl Top {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let signals = Signals::handle(GRACE).context("cannot handle signals")?;
        let mut screen = match !json && io::stdout().is_terminal() {
            true => Some(Screen::enter().context("cannot use the terminal")?),
            false => None,
        };
        let mut before: Option<(Instant, Vec<Line>)> = None;
        for number in 1.. {
            let now = Instant::now();
            let entries: Vec<Entry> = semring::channels()?.iter().map(Entry::of).collect();
            let since = before.as_ref().map(|(then, lines)| (now - *then, &lines[..]));
            let lines = lines(entries, since);
            match &mut screen {
                Some(screen) => screen.show(&lines).context("cannot write to the terminal")?,
                None => print(&lines, json).map_err(|error| Failure::stdout(&error))?,
            }
            if self.count == Some(number) {
                break;
            }
            let next = match &mut screen {
                Some(screen) => {
                    let wait = || signals.caught().is_some();
                    screen.wait(now + self.interval, &lines, wait).context("cannot read from the terminal")?
                }
                None => signals.sleep(self.interval).map_or(Next::Picture, |_| Next::End),
            };
            if let Some(signal) = signals.caught() {
                return Err(Failure::signal(signal));
            }
            if next == Next::End {
                break;
            }
            before = Some((now, lines));
        }
        Ok(())
    }
}

/// Without a terminal: as wide as it is readable anywhere, and as high as there are channels.
fn print(lines: &[Line], json: bool) -> io::Result<()> {
    let text = if json {
        format!("{}\n", json!({ "channels": lines }))
    } else {
        view::render(lines, 80, lines.len() + view::HEAD).join("\n") + "\n\n"
    };
    io::stdout().write_all(text.as_bytes())
}
