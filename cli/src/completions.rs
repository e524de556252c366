//! `semring completions` and `semring man`: both from the definitions of the commands.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::Cli;
use crate::failure::{Context, Failure, print};

/// Print the completions for a shell
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring completions bash > /usr/share/bash-completion/completions/semring
  semring completions zsh > \"${fpath[1]}/_semring\"
  semring completions fish > ~/.config/fish/completions/semring.fish")]
pub(crate) struct Completions {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "semring", &mut script);
        if json {
            let script = String::from_utf8_lossy(&script);
            return print(format!("{}\n", json!({ "shell": self.shell.to_string(), "script": script })));
        }
        print(script)
    }
}

/// Write the man pages, one a command, into a directory
#[derive(Args)]
#[command(after_help = "\
Examples:
  semring man /usr/local/share/man/man1
  semring man . && man ./semring-ls.1")]
pub(crate) struct Man {
    /// Where to; made if need be
    directory: PathBuf,
}

impl Man {
    pub(crate) fn run(self, json: bool) -> Result<(), Failure> {
        let to = self.directory.display().to_string();
        fs::create_dir_all(&self.directory).context(&format!("cannot make {to}"))?;
        clap_mangen::generate_to(Cli::command(), &self.directory)
            .context(&format!("cannot write to {to}"))?;
        if !json {
            return Ok(());
        }
        let pages: Vec<String> = pages(&Cli::command(), "").collect();
        print(format!("{}\n", json!({ "directory": to, "pages": pages })))
    }
}

/// The file names of a command's page and those of its subcommands, as clap_mangen forms them.
fn pages(command: &clap::Command, parent: &str) -> Box<dyn Iterator<Item = String>> {
    let name = format!("{parent}{}", command.get_name());
    let children: Vec<String> = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .flat_map(|command| pages(command, &format!("{name}-")))
        .collect();
    Box::new(std::iter::once(format!("{name}.1")).chain(children))
}
