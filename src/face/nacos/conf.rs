//! `nacos_naming [strict] [strict_http_200] [auth=user:password];` in a location.
//!
//! ```text
//!  location /nacos/ { nacos_naming; }     answers /nacos/v1/…, /nacos/v2/…, /nacos/v3/…
//! ```

use bstr::ByteSlice;

use crate::conf::row::{LOCATION, Row, args, row};
use crate::conf::{Builder, Diag, Directive, Part};
use crate::http::build::Content;

use super::handler::HANDLER;

pub const ROWS: &[Row] = &[row("nacos_naming", LOCATION, args(0, 3), set_naming)];

/// How a location answers.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Health can be set of persistent instances without a checker only, as in Nacos itself.
    pub strict: bool,
    /// Probes take 200 for healthy, whatever `expectedResponseCode` says, as Nacos does.
    pub strict_http_200: bool,
    /// Who may call; anybody when there is none.
    pub auth: Option<Account>,
}

/// The one account of a location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub user: String,
    pub password: String,
}

/// The directive of one location.
#[derive(Default)]
pub struct NacosNaming(pub Option<Options>);

impl Part for NacosNaming {
    fn inherit(&mut self, _parent: &Self) {}
}

/// What the locations of this configuration need of the process.
#[derive(Default)]
pub struct NacosUsed {
    /// One of them has a naming face.
    pub naming: bool,
    pub strict_http_200: bool,
}

impl Part for NacosUsed {
    fn inherit(&mut self, _parent: &Self) {}
}

fn set_naming(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut options = Options::default();
    for index in 1..=d.arg_count() {
        let word = d.arg(index);
        match word.as_bytes() {
            b"strict" => options.strict = true,
            b"strict_http_200" => options.strict_http_200 = true,
            _ => options.auth = Some(account(word).ok_or_else(|| d.bad_param(index))?),
        }
    }
    let used = b.main::<NacosUsed>();
    used.naming = true;
    used.strict_http_200 |= options.strict_http_200;
    d.once(&mut b.part::<NacosNaming>().0, |_| Ok(options))?;
    b.part::<Content>().0 = Some(&HANDLER);
    Ok(())
}

fn account(word: &[u8]) -> Option<Account> {
    let (user, password) = word.strip_prefix(b"auth=")?.to_str().ok()?.split_once(':')?;
    let filled = !user.is_empty() && !password.is_empty();
    filled.then(|| Account { user: user.into(), password: password.into() })
}
