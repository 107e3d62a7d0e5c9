//! What a participant promises of each branch: every step runs at most once, in an order that makes sense, and *OK* means committed.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use earnest::{Earnest, Tcc, TryError, Tx, refuse, sqlx};
use earnest_proto::v1::{
    Branch, BranchAnswer, BranchCall, BranchCallKind, BranchResult, CallBranchesRequest,
    participant_client::ParticipantClient,
};
use futures_util::future::join_all;

use crate::{
    common::{SERVICE, TIME_OF_1973_US, coordinator::CREATED_AT_US, id_of_1973},
    home::{Cut, Home, World},
};

pub(crate) const TRY: BranchCallKind = BranchCallKind::Try;
pub(crate) const CONFIRM: BranchCallKind = BranchCallKind::Confirm;
pub(crate) const CANCEL: BranchCallKind = BranchCallKind::Cancel;
const KINDS: [BranchCallKind; 3] = [TRY, CONFIRM, CANCEL];

/// How often each step ran: Try, Confirm, Cancel, Cancel without Try.
#[derive(Default)]
pub(crate) struct Runs([AtomicU32; 4]);

impl Runs {
    fn ran(&self, step: usize) -> u32 {
        self.0[step].fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn counts(&self) -> [u32; 4] {
        self.0.each_ref().map(|count| count.load(Ordering::SeqCst))
    }
}

/// What goes wrong inside of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    None,
    Refuses,
    Errs,
    Panics,
    Loses,
    Cuts(Cut),
}

/// Each step inserts an order: the number itself, 1,000 or 2,000 beyond it. Twice is an error.
pub(crate) struct Reserve<D: Home> {
    world: Arc<World<D>>,
    runs: Arc<Runs>,
    /// In the first run of every step.
    trouble: Trouble,
}

impl<D: Home> Reserve<D> {
    /// Where nothing goes wrong.
    pub(crate) fn at(world: &Arc<World<D>>) -> Self {
        Self {
            world: Arc::clone(world),
            runs: Arc::default(),
            trouble: Trouble::None,
        }
    }

    async fn step(&self, tx: &mut Tx<D>, step: usize, order: i64) -> Result<(), TryError> {
        let first = self.runs.ran(step) == 0;
        let trouble = if first { self.trouble } else { Trouble::None };
        let base = [0, 1_000, 2_000, 3_000][step];
        if trouble == Trouble::Loses {
            D::lose(&self.world.database, tx).await;
            // On its own after the loss, and may be refused then.
            let _ = D::insert_order(tx, base + order).await;
            return Ok(());
        }
        D::insert_order(tx, base + order).await?;
        match trouble {
            Trouble::Refuses => refuse("not today"),
            Trouble::Errs => Ok(Err(sqlx::Error::RowNotFound)?),
            Trouble::Panics => panic!("a step that panics"),
            Trouble::Cuts(cut) => {
                D::cut(&self.world.database, tx, cut).await;
                Ok(())
            }
            Trouble::None | Trouble::Loses => Ok(()),
        }
    }

    async fn second(&self, tx: &mut Tx<D>, step: usize, order: i64) -> Result<(), sqlx::Error> {
        let done = self.step(tx, step, order).await;
        done.map_err(|error| sqlx::Error::Protocol(format!("{error:?}")))
    }
}

impl<D: Home> Tcc<D> for Reserve<D> {
    type Payload = i64;

    async fn try_(&self, tx: &mut Tx<D>, order: &i64) -> Result<(), TryError> {
        self.step(tx, 0, *order).await
    }

    async fn confirm(&self, tx: &mut Tx<D>, order: &i64) -> Result<(), sqlx::Error> {
        self.second(tx, 1, *order).await
    }

    async fn cancel(&self, tx: &mut Tx<D>, order: &i64) -> Result<(), sqlx::Error> {
        self.second(tx, 2, *order).await
    }

    async fn cancel_without_try(&self, _: &mut Tx<D>, _: &i64) -> Result<(), sqlx::Error> {
        self.runs.ran(3);
        Ok(())
    }
}

async fn participant<D: Home>(trouble: Trouble) -> (Arc<World<D>>, Earnest<D>, Arc<Runs>) {
    let world = Arc::new(World::<D>::create().await);
    let runs = Arc::new(Runs::default());
    let reserve = Reserve {
        world: Arc::clone(&world),
        runs: Arc::clone(&runs),
        trouble,
    };
    let earnest = world
        .connect(world.service().await.tcc("reserve", reserve))
        .await;
    (world, earnest, runs)
}

/// A participant under the name that [`call`] calls.
pub(crate) async fn reserving_as_service<D: Home>() -> (Arc<World<D>>, Earnest<D>) {
    let (world, earnest, _) = participant(Trouble::None).await;
    (world, earnest)
}

/// A participant `stock` over a database of its own, which other tests call.
pub(crate) async fn reserving<D: Home>() -> (Arc<World<D>>, Earnest<D>, Arc<Runs>) {
    stock(Trouble::None).await
}

/// The same, and it says no.
pub(crate) async fn refusing<D: Home>() -> (Arc<World<D>>, Earnest<D>, Arc<Runs>) {
    stock(Trouble::Refuses).await
}

async fn stock<D: Home>(trouble: Trouble) -> (Arc<World<D>>, Earnest<D>, Arc<Runs>) {
    let world = Arc::new(World::<D>::create().await);
    let runs = Arc::new(Runs::default());
    let reserve = Reserve {
        world: Arc::clone(&world),
        runs: Arc::clone(&runs),
        trouble,
    };
    let builder = Earnest::service("stock").pool(D::pool(&world.database).await);
    let earnest = world.connect(builder.tcc("reserve", reserve)).await;
    (world, earnest, runs)
}

/// A call of the branch that reserves order `number`, in a transaction of its own.
pub(crate) fn call(kind: BranchCallKind, number: i64) -> BranchCall {
    BranchCall {
        kind: kind.into(),
        transaction_id: format!("01890000-0000-7000-8000-{number:012}"),
        ordinal: 2,
        namespace: "default".to_owned(),
        branch: Some(Branch {
            service: SERVICE.to_owned(),
            action: "reserve".to_owned(),
            payload: number.to_string().into(),
            ..Branch::default()
        }),
        created_at_us: CREATED_AT_US,
        attempt: 1,
        traceparent: String::new(),
        initiator: "shop".to_owned(),
    }
}

pub(crate) async fn ask<D: Home>(earnest: &Earnest<D>, call: BranchCall) -> BranchAnswer {
    let (id, kind) = (call.transaction_id.clone(), call.kind);
    let answers = ParticipantClient::new(earnest.participant_service())
        .call_branches(CallBranchesRequest { calls: vec![call] })
        .await
        .unwrap()
        .into_inner()
        .answers;
    let [answer] = answers.try_into().unwrap();
    assert_eq!(
        (&answer.transaction_id, answer.ordinal, answer.kind),
        (&id, 2, kind)
    );
    answer
}

pub(crate) async fn result<D: Home>(
    earnest: &Earnest<D>,
    kind: BranchCallKind,
    number: i64,
) -> BranchResult {
    ask(earnest, call(kind, number)).await.result()
}

/// What the rules say, apart from the code under test (DESIGN §3.4): the answer, and how the branch stands then.
fn expected(
    stands: Option<BranchCallKind>,
    call: BranchCallKind,
) -> (BranchResult, Option<BranchCallKind>) {
    use BranchResult::{Failed, Ok, Refused};
    match (stands, call) {
        (None, BranchCallKind::Try) => (Ok, Some(TRY)),
        (None, BranchCallKind::Confirm) => (Failed, None),
        (None | Some(BranchCallKind::Try), BranchCallKind::Cancel) => (Ok, Some(CANCEL)),
        (Some(BranchCallKind::Try), BranchCallKind::Confirm) => (Ok, Some(CONFIRM)),
        (Some(BranchCallKind::Cancel), BranchCallKind::Try) => (Refused, stands),
        (Some(BranchCallKind::Cancel), BranchCallKind::Confirm)
        | (Some(BranchCallKind::Confirm), BranchCallKind::Cancel) => (Failed, stands),
        _ => (Ok, stands),
    }
}

/// Every sequence of up to three calls of one branch: each pair in both orders, each duplicated, each lost.
pub(crate) async fn p7_every_order_and_repetition_of_calls_runs_each_step_at_most_once<D: Home>() {
    let (world, earnest, runs) = participant::<D>(Trouble::None).await;
    let mut sequences: Vec<Vec<BranchCallKind>> = vec![vec![]];
    for length in 0..3 {
        let longer = sequences.clone().into_iter().filter(|s| s.len() == length);
        for sequence in longer.collect::<Vec<_>>() {
            sequences.extend(KINDS.map(|kind| [&sequence[..], &[kind]].concat()));
        }
    }
    // Each call twice at once at its place: the doubles of a sequence are in the longer ones as well.
    let (mut orders, mut steps) = (0, [0; 4]);
    for (number, sequence) in (1..).zip(&sequences) {
        let mut stands = None;
        for kind in sequence {
            let (answer, next) = expected(stands, *kind);
            let got = ask(&earnest, call(*kind, number)).await;
            assert_eq!(
                got.result(),
                answer,
                "{sequence:?} {kind:?}: {}",
                got.detail
            );
            if next != stands {
                let step = match (kind, stands) {
                    (BranchCallKind::Cancel, None) => 3,
                    (kind, _) => KINDS.iter().position(|k| k == kind).unwrap(),
                };
                steps[step] += 1;
                orders += usize::from(step != 3);
            }
            stands = next;
        }
    }
    assert_eq!(runs.counts(), steps);
    assert_eq!(world.orders().await, orders);
}

pub(crate) async fn p7_the_same_call_at_the_same_time_runs_once<D: Home>() {
    let (world, earnest, runs) = participant::<D>(Trouble::None).await;
    for kind in [TRY, CONFIRM] {
        let answers = join_all((0..8).map(|_| result(&earnest, kind, 1))).await;
        assert!(answers.contains(&BranchResult::Ok), "{answers:?}");
        // Where the database could not tell, the call comes again.
        assert!(
            !answers.contains(&BranchResult::Failed) && !answers.contains(&BranchResult::Refused),
            "{answers:?}"
        );
        assert_eq!(result(&earnest, kind, 1).await, BranchResult::Ok);
    }
    assert_eq!(world.orders().await, 2);
    let [tried, confirmed, ..] = runs.counts();
    assert!(tried >= 1 && confirmed >= 1);
}

pub(crate) async fn p7_try_and_cancel_at_the_same_time_leave_nothing_reserved<D: Home>() {
    let (world, earnest, _) = participant::<D>(Trouble::None).await;
    for number in 1..=10 {
        tokio::join!(
            result(&earnest, TRY, number),
            result(&earnest, CANCEL, number)
        );
        // The one that the database could not tell about comes again.
        let mut cancelled = result(&earnest, CANCEL, number).await;
        while cancelled != BranchResult::Ok {
            cancelled = result(&earnest, CANCEL, number).await;
        }
        assert_eq!(result(&earnest, TRY, number).await, BranchResult::Refused);
    }
    // Either both ran, or neither did.
    assert_eq!(world.orders().await % 2, 0);
}

pub(crate) async fn p7_an_unanswered_commit_is_found_done_when_the_call_comes_again<D: Home>() {
    let (world, earnest, runs) = participant::<D>(Trouble::Cuts(Cut::After)).await;
    for (kind, number) in [(TRY, 1), (CONFIRM, 1)] {
        assert_eq!(
            result(&earnest, kind, number).await,
            BranchResult::Unspecified
        );
        assert_eq!(result(&earnest, kind, number).await, BranchResult::Ok);
    }
    assert_eq!(result(&earnest, TRY, 2).await, BranchResult::Ok);
    assert_eq!(result(&earnest, CANCEL, 2).await, BranchResult::Unspecified);
    assert_eq!(result(&earnest, CANCEL, 2).await, BranchResult::Ok);
    assert_eq!(runs.counts(), [2, 1, 1, 0]);
    assert_eq!(world.orders().await, 4);
}

pub(crate) async fn p7_a_commit_without_effect_is_made_again<D: Home>() {
    let (world, earnest, runs) = participant::<D>(Trouble::Cuts(Cut::Before)).await;
    for kind in [TRY, CONFIRM] {
        assert_eq!(result(&earnest, kind, 1).await, BranchResult::Unspecified);
        assert_eq!(result(&earnest, kind, 1).await, BranchResult::Ok);
    }
    assert_eq!(result(&earnest, TRY, 2).await, BranchResult::Ok);
    assert_eq!(result(&earnest, CANCEL, 2).await, BranchResult::Unspecified);
    assert_eq!(result(&earnest, CANCEL, 2).await, BranchResult::Ok);
    assert_eq!(runs.counts(), [3, 2, 2, 0]);
    assert_eq!(world.orders().await, 4);
}

pub(crate) async fn p7_a_lost_local_transaction_is_not_answered_ok<D: Home>() {
    let (world, earnest, _) = participant::<D>(Trouble::Loses).await;
    for kind in [TRY, CONFIRM] {
        assert_eq!(result(&earnest, kind, 1).await, BranchResult::Unspecified);
        assert_eq!(result(&earnest, kind, 1).await, BranchResult::Ok);
    }
    assert_eq!(world.orders().await, 2);
}

pub(crate) async fn p7_what_does_not_run_to_its_end_leaves_nothing<D: Home>() {
    for (trouble, said) in [
        (Trouble::Refuses, BranchResult::Refused),
        (Trouble::Errs, BranchResult::Unspecified),
        (Trouble::Panics, BranchResult::Unspecified),
    ] {
        let (world, earnest, runs) = participant::<D>(trouble).await;
        let answer = ask(&earnest, call(TRY, 1)).await;
        assert_eq!(answer.result(), said, "{}", answer.detail);
        if trouble == Trouble::Refuses {
            assert_eq!(answer.detail, "not today");
        }
        assert_eq!(world.orders().await, 0);
        // No row: the cancel that follows is an empty one, and bars what comes late.
        assert_eq!(result(&earnest, CANCEL, 1).await, BranchResult::Ok);
        assert_eq!(result(&earnest, TRY, 1).await, BranchResult::Refused);
        assert_eq!(runs.counts(), [1, 0, 0, 1]);
    }
}

pub(crate) async fn t6_a_call_older_than_the_horizon_runs_nothing_and_leaves_nothing<D: Home>() {
    let (world, earnest, runs) = participant::<D>(Trouble::None).await;
    let old = |kind| BranchCall {
        transaction_id: id_of_1973(1),
        created_at_us: TIME_OF_1973_US,
        ..call(kind, 1)
    };
    assert_eq!(ask(&earnest, old(TRY)).await.result(), BranchResult::Ok);
    assert_eq!(ask(&earnest, old(CANCEL)).await.result(), BranchResult::Ok);
    earnest
        .purge(std::time::Duration::from_hours(24))
        .await
        .unwrap();
    assert!(D::horizon_us(&world.database).await > TIME_OF_1973_US);
    let before = runs.counts();
    for kind in KINDS {
        for _ in 0..2 {
            let answer = ask(&earnest, old(kind)).await;
            assert_eq!(
                answer.result(),
                BranchResult::Failed,
                "{kind:?}: {}",
                answer.detail
            );
        }
    }
    assert_eq!(runs.counts(), before);
    assert_eq!(world.orders().await, 2);
}

pub(crate) async fn calls_for_somebody_else_are_unknown_and_leave_nothing<D: Home>() {
    let (world, earnest, runs) = participant::<D>(Trouble::None).await;
    let wrong: [fn(&mut BranchCall); 6] = [
        |call| "other".clone_into(&mut call.namespace),
        |call| "other".clone_into(&mut call.branch.as_mut().unwrap().service),
        |call| "a restored copy".clone_into(&mut call.branch.as_mut().unwrap().resource_id),
        |call| "unheard-of".clone_into(&mut call.branch.as_mut().unwrap().action),
        |call| call.branch = None,
        |call| call.kind = BranchCallKind::Unspecified.into(),
    ];
    for make_wrong in wrong {
        let mut call = call(TRY, 1);
        make_wrong(&mut call);
        let answer = ask(&earnest, call).await;
        assert_eq!(
            answer.result(),
            BranchResult::Unspecified,
            "{}",
            answer.detail
        );
        assert_ne!(answer.detail, "");
    }
    let mut right = call(TRY, 1);
    earnest
        .resource_id()
        .clone_into(&mut right.branch.as_mut().unwrap().resource_id);
    assert_eq!(ask(&earnest, right).await.result(), BranchResult::Ok);
    assert_eq!((runs.counts(), world.orders().await), ([1, 0, 0, 0], 1));
}

pub(crate) async fn a_payload_that_cannot_be_read_fails_and_its_cancel_succeeds<D: Home>() {
    let (world, earnest, runs) = participant::<D>(Trouble::None).await;
    let unreadable = |kind| {
        let mut call = call(kind, 1);
        call.branch.as_mut().unwrap().payload = "\"not a number\"".into();
        call
    };
    let tried = ask(&earnest, unreadable(TRY)).await;
    assert_eq!(tried.result(), BranchResult::Failed);
    assert!(tried.detail.contains("payload"), "{}", tried.detail);
    assert_eq!(
        ask(&earnest, unreadable(CANCEL)).await.result(),
        BranchResult::Ok
    );
    assert_eq!((runs.counts(), world.orders().await), ([0; 4], 0));
}
