//! What ties a call over a service's own RPC to a transaction: three values, by the same names in HTTP headers and in gRPC metadata.
//!
//! It only names. Whoever reads one from outside may log it, trace by it and look it up; nothing is decided by it.

use crate::{ids::TransactionId, trace::TraceParent};

pub(crate) const TRANSACTION_ID: &str = "earnest-transaction-id";
pub(crate) const BRANCH: &str = "earnest-branch";
pub(crate) const TRACEPARENT: &str = "traceparent";

/// The transaction, and perhaps branch, that some work is part of, to be carried over calls of your own.
///
/// ```
/// use earnest::Context;
/// use tonic::metadata::MetadataMap;
///
/// # fn carry(context: &Context) -> Result<Option<Context>, Box<dyn std::error::Error>> {
/// let mut metadata = MetadataMap::new(); // or the headers of an HTTP request
/// for (name, value) in context.headers() {
///     metadata.insert(name, value.parse()?);
/// }
/// // At the other end:
/// let came = Context::from_headers(|name| metadata.get(name)?.to_str().ok());
/// # Ok(came)
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Context {
    /// The transaction.
    pub transaction: TransactionId,
    /// The branch's place among those of the transaction, from 0, where the work is that of one branch.
    pub branch: Option<u32>,
    /// The W3C `traceparent` to go on from. [`Tx::traceparent`](crate::Tx::traceparent) has a transaction of your own go on from it.
    pub traceparent: Option<String>,
}

impl Context {
    /// Reads what came with a call. `header` looks a header or metadata entry up by its name, in lower case. `None`: the call is part
    /// of no transaction.
    pub fn from_headers<'a>(header: impl Fn(&'static str) -> Option<&'a str>) -> Option<Self> {
        Some(Self {
            transaction: header(TRANSACTION_ID)?.parse().ok()?,
            branch: header(BRANCH).and_then(|ordinal| ordinal.parse().ok()),
            traceparent: header(TRACEPARENT)
                .and_then(TraceParent::parse)
                .map(|parent| parent.as_str().to_owned()),
        })
    }

    /// What to send along with a call: `earnest-transaction-id`, `earnest-branch` and `traceparent`, as far as there is one. The names
    /// are fit for HTTP headers and for gRPC metadata, the values are plain ASCII.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let branch = self.branch.map(|ordinal| (BRANCH, ordinal.to_string()));
        let traceparent = self.traceparent.clone();
        [(TRANSACTION_ID, self.transaction.to_string())]
            .into_iter()
            .chain(branch)
            .chain(traceparent.map(|parent| (TRACEPARENT, parent)))
    }
}

#[cfg(test)]
mod tests {
    use tonic::{codegen::http::HeaderMap, metadata::MetadataMap};

    use super::*;

    fn context() -> Context {
        Context {
            transaction: "01890000-0000-7000-8000-000000000001".parse().unwrap(),
            branch: Some(3),
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        }
    }

    #[test]
    fn it_comes_through_http_headers_and_grpc_metadata() {
        let alone = Context {
            branch: None,
            traceparent: None,
            ..context()
        };
        for context in [context(), alone] {
            let (mut headers, mut metadata) = (HeaderMap::new(), MetadataMap::new());
            for (name, value) in context.headers() {
                headers.insert(name, value.parse().unwrap());
                metadata.insert(name, value.parse().unwrap());
            }
            let by_http = Context::from_headers(|name| headers.get(name)?.to_str().ok());
            let by_grpc = Context::from_headers(|name| metadata.get(name)?.to_str().ok());
            assert_eq!(by_http.as_ref(), Some(&context));
            assert_eq!(by_grpc, Some(context));
        }
    }

    #[test]
    fn what_is_no_context_is_not_taken_for_one() {
        let with = |name: &'static str, value: &'static str| {
            Context::from_headers(move |asked| match asked {
                asked if asked == name => Some(value),
                TRANSACTION_ID => Some("01890000-0000-7000-8000-000000000001"),
                _ => None,
            })
        };
        assert_eq!(Context::from_headers(|_| None), None);
        assert_eq!(with(TRANSACTION_ID, "order-17"), None);
        assert_eq!(with(BRANCH, "-1").unwrap().branch, None);
        assert_eq!(with(TRACEPARENT, "00-x").unwrap().traceparent, None);
    }
}
