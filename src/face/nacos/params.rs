//! The parameters of a call: from the query and from a form body, for every method.
//!
//! ```text
//!  ?a=1&b=   a=2&c=3 (body)   ─▶   a 1, c 3        the first one counts, an empty one is none
//! ```

use std::rc::Rc;

use crate::base::escape::Pairs;
use crate::http::Request;

use super::answer::Version;
use super::fault::{Code, Fault};
use super::naming::{DEFAULT_CLUSTER, DEFAULT_GROUP, DEFAULT_NAMESPACE, InstanceKey, ServiceKey};

/// What a call was given.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the body if it is a form; curl says so of whatever it sends.
    pub async fn read(r: &Rc<Request>) -> Result<Self, Fault> {
        let mut params = Self::default();
        params.add(&r.args.borrow())?;
        r.read_body().await.map_err(|error| Fault::Body(error.0))?;
        if is_form(r) {
            let body = r.body.bytes().map_err(|_| Fault::Body(500))?;
            params.add(&body)?;
        }
        Ok(params)
    }

    fn add(&mut self, text: &[u8]) -> Result<(), Fault> {
        for (name, value) in Pairs::new(text).take(PARAMS_MAX) {
            let name = String::from_utf8_lossy(&name).into_owned();
            let value = value.unwrap_or_default();
            let value = String::from_utf8(value).map_err(|_| Fault::illegal(&name))?;
            self.0.push((name, value));
        }
        Ok(())
    }

    /// The value of a parameter; blank ones do not count.
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name)?.1.as_str();
        (!found.trim().is_empty()).then_some(found)
    }

    pub fn required(&self, name: &'static str) -> Result<&str, Fault> {
        self.text(name).ok_or(Fault::Missing { name, kind: "String" })
    }

    /// A boolean as version 1 reads it: what it does not know is false.
    pub fn lax_bool(&self, names: &[&str], default: bool) -> bool {
        let text = names.iter().find_map(|name| self.text(name));
        text.map_or(default, |text| LAX.iter().any(|word| text.trim().eq_ignore_ascii_case(word)))
    }

    /// A boolean as the framework of version 2 and 3 reads it.
    pub fn strict_bool(&self, name: &'static str) -> Result<Option<bool>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let wrong = || {
            let text = format!("Invalid boolean value [{text}] of parameter '{name}'");
            Fault::bad(Code::VALIDATE, text)
        };
        let word = text.trim().to_ascii_lowercase();
        let found = STRICT.iter().find(|(known, _)| *known == word);
        found.map(|(_, value)| Some(*value)).ok_or_else(wrong)
    }

    pub fn bool(&self, version: Version, name: &'static str) -> Result<Option<bool>, Fault> {
        match version {
            Version::V1 => Ok(self.text(name).map(|_| self.lax_bool(&[name], false))),
            Version::V2 | Version::V3 => self.strict_bool(name),
        }
    }

    pub fn number(&self, name: &'static str) -> Result<Option<f64>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let parsed = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
        let wrong = || Fault::bad(Code::VALIDATE, format!("For input string: \"{text}\""));
        parsed.ok_or_else(wrong).map(Some)
    }

    pub fn whole(&self, name: &'static str) -> Result<Option<usize>, Fault> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let wrong = || Fault::bad(Code::VALIDATE, format!("For input string: \"{text}\""));
        text.trim().parse().map_err(|_| wrong()).map(Some)
    }

    /// The service a call is about.
    pub fn service(&self) -> Result<ServiceKey, Fault> {
        self.check()?;
        Ok(self.service_named(self.required("serviceName")?))
    }

    pub fn service_named(&self, name: &str) -> ServiceKey {
        ServiceKey::new(self.namespace(), self.text("groupName").unwrap_or(DEFAULT_GROUP), name)
    }

    pub fn namespace(&self) -> &str {
        self.text("namespaceId").unwrap_or(DEFAULT_NAMESPACE)
    }

    /// The cluster; what Python's clients send for none is none.
    pub fn cluster(&self) -> &str {
        let named = self.text("clusterName").or_else(|| self.text("cluster"));
        named.filter(|name| *name != "None").unwrap_or(DEFAULT_CLUSTER)
    }

    pub fn instance(&self) -> Result<InstanceKey, Fault> {
        let ip = self.required("ip")?.to_owned();
        let port = self.text("port").ok_or(Fault::Missing { name: "port", kind: "Integer" })?;
        let port = port.trim().parse().map_err(|_| Fault::port())?;
        Ok(InstanceKey { cluster: self.cluster().to_owned(), ip, port })
    }

    /// Refuses what no version takes, before anything else is looked at.
    pub fn check(&self) -> Result<(), Fault> {
        for (name, shown, most, allowed) in CHECKED {
            let Some(text) = self.text(name) else { continue };
            if text.chars().count() > *most {
                return Err(Fault::too_long(shown, *most));
            }
            if !text.chars().all(allowed) {
                return Err(Fault::illegal(shown));
            }
        }
        match self.text("port").map(|text| text.trim().parse::<u16>()) {
            Some(Err(_)) => Err(Fault::port()),
            _ => Ok(()),
        }
    }
}

fn is_form(r: &Rc<Request>) -> bool {
    let headers = r.headers_in.borrow();
    let kind = headers.first("Content-Type");
    kind.is_none_or(|kind| {
        kind.len() >= FORM.len() && kind[..FORM.len()].eq_ignore_ascii_case(FORM)
    })
}

fn in_service(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !('\u{4e00}'..='\u{9fa5}').contains(&c)
}

fn in_group(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_:.".contains(c)
}

fn in_cluster(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_,".contains(c)
}

fn in_namespace(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_".contains(c)
}

/// A name or an address of either family.
fn in_ip(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_:.%[]".contains(c)
}

/// Name, the name complaints use, most characters, and which ones.
type Checked = (&'static str, &'static str, usize, fn(char) -> bool);
const CHECKED: &[Checked] = &[
    ("namespaceId", "namespaceId/tenant", 64, in_namespace),
    ("serviceName", "serviceName", 512, in_service),
    ("groupName", "groupName", 128, in_group),
    ("clusterName", "cluster", 64, in_cluster),
    ("cluster", "cluster", 64, in_cluster),
    ("clusters", "cluster", 1024, in_cluster),
    ("ip", "ip", 128, in_ip),
    ("metadata", "Metadata", 1024, |_| true),
];

/// What version 1 takes for true.
const LAX: &[&str] = &["y", "yes", "on", "true", "t"];
const STRICT: &[(&str, bool)] = &[
    ("true", true),
    ("on", true),
    ("yes", true),
    ("1", true),
    ("false", false),
    ("off", false),
    ("no", false),
    ("0", false),
];

const FORM: &[u8] = b"application/x-www-form-urlencoded";
const PARAMS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Params {
        let mut params = Params::default();
        params.add(text.as_bytes()).expect("valid characters");
        params
    }

    #[test]
    fn the_first_counts_and_blank_is_none() {
        let p = params("a=1&a=2&b=&c=%20");
        assert_eq!((p.text("a"), p.text("b"), p.text("c")), (Some("1"), None, None));
    }

    #[test]
    fn booleans() {
        let p = params("a=TRUE&b=maybe&c=on&d=0");
        assert!(p.lax_bool(&["a"], false) && !p.lax_bool(&["b"], true));
        assert!(matches!(p.strict_bool("c"), Ok(Some(true))));
        assert!(matches!(p.strict_bool("d"), Ok(Some(false))));
        assert!(p.strict_bool("b").is_err());
    }

    #[test]
    fn what_nobody_takes() {
        let text = |query: &str| params(query).check().expect_err("refused").to_string();
        assert!(text("port=65536").ends_with("between 0 and 65535."));
        assert!(text("port=abc").ends_with("between 0 and 65535."));
        assert!(text("ip=127.0.0.1;x").starts_with("Param 'ip' is illegal, illegal"));
        assert!(text("serviceName=a%20b").starts_with("Param 'serviceName'"));
        let long = format!("serviceName={}", "x".repeat(65_536));
        assert!(text(&long).ends_with("exceed 512."));
        assert!(Params::default().add(b"ip=%ff").is_err());
        assert!(params("serviceName=G@@a.b&ip=::1&port=0&clusters=a,b").check().is_ok());
    }

    #[test]
    fn pythons_none_is_the_default_cluster() {
        assert_eq!(params("clusterName=None").cluster(), "DEFAULT");
        assert_eq!(params("cluster=a").cluster(), "a");
    }
}
