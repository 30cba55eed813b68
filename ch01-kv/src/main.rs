//! The command line.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    common::cli::run(ch01_kv::cli::main, |error| {
        error.downcast_ref::<ch01_kv::error::Error>().map(ch01_kv::error::Error::exit)
    })
}
