//! What operators and clients ask about the server itself.

use serde_json::json;

use crate::face::nacos::answer::Answer;
use crate::face::nacos::call::Call;
use crate::face::nacos::fault::Fault;

/// `GET operator/metrics`: the status, and with `onlyStatus=false` the numbers.
pub fn metrics(call: &Call<'_>) -> Result<Answer, Fault> {
    if call.params.lax_bool(&["onlyStatus"], true) {
        return call.value(&json!({ "status": "UP" }));
    }
    let (services, instances) = call.naming.counts();
    call.value(&json!({
        "status": "UP",
        "serviceCount": services,
        "instanceCount": instances,
        "responsibleInstanceCount": instances,
        "clientCount": instances,
    }))
}

/// Probes of orchestrators.
pub fn ready(_: &Call<'_>) -> Result<Answer, Fault> {
    Ok(Answer::text("OK"))
}
