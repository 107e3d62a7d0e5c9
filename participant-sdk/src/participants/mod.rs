//! Where participants are, as the coordinator knows it, and how one Try is called there.
//!
//! Only Try is called from here: the second phase is the coordinator's. A Try may be called again whatever became of the first call,
//! since the participant's fence runs it once.

mod grpc;
mod http;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use earnest_proto::v1::{BranchCall, BranchCallKind, EndpointProtocol, Service};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use crate::{clock::Chance, reconnect::Pauses};

/// What was not answered after this part of the deadline is called once more beside it: the answer may be lost, or late.
const TRIES_THAT_FIT: u32 = 3;
/// How long an answer of the coordinator's about a service is used before it is asked again.
const FRESH: Duration = Duration::from_secs(30);
/// Makes the channel to an instance of a service; see [`Builder::reach`](crate::Builder::reach).
pub(crate) type Reach = Arc<dyn Fn(&str) -> Option<Channel> + Send + Sync>;

/// One instance.
pub(crate) struct Instance {
    pub(crate) resource_id: String,
    url: String,
    line: Line,
}

/// What an instance speaks.
#[derive(Clone)]
enum Line {
    Grpc(grpc::Client),
    Http(http::Client),
}

/// When the coordinator said so, and what.
type Known = (Instant, Arc<[Instance]>);

/// What is known of the participants that were called so far.
pub(crate) struct Participants {
    reach: Reach,
    http: http::Client,
    known: Mutex<HashMap<String, Known>>,
}

impl Default for Participants {
    fn default() -> Self {
        Self::reached_by(Arc::new(plain))
    }
}

/// Without TLS.
fn plain(url: &str) -> Option<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned()).ok()?;
    Some(
        endpoint
            .connect_timeout(Duration::from_secs(1))
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .tcp_nodelay(true)
            .connect_lazy(),
    )
}

impl Participants {
    pub(crate) fn reached_by(reach: Reach) -> Self {
        Self {
            reach,
            http: http::client(),
            known: Mutex::default(),
        }
    }

    /// The instances known, and whether that is fresh.
    pub(crate) fn known(&self, service: &str) -> Option<(Arc<[Instance]>, bool)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(service)
            .map(|(at, instances)| (Arc::clone(instances), at.elapsed() < FRESH))
    }

    /// Takes what the coordinator said.
    pub(crate) fn learn(&self, service: Service) -> Arc<[Instance]> {
        let before = self.known(&service.name).map(|(instances, _)| instances);
        let instance = |endpoint: earnest_proto::v1::Endpoint| {
            let mut connected = before.iter().flat_map(|before| before.iter());
            let line = match (
                endpoint.protocol(),
                connected.find(|known| known.url == endpoint.url),
            ) {
                (EndpointProtocol::Grpc, Some(Instance { line, .. }))
                    if matches!(line, Line::Grpc(_)) =>
                {
                    line.clone()
                }
                (EndpointProtocol::Grpc, _) => {
                    Line::Grpc(grpc::client((self.reach)(&endpoint.url)?))
                }
                (EndpointProtocol::Http, _) => Line::Http(self.http.clone()),
                (EndpointProtocol::Unspecified, _) => return None,
            };
            Some(Instance {
                resource_id: endpoint.resource_id,
                url: endpoint.url,
                line,
            })
        };
        let instances: Arc<[Instance]> =
            service.endpoints.into_iter().filter_map(instance).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(service.name, (Instant::now(), Arc::clone(&instances)));
        instances
    }

    /// The next call asks the coordinator again.
    pub(crate) fn forget(&self, service: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(service);
    }
}

/// What a Try came to.
pub(crate) enum Tried {
    Ok,
    /// A business no, or one that can never succeed: the participant's reason.
    Refused(String),
    /// Nothing that can be relied on, until the time was up.
    Unanswered(String),
}

/// Calls one Try, at `first` and then at the others of the same database, until it is answered or `deadline` has passed.
pub(crate) async fn call(
    instances: &[Instance],
    first: usize,
    call: BranchCall,
    deadline: Duration,
    chance: &dyn Chance,
) -> Tried {
    let resource_id = call
        .branch
        .as_ref()
        .map_or("", |branch| &branch.resource_id);
    let order: Vec<&Instance> = (first..instances.len())
        .chain(0..first)
        .filter_map(|index| instances.get(index))
        .filter(|instance| resource_id.is_empty() || instance.resource_id == resource_id)
        .collect();
    let mut last = "no instance could be reached".to_owned();
    let tries = async {
        let mut pauses = Pauses::within_a_call();
        let mut attempt = 0;
        // A slow Try is not given up for the next one, which would begin it again and again.
        let mut under_way = FuturesUnordered::new();
        loop {
            for instance in &order {
                attempt += 1;
                under_way.push(once(instance, &call, attempt, deadline));
                match next(&mut under_way, deadline / TRIES_THAT_FIT).await {
                    Some(Ok(tried)) => return tried,
                    Some(Err(why)) => last = why,
                    None => last = format!("{} did not answer in time", instance.url),
                }
                tracing::debug!(url = instance.url, last, "calling Try again");
            }
            if let Some(Ok(tried)) = next(&mut under_way, pauses.next(chance)).await {
                return tried;
            }
        }
    };
    let tried = tokio::time::timeout(deadline, tries).await;
    tried.unwrap_or(Tried::Unanswered(last))
}

/// The next answer of calls that are under way, or `None` after `at_most`.
async fn next<F: Future<Output = Result<Tried, String>>>(
    under_way: &mut FuturesUnordered<F>,
    at_most: Duration,
) -> Option<Result<Tried, String>> {
    if under_way.is_empty() {
        tokio::time::sleep(at_most).await;
        return None;
    }
    let answer = tokio::time::timeout(at_most, under_way.next()).await;
    answer.ok().flatten()
}

/// The error says why it is unknown.
async fn once(
    instance: &Instance,
    call: &BranchCall,
    attempt: u32,
    timeout: Duration,
) -> Result<Tried, String> {
    let call = BranchCall {
        attempt,
        ..call.clone()
    };
    let answered = match &instance.line {
        Line::Grpc(client) => grpc::call(client, call, timeout).await,
        Line::Http(client) => http::call(client, &instance.url, &call, timeout).await,
    };
    answered.map_err(|why| format!("{}: {why}", instance.url))
}

/// The call that `Try` makes of a registered branch.
pub(crate) fn try_call(
    transaction_id: String,
    ordinal: u32,
    branch: earnest_proto::v1::Branch,
) -> BranchCall {
    BranchCall {
        kind: BranchCallKind::Try.into(),
        transaction_id,
        ordinal,
        branch: Some(branch),
        ..BranchCall::default()
    }
}
