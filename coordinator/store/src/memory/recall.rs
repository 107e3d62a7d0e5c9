//! What was acknowledged, and whether it is still there.

use async_trait::async_trait;

use super::{MemoryStore, tables::Tables};
use crate::{
    AuditRow, LossRow, Mark, Recall, RecallStore, StoreError,
    mark::{self, FIRST_INCARNATION, Found},
    sql::column::FORMAT,
};

impl Tables {
    fn present(&self) -> i64 {
        self.incarnation.unwrap_or(FIRST_INCARNATION)
    }

    pub(super) fn line(&self, line: i64) -> Found {
        let incarnation = self.present();
        let batches = self
            .lines
            .get(&(incarnation, line))
            .map(|(batches, _)| *batches);
        Found {
            incarnation,
            batches,
        }
    }

    pub(super) fn advance(&mut self, to: &Mark) {
        self.lines
            .insert((to.incarnation, to.line), (to.batches, to.at));
    }
}

#[async_trait]
impl RecallStore for MemoryStore {
    async fn recall(&self, lines: &[i64]) -> Result<Recall, StoreError> {
        let tables = self.tables();
        let known = |line: &i64| Some((*line, tables.line(*line).batches?));
        Ok(Recall {
            incarnation: tables.present(),
            lines: lines.iter().filter_map(known).collect(),
            losses: tables.losses.values().cloned().collect(),
            format: FORMAT,
        })
    }

    async fn report_loss(&self, mark: &Mark, node: &str) -> Result<Option<LossRow>, StoreError> {
        let mut tables = self.tables();
        let found = tables.line(mark.line);
        let Some(loss) = mark.missing(found.incarnation, found.batches) else {
            return Ok(None);
        };
        let before = tables
            .lines
            .values()
            .map(|(_, at)| *at)
            .filter(|at| *at <= mark.at);
        let new = LossRow {
            loss,
            kept_until: before.max(),
            noticed_at: self.clock.now(),
            noticed_by: node.to_owned(),
        };
        let row = tables
            .losses
            .entry((mark.incarnation, mark.line))
            .or_insert_with(|| new.clone());
        if row.loss.acknowledged.batches < mark.batches {
            *row = new;
        }
        Ok(Some(row.clone()))
    }

    async fn accept_losses(&self, actor: &str, reason: &str) -> Result<Vec<LossRow>, StoreError> {
        let mut tables = self.tables();
        let losses: Vec<LossRow> = std::mem::take(&mut tables.losses).into_values().collect();
        if losses.is_empty() {
            return Ok(losses);
        }
        let to = mark::next_incarnation(tables.present(), &losses);
        tables.incarnation = Some(to);
        tables.lines.clear();
        tables.audit.push(AuditRow {
            at: self.clock.now(),
            actor: actor.to_owned(),
            action: mark::ACCEPTED.to_owned(),
            transaction: None,
            detail: mark::accepted(reason, to, &losses),
        });
        Ok(losses)
    }
}
