//! Shutdown: a wish that every task can see, and the signals that express it.
//!
//! The first Ctrl-C or SIGTERM asks: what is in flight is finished, made durable, and the program exits with 0. A second
//! Ctrl-C insists: the program ends at once with 130 (128 + SIGINT, as shells report it). Data must survive that, as it
//! must survive a SIGKILL (DDIA ch. 1, "Software Errors").

use std::io::{self, IsTerminal};
use std::sync::mpsc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::Error;

/// The exit code after a second Ctrl-C: 128 + SIGINT's number.
const INTERRUPTED: i32 = 130;

/// Whether shutdown has been requested. Clones see the same request.
///
/// **Invariant**: once requested, it stays requested.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// `None`: nobody can ask.
    wish: Option<watch::Receiver<bool>>,
}

/// Requests the shutdown of those who hold the [`Shutdown`] made with it. When the last trigger is dropped, that counts as
/// a request: nobody is left who could end the tasks otherwise.
#[derive(Debug, Clone)]
pub struct Trigger {
    wish: watch::Sender<bool>,
}

impl Trigger {
    /// Requests it. Doing so again changes nothing.
    pub fn request(&self) {
        self.wish.send_replace(true);
    }
}

impl Shutdown {
    /// A shutdown that the trigger requests.
    #[allow(clippy::new_ret_no_self, reason = "the two halves are made together")]
    pub fn new() -> (Trigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (Trigger { wish: sender }, Self { wish: Some(receiver) })
    }

    /// A shutdown that is never requested.
    pub fn never() -> Self {
        Self { wish: None }
    }

    /// A shutdown that Ctrl-C and SIGTERM request; a second Ctrl-C ends the process at once.
    ///
    /// The signals are waited for on a thread of their own, so that they are heard also while the program's own runtime is
    /// busy, blocked, or not there.
    ///
    /// # Errors
    ///
    /// The handlers cannot be installed, or the thread cannot be started.
    pub fn on_signals() -> Result<Self, Error> {
        let (trigger, shutdown) = Self::new();
        let (installed, outcome) = mpsc::channel();
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                let listening = tokio::runtime::Builder::new_current_thread().enable_io().build().and_then(|runtime| {
                    let signals = {
                        let _inside = runtime.enter();
                        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
                    };
                    Ok((runtime, signals))
                });
                match listening {
                    Ok((runtime, (interrupt, terminate))) => {
                        let _ = installed.send(Ok(()));
                        runtime.block_on(listen(interrupt, terminate, &trigger));
                    }
                    Err(error) => {
                        let _ = installed.send(Err(error));
                    }
                }
            })
            .map_err(Error::Signals)?;
        outcome.recv().unwrap_or_else(|_| Err(io::Error::other("the signal thread ended"))).map_err(Error::Signals)?;
        Ok(shutdown)
    }

    /// Waits until it is requested; returns at once when it has been.
    pub async fn requested(&self) {
        match &self.wish {
            None => std::future::pending().await,
            Some(wish) => {
                // An error says that the last trigger is gone, which counts as a request.
                let _ = wish.clone().wait_for(|requested| *requested).await;
            }
        }
    }

    /// Whether it has been requested.
    pub fn is_requested(&self) -> bool {
        self.wish.as_ref().is_some_and(|wish| *wish.borrow() || wish.has_changed().is_err())
    }
}

/// Turns signals into the request, until the process ends.
async fn listen(mut interrupt: Signal, mut terminate: Signal, trigger: &Trigger) {
    let mut interrupted = false;
    loop {
        tokio::select! {
            Some(()) = interrupt.recv() => {
                if interrupted {
                    std::process::exit(INTERRUPTED);
                }
                interrupted = true;
                trigger.request();
                if io::stderr().is_terminal() {
                    eprintln!("\nfinishing what is in flight; Ctrl-C again ends at once");
                }
            }
            Some(()) = terminate.recv() => trigger.request(),
            else => return,
        }
    }
}
