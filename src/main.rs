//! Parse, run, exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before any HTTP client is built. It fails only when it was done already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    firewarden::cli::main(std::env::args_os())
}
