//! One thing that can pass or fail.

/// A named check, ready to be run once on any thread.
pub struct Case {
    /// `topic/file/case`.
    pub name: String,
    /// True for cases that say something about nginx too, and so run in oracle mode.
    pub judges_oracle: bool,
    run: Box<dyn FnOnce() -> Outcome + Send>,
}

/// A case as a plain function, as tables of cases hold it.
pub type Check = fn() -> Result<(), String>;

/// A module's list of cases.
pub type Family = fn() -> Vec<Case>;

/// How a case ended.
#[derive(Debug)]
pub enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

impl Case {
    /// A case about our own binary or our own code.
    pub fn new(name: impl Into<String>, run: impl FnOnce() -> Outcome + Send + 'static) -> Case {
        Case { name: name.into(), judges_oracle: false, run: Box::new(run) }
    }

    /// A case that must hold for nginx as well.
    pub fn shared(name: impl Into<String>, run: impl FnOnce() -> Outcome + Send + 'static) -> Case {
        Case { judges_oracle: true, ..Case::new(name, run) }
    }

    /// A case in the usual shape of Rust tests: complaints are errors.
    pub fn check(
        name: impl Into<String>,
        run: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> Case {
        Case::new(name, move || Outcome::from(run()))
    }

    /// Runs the case; a panic is a failure of this case only.
    pub fn run(self) -> Outcome {
        let run = self.run;
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Ok(outcome) => outcome,
            Err(panic) => {
                let text = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                    .unwrap_or_default();
                Outcome::Failed(format!("panicked: {text}"))
            }
        }
    }
}

impl From<Result<(), String>> for Outcome {
    fn from(result: Result<(), String>) -> Outcome {
        match result {
            Ok(()) => Outcome::Passed,
            Err(complaint) => Outcome::Failed(complaint),
        }
    }
}
