use std::sync::Mutex;

use super::*;

fn captured(level: Level) -> (Chain, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&lines);
    let capture = move |_: Level, line: &[u8]| {
        seen.lock().unwrap().push(String::from_utf8_lossy(line).into_owned());
    };
    (Chain::new(vec![(Sink::Capture(Arc::new(capture)), level)]), lines)
}

#[test]
fn a_line_looks_like_nginx() {
    let (chain, lines) = captured(Level::Notice);
    chain.write(Level::Notice, Some(7), format_args!("hello {}", 1));
    chain.write(Level::Info, None, format_args!("too quiet"));
    chain.write_bytes(Level::Stderr, None, &[b"a", b"b"]);
    let lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 2);
    let pid = std::process::id();
    let (time, rest) = lines[0].split_at("2026/01/02 15:04:05".len());
    assert_eq!(time.as_bytes()[4], b'/');
    assert!(rest.starts_with(&format!(" [notice] {pid}#")), "{rest}");
    assert!(rest.ends_with(": *7 hello 1\n"), "{rest}");
    assert!(lines[1].contains(" [] ") && lines[1].ends_with(": ab\n"));
}

#[test]
fn long_lines_are_cut() {
    let (chain, lines) = captured(Level::Debug);
    chain.write_bytes(Level::Error, None, &[&[b'x'; 9000]]);
    let lines = lines.lock().unwrap();
    assert_eq!(lines[0].len(), LINE_MAX_BYTES);
    assert!(lines[0].ends_with("x\n"));
}

#[test]
fn files_are_shared_and_reopened() {
    let dir = std::env::temp_dir().join(format!("moonbeat-log-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("error.log");
    let (a, b) = (LogFile::open(&path).unwrap(), LogFile::open(&path).unwrap());
    assert!(Arc::ptr_eq(&a, &b));
    a.write(b"one\n").unwrap();
    std::fs::rename(&path, dir.join("old.log")).unwrap();
    assert!(reopen().is_empty());
    b.write(b"two\n").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"two\n");
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn syslog_parameters_are_checked_in_nginx_words() {
    let error = |text: &str| Syslog::parse(text).unwrap_err().to_string();
    assert_eq!(error("tag=x"), "no syslog server specified");
    assert_eq!(error("server=127.0.0.1,facility=x"), "unknown syslog facility \"x\"");
    assert_eq!(error("server=127.0.0.1,foo"), "unknown syslog parameter \"foo\"");
    assert_eq!(error("server=127.0.0.1,server=127.0.0.1"), "duplicate syslog \"server\"");
    assert!(Syslog::parse("server=[::1]:1514,severity=error,tag=a_b,nohostname").is_ok());
}

#[test]
fn level_names() {
    assert_eq!(Level::from_name(b"crit"), Some(Level::Crit));
    assert_eq!(Level::from_name(b"debug_http"), Some(Level::Debug));
    assert_eq!(Level::from_name(b""), None);
    assert_eq!(Level::from_number(4), Some(Level::Error));
    assert_eq!(Level::from_number(9), None);
}
