//! `firewarden __sandbox`: not for people. The program calls itself so to run a tool's command:
//! confined first, the command from then on.

use super::Exit;
use crate::edge::exec::Confinement;
use crate::edge::exec::sandbox::{Entry, enter};
use clap::Parser as _;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Becomes a command that is confined
#[derive(Debug, clap::Parser)]
struct Sandbox {
    /// The call that it is for
    #[arg(long)]
    call: String,
    /// The process that waits for its end
    #[arg(long)]
    parent: i32,
    /// What it may read
    #[arg(long)]
    read: Vec<PathBuf>,
    /// What it may write
    #[arg(long)]
    write: Vec<PathBuf>,
    /// It may use the network
    #[arg(long)]
    network: bool,
    /// It does not run unconfined
    #[arg(long)]
    required: bool,
    /// The command
    #[arg(last = true, required = true)]
    argv: Vec<OsString>,
}

/// Becomes the command that `args` name; what returns is why it could not.
pub fn main(args: &[OsString]) -> ExitCode {
    let Sandbox { call, parent, read, write, network, required, argv } = match Sandbox::try_parse_from(args) {
        Ok(sandbox) => sandbox,
        Err(told) => {
            let _ = told.print();
            return Exit::Usage.into();
        }
    };
    let confinement = Confinement { read, write, network, required };
    let (why, code) = enter(&Entry { call, parent, confinement, argv });
    let _ = write!(std::io::stderr().lock(), "{why}");
    ExitCode::from(code)
}
