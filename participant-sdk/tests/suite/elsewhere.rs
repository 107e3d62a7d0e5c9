//! Another database than the one that did the work.

use earnest_proto::v1::CheckBackResult;

use crate::{
    common::{check_back, check_back_about},
    home::{Home, World, placed},
};

const UNKNOWN_ID: &str = "01890000-0000-7000-8000-000000000001";

pub(crate) async fn p5_another_database_answers_unknown_and_fences_nothing<D: Home>() {
    let (world, another) = (World::<D>::create().await, World::<D>::create().await);
    let (here, there) = (world.sender().await, another.sender().await);
    assert_ne!(here.resource_id(), there.resource_id());
    let committed = placed(&here).await.commit().await.unwrap().to_string();

    for id in [committed.as_str(), UNKNOWN_ID] {
        let answer = check_back(&there, check_back_about(&here, id)).await;
        assert_eq!(answer.result(), CheckBackResult::Unspecified);
        assert_ne!(answer.detail, "");
        assert_eq!(another.outcome(id).await, None);
    }
    let answer = check_back(&here, check_back_about(&here, &committed)).await;
    assert_eq!(answer.result(), CheckBackResult::Committed);
}
