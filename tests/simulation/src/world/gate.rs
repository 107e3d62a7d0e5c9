//! Whether one run of a process lives: nothing gets past the gate of a paused one until it goes on, or of a dead one ever.
//!
//! A process's tasks are not ended when it dies: they never get past their next word with the outside, which is all that
//! anybody could see of them.

use std::future;

use tokio::sync::watch;

/// The state of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Lives,
    Paused,
    Dead,
}

/// One run's gate.
pub(crate) struct Gate(watch::Sender<Life>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Life::Lives))
    }

    /// Returns while the process lives, waits while it is paused, and never returns when it is dead.
    pub(crate) async fn pass(&self) {
        if *self.0.borrow() == Life::Lives {
            return;
        }
        let mut life = self.0.subscribe();
        let gone = life.wait_for(|life| *life == Life::Lives).await.is_err();
        if gone {
            future::pending::<()>().await;
        }
    }

    /// Returns when the process is dead.
    pub(crate) async fn died(&self) {
        let mut life = self.0.subscribe();
        let _ = life.wait_for(|life| *life == Life::Dead).await;
    }

    pub(crate) fn pause(&self) {
        self.0
            .send_if_modified(|life| change(life, Life::Lives, Life::Paused));
    }

    pub(crate) fn resume(&self) {
        self.0
            .send_if_modified(|life| change(life, Life::Paused, Life::Lives));
    }

    pub(crate) fn kill(&self) {
        self.0.send_replace(Life::Dead);
    }
}

fn change(life: &mut Life, from: Life, to: Life) -> bool {
    let changes = *life == from;
    if changes {
        *life = to;
    }
    changes
}
