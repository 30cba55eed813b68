//! What is being done, on a terminal; nothing in a pipe.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(100);

/// A line on standard error that says what is being done. It draws nothing where standard error is no terminal.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A line for work whose extent is not known.
    pub fn spinner() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(style("{spinner} {prefix}  {wide_msg}"));
        bar.enable_steady_tick(TURN);
        Self { bar }
    }

    /// A bar for `steps` pieces of work.
    pub fn bar(steps: usize) -> Self {
        let bar = ProgressBar::new(steps as u64);
        bar.set_style(style("{bar:20} {pos}/{len}  {prefix}  {wide_msg}"));
        bar.enable_steady_tick(TURN);
        Self { bar }
    }

    /// Names the piece of work that begins.
    pub fn begins(&self, what: impl Into<String>) {
        self.bar.set_message("");
        self.bar.set_prefix(what.into());
    }

    /// What the piece of work says of itself.
    pub fn says(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// Counts one piece of work as done.
    pub fn step(&self) {
        self.bar.inc(1);
    }

    /// Takes the line away while `print` prints.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is constant and valid")
}
