//! `UpstreamHealthCheckConfig` of the cloud API as Kong's `healthchecks`, and back.
//!
//! ```text
//!  Successes, Failures, Timeouts, …HttpStatuses ⇄ both active and passive
//!  EnableActiveHealthCheck ⇄ intervals      EnablePassiveHealthCheck ⇄ passive limits
//! ```

use serde_json::{Value, json};

use super::super::super::schema::healthchecks::{TSE_EXCEPTION, TSE_NORMAL};

/// The record of an upstream; an error says which value is wrong. Ranges of intervals, lists and
/// paths are the schema's to check.
pub fn to_kong(config: &Value) -> Result<Value, String> {
    let limit = |name: &str, usual: u64| {
        let value = &config[name];
        let number = if value.is_null() { Some(usual) } else { value.as_u64() };
        let wrong = || format!("{name}: value should be between 1 and 10");
        number.filter(|number| (1..=10).contains(number)).ok_or_else(wrong)
    };
    let successes = limit("Successes", 1)?;
    let failures = limit("Failures", 10)?;
    let timeouts = limit("Timeouts", 10)?;
    let or = |value: &Value, usual: Value| if value.is_null() { usual } else { value.clone() };
    let normal = or(&config["HealthyHttpStatuses"], json!(TSE_NORMAL));
    let exception = or(&config["UnhealthyHttpStatuses"], json!(TSE_EXCEPTION));
    let is_on = |name: &str| config[name].as_bool().unwrap_or(false);
    let (active, probed) = (&config["ActiveHealthCheck"], is_on("EnableActiveHealthCheck"));
    let interval = |name: &str| if probed { or(&active[name], json!(0)) } else { json!(0) };
    let passive = u64::from(is_on("EnablePassiveHealthCheck"));
    let headers = match active["HostHeader"].as_str().filter(|host| !host.is_empty()) {
        Some(host) => json!({ "Host": [host] }),
        None => Value::Null,
    };
    Ok(json!({
        "active": {
            "type": "http",
            "http_path": or(&active["HttpPath"], json!("/")),
            "timeout": or(&active["Timeout"], json!(TIMEOUT_S)),
            "headers": headers,
            "healthy": {
                "interval": interval("HealthyInterval"),
                "successes": successes,
                "http_statuses": normal,
            },
            "unhealthy": {
                "interval": interval("UnHealthyInterval"),
                "http_failures": failures,
                "tcp_failures": failures,
                "timeouts": timeouts,
                "http_statuses": exception,
            },
        },
        "passive": {
            "type": or(&config["PassiveHealthCheck"]["Type"], json!("http")),
            "healthy": { "successes": passive * successes, "http_statuses": normal },
            "unhealthy": {
                "http_failures": passive * failures,
                "tcp_failures": passive * failures,
                "timeouts": passive * timeouts,
                "http_statuses": exception,
            },
        },
    }))
}

/// What the cloud API shows of a record.
pub fn from_kong(checks: &Value) -> Value {
    let (active, passive) = (&checks["active"], &checks["passive"]);
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let (good, bad) = (&active["healthy"], &active["unhealthy"]);
    let limits = &passive["unhealthy"];
    let judged = [
        &passive["healthy"]["successes"],
        &limits["http_failures"],
        &limits["tcp_failures"],
        &limits["timeouts"],
    ];
    json!({
        "EnableActiveHealthCheck": number(&good["interval"]) + number(&bad["interval"]) > 0.0,
        "ActiveHealthCheck": {
            "HealthyInterval": good["interval"],
            "UnHealthyInterval": bad["interval"],
            "HttpPath": active["http_path"],
            "Timeout": active["timeout"],
            "HostHeader": active["headers"]["Host"][0],
        },
        "EnablePassiveHealthCheck": judged.iter().any(|limit| number(limit) > 0.0),
        "PassiveHealthCheck": { "Type": passive["type"] },
        "Successes": good["successes"],
        "Failures": bad["http_failures"],
        "Timeouts": bad["timeouts"],
        "HealthyHttpStatuses": good["http_statuses"],
        "UnhealthyHttpStatuses": bad["http_statuses"],
        "IgnoreZeroWeightNodes": true,
        "ZeroWeightHeathCheck": false,
    })
}

const TIMEOUT_S: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_comes_back_as_it_was_given() {
        let given = json!({
            "EnableActiveHealthCheck": true,
            "ActiveHealthCheck": {
                "HealthyInterval": 5, "UnHealthyInterval": 3, "HttpPath": "/ping", "Timeout": 2,
                "HostHeader": "a.org",
            },
            "EnablePassiveHealthCheck": true,
            "PassiveHealthCheck": { "Type": "tcp" },
            "Successes": 2, "Failures": 3, "Timeouts": 4,
            "HealthyHttpStatuses": [200], "UnhealthyHttpStatuses": [500],
            "IgnoreZeroWeightNodes": true, "ZeroWeightHeathCheck": false,
        });
        let kong = to_kong(&given).expect("a valid config");
        assert_eq!(kong["passive"]["unhealthy"]["tcp_failures"], 3);
        assert_eq!(from_kong(&kong), given);
    }

    #[test]
    fn limits_are_one_to_ten() {
        for bad in [json!(0), json!(11), json!("3"), json!(-1)] {
            assert!(to_kong(&json!({ "Failures": bad })).is_err(), "{bad}");
        }
        let off = to_kong(&json!({})).expect("all defaults");
        assert_eq!(off["active"]["healthy"]["interval"], 0);
        assert_eq!(off["passive"]["unhealthy"]["timeouts"], 0);
    }
}
