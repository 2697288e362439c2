//! gRPC's codes, their names, and the HTTP statuses that stand for them.

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    pub code: Code,
    pub text: String,
}

/// A code by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    pub const CANCELED: Self = Self(1);
    pub const INVALID_ARGUMENT: Self = Self(3);
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    pub const NOT_FOUND: Self = Self(5);
    pub const RESOURCE_EXHAUSTED: Self = Self(8);
    pub const UNIMPLEMENTED: Self = Self(12);
    pub const INTERNAL: Self = Self(13);

    /// Lower case, as error bodies name it; `code_17` for one nobody knows.
    pub fn name(self) -> String {
        match TABLE.get(self.0 as usize) {
            Some((name, ..)) => (*name).to_owned(),
            None => format!("code_{}", self.0),
        }
    }

    /// The status of Triple, or of Connect.
    pub fn http(self, connect: bool) -> u16 {
        match TABLE.get(self.0 as usize) {
            Some((_, _, status)) if connect => *status,
            Some((_, status, _)) => *status,
            None => 500,
        }
    }
}

impl Failure {
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub fn invalid(text: impl Into<String>) -> Self {
        Self::new(Code::INVALID_ARGUMENT, text)
    }
}

/// Name, Triple's status, Connect's status.
const TABLE: &[(&str, u16, u16)] = &[
    ("ok", 200, 200),
    ("canceled", 408, 499),
    ("unknown", 500, 500),
    ("invalid_argument", 400, 400),
    ("deadline_exceeded", 408, 504),
    ("not_found", 404, 404),
    ("already_exists", 409, 409),
    ("permission_denied", 403, 403),
    ("resource_exhausted", 429, 429),
    ("failed_precondition", 412, 400),
    ("aborted", 409, 409),
    ("out_of_range", 400, 400),
    ("unimplemented", 404, 501),
    ("internal", 500, 500),
    ("unavailable", 503, 503),
    ("data_loss", 500, 500),
    ("unauthenticated", 401, 401),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_mappings() {
        let http = |code: Code| (code.http(false), code.http(true));
        assert_eq!(http(Code::CANCELED), (408, 499));
        assert_eq!(http(Code::UNIMPLEMENTED), (404, 501));
        assert_eq!(http(Code(17)), (500, 500));
        assert_eq!(
            (Code(16).name().as_str(), Code(17).name().as_str()),
            ("unauthenticated", "code_17")
        );
    }
}
