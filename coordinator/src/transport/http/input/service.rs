//! Where a service is called.

use earnest_store::{Endpoint, EndpointProtocol};
use serde::Deserialize;

use super::{Problem, one_namespace};
use crate::service::ServiceInput;

/// A service.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::transport::http) struct ServiceBody {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    endpoints: Vec<EndpointBody>,
    #[serde(default)]
    replace: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndpointBody {
    url: String,
    #[serde(default)]
    resource_id: String,
    protocol: Option<ProtocolWord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum ProtocolWord {
    Grpc,
    Http,
}

impl ServiceBody {
    /// As the use case takes it. Who registers over HTTP is taken to speak it.
    pub(in crate::transport::http) fn into_input(
        self,
        name: String,
        namespace: &str,
    ) -> Result<ServiceInput, Problem> {
        let endpoint = |endpoint: EndpointBody| Endpoint {
            url: endpoint.url,
            protocol: match endpoint.protocol {
                Some(ProtocolWord::Grpc) => EndpointProtocol::Grpc,
                Some(ProtocolWord::Http) | None => EndpointProtocol::Http,
            },
            resource_id: endpoint.resource_id,
        };
        Ok(ServiceInput {
            namespace: one_namespace(self.namespace, namespace)?,
            name,
            endpoints: self.endpoints.into_iter().map(endpoint).collect(),
            replace: self.replace,
        })
    }
}
