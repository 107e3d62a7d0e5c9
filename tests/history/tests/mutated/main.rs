//! Good histories of any shape break nothing; one lie in any of them is found, and named as what it is.

mod lie;
mod script;

use earnest_history::{Entry, Event, History, Invariant, check};
use lie::LIES;
use proptest::{prelude::*, sample::Index};
use script::{fates, good};

fn checked(events: Vec<Event>) -> Vec<Invariant> {
    let entries = (1..).zip(events).map(|(at_us, event)| Entry {
        at_us,
        process: "property".to_owned(),
        event,
    });
    // Through text, as a file would be.
    let lines: Vec<String> = entries
        .map(|entry| serde_json::to_string(&entry).unwrap())
        .collect();
    let history = History::parse(&lines.join("\n")).unwrap();
    check(&history).into_iter().map(|v| v.invariant).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_good_breaks_nothing(fates in fates()) {
        prop_assert_eq!(checked(good(&fates)), []);
    }

    #[test]
    fn one_lie_is_found_and_named(fates in fates(), which in any::<Index>()) {
        let events = good(&fates);
        for (n, lie) in LIES.iter().enumerate() {
            let about: Vec<usize> = (0..events.len()).filter(|at| (lie.about)(&events[*at])).collect();
            let at = about[which.index(about.len())];
            let told = events.iter().enumerate().flat_map(|(here, event)| {
                if here == at { (lie.tell)(event.clone()) } else { vec![event.clone()] }
            });
            let found = checked(told.collect());
            prop_assert!(
                lie.breaks.iter().any(|invariant| found.contains(invariant)),
                "lie {} about {:?} was taken for {:?}", n, events[at], found
            );
        }
    }
}

#[test]
fn every_invariant_is_lied_about() {
    for invariant in Invariant::ALL {
        assert!(
            LIES.iter().any(|lie| lie.breaks.contains(&invariant)),
            "{invariant}"
        );
    }
}
