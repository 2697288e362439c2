//! `syslog:server=…,facility=…,severity=…,tag=…,nohostname`: lines as datagrams of RFC 3164.
//!
//! ```text
//!   <PRI>Sep 28 12:00:00 host tag: line   ──▶ UDP or a unix datagram socket
//! ```

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

use thiserror::Error;

use super::Level;
use crate::base::{clock, date};

/// A syslog server; connects when first used and again after an error.
#[derive(Debug)]
pub struct Syslog {
    server: Server,
    facility: u8,
    severity: Option<u8>,
    tag: String,
    nohostname: bool,
    socket: Mutex<Option<Socket>>,
}

/// What is wrong with the parameter, in nginx's words.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SyslogError {
    #[error("no syslog server specified")]
    NoServer,
    #[error("duplicate syslog \"{0}\"")]
    Duplicate(&'static str),
    #[error("unknown syslog facility \"{0}\"")]
    Facility(String),
    #[error("unknown syslog severity \"{0}\"")]
    Severity(String),
    #[error("syslog tag length exceeds 32")]
    LongTag,
    #[error("syslog \"tag\" only allows alphanumeric characters and underscore")]
    Tag,
    #[error("unknown syslog parameter \"{0}\"")]
    Unknown(String),
    #[error("host not found in syslog server \"{0}\"")]
    Host(String),
}

#[derive(Debug)]
enum Server {
    Udp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Syslog {
    /// Reads what stands after `syslog:`.
    pub fn parse(params: &str) -> Result<Self, SyslogError> {
        let (mut server, mut facility, mut severity, mut tag) = (None, None, None, None);
        let mut nohostname = false;
        for param in params.split(',') {
            match param.split_once('=') {
                Some(("server", v)) => once(&mut server, "server", parse_server(v)?)?,
                Some(("facility", v)) => once(&mut facility, "facility", parse_facility(v)?)?,
                Some(("severity", v)) => once(&mut severity, "severity", parse_severity(v)?)?,
                Some(("tag", v)) => once(&mut tag, "tag", parse_tag(v)?)?,
                None if param == "nohostname" => nohostname = true,
                _ => return Err(SyslogError::Unknown(param.to_owned())),
            }
        }
        Ok(Self {
            server: server.ok_or(SyslogError::NoServer)?,
            facility: facility.unwrap_or(LOCAL7),
            severity,
            tag: tag.unwrap_or_else(|| "nginx".to_owned()),
            nohostname,
            socket: Mutex::new(None),
        })
    }

    /// Sends an error log line; its level is the severity.
    pub fn send(&self, level: Level, line: &[u8]) {
        self.send_with((level as u8).saturating_sub(1), line);
    }

    /// Sends an access log line with the configured severity.
    pub fn send_access(&self, line: &[u8]) {
        self.send_with(self.severity.unwrap_or(INFO), line);
    }

    fn send_with(&self, severity: u8, line: &[u8]) {
        let mut packet = self.head(severity).into_bytes();
        packet.extend_from_slice(line);
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if socket.is_none() {
            *socket = self.server.connect().ok();
        }
        let sent = match socket.as_ref() {
            Some(Socket::Udp(s)) => s.send(&packet),
            Some(Socket::Unix(s)) => s.send(&packet),
            None => return,
        };
        if sent.is_err_and(|e| e.kind() != io::ErrorKind::WouldBlock) {
            *socket = None;
        }
    }

    fn head(&self, severity: u8) -> String {
        let pri = u32::from(self.facility) * 8 + u32::from(severity);
        let time = date::syslog_time(clock::fresh_wall().secs);
        match self.nohostname {
            true => format!("<{pri}>{time} {}: ", self.tag),
            false => format!("<{pri}>{time} {} {}: ", *HOSTNAME, self.tag),
        }
    }
}

impl Server {
    fn connect(&self) -> io::Result<Socket> {
        match self {
            Self::Udp(addr) => {
                let any = if addr.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(addr)?;
                socket.set_nonblocking(true)?;
                Ok(Socket::Udp(socket))
            }
            Self::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_nonblocking(true)?;
                Ok(Socket::Unix(socket))
            }
        }
    }
}

fn once<T>(place: &mut Option<T>, name: &'static str, value: T) -> Result<(), SyslogError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(SyslogError::Duplicate(name)),
    }
}

fn parse_server(text: &str) -> Result<Server, SyslogError> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Server::Unix(path.into()));
    }
    let with_port = match text.rsplit_once(':') {
        Some((_, port)) if port.bytes().all(|c| c.is_ascii_digit()) => text.to_owned(),
        _ => format!("{text}:514"),
    };
    let addr = with_port.to_socket_addrs().ok().and_then(|mut all| all.next());
    addr.map(Server::Udp).ok_or_else(|| SyslogError::Host(text.to_owned()))
}

fn parse_facility(text: &str) -> Result<u8, SyslogError> {
    let known = FACILITIES.iter().position(|f| *f == text);
    known.map(|i| i as u8).ok_or_else(|| SyslogError::Facility(text.to_owned()))
}

fn parse_severity(text: &str) -> Result<u8, SyslogError> {
    let known = Level::ALL.iter().skip(1).position(|l| l.name() == text);
    known.map(|i| i as u8).ok_or_else(|| SyslogError::Severity(text.to_owned()))
}

fn parse_tag(text: &str) -> Result<String, SyslogError> {
    if text.len() > 32 {
        return Err(SyslogError::LongTag);
    }
    match text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
        true => Ok(text.to_owned()),
        false => Err(SyslogError::Tag),
    }
}

/// Lower-case, as nginx keeps it.
static HOSTNAME: LazyLock<String> = LazyLock::new(|| {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_ascii_lowercase()
});

const LOCAL7: u8 = 23;
const INFO: u8 = 6;
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv",
    "ftp", "ntp", "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];
