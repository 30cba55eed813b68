//! A source whose engine lives elsewhere: it is asked by message, and has a limited time to answer.
//!
//! ```text
//! endpoint's task                 engine's task or thread
//! Remote::collect  --- Ask --->   between two events: ask.answer(report)
//!                  <-- Report --
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::{BoxFuture, Report, Source, Unavailable};

/// Reports that can be waited for at once. More say that the engine does not keep up with its observers.
const MAX_WAITING: usize = 8;

/// A request for a report. Dropping it says that the engine has stopped.
#[derive(Debug)]
pub struct Ask {
    reply: oneshot::Sender<Report>,
}

/// The requests as the engine's owner receives them.
#[derive(Debug)]
pub struct Asks {
    receiver: mpsc::Receiver<Ask>,
}

/// A source that asks an engine's owner.
#[derive(Clone)]
pub struct Remote {
    send: Arc<Send>,
    patience: Duration,
}

/// Delivers a request to the owner.
type Send = dyn Fn(Ask) -> Result<(), Unavailable> + std::marker::Send + Sync;

impl Ask {
    /// Answers. Nobody minds if the asker has given up.
    pub fn answer(self, report: Report) {
        let _ = self.reply.send(report);
    }

    /// Whether the asker still waits: a report that is costly to make need not be made for nobody.
    pub fn is_awaited(&self) -> bool {
        !self.reply.is_closed()
    }
}

impl Asks {
    /// Waits for the next request. `None`: every [`Remote`] is gone.
    pub async fn next(&mut self) -> Option<Ask> {
        self.receiver.recv().await
    }

    /// The next request if there is one, for an owner that looks in passing.
    pub fn try_next(&mut self) -> Option<Ask> {
        self.receiver.try_recv().ok()
    }
}

impl Remote {
    /// A remote source over a channel of its own. It waits at most `patience` for an answer.
    pub fn channel(patience: Duration) -> (Self, Asks) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let send = move |ask| {
            sender.try_send(ask).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Unavailable::Busy,
                mpsc::error::TrySendError::Closed(_) => Unavailable::Stopped,
            })
        };
        (Self::over(patience, send), Asks { receiver })
    }

    /// A remote source over a way to the owner that there is already: `send` hands it the request without waiting, and
    /// wakes it where it sleeps.
    pub fn over(
        patience: Duration,
        send: impl Fn(Ask) -> Result<(), Unavailable> + std::marker::Send + Sync + 'static,
    ) -> Self {
        Self { send: Arc::new(send), patience }
    }
}

impl Source for Remote {
    fn collect(&self) -> BoxFuture<'_, Result<Report, Unavailable>> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            (self.send)(Ask { reply })?;
            match tokio::time::timeout(self.patience, answer).await {
                Ok(Ok(report)) => Ok(report),
                Ok(Err(_)) => Err(Unavailable::Stopped),
                Err(_) => Err(Unavailable::Timeout),
            }
        })
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("patience", &self.patience).finish_non_exhaustive()
    }
}
