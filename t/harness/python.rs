//! Real clients written in Python, from the folder `t/run.sh` installs them into.

use std::path::PathBuf;
use std::process::Command;

/// Why a module's client cannot be used here, if so.
pub fn missing(module: &str) -> Option<String> {
    let found = packages().join(module).is_dir();
    (!found).then(|| format!("Python's {module} is not installed (t/run.sh does that)"))
}

/// Runs a script of `t/`; what it complains about is the error.
pub fn run(script: &str, args: &[&str]) -> Result<(), String> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(script);
    let output = Command::new("python3")
        .arg(script)
        .args(args)
        .env("PYTHONPATH", packages())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .map_err(|e| format!("python3: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn packages() -> PathBuf {
    let top = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    top.join("target/python")
}
