//! Panics of what is simulated: caught, with their place, and without a word on the standard error for each of the hundreds of
//! runs that the shrinking of a schedule takes.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_CATCHING: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Calls `act`. If it panics: what it said, and where.
pub(super) fn catch<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if IS_CATCHING.get() {
                PLACE.set(panic.location().map(ToString::to_string));
            } else {
                usual(panic);
            }
        }));
    });
    let was_catching = IS_CATCHING.replace(true);
    // Whoever catches looks at nothing of what the panic has left but at lines and counts.
    let result = catch_unwind(AssertUnwindSafe(act));
    IS_CATCHING.set(was_catching);
    result.map_err(|panic| {
        let place = PLACE.take().map(|place| format!(" (at {place})"));
        format!("{}{}", said(&*panic), place.unwrap_or_default())
    })
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("something that is no text")
}
