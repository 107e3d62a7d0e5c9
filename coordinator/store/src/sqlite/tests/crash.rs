//! A crash, without killing anybody: the files as they are at some moment, opened elsewhere.

use std::{collections::HashMap, fs, path::Path, sync::Arc};

use earnest_protocol::Phase;

use super::{apply, directory, open, prepared, subscribe};
use crate::{
    Admission, JournalStore, LeaseGrant, LeaseStore, QueryStore, Target, Work,
    conformance::{LEASE, confirm, id},
};

/// Copies the database and its log, as a machine that lost power would find them.
fn copy(from: &Path, to: &Path) {
    for end in ["", "-wal"] {
        let name = |path: &Path| format!("{}{end}", path.display());
        fs::copy(name(from), name(to)).expect("the file is copied");
    }
}

struct AdmitAll;

impl Admission for AdmitAll {
    fn admits(&self, _: &Target) -> bool {
        true
    }
}

#[tokio::test]
async fn p2_what_was_acknowledged_survives() {
    let dir = directory();
    let (path, crashed) = (dir.path().join("earnest.db"), dir.path().join("crashed.db"));
    let store = open(&path);
    subscribe(&store).await;
    apply(&store, vec![prepared(1), prepared(2)]).await.unwrap();
    apply(&store, vec![confirm(1)]).await.unwrap();
    copy(&path, &crashed);
    let again = open(&crashed);
    assert_eq!(
        again.transaction(id(1)).await.unwrap().unwrap().state.phase,
        Phase::Confirming
    );
    assert_eq!(
        again.transaction(id(2)).await.unwrap().unwrap().state.phase,
        Phase::Prepared
    );
    assert_eq!(
        again.detail(id(1)).await.unwrap().unwrap().deliveries.len(),
        1
    );
}

#[tokio::test]
async fn p4_what_was_leased_before_a_crash_is_free_at_once() {
    let dir = directory();
    let (path, crashed) = (dir.path().join("earnest.db"), dir.path().join("crashed.db"));
    let store = open(&path);
    subscribe(&store).await;
    let epoch = store.enrol("first", LEASE).await.unwrap();
    apply(&store, vec![prepared(1)]).await.unwrap();
    let grant = LeaseGrant {
        epoch,
        admission: Arc::new(AdmitAll),
        line: crate::Line::default(),
    };
    let leased = store.apply(&[confirm(1)], grant).await.unwrap().leased;
    assert_eq!(leased.len(), 1);
    copy(&path, &crashed);
    let again = open(&crashed);
    let next = again.enrol("second", LEASE).await.unwrap();
    assert!(next > epoch, "an epoch is never given twice");
    assert!(
        !again.heartbeat(epoch, LEASE).await.unwrap(),
        "the node of before is dead"
    );
    let request = crate::ClaimRequest {
        epoch: next,
        total: 10,
        per_target: 10,
        room: HashMap::new(),
    };
    let work = again.claim(request).await.unwrap().work;
    let [Work::Delivery(delivery)] = &work[..] else {
        panic!("{work:?}")
    };
    assert_eq!(delivery.token.0, 2, "the token of before is stale now");
}
