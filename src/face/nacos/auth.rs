//! Login: a token for everybody, or, with an account configured, for who knows its password.
//!
//! ```text
//!  POST …/login username=nacos password=…  ─▶  accessToken ─▶  ?accessToken=…  or  Bearer …
//! ```

use std::rc::Rc;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::base::clock;
use crate::http::Request;

use super::answer::{Answer, Version};
use super::conf::Account;
use super::fault::Fault;
use super::params::Params;

/// Answers a login; version 3 alone puts the token into an envelope of no kind either.
pub fn login(account: Option<&Account>, params: &Params) -> Result<Answer, Fault> {
    let user = params.text("username").unwrap_or("nacos");
    if let Some(account) = account {
        let password = params.text("password").unwrap_or_default();
        if user != account.user || !same(password.as_bytes(), account.password.as_bytes()) {
            return Err(Fault::Forbidden("unknown user!"));
        }
    }
    let until_s = clock::wall().secs + TOKEN_TTL_S;
    let reply = json!({
        "accessToken": sign(user, until_s),
        "tokenTtl": TOKEN_TTL_S,
        "globalAdmin": true,
        "username": user,
    });
    Ok(Answer::value(Version::V1, &reply))
}

/// True for the paths of logins.
pub fn is_login(path: &str) -> bool {
    matches!(path, "v1/auth/login" | "v1/auth/users/login" | "v3/auth/user/login")
}

/// Refuses a call that needs a token and has no valid one.
pub fn check(account: &Account, r: &Rc<Request>, params: &Params) -> Result<(), Fault> {
    let headers = r.headers_in.borrow();
    let bearer = headers.first("Authorization").and_then(|value| value.strip_prefix(b"Bearer "));
    let header = headers.first("accessToken").map(|value| &value[..]);
    let token = params.text("accessToken").map(str::as_bytes).or(bearer).or(header);
    let Some(token) = token else { return Err(Fault::Forbidden("user not found!")) };
    let user = std::str::from_utf8(token).ok().and_then(valid_user);
    match user {
        Some(user) if user == account.user => Ok(()),
        _ => Err(Fault::Forbidden("token invalid!")),
    }
}

/// `user.until.signature`, each readable in a URL.
fn sign(user: &str, until_s: i64) -> String {
    let claim = format!("{}.{until_s}", URL_SAFE_NO_PAD.encode(user));
    let signature = URL_SAFE_NO_PAD.encode(mac(claim.as_bytes()));
    format!("{claim}.{signature}")
}

fn valid_user(token: &str) -> Option<String> {
    let (claim, signature) = token.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    if !same(&mac(claim.as_bytes()), &signature) {
        return None;
    }
    let (user, until_s) = claim.split_once('.')?;
    let until_s: i64 = until_s.parse().ok()?;
    let user = URL_SAFE_NO_PAD.decode(user).ok()?;
    if until_s > clock::wall().secs { String::from_utf8(user).ok() } else { None }
}

fn mac(claim: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(&*SECRET).expect("a key of any length will do");
    mac.update(claim);
    mac.finalize().into_bytes().into()
}

/// Compares in a time that tells nothing about where two texts differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

/// New with each process: its tokens die with it.
static SECRET: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let mut secret = [0; 32];
    let random = std::fs::File::open("/dev/urandom");
    // Without the system's randomness tokens could be guessed: then the address space is mixed in.
    let read = random.and_then(|mut file| std::io::Read::read_exact(&mut file, &mut secret));
    if read.is_err() {
        use std::hash::{BuildHasher, RandomState};
        for part in secret.chunks_mut(8) {
            part.copy_from_slice(
                &RandomState::new().hash_one(clock::fresh_mono_ms()).to_ne_bytes(),
            );
        }
    }
    secret
});

const TOKEN_TTL_S: i64 = 18_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_ours_and_end() {
        let now_s = clock::wall().secs;
        assert_eq!(valid_user(&sign("na.cos", now_s + 10)).as_deref(), Some("na.cos"));
        assert_eq!(valid_user(&sign("nacos", now_s - 10)), None);
        let token = sign("nacos", now_s + 10);
        assert_eq!(valid_user(&token[..token.len() - 2]), None);
        assert_eq!(valid_user("..."), None);
    }
}
