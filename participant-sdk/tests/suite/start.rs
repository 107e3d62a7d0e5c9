//! What is made and looked at when a service starts.

use earnest::{Earnest, Error, SetupError};

use crate::{
    common::{SERVICE, coordinator::FakeCoordinator},
    home::{World, server::Server},
    warnings::Warnings,
};

pub(crate) async fn instances_that_start_at_once_migrate_once<D: Server>() {
    let coordinator = FakeCoordinator::start().await;
    let starts = D::bare_pools(8).await.into_iter().map(|pool| {
        let service = Earnest::<D>::service(SERVICE).pool(pool.clone());
        let url = coordinator.url.clone();
        async move { (service.migrate().connect(url).await.unwrap(), pool) }
    });
    let started = futures_util::future::join_all(starts).await;
    let (first, pool) = &started[0];
    for (earnest, _) in &started {
        assert_eq!(earnest.resource_id(), first.resource_id());
        earnest.begin().await.unwrap().commit().await.unwrap();
    }
    assert_eq!(D::resources(pool).await, 1);
}

pub(crate) async fn missing_tables_are_named_with_the_remedy<D: Server>() {
    let coordinator = FakeCoordinator::start().await;
    let pool = D::bare_pools(1).await.remove(0);
    let service = Earnest::<D>::service(SERVICE).pool(pool);
    let error = service.connect(&coordinator.url).await.unwrap_err();
    assert!(
        matches!(error, Error::Setup(SetupError::TablesMissing { .. })),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(
        text.contains("earnest_fence") && text.contains("sdk migrate"),
        "{text}"
    );
}

pub(crate) async fn a_database_that_may_forget_a_commit_is_warned_about<D: Server>() {
    let world = World::<D>::create().await;
    let warnings = Warnings::listen();
    let _durable = world.sender().await;
    assert_eq!(warnings.text(), "");

    D::while_forgetful(&world.database, async |pool| {
        let service = Earnest::<D>::service(SERVICE).pool(pool);
        let _forgetful = world.connect(service).await;
    })
    .await;
    let text = warnings.text();
    assert!(text.contains(D::FORGETFUL), "{text:?}");
}
