//! The client side of `earnest.v1.Coordinator`: the same call again after a lost reply, the next endpoint after one that is away,
//! always within a deadline.
//!
//! It repeats calls and nothing else: what a failure means for the local transaction is decided by its caller.

use std::{future::Future, sync::Arc, time::Duration};

use earnest_proto::v1::{
    self, CancelRequest, ConfirmRequest, Endpoint as ServiceEndpoint, EndpointProtocol,
    ExecuteRequest, PrepareRequest, RegisterBranchesRequest, RegisterServiceRequest,
    ResolveServiceRequest, coordinator_client::CoordinatorClient,
};
use tokio::time::Instant;
use tonic::{
    Request, Response, Status,
    transport::{Channel, Endpoint},
};

use crate::{
    clock::Chance,
    coordinator_error::CoordinatorError,
    endpoints::{Endpoints, Met},
    error::SetupError,
    marks::Marks,
    reconnect::Pauses,
};

type Client = CoordinatorClient<Channel>;

/// A lost reply must leave time for another try within the same deadline.
const TRIES_THAT_FIT: u32 = 3;

/// One or more endpoints of one coordinator.
pub(crate) struct Coordinator {
    clients: Vec<Client>,
    endpoints: Endpoints,
    chance: Arc<dyn Chance>,
    marks: Marks,
}

/// A call that failed in the end.
pub(crate) struct Failed {
    pub(crate) error: CoordinatorError,
    /// Whether one of its tries may have been acted on.
    pub(crate) may_have_acted: bool,
}

/// The addresses of one coordinator, separated by commas.
pub(crate) fn channels(endpoints: &str) -> Result<Vec<Channel>, SetupError> {
    endpoints
        .split(',')
        .map(str::trim)
        .map(|url| {
            check_url("the coordinator's address", url)?;
            let endpoint = Endpoint::from_shared(url.to_owned())
                .map_err(|_| invalid_url("the coordinator's address", url, "it is not a URL"))?;
            Ok(endpoint
                .connect_timeout(Duration::from_secs(1))
                .http2_keep_alive_interval(Duration::from_secs(10))
                .keep_alive_timeout(Duration::from_secs(5))
                .keep_alive_while_idle(true)
                .tcp_nodelay(true)
                .connect_lazy())
        })
        .collect()
}

fn invalid_url(what: &'static str, url: &str, problem: &'static str) -> SetupError {
    SetupError::InvalidUrl {
        what,
        url: url.to_owned(),
        problem,
    }
}

/// Checks an address that calls can go to.
pub(crate) fn check_url(what: &'static str, url: &str) -> Result<(), SetupError> {
    if url.starts_with("https://") {
        return Err(invalid_url(what, url, "TLS is not built in"));
    }
    let Ok(uri) = url.parse::<tonic::transport::Uri>() else {
        return Err(invalid_url(what, url, "it is not a URL"));
    };
    if uri.scheme_str() != Some("http") {
        return Err(invalid_url(what, url, "it does not start with http://"));
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(invalid_url(what, url, "it has no host"));
    }
    Ok(())
}

impl Coordinator {
    pub(crate) fn new(channels: Vec<Channel>, chance: Arc<dyn Chance>) -> Self {
        Self {
            endpoints: Endpoints::new(channels.len()),
            clients: channels.into_iter().map(Client::new).collect(),
            chance,
            marks: Marks::default(),
        }
    }

    pub(crate) async fn prepare(
        &self,
        deadline: Duration,
        request: &PrepareRequest,
    ) -> Result<v1::Transaction, Failed> {
        let reply = self
            .call(
                "Prepare",
                &request.id,
                deadline,
                request,
                |mut client, mut request| {
                    request.get_mut().marks = self.marks.all();
                    async move { client.prepare(request).await }
                },
            )
            .await?;
        self.marks.keep(reply.mark);
        Ok(reply.transaction.unwrap_or_default())
    }

    /// Adds branches and messages to an undecided transaction.
    pub(crate) async fn register_branches(
        &self,
        deadline: Duration,
        request: &RegisterBranchesRequest,
    ) -> Result<v1::Transaction, Failed> {
        let reply = self
            .call(
                "RegisterBranches",
                &request.id,
                deadline,
                request,
                |mut client, mut request| {
                    request.get_mut().marks = self.marks.all();
                    async move { client.register_branches(request).await }
                },
            )
            .await?;
        self.marks.keep(reply.mark);
        Ok(reply.transaction.unwrap_or_default())
    }

    pub(crate) async fn execute(
        &self,
        deadline: Duration,
        request: &ExecuteRequest,
    ) -> Result<v1::Transaction, Failed> {
        // One try may take as long as the transaction.
        let reply = self
            .call(
                "Execute",
                &request.id,
                deadline * TRIES_THAT_FIT,
                request,
                |mut client, mut request| {
                    request.get_mut().marks = self.marks.all();
                    async move { client.execute(request).await }
                },
            )
            .await?;
        self.marks.keep(reply.mark);
        Ok(reply.transaction.unwrap_or_default())
    }

    pub(crate) async fn resolve(
        &self,
        deadline: Duration,
        namespace: &str,
        name: &str,
    ) -> Result<v1::Service, Failed> {
        let request = ResolveServiceRequest {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let reply = self
            .call(
                "ResolveService",
                "",
                deadline,
                &request,
                |mut client, request| async move { client.resolve_service(request).await },
            )
            .await?;
        Ok(reply.service.unwrap_or_default())
    }

    /// The transaction as it stands then: with a wait in the request, perhaps in its final phase.
    pub(crate) async fn confirm(
        &self,
        deadline: Duration,
        request: &ConfirmRequest,
    ) -> Result<v1::Transaction, Failed> {
        let reply = self
            .call(
                "Confirm",
                &request.id,
                deadline,
                request,
                |mut client, mut request| {
                    request.get_mut().marks = self.marks.all();
                    async move { client.confirm(request).await }
                },
            )
            .await?;
        self.marks.keep(reply.mark);
        Ok(reply.transaction.unwrap_or_default())
    }

    pub(crate) async fn cancel(
        &self,
        deadline: Duration,
        request: &CancelRequest,
    ) -> Result<(), Failed> {
        let reply = self
            .call(
                "Cancel",
                &request.id,
                deadline,
                request,
                |mut client, mut request| {
                    request.get_mut().marks = self.marks.all();
                    async move { client.cancel(request).await }
                },
            )
            .await?;
        self.marks.keep(reply.mark);
        Ok(())
    }

    pub(crate) async fn register(
        &self,
        deadline: Duration,
        namespace: &str,
        name: &str,
        url: &str,
        resource_id: &str,
    ) -> Result<(), Failed> {
        let request = RegisterServiceRequest {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            endpoints: vec![ServiceEndpoint {
                url: url.to_owned(),
                protocol: EndpointProtocol::Grpc.into(),
                resource_id: resource_id.to_owned(),
            }],
            replace: false,
        };
        self.call(
            "RegisterService",
            "",
            deadline,
            &request,
            |mut client, request| async move { client.register_service(request).await },
        )
        .await?;
        Ok(())
    }

    /// Makes one idempotent call about the transaction `id` until it is answered, refused for good, or `deadline` has passed.
    async fn call<Q, A, F, Fut>(
        &self,
        name: &'static str,
        id: &str,
        deadline: Duration,
        request: &Q,
        send: F,
    ) -> Result<A, Failed>
    where
        Q: Clone,
        F: Fn(Client, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let mut may_have_acted = false;
        let mut last = None;
        let tries = async {
            let mut pauses = Pauses::within_a_call();
            loop {
                for index in self.endpoints.order(id, Instant::now()) {
                    let asked = Instant::now();
                    let mut one_try = Request::new(request.clone());
                    one_try.set_timeout(deadline / TRIES_THAT_FIT);
                    let answer = tokio::time::timeout(
                        deadline / TRIES_THAT_FIT,
                        send(self.clients[index].clone(), one_try),
                    );
                    let error = match answer.await {
                        Ok(Ok(reply)) => {
                            self.endpoints.met(index, Met::Node, asked, Instant::now());
                            return Ok(reply.into_inner());
                        }
                        Ok(Err(status)) => CoordinatorError::from_status(name, &status),
                        Err(_) => CoordinatorError::no_answer(name),
                    };
                    let met = if error.is_nobody() {
                        Met::Nobody
                    } else {
                        Met::Node
                    };
                    self.endpoints.met(index, met, asked, Instant::now());
                    may_have_acted |= error.may_have_acted();
                    if !error.is_retryable() {
                        return Err(error);
                    }
                    // Another endpoint may be up, or have more room: asked at once.
                    tracing::debug!(call = name, %error, "calling the coordinator again");
                    last = Some(error);
                }
                tokio::time::sleep(pauses.next(&*self.chance)).await;
            }
        };
        let outcome = tokio::time::timeout(deadline, tries).await;
        let error = match outcome {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(error)) => error,
            Err(_) => {
                // The try that was cut off may have arrived.
                may_have_acted = true;
                last.unwrap_or_else(|| CoordinatorError::no_answer(name))
            }
        };
        Err(Failed {
            error,
            may_have_acted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_checked_before_anything_is_called() {
        assert_eq!(channels("http://127.0.0.1:7450").unwrap().len(), 1);
        assert_eq!(channels("http://a:1, http://b:2").unwrap().len(), 2);
        for bad in [
            "",
            "127.0.0.1:7450",
            "https://a:1",
            "ftp://a",
            "http://",
            "http://a:1,,http://b:1",
        ] {
            assert!(channels(bad).is_err(), "{bad:?}");
        }
    }
}
