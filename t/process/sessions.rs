//! Sessions of `stream` over reloads and a graceful end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::{Row, children, configuration, wait_until};
use crate::harness::server::{Prefix, Program, Server, free_port};
use crate::harness::wait::HANG;

pub const ROWS: &[Row] = &[
    ("a session that began before a reload ends on the old configuration", over_a_reload),
    ("a session lives on while the server quits", over_a_quit),
];

fn over_a_reload(program: Program) -> Result<(), String> {
    let (http, stream, told) = (free_port(), free_port(), free_port());
    let peer = Peer::listen()?;
    let tell = |word: &str| format!("server {{ listen 127.0.0.1:{told}; return {word}; }}");
    let pass = format!("server {{ listen 127.0.0.1:{stream}; proxy_pass {}; }}", peer.at);
    let mut server = start(program, http, &(tell("old") + &pass))?;
    let old = connect(stream)?;
    let passed = peer.accept()?;
    let text = tell("new") + &format!("server {{ listen 127.0.0.1:{stream}; return new; }}");
    server.prefix.write("conf/nginx.conf", with_stream(program, http, &text))?;
    server.signal("HUP")?;
    wait_until("the new configuration", || connect(told).is_ok_and(|s| rest(s) == "new"))?;
    goes_on(old, passed)?;
    server.stop(&[])
}

fn over_a_quit(program: Program) -> Result<(), String> {
    let (http, stream) = (free_port(), free_port());
    let peer = Peer::listen()?;
    let pass = format!("server {{ listen 127.0.0.1:{stream}; proxy_pass {}; }}", peer.at);
    let mut server = start(program, http, &pass)?;
    let old = connect(stream)?;
    let passed = peer.accept()?;
    server.signal("QUIT")?;
    wait_until("the socket to be closed", || connect(stream).is_err())?;
    goes_on(old, passed)?;
    match server.wait(HANG)? {
        Some(status) if status.success() => server.complain_about_log(&[]),
        other => Err(format!("the server ended with {other:?}")),
    }
}

/// What the peer says still comes to the client.
fn goes_on(client: TcpStream, mut passed: TcpStream) -> Result<(), String> {
    passed.write_all(b"still here").map_err(|e| e.to_string())?;
    drop(passed);
    match rest(client) {
        answer if answer == "still here" => Ok(()),
        answer => Err(format!("the session got {answer:?}")),
    }
}

/// Whom sessions are passed on to; of the test, so that it outlives the server's own sockets.
struct Peer {
    socket: TcpListener,
    at: SocketAddr,
}

impl Peer {
    fn listen() -> Result<Self, String> {
        let socket = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let at = socket.local_addr().map_err(|e| e.to_string())?;
        Ok(Self { socket, at })
    }

    /// Waits for a session: it has begun then.
    fn accept(&self) -> Result<TcpStream, String> {
        self.socket.accept().map(|(passed, _)| passed).map_err(|e| e.to_string())
    }
}

fn start(program: Program, http: u16, stream: &str) -> Result<Server, String> {
    let conf = with_stream(program, http, stream);
    let server = Server::start(program, Prefix::new()?, &conf, http)?;
    let workers = if program == Program::Ours { 1 } else { 2 };
    wait_until("the workers", || children(server.pid()).len() == workers)?;
    Ok(server)
}

fn with_stream(program: Program, http: u16, lines: &str) -> String {
    let rest = configuration(program, http, "", "return 200 'from http';");
    format!("{rest}stream {{ {lines} }}\n")
}

fn connect(port: u16) -> Result<TcpStream, String> {
    let client = TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
    client.set_read_timeout(Some(HANG)).map_err(|e| e.to_string())?;
    Ok(client)
}

/// What comes until the end; a reset is an end too.
fn rest(mut client: TcpStream) -> String {
    let mut all = Vec::new();
    let _ = client.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}
