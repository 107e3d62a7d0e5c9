//! V1: once the faults are over, all becomes final or parked, within the bound that the run declares.

use super::story::Run;
use crate::{
    entry::Event,
    history::History,
    invariant::{Invariant, Violation},
};

pub(super) fn check(run: &Run, history: &History, found: &mut Vec<Violation>) {
    match (run.quiet, run.rest) {
        (Some((quiet_line, quiet_us)), Some((rest_line, rest_us))) => {
            let took_us = rest_us.saturating_sub(quiet_us);
            if took_us > run.rest_within_us {
                found.push(Violation::new(
                    Invariant::V1,
                    format!(
                        "it took {} ms until all was at rest, and {} were allowed",
                        took_us / 1_000,
                        run.rest_within_us / 1_000
                    ),
                    [quiet_line, rest_line],
                ));
            }
        }
        (quiet, None) => found.push(Violation::new(
            Invariant::V1,
            "it never came to rest",
            quiet.map(|(line, _)| line),
        )),
        (None, Some((line, _))) => found.push(Violation::new(
            Invariant::V1,
            "it never became quiet, so rest means nothing",
            [line],
        )),
    }
    for line in &history.lines {
        let Event::View {
            transaction,
            phase,
            parked,
            ..
        } = &line.entry.event
        else {
            continue;
        };
        if !phase.is_final() && !parked {
            found.push(Violation::new(
                Invariant::V1,
                format!("{transaction} is neither final nor parked"),
                [line.number],
            ));
        }
    }
}
