//! L9: one file per command.
//!
//! - what is typed: this file; what it is run with: [`session`]
//! - commands: [`serve`], [`demo`], [`investigate`], [`init`], [`check`], [`doctor`], [`policy`], [`prompt`],
//!   [`tools`], [`events`], [`investigations`], [`approvals`], [`usage`], [`audit`], [`version`]
//! - how a tool's command is confined: [`sandbox`]
//! - a running server: [`client`]
//! - what is seen: [`render`] (the journal), [`question`] (changes and questions), [`transcript`], [`markdown`], [`output`] (tables, JSON, YAML), [`text`]
//! - how it ends: [`failure`]

pub mod approvals;
pub mod audit;
pub mod check;
pub mod client;
pub mod demo;
pub mod doctor;
pub mod events;
mod failure;
pub mod init;
pub mod investigate;
pub mod investigations;
mod logging;
pub mod markdown;
pub mod output;
pub mod policy;
pub mod prompt;
mod question;
pub mod render;
pub mod sandbox;
pub mod serve;
pub mod session;
mod stage;
mod status;
pub mod text;
pub mod tools;
pub mod transcript;
pub mod usage;
pub mod version;

pub use failure::{Exit, Failure};

use crate::edge::exec::sandbox::COMMAND;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use output::{Format, Output};
use session::Session;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// An alert arrives, a root cause leaves, and nothing happens that policy did not allow.
#[derive(Debug, Parser)]
#[command(name = "firewarden", version, about, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// Configuration file [default: ./firewarden.yaml if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of Rego policies, before the configured one
    #[arg(long, global = true, value_name = "DIR")]
    pub policies: Option<String>,
    /// Address of a running server [default: the configured one]
    #[arg(long, global = true, value_name = "URL", env = "FIREWARDEN_URL")]
    pub server: Option<String>,
}

/// How a list or an object is written.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Written {
    /// How the result is written
    #[arg(short, long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive alerts, investigate them, answer the API
    Serve(serve::Serve),
    /// Play a recorded incident through the whole product, on loopback
    Demo(demo::Demo),
    /// Investigate one alert in the terminal; the report goes to stdout
    Investigate(investigate::Investigate),
    /// Write a commented configuration, prompts, policies and tools for editing
    Init(init::Init),
    /// Tell everything that is wrong with configuration, policies, prompts, tools and routes
    Check(check::Check),
    /// Ask every configured peer; tell what is missing and how to mend it
    Doctor(doctor::Doctor),
    /// Check, test and try policies
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Show what a model is told
    #[command(subcommand)]
    Prompt(prompt::Prompt),
    /// What may be called
    #[command(subcommand)]
    Tools(tools::Tools),
    /// Alerts that a running server took in
    #[command(subcommand)]
    Events(events::Events),
    /// What a running server investigates
    #[command(subcommand)]
    Investigations(investigations::Investigations),
    /// Changes that wait for a person, and those that were answered
    #[command(subcommand)]
    Approvals(approvals::Approvals),
    /// What a running server spent, and what is left today
    Usage(usage::Usage),
    /// Verify the journal
    #[command(subcommand)]
    Audit(audit::Command),
    /// Print the version
    Version(version::Version),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Parses `args` and runs the command.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    // Before anything is begun that another program would inherit.
    match args.split_first() {
        Some((_, rest)) if rest.first().is_some_and(|word| word == COMMAND) => sandbox::main(rest),
        _ => ended(args).into(),
    }
}

fn ended(args: Vec<OsString>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(told) => {
            // Help and version are results; a mistake is exit 2.
            let _ = told.print();
            return if told.use_stderr() { Exit::Usage } else { Exit::Fine };
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(&Failure::internal(format!("the runtime does not start: {error}"))),
    };
    let ended = runtime.block_on(run(cli));
    // Nobody waits for work that a command left behind, a blocking read of stdin for instance.
    runtime.shutdown_background();
    match ended {
        Ok(exit) => exit,
        Err(failure) => end(&failure),
    }
}

fn end(failure: &Failure) -> Exit {
    let _ = write!(std::io::stderr().lock(), "{}", failure.text());
    failure.exit()
}

async fn run(cli: Cli) -> Result<Exit, Failure> {
    let session = Session::new(cli.global, Output::of_process());
    match cli.command {
        Command::Serve(command) => command.run(&session).await,
        Command::Demo(command) => command.run(&session).await,
        Command::Investigate(command) => command.run(&session).await,
        Command::Init(command) => command.run(&session),
        Command::Check(command) => command.run(&session).await,
        Command::Doctor(command) => command.run(&session).await,
        Command::Policy(command) => command.run(&session).await,
        Command::Prompt(command) => command.run(&session).await,
        Command::Tools(command) => command.run(&session).await,
        Command::Events(command) => command.run(&session).await,
        Command::Investigations(command) => command.run(&session).await,
        Command::Approvals(command) => command.run(&session).await,
        Command::Usage(command) => command.run(&session).await,
        Command::Audit(command) => command.run(&session).await,
        Command::Version(command) => command.run(&session),
        Command::Completions { shell } => {
            let mut script = vec![];
            clap_complete::generate(shell, &mut Cli::command(), "firewarden", &mut script);
            session.out.text(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Fine)
        }
    }
}

#[cfg(test)]
mod sinks_tests;
#[cfg(test)]
mod tests;
