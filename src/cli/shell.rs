//! `gemscope completions` and `gemscope man`: what a shell and `man` know of the command.
//!
//! In: the command line as it is defined. Out: a script on stdout, or man pages in a folder.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap_complete::Shell;

use super::{Ending, command, output};

/// Print a script that completes commands and flags in a shell
///
/// bash: gemscope completions bash > ~/.local/share/bash-completion/completions/gemscope; zsh:
/// gemscope completions zsh > a folder of $fpath, as _gemscope; fish: gemscope completions fish >
/// ~/.config/fish/completions/gemscope.fish
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn completions(args: &CompletionsArgs) -> Ending {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "gemscope", &mut script);
    output::script(&script);
    Ending::Complete
}

/// Write man pages, one a command
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The folder (/usr/local/share/man/man1); a page that is there stays as it is and is an error
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(crate) fn man(args: &ManArgs) -> anyhow::Result<Ending> {
    fs::create_dir_all(&args.dir).with_context(|| args.dir.display().to_string())?;
    let mut whole = command();
    whole.build();
    let subcommands = whole.get_subcommands().filter(|sub| sub.get_name() != "help").cloned();
    let pages: Vec<(String, clap::Command)> = subcommands
        .map(|sub| (format!("gemscope-{}", sub.get_name()), sub))
        .chain([("gemscope".to_owned(), whole.clone())])
        .collect();
    for (name, page) in pages {
        let mut text = Vec::new();
        // clap wants a name that lives as long as the program; these are a dozen, once.
        clap_mangen::Man::new(page.name(String::leak(name.clone()) as &str)).render(&mut text)?;
        let path = args.dir.join(format!("{name}.1"));
        match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => file.write_all(&text).with_context(|| path.display().to_string())?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if fs::read(&path).ok().as_deref() != Some(&text) {
                    bail!("{}: there is another page of this name; remove it first", path.display())
                }
            }
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
        output::text(&format!("{}\n", path.display()));
    }
    Ok(Ending::Complete)
}
