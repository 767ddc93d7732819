//! `securemcp completions`: print a completion script.

use clap::{Args, ValueEnum};
use clap_complete::aot::{Bash, Fish, Generator, Zsh};

use super::{
    exit::{Exit, Failure},
    print::Printer,
};

const EXAMPLES: &str = "Examples:
  securemcp completions bash > ~/.local/share/bash-completion/completions/securemcp
  securemcp completions zsh > /usr/local/share/zsh/site-functions/_securemcp
  securemcp completions fish > ~/.config/fish/completions/securemcp.fish";

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Options {
    /// The shell that will read it
    #[arg(value_enum)]
    shell: Shell,
}

/// The shells that there is a script for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Shell {
    // No doc comments here: they would stretch the help over several lines.
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
pub(super) fn run(options: &Options, tree: &mut clap::Command, printer: Printer) -> Result<Exit, Failure> {
    printer.text(&options.shell.script(tree))?;
    Ok(Exit::Done)
}

impl Shell {
    /// The script for this tree of commands.
    pub(super) fn script(self, tree: &mut clap::Command) -> String {
        match self {
            Self::Bash => {
                let script = generate(Bash, tree).replace("complete -F _securemcp ", "complete -F _securemcp_call ");
                script + include_str!("completions/call.bash")
            }
            Self::Zsh => {
                // The name by which zsh finds the script is the one that it calls.
                let script = generate(Zsh, tree).replace("_securemcp() {", "_securemcp_words() {");
                let (functions, end) = script.rsplit_once("\nif [ ").expect("the script ends by calling itself");
                format!("{functions}\n{}\nif [ {end}", include_str!("completions/call.zsh"))
            }
            Self::Fish => generate(Fish, tree) + include_str!("completions/call.fish"),
        }
    }
}

fn generate(shell: impl Generator, tree: &mut clap::Command) -> String {
    let mut script = Vec::new();
    clap_complete::aot::generate(shell, tree, "securemcp", &mut script);
    String::from_utf8(script).expect("names and help are UTF-8")
}
