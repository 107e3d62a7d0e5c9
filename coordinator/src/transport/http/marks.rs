//! R5 over REST: what a caller was told was written travels in a header, and is held against the database when it calls again.
//!
//! Services with the SDK do the same in the fields `marks` of gRPC calls. A caller that sends none loses nothing but this
//! further memory.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use earnest_protocol::Timestamp;
use earnest_store::Mark;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Problem;
use crate::transport::AppState;

/// The header, of replies and of requests.
const HEADER: HeaderName = HeaderName::from_static("earnest-mark");

/// Checks the marks of a call that may write, and gives its reply the newest one.
pub(super) async fn held(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let coordinator = &state.coordinator;
    let marks = match parse(request.headers()) {
        Ok(marks) => marks,
        Err(problem) => return problem.into_response(),
    };
    if let Err(error) = coordinator.check_marks(&marks).await {
        return Problem::from(error).into_response();
    }
    let mut response = next.run(request).await;
    if response.status().is_success()
        && let Some(mark) = coordinator.mark()
    {
        response.headers_mut().insert(HEADER, value(&mark));
    }
    response
}

/// All marks of a request: the header may come several times, and may list several.
fn parse(headers: &HeaderMap) -> Result<Vec<Mark>, Problem> {
    let values = headers.get_all(HEADER).into_iter();
    let listed = values.flat_map(|value| value.to_str().unwrap_or("?").split(','));
    let marks = listed.map(|text| {
        mark(text.trim()).ok_or_else(|| {
            let shown: String = text.trim().chars().take(40).collect();
            Problem::invalid(
                format!("Earnest-Mark: `{shown}` is not a mark"),
                "send the header as an earlier reply had it, or leave it out",
            )
        })
    });
    marks.collect()
}

fn mark(text: &str) -> Option<Mark> {
    let mut numbers = text.split('.').map(|number| number.parse::<i64>().ok());
    let mut next = || numbers.next().flatten();
    let mark = Mark {
        incarnation: next()?,
        line: next()?,
        batches: next()?,
        at: Timestamp::from_micros(next()?),
    };
    numbers.next().is_none().then_some(mark)
}

fn value(mark: &Mark) -> HeaderValue {
    let text = format!(
        "{}.{}.{}.{}",
        mark.incarnation,
        mark.line,
        mark.batches,
        mark.at.as_micros()
    );
    HeaderValue::try_from(text).expect("digits and points are a header's value")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_nothing_else_is_one() {
        let written = Mark {
            incarnation: 2,
            line: -77,
            batches: 41,
            at: Timestamp::from_micros(1_800_000_000_000_000),
        };
        assert_eq!(mark(value(&written).to_str().unwrap()), Some(written));
        for text in ["", "1.2.3", "1.2.3.4.5", "1.2.x.4", "1..3.4", " 1.2.3.4"] {
            assert_eq!(mark(text), None, "{text:?}");
        }
    }

    #[test]
    fn several_headers_and_lists_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(HEADER, HeaderValue::from_static("1.5.9.0, 1.6.2.0"));
        headers.append(HEADER, HeaderValue::from_static("1.7.1.0"));
        let lines = parse(&headers).unwrap();
        let lines: Vec<i64> = lines.iter().map(|mark| mark.line).collect();
        assert_eq!(lines, [5, 6, 7]);
        headers.append(HEADER, HeaderValue::from_static("1.7.1.0,"));
        assert!(parse(&headers).is_err());
    }
}
