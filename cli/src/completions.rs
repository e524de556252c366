//! `semring completions` and `semring man`: both from the definitions of the commands.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::Cli;
use crate::failure::{Context, Failure};

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
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "semring", &mut script);
        io::stdout().write_all(&script).map_err(|error| Failure::stdout(&error))
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
    pub(crate) fn run(self) -> Result<(), Failure> {
        let to = self.directory.display().to_string();
        fs::create_dir_all(&self.directory).context(&format!("cannot make {to}"))?;
        clap_mangen::generate_to(Cli::command(), &self.directory).context(&format!("cannot write to {to}"))
    }
}
