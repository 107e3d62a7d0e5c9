//! The customers: some at a time, each with one payment after the other, patient, impatient, or gone before the answer; now and then one
//! wants the money back, or wants it back twice.
//!
//! A customer who wants to know asks again with the same id, however often the cashier dies meanwhile.

mod errand;
mod record;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use reqwest::{Client, StatusCode};
use serde::Serialize;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::RefundRequest;

pub use errand::{
    CLOSED, Errand, Kind, LIMIT, Manner, NOBODY, OPENED_WITH, PAYEES, PAYERS, REFUNDED_BEFORE,
};
pub use record::{Counts, Record, Told};

/// For one request, all tries together; longer than any death lasts.
const PATIENCE: Duration = Duration::from_mins(1);

/// Between one try and the next.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// All customers together.
#[derive(Clone)]
pub struct Customers {
    http: Client,
    /// Where payments are asked for.
    cashier: String,
    /// Where red packets are given out.
    coupon: String,
    run: String,
    seed: u64,
    record: Arc<Record>,
}

impl Customers {
    /// Those of a seed, who have not begun yet. `run` is what ids begin with, so that two loads don't meet.
    pub fn new(
        cashier: String,
        coupon: String,
        run: String,
        seed: u64,
        record: Arc<Record>,
    ) -> anyhow::Result<Self> {
        let http = Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(1))
            .timeout(Duration::from_secs(10))
            .build()?;
        Ok(Self {
            http,
            cashier,
            coupon,
            run,
            seed,
            record,
        })
    }

    /// Makes payments, so many at a time, until the record says stop or `most` were asked for.
    pub async fn shop(self, at_once: usize, most: u32) -> anyhow::Result<()> {
        let mut customers = JoinSet::new();
        for _ in 0..at_once {
            let customer = self.clone();
            customers.spawn(async move { customer.one_after_the_other(most).await });
        }
        while let Some(ended) = customers.join_next().await {
            ended??;
        }
        Ok(())
    }

    async fn one_after_the_other(&self, most: u32) -> anyhow::Result<()> {
        while let Some(number) = self.record.next(most) {
            let errand = Errand::of(&self.run, self.seed, number);
            sleep(errand.pause).await;
            if let Some(gift) = &errand.gift {
                let given = async {
                    while self
                        .post(&self.coupon, "coupons", gift)
                        .await
                        .map(|answer| answer.0)
                        != Some(StatusCode::CREATED)
                    {
                        sleep(AGAIN_AFTER).await;
                    }
                };
                in_time(&gift.coupon.code, given).await?;
            }
            let id = &errand.payment.id;
            let told = self.pay(&errand).await?;
            if let (Told::Made, Some(reason)) = (&told, errand.kind.refusal()) {
                bail!("payment {id} was made, though {reason}");
            }
            let made = told == Told::Made;
            self.record.tell(id.clone(), told);
            for n in 0..if made { errand.refunds } else { 0 } {
                let refund = RefundRequest {
                    id: id.replacen("p-", "r-", 1) + if n == 0 { "" } else { "-again" },
                    payment: id.clone(),
                };
                let told = self.until_answered("refunds", &refund.id, &refund).await?;
                self.record.tell(refund.id, told);
            }
        }
        Ok(())
    }

    async fn pay(&self, errand: &Errand) -> anyhow::Result<Told> {
        let payment = &errand.payment;
        let until_answered = || self.until_answered("payments", &payment.id, payment);
        match errand.manner {
            Manner::Patient => until_answered().await,
            Manner::Impatient => {
                let (one, other) = tokio::join!(until_answered(), until_answered());
                let (one, other) = (one?, other?);
                if one != other {
                    bail!(
                        "P5: of payment {}, asked for twice, one customer was told {one:?} and the other {other:?}",
                        payment.id
                    );
                }
                Ok(one)
            }
            Manner::HangsUp(after) => Ok(timeout(after, self.ask("payments", payment))
                .await
                .ok()
                .flatten()
                .unwrap_or(Told::Nothing)),
        }
    }

    async fn until_answered(
        &self,
        what: &str,
        id: &str,
        request: &(impl Serialize + Sync),
    ) -> anyhow::Result<Told> {
        let asking = async {
            loop {
                if let Some(told) = self.ask(what, request).await {
                    return told;
                }
                sleep(AGAIN_AFTER).await;
            }
        };
        in_time(id, asking).await
    }

    /// Asks the cashier once. `None`: no answer, or none that says what became of it.
    async fn ask(&self, what: &str, request: &(impl Serialize + Sync)) -> Option<Told> {
        let since = Instant::now();
        let (status, text) = self.post(&self.cashier, what, request).await?;
        let told = match status {
            StatusCode::CREATED => {
                self.record.took(since.elapsed());
                Told::Made
            }
            StatusCode::OK => {
                self.record.repeated();
                Told::Made
            }
            StatusCode::UNPROCESSABLE_ENTITY => Told::Refused(text),
            _ => return None,
        };
        Some(told)
    }

    async fn post(
        &self,
        whom: &str,
        what: &str,
        request: &(impl Serialize + Sync),
    ) -> Option<(StatusCode, String)> {
        let sent = self
            .http
            .post(format!("{whom}/{what}"))
            .json(request)
            .send();
        let answer = sent.await.ok()?;
        Some((answer.status(), answer.text().await.ok()?))
    }
}

async fn in_time<T>(id: &str, asking: impl Future<Output = T>) -> anyhow::Result<T> {
    timeout(PATIENCE, asking)
        .await
        .with_context(|| format!("{id} is not answered after {PATIENCE:?} of asking"))
}
