//! Data of a run in which every promise was kept.

use super::*;

pub(super) const BUDGET: i64 = 100;
/// What a payment here takes of the balance, of a coupon, and of credit.
pub(super) const PARTS: [i64; 3] = [4_000, 300, 700];
pub(super) const WHOLE: i64 = 5_000;

pub(super) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(super) fn name(number: u128) -> String {
    format!("p-{number}")
}

pub(super) fn coupon(number: u128) -> String {
    format!("c-{number}")
}

/// Three payments made (the last one without cashback: the budget is spent), one of them given back; one refused, one cancelled by
/// check-back.
pub(super) fn healthy() -> Evidence {
    let mut e = Evidence::default();
    for name in ["ada", "tram"] {
        let account = Account {
            opened_with: 100_000,
            free: 100_000,
            frozen: 0,
        };
        e.books.accounts.insert(name.to_owned(), account);
    }
    let credit = Credit {
        most: 10_000,
        ..Credit::default()
    };
    e.books.credit.insert("ada".to_owned(), credit);
    e.books.rewards.budget = BUDGET;
    for (number, cashback) in [(1, 50), (2, 50), (3, 0)] {
        made(&mut e, number, number, None);
        enter(&mut e, number, "cashback", cashback);
    }
    made(&mut e, 6, 3, Some(name(3)));
    enter(&mut e, 3, "refund", 0);
    for (number, by) in [(4, "initiator"), (5, "check-back")] {
        let transaction = transaction(number, Phase::Cancelled, by);
        e.books
            .coordinator
            .transactions
            .insert(id(number), transaction);
        branch(
            &mut e,
            (id(number), 0),
            Member::Account,
            part("debit", "ada", 10),
            Reserved::Cancelled,
        );
    }
    e.books.cashier.refused.insert(name(4), "no".to_owned());
    e.told.insert(name(4), Told::Refused("no".to_owned()));
    e.told.insert(name(5), Told::Nothing);
    e.books.cashier.fence.insert(id(5), Fence::RolledBack);
    e.books.ledger.roll_up = sums(&e.books.ledger.lines);
    e.seen.add(&e.books);
    e
}

pub(super) fn sums(lines: &[Line]) -> BTreeMap<(String, String), Sum> {
    let mut sums: BTreeMap<_, Sum> = BTreeMap::new();
    for line in lines {
        let sum = sums
            .entry((line.day.clone(), line.account.clone()))
            .or_default();
        sum.lines += 1;
        sum.cents += line.cents;
    }
    sums
}

pub(super) fn transaction(number: u128, phase: Phase, by: &str) -> Transaction {
    Transaction {
        phase,
        business_key: name(number),
        decided_by: Some(by.to_owned()),
        parked: false,
        messages: 1,
        lease: Lease::default(),
    }
}

pub(super) fn part(action: &str, of: &str, cents: i64) -> Part {
    Part {
        action: action.to_owned(),
        of: of.to_owned(),
        cents,
    }
}

pub(super) fn branch(
    e: &mut Evidence,
    id: BranchId,
    participant: Member,
    part: Part,
    reserved: Reserved,
) {
    let branch = Branch {
        part,
        participant,
        state: BranchState::Done,
    };
    e.books.coordinator.branches.insert(id, branch);
    e.books
        .branches
        .entry(participant)
        .or_default()
        .insert(id, reserved);
}

pub(super) fn enter(e: &mut Evidence, number: u128, why: &str, cents: i64) {
    e.books.rewards.journal.push(Entry {
        payment: name(number),
        payer: "ada".to_owned(),
        why: why.to_owned(),
        cents,
    });
}

/// Payment `of`, or its refund, in transaction `number`.
pub(super) fn made(e: &mut Evidence, number: u128, of: u128, refunds: Option<String>) {
    let [balance, fund, later] = PARTS;
    let (back, sign) = (refunds.is_some(), if refunds.is_some() { -1 } else { 1 });
    let actions = if back {
        ["debit", "credit", "repay", "restore"]
    } else {
        ["credit", "debit", "reserve", "redeem"]
    };
    let code = coupon(of);
    let parts = [
        (Member::Account, "tram", WHOLE),
        (Member::Account, "ada", balance),
        (Member::Credit, "ada", later),
        (Member::Coupon, code.as_str(), fund),
    ];
    for (ordinal, (action, (member, whose, cents))) in (0..).zip(actions.into_iter().zip(parts)) {
        let part = part(action, whose, cents);
        branch(e, (id(number), ordinal), member, part, Reserved::Confirmed);
    }
    let books = &mut e.books;
    books.accounts.get_mut("tram").unwrap().free += sign * WHOLE;
    books.accounts.get_mut("ada").unwrap().free -= sign * balance;
    books.credit.get_mut("ada").unwrap().used += sign * later;
    let state = if back { "fresh" } else { "used" };
    let red_packet = crate::books::Coupon {
        cents: fund,
        state: state.to_owned(),
    };
    books.coupons.insert(coupon(of), red_packet);
    for (account, cents) in [
        ("tram", WHOLE),
        ("ada", -balance),
        (COUPON_FUND, -fund),
        (RECEIVABLE, -later),
    ] {
        books.ledger.lines.push(Line {
            day: "2026-01-01".to_owned(),
            document: name(number),
            account: account.to_owned(),
            cents: sign * cents,
        });
    }
    let payment = Payment {
        id: name(of),
        payer: "ada".to_owned(),
        payee: "tram".to_owned(),
        cents: WHOLE,
        coupon: Some(payments::Coupon {
            code: coupon(of),
            cents: fund,
        }),
        credit_cents: later,
    };
    let done = Done {
        payment,
        refunds,
        transaction: id(number),
    };
    books.cashier.done.insert(name(number), done);
    books.cashier.fence.insert(id(number), Fence::Committed);
    let confirmed = transaction(number, Phase::Confirmed, "initiator");
    books.coordinator.transactions.insert(id(number), confirmed);
    for consumer in Member::CONSUMERS {
        let position = i64::try_from(number).unwrap();
        let topic = if back {
            "ledger-refunds of ada"
        } else {
            "ledger of ada"
        };
        books.coordinator.deliveries.push(Delivery {
            transaction: id(number),
            consumer,
            state: DeliveryState::Done,
            order: (consumer == Member::Ledger).then(|| (topic.to_owned(), position)),
            lease: Lease::default(),
        });
    }
    books.ledger.inbox.insert(id(number));
    books.rewards.inbox.insert(id(number));
    e.told.insert(name(number), Told::Made);
}
