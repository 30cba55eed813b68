//! Progress bars for those who wait: on a terminal only, and only once the wait has lasted.
//!
//! A bar that flashes by is noise, and one in a log file is worse.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How long a person waits before they wonder.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often a second the bar is drawn: enough to look alive, little enough to cost nothing.
const FRAMES_PER_SECOND: u8 = 5;

/// How far a piece of work is. Shown on standard error after two seconds, and gone when it is finished or dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    began: Instant,
    may_show: bool,
    shown: bool,
}

impl Progress {
    /// Begins a piece of `what`, `len` units long; `None` where nobody knows how long.
    pub fn new(len: Option<u64>, what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(len, ProgressDrawTarget::hidden());
        let template = match len {
            Some(_) => "{msg} {wide_bar} {human_pos}/{human_len}, {eta} left",
            None => "{spinner} {msg} {human_pos}, {elapsed}",
        };
        bar.set_style(ProgressStyle::with_template(template).expect("the template is well-formed"));
        bar.set_message(what.to_owned());
        Self { bar, began: Instant::now(), may_show: std::io::stderr().is_terminal(), shown: false }
    }

    /// `units` more are done.
    pub fn inc(&mut self, units: u64) {
        self.bar.inc(units);
        self.show_if_due();
    }

    /// `units` are done in all.
    pub fn set(&mut self, units: u64) {
        self.bar.set_position(units);
        self.show_if_due();
    }

    /// How many units are done.
    pub fn position(&self) -> u64 {
        self.bar.position()
    }

    /// Whether a bar that began `elapsed` ago is shown on what is a terminal or is not.
    pub fn is_due(elapsed: Duration, terminal: bool) -> bool {
        terminal && elapsed >= PATIENCE
    }

    fn show_if_due(&mut self) {
        if !self.shown && Self::is_due(self.began.elapsed(), self.may_show) {
            self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(FRAMES_PER_SECOND));
            self.shown = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
