//! The command line.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    common::cli::run(ch03_lsm::cli::main, |error| {
        error.downcast_ref::<ch03_lsm::error::Error>().map(ch03_lsm::error::Error::exit)
    })
}
