//! What went wrong with a call, and Nacos' numbers and words for it.

use super::naming::NamingError;

/// A refused call.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A parameter that must be there is not.
    #[error("Param '{name}' is required.")]
    Missing { name: &'static str, kind: &'static str },
    /// A parameter nobody would take; the same plain text in all versions.
    #[error("{0}")]
    Illegal(String),
    #[error("{text}")]
    Api { status: u16, code: Code, text: String },
    /// There is no such path.
    #[error("not found")]
    NoPath,
    /// The path does not take this method.
    #[error("method not allowed")]
    Method(&'static [&'static str]),
    /// The caller did not log in.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The body could not be read; the status says why.
    #[error("body")]
    Body(u16),
}

/// A number of Nacos' with its standing text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32, pub &'static str);

impl Code {
    pub const MISSING: Self = Self(10_000, "parameter missing");
    pub const ACCESS_DENIED: Self = Self(10_001, "access denied");
    pub const VALIDATE: Self = Self(20_002, "parameter validate error");
    pub const NOT_FOUND: Self = Self(20_004, "resource not found");
    pub const WEIGHT: Self = Self(21_001, "weight error");
    pub const METADATA: Self = Self(21_002, "instance metadata error");
    pub const NO_INSTANCE: Self = Self(21_003, "instance not found");
    pub const INSTANCE: Self = Self(21_004, "instance error");
    pub const SERVICE_EXISTS: Self = Self(21_007, "service already exist");
    pub const NO_SERVICE: Self = Self(21_008, "service not exist");
    pub const SERVICE_DELETE: Self = Self(21_009, "service delete failure");
    pub const SERVER: Self = Self(30_000, "server error");
}

impl Fault {
    pub fn bad(code: Code, text: impl Into<String>) -> Self {
        Self::Api { status: 400, code, text: text.into() }
    }

    pub fn absent(code: Code, text: impl Into<String>) -> Self {
        Self::Api { status: 404, code, text: text.into() }
    }

    pub fn illegal(name: &str) -> Self {
        let what = "illegal characters should not appear in the param";
        Self::Illegal(format!("Param '{name}' is illegal, {what}."))
    }

    pub fn too_long(name: &str, most: usize) -> Self {
        Self::Illegal(format!(
            "Param '{name}' is illegal, the param length should not exceed {most}."
        ))
    }

    pub fn port() -> Self {
        Self::Illegal("Param 'port' is illegal, the value should be between 0 and 65535.".into())
    }
}

impl From<NamingError> for Fault {
    fn from(error: NamingError) -> Self {
        let code = match error {
            NamingError::Kind { .. } => Code::SERVER,
            NamingError::Exists(_) => Code::SERVICE_EXISTS,
            NamingError::Unknown(_) => Code::NO_SERVICE,
            NamingError::NotEmpty(_) => Code::SERVICE_DELETE,
        };
        Self::bad(code, error.to_string())
    }
}
