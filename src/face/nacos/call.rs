//! One call: what it was given, what it may touch, and what has to be kept before its answer.

use std::cell::RefCell;

use super::answer::{Answer, Version};
use super::conf::Options;
use super::fault::Fault;
use super::naming::{InstanceKey, Naming, ServiceKey};
use super::params::Params;

/// A call on its way through one API function.
pub struct Call<'a> {
    pub version: Version,
    pub params: &'a Params,
    pub options: &'a Options,
    pub naming: &'static Naming,
    pub touched: RefCell<Vec<Touched>>,
}

/// Something durable that a call has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    Service(ServiceKey),
    Instance(ServiceKey, InstanceKey),
}

impl Touched {
    pub fn service(&self) -> &ServiceKey {
        match self {
            Self::Service(key) | Self::Instance(key, _) => key,
        }
    }
}

/// What the table of routes holds.
pub type Act = fn(&Call<'_>) -> Result<Answer, Fault>;

impl Call<'_> {
    /// The answer of every writing call that went well.
    pub fn ok(&self) -> Result<Answer, Fault> {
        Ok(Answer::ok(self.version))
    }

    pub fn value<T: serde::Serialize>(&self, value: &T) -> Result<Answer, Fault> {
        Ok(Answer::value(self.version, value))
    }

    pub fn is_v1(&self) -> bool {
        self.version == Version::V1
    }

    /// Notes that something durable changed: it is kept before the call is answered.
    pub fn touch(&self, what: Touched) {
        self.touched.borrow_mut().push(what);
    }
}
