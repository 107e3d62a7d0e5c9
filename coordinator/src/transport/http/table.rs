//! The routes as they are added, so that the OpenAPI document can be held to them.

use axum::{Router, handler::Handler, routing};
use http::Method;

use crate::transport::AppState;

/// Routes, and the list of them.
#[derive(Default)]
pub(super) struct Table {
    router: Router<AppState>,
    listed: Vec<(Method, &'static str)>,
}

macro_rules! method {
    ($name:ident, $method:expr) => {
        pub(super) fn $name<H, T>(mut self, path: &'static str, handler: H) -> Self
        where
            H: Handler<T, AppState>,
            T: 'static,
        {
            self.listed.push(($method, path));
            self.router = self.router.route(path, routing::$name(handler));
            self
        }
    };
}

impl Table {
    method!(get, Method::GET);
    method!(put, Method::PUT);
    method!(post, Method::POST);
    method!(delete, Method::DELETE);

    /// `GET /path`, one by one.
    #[cfg(test)]
    pub(super) fn listed(&self) -> impl Iterator<Item = String> {
        self.listed
            .iter()
            .map(|(method, path)| format!("{method} {path}"))
    }

    pub(super) fn into_router(self) -> Router<AppState> {
        tracing::trace!(routes = self.listed.len(), "REST routes");
        self.router
    }
}
