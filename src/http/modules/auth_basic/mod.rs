//! `auth_basic`: names and passwords from a file.

mod password;

use std::{path::PathBuf, rc::Rc};

use base64::Engine;
use bstr::{BStr, ByteSlice};
use bytes::Bytes;

use crate::{
    base::log::Level,
    conf::{
        Part, Scope, inherit,
        row::{HTTP_LEVELS, LIMIT_EXCEPT, Row, row, take},
    },
};

use crate::http::{
    files,
    phase::{Flow, Handler, Phase, Registered, Step},
    request::Request,
    template::Template,
};

pub const HANDLERS: &[Registered] = &[Registered { phase: Phase::Access, handler: &AuthBasic }];

pub const ROWS: &[Row] = &[
    row("auth_basic", HTTP_LEVELS | LIMIT_EXCEPT, take(1), |b, d| {
        let realm = Template::compile(b, d.arg(1))?;
        d.once(&mut b.part::<Basic>().realm, |_| Ok(realm))
    }),
    row("auth_basic_user_file", HTTP_LEVELS | LIMIT_EXCEPT, take(1), |b, d| {
        let path = Template::compile(b, d.arg(1))?;
        // Passwords stand beside the configuration.
        b.part::<Basic>().folder = Some(b.dirs().conf.clone());
        d.once(&mut b.part::<Basic>().file, |_| Ok(path))
    }),
];

/// Settings of one block.
#[derive(Default)]
struct Basic {
    realm: Option<Template>,
    file: Option<Template>,
    /// Where relative names of files start.
    folder: Option<PathBuf>,
}

impl Part for Basic {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: realm, file, folder);
    }
}

struct AuthBasic;

impl Handler for AuthBasic {
    fn applies(&self, scope: &Scope) -> bool {
        let found = scope.find::<Basic>();
        found.is_some_and(|basic| basic.realm.is_some() && basic.file.is_some())
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let location = r.location();
        let basic = location.scope.part::<Basic>();
        let (Some(realm), Some(file)) = (&basic.realm, &basic.file) else {
            return Step::Ready(Flow::Decline);
        };
        let realm = realm.eval(r);
        if realm.as_ref() == b"off" {
            return Step::Ready(Flow::Decline);
        }
        let file = file.eval(r);
        let full = basic.folder.clone().unwrap_or_default().join(file.to_path_lossy());
        let full = std::os::unix::ffi::OsStrExt::as_bytes(full.as_os_str()).to_vec();
        Step::Ready(check(r, &realm, &full.into()))
    }
}

fn check(r: &Rc<Request>, realm: &[u8], file: &Bytes) -> Flow {
    let Some((user, given)) = credentials(r) else {
        let text = "no user/password was provided for basic authentication";
        r.log(Level::Info, format_args!("{text}"));
        return ask(r, realm);
    };
    let users = match files::open(file) {
        Ok(_) => match std::fs::read(file.to_path_lossy()) {
            Ok(users) => users,
            Err(_) => return Flow::Status(500),
        },
        Err(refused) => {
            refused.tell(r, file);
            // Without the file nobody may enter, but the server is not broken.
            return Flow::Status(if refused.status == 404 { 403 } else { 500 });
        }
    };
    let shown = BStr::new(&user);
    let line = users.lines().find_map(|line| {
        let (name, rest) = line.split_once_str(":").filter(|_| !line.starts_with(b"#"))?;
        (name == user).then(|| rest.split(|byte| *byte == b':').next().unwrap_or_default())
    });
    match line {
        Some(stored) if password::matches(&given, stored.trim_end()) => Flow::Next,
        Some(_) => {
            r.log(Level::Error, format_args!("user \"{shown}\": password mismatch"));
            ask(r, realm)
        }
        None => {
            let file = BStr::new(file);
            r.log(Level::Error, format_args!("user \"{shown}\" was not found in \"{file}\""));
            ask(r, realm)
        }
    }
}

fn ask(r: &Rc<Request>, realm: &[u8]) -> Flow {
    let challenge = [b"Basic realm=\"", realm, b"\""].concat();
    r.headers_out.borrow_mut().list.set("WWW-Authenticate", challenge);
    Flow::Status(401)
}

fn credentials(r: &Rc<Request>) -> Option<(Vec<u8>, Vec<u8>)> {
    let headers = r.headers_in.borrow();
    let value = headers.first("Authorization")?;
    let (kind, encoded) = value.split_at_checked(6)?;
    if !kind.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let plain = base64::engine::general_purpose::STANDARD.decode(encoded.trim()).ok()?;
    let (user, password) = plain.split_once_str(":")?;
    Some((user.to_vec(), password.to_vec()))
}
