//! One caller: what it does for one transaction, over each of the ways to do it.

use anyhow::{Context, bail};
use bytes::Bytes;
use earnest::sqlite::Earnest;
use earnest_proto::v1::{
    ConfirmRequest, DeliverRequest, DeliveredMessage, Message, Options, Outcome, Phase,
    PrepareRequest, coordinator_client::CoordinatorClient, participant_client::ParticipantClient,
};
use tokio::time::Instant;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use crate::{clock::Ids, consumer, latency::Latencies, tcc::TccCaller};

/// What one transaction came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Acknowledged,
    /// Refused because of overload; nothing was acknowledged.
    Refused,
}

/// One caller.
pub enum Caller {
    Echo(ParticipantClient<Channel>),
    Grpc(Box<GrpcCaller>),
    Sdk(Earnest, &'static str),
    Tcc(Box<TccCaller>),
}

impl Caller {
    /// Makes one transaction that carries `payload`. `calls` takes the latency of each call by itself.
    pub async fn call(&mut self, payload: Bytes, calls: &mut Latencies) -> anyhow::Result<Done> {
        match self {
            Self::Echo(client) => {
                let began = Instant::now();
                client.deliver(one_message(payload)).await?;
                calls.record(began.elapsed());
                Ok(Done::Acknowledged)
            }
            Self::Grpc(caller) => caller.call(payload, calls).await,
            Self::Tcc(caller) => caller.call(payload, calls).await,
            Self::Sdk(earnest, topic) => {
                let mut tx = earnest
                    .begin()
                    .await
                    .context("the local transaction did not begin")?;
                tx.send_bytes(topic, "", payload)?;
                match tx.commit().await {
                    Ok(_) => Ok(Done::Acknowledged),
                    Err(error) if error.is_retryable() => Ok(Done::Refused),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }
}

/// Prepare and Confirm as plain calls.
pub struct GrpcCaller {
    client: CoordinatorClient<Channel>,
    topic: &'static str,
    options: Options,
    ids: Ids,
}

impl GrpcCaller {
    /// `seed` makes its ids; `subscribed` says whether anybody takes what goes to `topic`.
    pub fn new(channel: Channel, topic: &'static str, subscribed: bool, seed: u64) -> Self {
        let options = Options {
            outcome: Outcome::Local.into(),
            allow_no_subscription: !subscribed,
            ..Options::default()
        };
        Self {
            client: CoordinatorClient::new(channel),
            topic,
            options,
            ids: Ids::seeded(seed),
        }
    }

    async fn call(&mut self, payload: Bytes, calls: &mut Latencies) -> anyhow::Result<Done> {
        const INITIATOR: &str = "bench-sender";
        let id = self.ids.next_id().to_string();
        let message = Message {
            topic: self.topic.to_owned(),
            payload,
            ..Message::default()
        };
        let prepare = PrepareRequest {
            id: id.clone(),
            initiator: INITIATOR.to_owned(),
            messages: vec![message],
            options: Some(self.options),
            ..PrepareRequest::default()
        };
        let began = Instant::now();
        let prepared = match self.client.prepare(prepare).await {
            Ok(reply) => reply.into_inner(),
            Err(status) => return refused("Prepare", status),
        };
        let between = Instant::now();
        calls.record(between - began);
        if prepared.transaction.map(|t| t.phase()) != Some(Phase::Prepared) {
            bail!("{id} was prepared, but is not PREPARED");
        }
        let confirm = ConfirmRequest {
            id,
            initiator: INITIATOR.to_owned(),
            ..ConfirmRequest::default()
        };
        match self.client.confirm(confirm).await {
            Ok(_) => {
                calls.record(between.elapsed());
                Ok(Done::Acknowledged)
            }
            Err(status) => refused("Confirm", status),
        }
    }
}

/// What an error of a call means: overload is counted, anything else ends the run.
pub fn refused(call: &str, status: Status) -> anyhow::Result<Done> {
    match status.code() {
        Code::ResourceExhausted => Ok(Done::Refused),
        _ => Err(anyhow::Error::new(status).context(format!("{call} failed"))),
    }
}

fn one_message(payload: Bytes) -> DeliverRequest {
    let message = Message {
        payload,
        ..Message::default()
    };
    let delivered = DeliveredMessage {
        message: Some(message),
        ..DeliveredMessage::default()
    };
    DeliverRequest {
        messages: vec![delivered],
    }
}

/// HTTP/2 connections, shared by all callers in turn, as one client process has them.
pub async fn connect(url: &str, connections: u16) -> anyhow::Result<Vec<Channel>> {
    let mut channels = Vec::new();
    for _ in 0..connections {
        let endpoint = Endpoint::from_shared(url.to_owned())?
            .tcp_nodelay(true)
            .initial_stream_window_size(consumer::WINDOW)
            .initial_connection_window_size(4 * consumer::WINDOW);
        channels.push(
            endpoint
                .connect()
                .await
                .with_context(|| format!("{url} can't be reached"))?,
        );
    }
    Ok(channels)
}
