//! Health through the API: setting it, and the types of checkers.
//!
//! ```text
//!             ephemeral      persistent, checked    persistent, checker NONE    unknown
//!  default    flips          flips                  flips                       ok
//!  strict     refused        refused                flips                       ok, or refused (1)
//! ```
//!
//! Nacos itself is strict. (1) when the service or its cluster was never configured.

use serde::Serialize;

use crate::face::nacos::answer::Answer;
use crate::face::nacos::call::{Call, Touched};
use crate::face::nacos::fault::{Code, Fault};
use crate::face::nacos::naming::{Checker, Service};

/// `PUT health/instance`
pub fn set(call: &Call<'_>) -> Result<Answer, Fault> {
    let params = call.params;
    let key = params.service()?;
    let at = params.instance()?;
    let healthy = match call.is_v1() {
        true => params
            .text("healthy")
            .or_else(|| params.text("valid"))
            .map(|_| params.lax_bool(&["healthy", "valid"], false)),
        false => params.strict_bool("healthy")?,
    };
    let healthy = healthy.ok_or(Fault::Missing { name: "healthy", kind: "Boolean" })?;
    if call.options.strict {
        let free = |service: &Service| {
            let cluster = service.clusters.get(&at.cluster);
            !service.ephemeral && cluster.is_some_and(|cluster| cluster.checker == Checker::None)
        };
        if !call.naming.read(&key, free).unwrap_or(false) {
            let text = format!(
                "health check is still working, service: {}, cluster: {}",
                key.grouped(),
                at.cluster
            );
            return Err(Fault::bad(Code::SERVER, text));
        }
    }
    let mut durable = false;
    call.naming.change(&key, &at, |instance| {
        durable = !instance.ephemeral;
        instance.tell(healthy)
    });
    super::super::probe::told(&key, &at, healthy);
    if durable {
        call.touch(Touched::Instance(key, at));
    }
    call.ok()
}

/// `GET health/checkers`
pub fn checkers(call: &Call<'_>) -> Result<Answer, Fault> {
    call.value(&Types::default())
}

/// `GET /v1/ns/health/server`
pub fn server(_: &Call<'_>) -> Result<Answer, Fault> {
    let text = r#"{"msg":"Hello! I am Nacos-Naming and healthy! total services: raft 0"}"#;
    Ok(Answer::json(text.into()))
}

/// The default of each type, in Nacos' order.
#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct Types {
    tcp: Checker,
    http: Checker,
    mysql: Checker,
    none: Checker,
}

impl Default for Types {
    fn default() -> Self {
        let [tcp, http, mysql, none] = Checker::types();
        Self { tcp, http, mysql, none }
    }
}
