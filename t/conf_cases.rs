//! Configurations as data: what `-t` says about wrong ones, how right ones are understood.
//!
//! ```text
//!   conf/err/NAME.conf  ->  -t  ->  complaints  =  NAME.err     the first line is nginx's too
//!   conf/ok/NAME.conf   ->  parse  ->  tree     =  NAME.tree    and -t takes it
//! ```
//!
//! A line of an `.err` file is a complaint without `nginx: ` and without the folder, or, with `= `
//! in front, the start of a hint that must follow; `#` says why nginx is not asked.

use std::path::Path;

use bstr::ByteSlice;
use moonbeat::conf;

use crate::harness::case::{Case, Outcome};
use crate::harness::modes::Mode;
use crate::harness::server::{self, Prefix, Program};

/// All cases of `t/conf`.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for name in names("err") {
        let expected = read(&format!("err/{name}.err"));
        let ours_only = expected.starts_with('#');
        let title = format!("conf/err/{name}");
        let run = move || Outcome::from(judge_complaints(&name, &expected));
        cases.push(if ours_only { Case::new(title, run) } else { Case::shared(title, run) });
    }
    for name in names("ok") {
        let title = format!("conf/ok/{name}");
        let path = name.clone();
        cases.push(Case::check(format!("{title} tree"), move || judge_tree(&path)));
        cases.push(Case::shared(format!("{title} loads"), move || judge_load(&name).into()));
    }
    cases
}

/// The text of every configuration of `t/conf`.
pub fn texts() -> Vec<Vec<u8>> {
    let paths = ["err", "ok"].map(|folder| {
        names(folder).into_iter().map(move |name| format!("{}/{folder}/{name}.conf", root()))
    });
    paths.into_iter().flatten().filter_map(|path| std::fs::read(path).ok()).collect()
}

/// `-t` says what the `.err` file says; nginx need only begin the same way.
fn judge_complaints(name: &str, expected: &str) -> Result<(), String> {
    let (loaded, output) = test_run("err", name)?;
    if loaded {
        return Err(format!("the configuration was accepted:\n{output}"));
    }
    let expected: Vec<&str> = expected.lines().filter(|line| !line.starts_with('#')).collect();
    let said: Vec<&str> = output.lines().filter_map(told).collect();
    if Mode::from_env()?.oracle {
        return same(&said[..said.len().min(1)], &expected[..1], &output);
    }
    // Of the hints only those are compared that the file names.
    let mut rest = expected.iter().peekable();
    let mut shown = Vec::new();
    for line in said {
        match rest.peek() {
            Some(hint) if hint.starts_with('=') && line.starts_with(**hint) => shown.push(**hint),
            _ if line.starts_with('=') => continue,
            _ => shown.push(line),
        }
        rest.next();
    }
    same(&shown, &expected, &output)
}

/// The tree of a right configuration is the `.tree` file, and nothing is wrong with it.
fn judge_tree(name: &str) -> Result<(), String> {
    let main = format!("{}/ok/{name}.conf", root());
    let parsed = conf::parse(&conf::Disk, main.as_bytes().as_bstr(), b"");
    if let Some((_, diag)) = parsed.diags.first() {
        return Err(diag.render(&parsed.sources));
    }
    let tree = conf::dump::tree(&parsed.items);
    let expected = read(&format!("ok/{name}.tree"));
    same(
        &tree.lines().collect::<Vec<_>>(),
        &expected.lines().collect::<Vec<_>>(),
        "a .tree file must be the tree of its .conf file",
    )
}

fn judge_load(name: &str) -> Result<(), String> {
    let (loaded, output) = test_run("ok", name)?;
    if loaded { Ok(()) } else { Err(output) }
}

/// Runs `-t` in a copy of the folder; the copy's name does not appear in the output.
fn test_run(folder: &str, name: &str) -> Result<(bool, String), String> {
    let prefix = Prefix::new()?;
    copy(&Path::new(&root()).join(folder), &prefix, "")?;
    let oracle = Mode::from_env()?.oracle;
    let program = if oracle { Program::Oracle } else { Program::Ours };
    let preamble = program.preamble();
    let conf = format!("{name}.conf");
    let mut args = vec!["-t", "-c", &conf];
    if !preamble.is_empty() {
        args.extend(["-g", &preamble]);
    }
    let (loaded, output) = server::run_to_end(program, &prefix, &args)?;
    Ok((loaded, output.replace(&format!("{}/", prefix.path().display()), "")))
}

fn copy(from: &Path, prefix: &Prefix, below: &str) -> Result<(), String> {
    for entry in std::fs::read_dir(from).map_err(|e| e.to_string())?.flatten() {
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            copy(&entry.path(), prefix, &format!("{name}/"))?;
        } else {
            prefix.write(&name, std::fs::read(entry.path()).map_err(|e| e.to_string())?)?;
        }
    }
    Ok(())
}

/// A complaint or a remark below it, as `.err` files write them.
fn told(line: &str) -> Option<&str> {
    match line.strip_prefix("nginx: ") {
        Some(complaint) => Some(complaint).filter(|text| text.starts_with('[')),
        None => Some(line.trim_start()).filter(|text| text.starts_with("= ")),
    }
}

fn same(got: &[&str], expected: &[&str], output: &str) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    let list = |lines: &[&str]| lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
    Err(format!("expected\n{}got\n{}in full:\n{output}", list(expected), list(got)))
}

fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(format!("{}/{folder}", root())).into_iter().flatten().flatten();
    let name = |file: String| file.strip_suffix(".conf").map(str::to_owned);
    let files = entries.filter(|entry| entry.path().is_file());
    let mut names: Vec<String> =
        files.filter_map(|entry| name(entry.file_name().to_string_lossy().into_owned())).collect();
    names.sort();
    names
}

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", root())).unwrap_or_default()
}

fn root() -> String {
    format!("{}/t/conf", env!("CARGO_MANIFEST_DIR"))
}
