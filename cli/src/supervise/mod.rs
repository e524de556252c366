//! `semring supervise`: services that never stop, on a board in shared memory, under a supervisor that may be killed.
//!
//! ```text
//! config    what is to run, from a file        units, pace, order, schedule   pure parts of that
//! run       becoming the supervisor, or a standby
//! engine    its loop                           events  what it says            clock, signals
//! unit      one service                        notes   what a successor has to know
//! spawn     between fork and exec              pidfd, strays, logs, notify, files
//! control   the commands
//! ```

mod clock;
mod config;
pub(crate) mod control;
mod engine;
mod events;
mod files;
mod logs;
mod notes;
mod notify;
mod order;
mod pace;
mod pidfd;
mod run;
mod schedule;
mod signals;
mod spawn;
mod strays;
mod unit;
mod units;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};
use semring::daemon::Stream;

use crate::background::{self, BackgroundOptions};
use crate::failure::{Context, Failure};
use config::{Config, Service};
use events::Events;

/// Keep services running: start, watch, restart, in order
///
/// Services are started in the order of their dependencies and restarted when they end, die or hang, with back-off and a
/// rate limit. They need no code of ours. Their state is in shared memory, and each holds a lease that the kernel takes back
/// when it dies: a supervisor that is killed is replaced, by a second one that waits for it or by hand, and no service is
/// lost, doubled or restarted needlessly. SIGHUP reads the configuration again; SIGTERM and SIGINT end everything in order, a
/// second one at once. docs/tools.md has every key of a configuration.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    group = ArgGroup::new("what").required(true).args(["config", "name"]),
    after_help = "\
Examples:
  semring supervise --config services.toml              and once more, as a standby
  semring supervise --config services.toml --daemon --log /var/log/services
  semring supervise --name web -- python3 -m http.server
  semring supervise status
  semring supervise restart web
  semring supervise stop web && semring supervise start web"
)]
pub(crate) struct Supervise {
    #[command(subcommand)]
    action: Option<Action>,

    /// The services, in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Only check the configuration: say what is wrong with it, or in which order its services start
    #[arg(long, requires = "config")]
    check: bool,

    #[command(flatten)]
    background: BackgroundOptions,

    /// One service of that name, and its board has that name, too
    #[arg(long, requires = "command")]
    name: Option<String>,

    /// Its program and arguments
    #[arg(last = true, requires = "name")]
    command: Vec<String>,
}

#[derive(Subcommand)]
enum Action {
    /// Show the services, and who supervises them
    Status {
        /// Only this one
        service: Option<String>,

        #[command(flatten)]
        board: BoardName,
    },
    /// End a service, until it is started again
    Stop(Target),
    /// Start a service that was stopped or is done
    Start(Target),
    /// End a service and start it again, or start one that waits
    Restart(Target),
}

/// Which services are meant.
#[derive(Args)]
pub(crate) struct BoardName {
    /// The name in the configuration, or that of a single service [default: services]
    #[arg(long, value_name = "NAME")]
    pub(crate) board: Option<String>,
}

#[derive(Args)]
struct Target {
    /// The service
    service: String,

    #[command(flatten)]
    board: BoardName,

    /// Wait no longer than this for it to happen
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "60s")]
    timeout: Duration,
}

/// A number for a service of a board, where both names would be too long.
fn tag(board: &str, service: &str) -> u64 {
    twox_hash::XxHash3_64::oneshot(format!("{board}\0{service}").as_bytes())
}

/// What a configuration without errors is for.
fn report(config: &Config, json: bool) -> Result<(), Failure> {
    let services: Vec<&str> = config.services.iter().map(|service| service.name.as_str()).collect();
    let text = match json {
        true => format!("{}\n", serde_json::json!({ "board": config.board, "services": services })),
        false => format!("{}: {}\n", config.board, services.join(", ")),
    };
    io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::stdout(&error))
}

fn count(errors: usize) -> String {
    if errors == 1 { "1 error".into() } else { format!("{errors} errors") }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    units::duration(text).ok_or_else(|| "a time as 100ms, 5s or 1m".into())
}

impl Supervise {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        if let Some(action) = &self.action {
            return action.run(json);
        }
        // Errors belong in the foreground, and relative paths.
        let config = self.configuration()?;
        let file =
            self.config.as_deref().map(std::path::absolute).transpose().context("the configuration")?;
        if self.check {
            return report(&config, json);
        }
        let starting = match self.background.enter(Stream::Null)? {
            background::Place::Foreground => None,
            background::Place::Daemon(starting) => Some(starting),
            background::Place::Elsewhere(pid) => {
                if json {
                    eprintln!("{}", serde_json::json!({ "board": config.board, "pid": pid }));
                }
                return Ok(());
            }
        };
        run::run(config, file, Events { json }, starting)
    }

    fn configuration(&self) -> Result<Config, Failure> {
        match (&self.config, &self.name) {
            (Some(file), _) => config::read(file).map_err(|faults| {
                let errors = count(faults.len());
                Failure::faults(format_args!("{errors} in the configuration: nothing was started"), faults)
            }),
            (None, name) => {
                let name = name.as_deref().unwrap_or_default();
                if !config::is_service_name(name) {
                    let wrong =
                        format_args!("{name:?} cannot be a service's name; {}", config::SERVICE_NAMES);
                    return Err(Failure::usage(wrong));
                }
                let program = self.command.first().map(String::as_str).unwrap_or_default();
                config::find_program(program, None, None).map_err(Failure::new)?;
                let mut service = Service::new(name, self.command.clone());
                service.directory = Some(std::env::current_dir().context("the working directory")?);
                Ok(Config { board: name.into(), services: vec![service] })
            }
        }
    }
}

impl Action {
    fn run(&self, json: bool) -> Result<(), Failure> {
        let (target, act): (_, fn(&_, &str, Duration) -> _) = match self {
            Action::Status { service, board } => {
                return control::status(board.board.as_deref(), service.as_deref(), json);
            }
            Action::Stop(target) => (target, control::stop),
            Action::Start(target) => (target, control::start),
            Action::Restart(target) => (target, control::restart),
        };
        let board = control::find(target.board.board.as_deref(), &target.service)?;
        act(&board, &target.service, target.timeout)?;
        if json {
            control::status(Some(board.name()), None, true)?;
        }
        Ok(())
    }
}
