//! Where services live: the store's registry, kept for a moment, and which instances answered lately.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use earnest_protocol::Name;
use earnest_store::{Endpoint, Store, StoreError};
use tokio::time::Instant;

/// How long endpoints are used without asking the store again.
const FRESH: Duration = Duration::from_secs(1);
/// The same where there were none: a service that has just registered shouldn't wait.
const FRESH_NOTHING: Duration = Duration::from_millis(200);
/// How long an instance that did not answer is tried only after the others.
const AVOIDED: Duration = Duration::from_secs(10);
/// Services, and instances to avoid, remembered at most; beyond it all are forgotten, which costs a look each.
const REMEMBERED: usize = 4_096;

type ServiceName = (Name, Name);

/// Which endpoints to call.
#[derive(Debug)]
pub enum Resolved {
    /// In the order to try them; at least one.
    Endpoints(Vec<Endpoint>),
    /// None.
    Nowhere {
        /// Short and stable.
        code: &'static str,
        /// For people, with what to do.
        problem: String,
    },
}

/// Endpoints as last read.
struct Known {
    endpoints: Vec<Endpoint>,
    read_at: Instant,
    /// Where the next rotation begins.
    next: usize,
}

/// One service's entry. Its lock is held while the store is asked, so that many callers ask once.
type Entry = Arc<tokio::sync::Mutex<Option<Known>>>;

/// Resolves services by the store.
pub struct ServiceDirectory {
    store: Arc<dyn Store>,
    entries: Mutex<HashMap<ServiceName, Entry>>,
    avoided: Arc<Mutex<HashMap<String, Instant>>>,
}

impl ServiceDirectory {
    /// An empty one over `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            entries: Mutex::default(),
            avoided: Arc::default(),
        }
    }

    /// The endpoints of a service, beginning with another one each time; those that did not answer lately come
    /// last.
    pub async fn resolve(&self, namespace: &Name, name: &Name) -> Resolved {
        let entry = self.entry(namespace, name);
        let mut known = entry.lock().await;
        if !known.as_ref().is_some_and(Known::is_fresh) {
            match self.store.service(namespace, name).await {
                Ok(row) => {
                    *known = Some(Known {
                        endpoints: row.map(|row| row.endpoints).unwrap_or_default(),
                        read_at: Instant::now(),
                        next: known.as_ref().map_or(0, |known| known.next),
                    });
                }
                // Addresses as of a moment ago are better than none; whoever answers there says who it is.
                Err(error) if known.is_none() => return unreadable(&error),
                Err(error) => tracing::debug!(
                    error = &error as &dyn Error,
                    service = %name,
                    "service not read; using what is known of it"
                ),
            }
        }
        match known.as_mut().and_then(Known::rotate) {
            Some(endpoints) => Resolved::Endpoints(self.avoided_last(endpoints)),
            None => Resolved::Nowhere {
                code: "no-endpoint",
                problem: format!(
                    "service {name} has no endpoint in namespace {namespace}: start it, or register it with \
                     `earnest service add {name} --url http://HOST:PORT`"
                ),
            },
        }
    }

    /// Notes that an endpoint is being called. It counts as not answering if the call is given up.
    pub fn try_endpoint(&self, endpoint: &Endpoint) -> Trial {
        Trial {
            avoided: Arc::clone(&self.avoided),
            url: endpoint.url.clone(),
            answered: false,
        }
    }

    fn entry(&self, namespace: &Name, name: &Name) -> Entry {
        let mut entries = lock(&self.entries);
        if entries.len() >= REMEMBERED {
            entries.clear();
        }
        Arc::clone(
            entries
                .entry((namespace.clone(), name.clone()))
                .or_default(),
        )
    }

    fn avoided_last(&self, mut endpoints: Vec<Endpoint>) -> Vec<Endpoint> {
        let now = Instant::now();
        let avoided = lock(&self.avoided);
        if !avoided.is_empty() {
            // Stable: the rotation stays within each half.
            endpoints.sort_by_key(|e| avoided.get(&e.url).is_some_and(|until| *until > now));
        }
        endpoints
    }
}

impl Known {
    fn is_fresh(&self) -> bool {
        let fresh = if self.endpoints.is_empty() {
            FRESH_NOTHING
        } else {
            FRESH
        };
        self.read_at.elapsed() < fresh
    }

    fn rotate(&mut self) -> Option<Vec<Endpoint>> {
        let count = self.endpoints.len();
        if count == 0 {
            return None;
        }
        let begin = self.next % count;
        self.next = begin + 1;
        let (before, from) = self.endpoints.split_at(begin);
        Some([from, before].concat())
    }
}

/// A call of one endpoint.
pub struct Trial {
    avoided: Arc<Mutex<HashMap<String, Instant>>>,
    url: String,
    answered: bool,
}

impl Trial {
    /// The call is over.
    pub fn ended(mut self, answered: bool) {
        self.answered = answered;
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let mut avoided = lock(&self.avoided);
        if self.answered {
            if !avoided.is_empty() {
                avoided.remove(&self.url);
            }
            return;
        }
        if avoided.len() >= REMEMBERED {
            avoided.clear();
        }
        avoided.insert(std::mem::take(&mut self.url), Instant::now() + AVOIDED);
    }
}

fn unreadable(error: &StoreError) -> Resolved {
    Resolved::Nowhere {
        code: "unresolved",
        problem: format!("the registry of services can't be read: {error}"),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
