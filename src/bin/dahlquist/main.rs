//! The program `dahlquist`: arguments in, text and files out, and an exit status.
//!
//! Status 0: done. 1: a claim is false, or has no proof. 2: bad usage or unreadable input, with one sentence on the standard error that
//! names the file. 3: something that is claimed was not checked.

mod attack;
mod certify;
mod check;
mod falsify;
mod input;
mod merge;
mod output;
mod plot;
mod predict;
mod report;
mod show;
mod train;

use std::{
    ffi::OsString,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use dahlquist::{Error, Result, io::is_standard_output};

use output::Out;

/// Stable neural networks with proved Lipschitz constants and certified radii.
#[derive(Debug, Parser)]
#[command(name = "dahlquist", version, after_help = AFTER_HELP)]
struct Arguments {
    /// Number of threads [default: all cores]
    #[arg(long, global = true, value_name = "N")]
    threads: Option<usize>,
    #[command(subcommand)]
    command: Command,
}

/// The most threads that `--threads` may ask for.
const MOST_THREADS: usize = 1024;

const AFTER_HELP: &str = "\
Distances, radii and ε are in units of the input, in the ℓ2 (Euclidean) norm unless --norm says otherwise; images have
pixels in [0, 1].

Exit status: 0 done, 1 a claim is false or has no proof, 2 bad usage, unreadable input or unwritable output, 3 something
claimed was not checked.

Example:
  dahlquist certify model.safetensors --data test.safetensors --eps 36/255 0.5 --certificate cert.json
  dahlquist check cert.json model.safetensors --data test.safetensors";

#[derive(Debug, Subcommand)]
enum Command {
    /// List the layers with their shapes, parameters and proved bounds
    Show(show::Show),
    /// Run a network and write its logits
    Predict(predict::Predict),
    /// Prove the Lipschitz constant of a network and the radius of every sample
    Certify(certify::Certify),
    /// Merge the parts that `certify --shard` wrote into one certificate
    Merge(merge::Merge),
    /// Check every claim of a certificate again
    Check(check::Check),
    /// Search for adversarial examples by projected gradient descent
    Attack(attack::AttackArguments),
    /// Search for inputs that break the certificate
    Falsify(falsify::Falsify),
    /// Train a stable network on CIFAR-10
    Train(train::Train),
}

/// What a command does.
trait Run {
    /// Runs the command.
    fn run(&self) -> Result<Outcome>;

    /// Returns the files that it reads.
    fn inputs(&self) -> Vec<&Path>;

    /// Returns the files that it writes.
    fn outputs(&self) -> Vec<&Out>;
}

impl Command {
    fn get(&self) -> &dyn Run {
        match self {
            Self::Show(command) => command,
            Self::Predict(command) => command,
            Self::Certify(command) => command,
            Self::Merge(command) => command,
            Self::Check(command) => command,
            Self::Attack(command) => command,
            Self::Falsify(command) => command,
            Self::Train(command) => command,
        }
    }
}

/// What a command that ran has to say.
struct Outcome {
    text: String,
    status: Status,
}

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Done = 0,
    /// A claim is false, or has no proof.
    Failed = 1,
    /// Something that is claimed was not checked.
    Unchecked = 3,
}

impl Outcome {
    fn done(text: String) -> Self {
        Self { text, status: Status::Done }
    }
}

fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

/// Runs the program with its name and its arguments, and returns its exit status. The Python package calls it, too.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors; whether they can be printed does not matter.
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    let command = arguments.command.get();
    let ran = set_threads(arguments.threads).and_then(|()| check_outputs(command)).and_then(|()| command.run());
    match ran.and_then(|outcome| print(command, &outcome.text).map(|()| outcome.status)) {
        Ok(status) => status as u8,
        Err(error) => {
            output::say(&error.to_string());
            2
        }
    }
}

/// Prints what a command has to say.
fn print(command: &dyn Run, text: &str) -> Result<()> {
    // Where a result goes to the standard output it is alone there, for the program that reads it.
    if command.outputs().into_iter().any(|out| is_standard_output(out)) {
        let _ = std::io::stderr().write_all(text.as_bytes());
        return Ok(());
    }
    let mut output = std::io::stdout();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        // A reader that has seen enough closes the pipe, which is no error.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::file("the standard output", format!("cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

fn set_threads(threads: Option<usize>) -> Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    let refuse = |reason: String| Error::Parameter { name: "threads", value: threads.to_string(), reason };
    if threads == 0 {
        return Err(refuse("at least one thread is needed".into()));
    }
    // Many more than there are cores bring the machine down before they do anything.
    if threads > MOST_THREADS {
        return Err(refuse(format!("at most {MOST_THREADS} threads are started")));
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(|e| refuse(e.to_string()))
}

/// Refuses two results in one place, a result in the place of what is read, and one in a folder that is not there: hours of
/// work would be lost at their end.
fn check_outputs(command: &dyn Run) -> Result<()> {
    let (inputs, outputs) = (command.inputs(), command.outputs());
    let places: Vec<PathBuf> = outputs.iter().map(|out| place(out)).collect();
    let standard = outputs.iter().filter(|out| is_standard_output(out)).count();
    for (i, out) in outputs.iter().enumerate() {
        if places[..i].contains(&places[i]) || standard > 1 && is_standard_output(out) {
            return Err(Error::file(&***out, "two results cannot be written to one place"));
        }
        if inputs.iter().any(|input| place(input) == places[i]) {
            return Err(Error::file(&***out, "it is read, so no result is written there"));
        }
        if let Some(folder) = folder(out).filter(|folder| !is_standard_output(out) && !folder.is_dir()) {
            return Err(Error::file(&***out, format!("cannot be written: there is no folder {}", folder.display())));
        }
    }
    Ok(())
}

/// Returns where a path leads to, whether there is a file or not.
fn place(path: &Path) -> PathBuf {
    let new = || Some(folder(path)?.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(new).unwrap_or_else(|| path.into())
}

/// Returns the folder that a file is in.
fn folder(path: &Path) -> Option<&Path> {
    path.parent().map(|parent| if parent == Path::new("") { Path::new(".") } else { parent })
}
