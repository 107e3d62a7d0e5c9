//! What becomes of the deliveries of a subscription that is deleted.

use earnest_protocol::{DeliveryState, Event, Name, ParkReason, transition};

use super::{Rows, deliver::release};
use crate::{DeliveryRow, StoreError, planted::planted};

/// Parks `owed`, the pending deliveries of a subscription that is being deleted: lost they are not (P4).
pub(crate) fn park_owed<R: Rows>(
    rows: &mut R,
    name: &Name,
    owed: Vec<DeliveryRow>,
) -> Result<(), StoreError> {
    let reason = ParkReason::new(format!(
        "subscription {name} was deleted: create it again, then retry the transaction"
    ));
    for mut delivery in owed {
        let id = delivery.key.transaction;
        let missing =
            || StoreError::Corrupt(format!("delivery {} has no transaction", delivery.key));
        let mut row = rows.transaction(id)?.ok_or_else(missing)?;
        let (state, _) = transition(row.state.clone(), Event::EffectParked, |_| (0, 0))
            .map_err(|illegal| StoreError::Corrupt(format!("transaction {id}: {illegal}")))?;
        row.state = state;
        release(&mut delivery);
        delivery.state = if planted!(DeletionDelivers) {
            DeliveryState::Done
        } else {
            DeliveryState::Parked
        };
        delivery.due = None;
        delivery.parked = Some(reason.clone());
        rows.update_delivery(&delivery)?;
        rows.update_transaction(&mut row)?;
    }
    Ok(())
}
