//! How a program ends: with a code that a script can act on, and an error printed with all of its causes.
//!
//! An error that names only its last cause ("permission denied") or only its first ("cannot start") sends its reader on a
//! search; the whole chain costs two lines more.

use std::error::Error as StdError;
use std::process::ExitCode;

/// Exit codes, the same in every binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All that was asked for was done.
    Done = 0,
    /// It was tried and failed.
    Failed = 1,
    /// It was not tried: the command line or a setting makes no sense. Clap exits with the same code.
    Usage = 2,
    /// Stored data is damaged: repeating the command will not help, and someone should look before anything is overwritten.
    Damaged = 3,
}

impl From<()> for Exit {
    fn from((): ()) -> Self {
        Self::Done
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Runs a program's body, prints its error to standard error and turns the outcome into an exit code.
///
/// The body returns `()` or the [`Exit`] it chose. Of an error, `classify` is asked about each link of the chain, outermost
/// first; the first answer decides, and without one the code is [`Exit::Failed`]. The errors of [`cli`](super) are
/// classified already. `E` is `anyhow::Error` in practice.
///
/// ```
/// use common::cli::{self, Exit};
///
/// let code = cli::run(
///     || -> Result<(), anyhow::Error> { Ok(()) },
///     |error| error.downcast_ref::<std::num::ParseIntError>().map(|_| Exit::Usage),
/// );
/// assert_eq!(code, Exit::Done.into());
/// ```
pub fn run<T, E>(
    main: impl FnOnce() -> Result<T, E>,
    classify: impl Fn(&(dyn StdError + 'static)) -> Option<Exit>,
) -> ExitCode
where
    T: Into<Exit>,
    E: AsRef<dyn StdError + Send + Sync + 'static>,
{
    match main() {
        Ok(exit) => exit.into().into(),
        Err(error) => {
            let (exit, text) = explain(error.as_ref(), classify);
            if !text.is_empty() {
                let style = anstyle::AnsiColor::Red.on_default().bold();
                let rest = text.strip_prefix(PREFIX).unwrap_or(&text);
                anstream::eprintln!("{style}{PREFIX}{style:#}{rest}");
            }
            exit.into()
        }
    }
}

/// What every printed error begins with.
const PREFIX: &str = "error:";

/// The exit code of an error, and the text that [`run`] prints for it. No text: the reader of our output went away, and
/// nobody is waiting for an explanation.
pub fn explain(
    error: &(dyn StdError + 'static),
    classify: impl Fn(&(dyn StdError + 'static)) -> Option<Exit>,
) -> (Exit, String) {
    let own = |link: &(dyn StdError + 'static)| link.downcast_ref::<super::Error>().map(super::Error::exit);
    let exit = chain(error).find_map(|link| classify(link).or_else(|| own(link))).unwrap_or(Exit::Failed);
    if exit == Exit::Done {
        return (exit, String::new());
    }
    let mut text = String::new();
    let mut said = String::new();
    for link in chain(error) {
        let message = link.to_string();
        // Many errors of other crates repeat their source in their own message.
        if text.is_empty() {
            text = format!("{PREFIX} {message}");
        } else if !said.ends_with(&message) {
            text.push_str("\n  caused by: ");
            text.push_str(&message);
        }
        said = message;
    }
    (exit, text)
}

/// The error, its source, its source's source, and so on.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&link| link.source())
}
