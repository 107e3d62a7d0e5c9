//! What the demo asks of the coordinator while it runs, as an operator would: subscriptions, and whether anything is owed.

use std::{collections::VecDeque, time::Duration};

use anyhow::Context;
use earnest_proto::v1::{
    Destination, GetTransactionRequest, ListSubscriptionsRequest, ListTransactionsRequest, Phase,
    PutSubscriptionRequest, RetryPolicy, Subscription, admin_client::AdminClient,
    coordinator_client::CoordinatorClient, destination::To,
};
use payments::{PAYMENT_MADE, PAYMENT_REFUNDED};
use tonic::{Status, transport::Channel};

use crate::member::Member;

/// Retries often, since destinations come back within the second here.
const RETRY: RetryPolicy = RetryPolicy {
    initial_ms: 100,
    multiplier_milli: 2_000,
    cap_ms: 1_000,
};

/// Talks to whichever coordinator answers.
#[derive(Clone)]
pub(crate) struct Talk {
    /// The one that is asked first; a failed call moves it to the end.
    nodes: VecDeque<Node>,
}

#[derive(Clone)]
struct Node {
    transactions: CoordinatorClient<Channel>,
    admin: AdminClient<Channel>,
}

/// What is not over yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Some transaction is unfinished.
    pub transactions: bool,
    /// Deliveries owed and not parked.
    pub deliveries: u64,
}

impl Pending {
    pub(crate) fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

impl Talk {
    /// To one coordinator or several; each by its URL.
    pub(crate) fn to(urls: impl IntoIterator<Item = String>) -> anyhow::Result<Self> {
        let nodes = urls.into_iter().map(|url| {
            let channel = Channel::from_shared(url)
                .context("the coordinator's address is not a URL")?
                .connect_timeout(Duration::from_secs(1))
                .timeout(Duration::from_secs(5))
                .connect_lazy();
            anyhow::Ok(Node {
                transactions: CoordinatorClient::new(channel.clone()),
                admin: AdminClient::new(channel),
            })
        });
        Ok(Self {
            nodes: nodes.collect::<Result<_, _>>()?,
        })
    }

    /// Asks one node. Callers ask again after an error, and then it is the next one's turn.
    async fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut Node) -> Result<T, Status>,
    ) -> Result<T, Status> {
        let Some(node) = self.nodes.front_mut() else {
            return Err(Status::unavailable("there is no coordinator"));
        };
        let answer = question(node).await;
        if answer.is_err() {
            self.nodes.rotate_left(1);
        }
        answer
    }

    /// Sends payments and refunds to a consumer; `ordered`: each payer's payments one after the other, and so each payer's refunds.
    pub(crate) async fn subscribe(
        &mut self,
        consumer: Member,
        ordered: bool,
    ) -> anyhow::Result<()> {
        let service = consumer.name().to_owned();
        for (name, topic) in [
            (service.clone(), PAYMENT_MADE),
            (format!("{service}{}", Member::REFUNDS), PAYMENT_REFUNDED),
        ] {
            let subscription = Subscription {
                name,
                topic: topic.to_owned(),
                destination: Some(Destination {
                    to: Some(To::Service(service.clone())),
                }),
                ordered,
                retry: Some(RETRY),
                ..Subscription::default()
            };
            let request = PutSubscriptionRequest {
                subscription: Some(subscription),
            };
            self.ask(async |node| node.admin.put_subscription(request).await)
                .await
                .with_context(|| {
                    format!("the coordinator does not take the subscriptions of {consumer}")
                })?;
        }
        Ok(())
    }

    /// What is not over yet.
    pub(crate) async fn pending(&mut self) -> Result<Pending, Status> {
        let unfinished = self.list(1, false).await?;
        Ok(Pending {
            transactions: !unfinished.is_empty(),
            deliveries: self.owed(None).await?,
        })
    }

    /// Deliveries owed and not parked: to one consumer, or to all.
    pub(crate) async fn owed(&mut self, consumer: Option<Member>) -> Result<u64, Status> {
        let request = ListSubscriptionsRequest::default();
        let all = self
            .ask(async |node| node.admin.list_subscriptions(request).await)
            .await?
            .into_inner();
        let of_it = all.subscriptions.iter().filter(|status| {
            let name = status.subscription.as_ref().map(|s| s.name.as_str());
            consumer.is_none() || name.and_then(Member::subscribed) == consumer
        });
        Ok(of_it.map(|status| status.pending).sum())
    }

    /// Some of the transactions that are not over, or of those that wait for a person, each in the coordinator's words.
    pub(crate) async fn explain(&mut self) -> Result<Vec<String>, Status> {
        let mut lines = Vec::new();
        for parked in [true, false] {
            for id in self.list(3, parked).await? {
                let request = GetTransactionRequest { id: id.clone() };
                let detail = self
                    .ask(async |node| node.transactions.get_transaction(request).await)
                    .await?;
                let summary = detail.into_inner().detail.map(|d| d.summary);
                lines.push(format!("{id}: {}", summary.unwrap_or_default()));
            }
        }
        Ok(lines)
    }

    async fn list(&mut self, page_size: u32, parked: bool) -> Result<Vec<String>, Status> {
        let unfinished = [Phase::Prepared, Phase::Confirming, Phase::Cancelling];
        let request = ListTransactionsRequest {
            phases: if parked {
                Vec::new()
            } else {
                unfinished.map(Into::into).to_vec()
            },
            parked,
            page_size,
            ..ListTransactionsRequest::default()
        };
        let page = self
            .ask(async |node| node.transactions.list_transactions(request).await)
            .await?;
        let transactions = page.into_inner().transactions;
        Ok(transactions.into_iter().map(|t| t.id).collect())
    }
}
