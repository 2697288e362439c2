//! Real clients written in Python, from the folder `t/run.sh` installs them into.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Why a module's client cannot be used here, if so.
pub fn missing(module: &str) -> Option<String> {
    let found = packages().join(module).is_dir();
    (!found).then(|| format!("Python's {module} is not installed (t/run.sh does that)"))
}

/// Runs a script of `t/`; what it complains about is the error.
pub fn run(script: &str, args: &[&str]) -> Result<(), String> {
    let output = command(script, args).output().map_err(|e| format!("python3: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

/// Runs a module that is a program; all it says is the error.
pub fn module(name: &str, args: &[&str]) -> Result<(), String> {
    let output = with_packages(Command::new("python3").args(["-m", name]))
        .args(args)
        .current_dir(std::env::temp_dir())
        .output()
        .map_err(|e| format!("python3: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let (out, err) = (output.stdout, output.stderr);
    Err(String::from_utf8_lossy(&[out, err].concat()).trim().to_owned())
}

/// A script that goes on running; it answers every line with a line.
pub struct Talk {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Talk {
    /// Starts a script of `t/`; returns when it has said something.
    pub fn start(script: &str, args: &[&str]) -> Result<Talk, String> {
        let mut command = command(script, args);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("python3: {e}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("python3 has no pipes".into());
        };
        let mut talk = Talk { child, input, output: BufReader::new(output) };
        talk.heard()?;
        Ok(talk)
    }

    /// Says a line; gives the answer.
    pub fn say(&mut self, line: &str) -> Result<String, String> {
        writeln!(self.input, "{line}").map_err(|e| format!("{line}: {e}"))?;
        self.heard()
    }

    fn heard(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.output.read_line(&mut line) {
            Ok(0) => Err("the script has ended".into()),
            Ok(_) => Ok(line.trim_end().to_owned()),
            Err(e) => Err(e.to_string()),
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(script: &str, args: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(script)).args(args);
    with_packages(&mut command);
    command
}

fn with_packages(command: &mut Command) -> &mut Command {
    command.env("PYTHONPATH", packages()).env("PYTHONDONTWRITEBYTECODE", "1")
}

fn packages() -> PathBuf {
    let top = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    top.join("target/python")
}
