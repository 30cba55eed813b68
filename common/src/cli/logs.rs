//! Logs: quiet unless asked for, on standard error, so that standard output stays what the program was run for.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::Error;

/// The flags that choose how much is logged. Flatten it into a command line: `#[command(flatten)] verbosity: Verbosity`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::Args)]
pub struct Verbosity {
    /// Log more: -v what happens, -vv how, -vvv everything (RUST_LOG overrides it)
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
}

impl Verbosity {
    /// The least serious level that is logged where `RUST_LOG` says nothing.
    pub fn level(self) -> LevelFilter {
        match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::ERROR,
            (false, 0) => LevelFilter::WARN,
            (false, 1) => LevelFilter::INFO,
            (false, 2) => LevelFilter::DEBUG,
            (false, _) => LevelFilter::TRACE,
        }
    }
}

/// Sends logs to standard error, filtered by `RUST_LOG` (levels and `target=level` pairs, comma-separated) where that is set
/// and by the flags otherwise. Coloured on a terminal only, and not where `NO_COLOR` is set. A second call in one process
/// changes nothing.
///
/// # Errors
///
/// `RUST_LOG` is set and is not a filter: silently logging the wrong things would be found when the log is needed.
pub fn init_logs(verbosity: Verbosity) -> Result<(), Error> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(text) if !text.trim().is_empty() => {
            text.parse::<Targets>().map_err(|source| Error::LogFilter { filter: text, source })?
        }
        Ok(_) | Err(std::env::VarError::NotPresent) => Targets::new().with_default(verbosity.level()),
        Err(std::env::VarError::NotUnicode(_)) => return Err(Error::LogFilterEncoding),
    };
    let stderr = std::io::stderr();
    let colour = stderr.is_terminal() && anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never;
    // An error here means that a subscriber is installed already, by a test or by an embedding program: theirs stays.
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colour);
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Ok(())
}
