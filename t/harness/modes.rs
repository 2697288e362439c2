//! The ways one block can be run: against which server, and how often.

/// Read from `T_MODE`: words separated by commas.
#[derive(Clone, Debug, Default)]
pub struct Mode {
    /// The block is served after a reload, not by the first configuration.
    pub hup: bool,
    /// The block's requests are made this many times.
    pub repeat: Option<usize>,
    /// `worker_processes` of the server.
    pub workers: Option<usize>,
    /// The server is the distribution's nginx.
    pub oracle: bool,
}

impl Mode {
    pub fn from_env() -> Result<Mode, String> {
        Mode::parse(&std::env::var("T_MODE").unwrap_or_default())
    }

    fn parse(text: &str) -> Result<Mode, String> {
        let mut mode = Mode::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (name, number) = match word.split_once(':') {
                Some((name, number)) => (name, number.parse::<usize>().ok()),
                None => (word, None),
            };
            match (name, number) {
                ("hup", None) => mode.hup = true,
                ("oracle", None) => mode.oracle = true,
                ("repeat", Some(times)) => mode.repeat = Some(times),
                ("workers", Some(count)) => mode.workers = Some(count),
                _ => return Err(format!("T_MODE: unknown mode \"{word}\"")),
            }
        }
        Ok(mode)
    }

    /// The word by which `ledger.toml` names this mode.
    pub fn side(&self) -> &'static str {
        if self.oracle { "oracle" } else { "ours" }
    }
}
