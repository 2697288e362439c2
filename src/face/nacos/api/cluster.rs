//! `PUT cluster`: how the persistent instances of a cluster are checked.

use crate::face::nacos::answer::Answer;
use crate::face::nacos::call::{Call, Touched};
use crate::face::nacos::fault::{Code, Fault};
use crate::face::nacos::naming::{Checker, Cluster};

use super::metadata;

pub fn update(call: &Call<'_>) -> Result<Answer, Fault> {
    let params = call.params;
    let key = params.service()?;
    let name = params.required("clusterName")?;
    let port =
        params.text("checkPort").ok_or(Fault::Missing { name: "checkPort", kind: "Integer" })?;
    let check_port = port.trim().parse().map_err(|_| Fault::port())?;
    params.text("useInstancePort4Check").ok_or(USE_PORT_MISSING)?;
    let use_instance_port = match call.is_v1() {
        true => params.lax_bool(&["useInstancePort4Check"], true),
        false => params.strict_bool("useInstancePort4Check")?.unwrap_or(true),
    };
    let checker = params.required("healthChecker")?;
    let wrong = |e: serde_json::Error| {
        let text = format!("healthChecker format incorrect: {checker}: {e}");
        Fault::bad(Code::SERVER, text)
    };
    let checker = Checker::parse(checker).map_err(wrong)?;
    let metadata = metadata::parse(params.text("metadata"))?;
    let cluster = Cluster { checker, check_port, use_instance_port, metadata };
    let known = call.naming.configure(&key, |service| {
        service.clusters.insert(name.to_owned(), cluster);
    });
    known.map_err(|_| {
        let text = format!("service not found groupName: {},serviceName: {}", key.group, key.name);
        Fault::bad(Code::SERVER, text)
    })?;
    call.touch(Touched::Service(key));
    call.ok()
}

const USE_PORT_MISSING: Fault = Fault::Missing { name: "useInstancePort4Check", kind: "Boolean" };
