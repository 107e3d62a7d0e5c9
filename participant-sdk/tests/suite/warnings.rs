//! What the SDK warns of, test by test.
//!
//! One subscriber serves the process: with one for each test, tests that run side by side decide for each other whether
//! an event is of interest to anybody, and now and then one is lost. Each test runs on a thread of its own, so the thread
//! tells whose a warning is. Warnings of other crates, such as sqlx's of a slow statement, say nothing about the SDK.

use std::{cell::RefCell, io, rc::Rc, sync::Once};

use tracing::Level;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

thread_local! {
    static HEARD: RefCell<Option<Rc<RefCell<Vec<u8>>>>> = const { RefCell::new(None) };
}

/// Listens to this thread until it is dropped.
pub(crate) struct Warnings(Rc<RefCell<Vec<u8>>>);

impl Warnings {
    pub(crate) fn listen() -> Self {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            tracing_subscriber::registry()
                .with(tracing_subscriber::fmt::layer().with_writer(|| ToThread))
                .with(Targets::new().with_target("earnest", Level::WARN))
                .init();
        });
        let heard = Rc::default();
        HEARD.set(Some(Rc::clone(&heard)));
        Self(heard)
    }

    /// Everything so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Drop for Warnings {
    fn drop(&mut self) {
        HEARD.set(None);
    }
}

struct ToThread;

impl io::Write for ToThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        HEARD.with_borrow(|heard| {
            if let Some(heard) = heard {
                heard.borrow_mut().extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
