//! The objects that chapters promise to be linearizable: a register, a key-value map, a lock and a queue.
//!
//! Each is a table of what its operations do one at a time, and short enough to be believed by reading it: a checker is worth
//! what its model is worth.

mod kv;
mod lock;
mod queue;
mod register;

pub use kv::{Kv, KvInput, KvOp, KvOutput};
pub use lock::{Lock, LockInput, LockOp, LockOutput, LockState};
pub use queue::{Queue, QueueInput, QueueOp, QueueOutput};
pub use register::{Register, RegisterInput, RegisterOp, RegisterOutput};

use std::sync::Arc;

/// A text that is a key, a value or a name. Cheap to clone, since states hold it.
pub type Text = Arc<str>;

/// How many characters of a value a description shows: a bar in a picture is no place for more.
const SHOWN_CHARS: usize = 24;

/// A [`Text`] of whatever can be shown as one.
#[expect(clippy::needless_pass_by_value, reason = "so that its callers can take `impl ToString`, as is handy in tests")]
pub(crate) fn text(from: impl ToString) -> Text {
    from.to_string().into()
}

/// The value for people: bare when that is clear, else quoted and escaped; the end of a long one, which is where lists that
/// are appended to differ.
fn show(value: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let count = value.chars().count();
    let (cut, shown) = if count > SHOWN_CHARS {
        ("…", value.chars().skip(count - SHOWN_CHARS).collect::<String>())
    } else {
        ("", value.to_owned())
    };
    if shown.chars().all(bare) && !shown.is_empty() { format!("{cut}{shown}") } else { format!("{cut}{shown:?}") }
}

fn show_option(value: Option<&Text>) -> String {
    value.map_or("nothing".to_owned(), |value| show(value))
}
