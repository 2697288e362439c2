//! Flags, the pid file, and the addresses that are taken.

use std::process::Command;

use super::{Row, configuration, start, wait_until};
use crate::harness::client;
use crate::harness::server::{self, Prefix, Program, free_port};
use crate::harness::wait::HANG;

pub const ROWS: &[Row] = &[
    ("-v and -V tell the version", versions),
    ("-h tells the flags", help),
    ("-t says that the syntax is ok, -q says nothing", test_flags),
    ("-T prints the configuration", dump),
    ("-g sets directives of the main level", global_directives),
    ("an unknown flag is refused", unknown_flag),
    ("a missing file is refused", missing_file),
    ("the pid file lives as long as the server", pid_file),
    ("-s sends signals", send_signals),
    ("an address in use", address_in_use),
    ("daemon on lets go of the terminal", daemon),
    ("TERM ends at once, QUIT lets requests end", stop_and_quit),
];

fn versions(program: Program) -> Result<(), String> {
    let (ok, short) = run(program, &["-v"])?;
    let (_, long) = run(program, &["-V"])?;
    let told =
        ok && short.contains(" version: ") && short.contains('/') && short.lines().count() == 1;
    let told = told && long.contains("\nconfigure arguments: ");
    if told { Ok(()) } else { Err(format!("{short}\n{long}")) }
}

fn help(program: Program) -> Result<(), String> {
    let (ok, text) = run(program, &["-h"])?;
    let flags = ["-c filename", "-g directives", "-p prefix", "-s signal", "-t ", "-T ", "-q "];
    match flags.iter().find(|flag| !text.contains(**flag)) {
        Some(flag) => Err(format!("no \"{flag}\" in\n{text}")),
        None if ok => Ok(()),
        None => Err("-h ends with an error".into()),
    }
}

fn test_flags(program: Program) -> Result<(), String> {
    let prefix = prefix_with(&configuration(program, free_port(), "", "return 200;"))?;
    let (ok, text) = server::run_to_end(program, &prefix, &["-t"])?;
    let file = prefix.path().join("conf/nginx.conf").display().to_string();
    let wanted = format!(
        "nginx: the configuration file {file} syntax is ok\n\
         nginx: configuration file {file} test is successful\n"
    );
    if !ok || text != wanted {
        return Err(format!("-t says\n{text}"));
    }
    let (ok, text) = server::run_to_end(program, &prefix, &["-t", "-q"])?;
    if ok && text.is_empty() { Ok(()) } else { Err(format!("-t -q says\n{text}")) }
}

fn dump(program: Program) -> Result<(), String> {
    let conf = configuration(program, free_port(), "include more.inc;", "return 200;");
    let prefix = prefix_with(&conf)?;
    prefix.write("conf/more.inc", "# a comment that stays\n")?;
    let (ok, text) = server::run_to_end(program, &prefix, &["-T"])?;
    let folder = prefix.path().join("conf").display().to_string();
    let wanted = [
        format!("# configuration file {folder}/nginx.conf:\n{conf}"),
        format!("# configuration file {folder}/more.inc:\n# a comment that stays\n"),
    ];
    match wanted.iter().find(|part| !text.contains(part.as_str())) {
        Some(part) => Err(format!("no\n{part}in\n{text}")),
        None if ok => Ok(()),
        None => Err("-T ends with an error".into()),
    }
}

fn global_directives(program: Program) -> Result<(), String> {
    let prefix = prefix_with(&format!("{}events {{ }}\n", program.preamble()))?;
    let (ok, text) = server::run_to_end(program, &prefix, &["-t", "-g", "pid logs/p.pid;"])?;
    if !ok {
        return Err(text);
    }
    let (ok, text) = server::run_to_end(program, &prefix, &["-t", "-g", "nonsense on;"])?;
    let wanted = "unknown directive \"nonsense\" in command line";
    if !ok && text.contains(wanted) { Ok(()) } else { Err(text) }
}

fn unknown_flag(program: Program) -> Result<(), String> {
    let (ok, text) = run(program, &["-z"])?;
    let wanted = "invalid option: \"z\"";
    if !ok && text.contains(wanted) { Ok(()) } else { Err(text) }
}

fn missing_file(program: Program) -> Result<(), String> {
    let prefix = Prefix::new()?;
    let (ok, text) = server::run_to_end(program, &prefix, &["-t"])?;
    let file = prefix.path().join("conf/nginx.conf").display().to_string();
    let wanted = format!("nginx: [emerg] open() \"{file}\" failed (2: No such file or directory)");
    if !ok && text.contains(&wanted) { Ok(()) } else { Err(text) }
}

fn pid_file(program: Program) -> Result<(), String> {
    let port = free_port();
    let mut server = start(program, port, "", "return 200;")?;
    let pid = server.prefix.read("logs/nginx.pid");
    if pid != format!("{}\n", server.pid()) {
        return Err(format!("the pid file holds {pid:?}, the pid is {}", server.pid()));
    }
    server.stop(&[])?;
    if server.prefix.path().join("logs/nginx.pid").exists() {
        return Err("the pid file outlives the server".into());
    }
    Ok(())
}

fn send_signals(program: Program) -> Result<(), String> {
    let port = free_port();
    let mut server = start(program, port, "", "return 200 one;")?;
    let conf = configuration(program, port, "", "return 200 two;");
    server.prefix.write("conf/nginx.conf", conf)?;
    succeed(server::run_to_end(program, &server.prefix, &["-s", "reload"])?)?;
    wait_until("the new answer", || answers(port, "two"))?;
    std::fs::remove_file(server.prefix.path().join("logs/access.log"))
        .map_err(|e| e.to_string())?;
    succeed(server::run_to_end(program, &server.prefix, &["-s", "reopen"])?)?;
    wait_until("a new access log", || server.prefix.path().join("logs/access.log").exists())?;
    succeed(server::run_to_end(program, &server.prefix, &["-s", "quit"])?)?;
    match server.wait(HANG)? {
        Some(status) if status.success() => {}
        other => return Err(format!("after -s quit: {other:?}")),
    }
    let (ok, text) = server::run_to_end(program, &server.prefix, &["-s", "stop"])?;
    let wanted = "nginx.pid\" failed (2: No such file or directory)";
    if !ok && text.contains(wanted) { Ok(()) } else { Err(text) }
}

fn address_in_use(program: Program) -> Result<(), String> {
    let port = free_port();
    let mut first = start(program, port, "", "return 200;")?;
    let prefix = prefix_with(&configuration(program, port, "", "return 200;"))?;
    let (ok, text) = server::run_to_end(program, &prefix, &[])?;
    let wanted = [
        format!("nginx: [emerg] bind() to 0.0.0.0:{port} failed (98: Address already in use)"),
        "nginx: [emerg] still could not bind()".to_owned(),
    ];
    match wanted.iter().find(|part| !text.contains(part.as_str())) {
        Some(part) => return Err(format!("no \"{part}\" in\n{text}")),
        None if ok => return Err("the second server ends with success".into()),
        None => {}
    }
    first.stop(&[])
}

fn daemon(program: Program) -> Result<(), String> {
    let port = free_port();
    let conf = configuration(program, port, "", "return 200 ok;");
    let prefix = prefix_with(&conf.replace("daemon off;", "daemon on;"))?;
    succeed(server::run_to_end(program, &prefix, &[])?)?;
    wait_until("an answer", || answers(port, "ok"))?;
    let pid: u32 = prefix.read("logs/nginx.pid").trim().parse().map_err(|_| "no pid file")?;
    server::signal(pid, "QUIT")?;
    wait_until("the end", || !answers(port, "ok"))
}

fn stop_and_quit(program: Program) -> Result<(), String> {
    // The request ends only after QUIT, and never by itself after TERM.
    let handler = "location / { content_by_lua_block {
        ngx.log(ngx.WARN, 'has begun')
        while not ngx.worker.exiting() do ngx.sleep(0.01) end
        ngx.say('done')
    } }";
    let endless = handler.replace("not ngx.worker.exiting()", "true");
    for (signal, handler, answered) in [("QUIT", handler, true), ("TERM", &endless, false)] {
        let port = free_port();
        let mut server = start(program, port, "", handler)?;
        let request = std::thread::spawn(move || client::get(port, "/"));
        wait_until("a request", || server.error_log().contains("has begun"))?;
        server.signal(signal)?;
        if server.wait(HANG)?.is_none() {
            return Err(format!("{signal} does not end the server"));
        }
        let response = request.join().map_err(|_| "the client panicked")?;
        if response.is_ok() != answered {
            return Err(format!("after {signal} the request got {response:?}"));
        }
    }
    Ok(())
}

fn succeed((ok, text): (bool, String)) -> Result<(), String> {
    if ok { Ok(()) } else { Err(text) }
}

fn answers(port: u16, text: &str) -> bool {
    client::get(port, "/").is_ok_and(|response| response.body_text() == text)
}

fn prefix_with(conf: &str) -> Result<Prefix, String> {
    let prefix = Prefix::new()?;
    prefix.write("conf/nginx.conf", conf)?;
    Ok(prefix)
}

fn run(program: Program, args: &[&str]) -> Result<(bool, String), String> {
    let output = Command::new(program.path()).args(args).output().map_err(|e| e.to_string())?;
    let text = [output.stderr, output.stdout].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}
