//! The command line: arguments in, text and files out, and an exit status.
//!
//! Status 0: done. 1: a claim failed. 2: bad usage or unreadable input, with one sentence on stderr that names the file.

mod attack;
mod certify;
mod check;
mod falsify;
mod input;
mod networks;
mod output;
mod predict;
mod show;
mod train;

use std::{io::Write, process::ExitCode};

use clap::{Parser, Subcommand};
use dahlquist::{Error, Result};

/// Stable neural networks with certificates that are proved.
#[derive(Debug, Parser)]
#[command(name = "dahlquist", version, about)]
struct Arguments {
    /// The number of threads; all cores if absent.
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Layers, shapes, parameters, and what is claimed about each layer.
    Show(show::Show),
    /// Logits as executed, in the model's own precision.
    Predict(predict::Predict),
    /// Prove the Lipschitz constant of a network and the radius of every sample.
    Certify(certify::Certify),
    /// Recompute and verify every claim of a certificate.
    Check(check::Check),
    /// Look for adversarial inputs by projected gradient descent: clean and robust accuracy.
    Attack(attack::AttackArguments),
    /// Search for a pair of inputs, or a flip within a radius, that breaks the certificate.
    Falsify(falsify::Falsify),
    /// Train the stable network of the CIFAR-10 recipe.
    Train(train::Train),
}

/// What a command that ran has to say.
struct Outcome {
    /// What goes to the standard output.
    text: String,
    /// Whether a claim failed.
    failed: bool,
}

impl Outcome {
    fn done(text: String) -> Self {
        Self { text, failed: false }
    }
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; whether they can be printed does not matter.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(&arguments) {
        Ok(outcome) => {
            // A reader that has seen enough closes the pipe.
            let _ = std::io::stdout().write_all(outcome.text.as_bytes());
            ExitCode::from(u8::from(outcome.failed))
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "dahlquist: {}", one_line(&error));
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<Outcome> {
    if let Some(threads) = arguments.threads {
        let refuse = |reason: String| Error::Parameter { name: "threads", value: threads.to_string(), reason };
        if threads == 0 {
            return Err(refuse("at least one thread is needed".into()));
        }
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(|e| refuse(e.to_string()))?;
    }
    match &arguments.command {
        Command::Show(command) => command.run(),
        Command::Predict(command) => command.run(),
        Command::Certify(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Attack(command) => command.run(),
        Command::Falsify(command) => command.run(),
        Command::Train(command) => command.run(),
    }
}

/// An error as one line, whatever a file has put into it.
fn one_line(error: &Error) -> String {
    let text = error.to_string();
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(1000) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}
