//! `balancer_by_lua*` as the chooser of an upstream group.

use std::rc::Rc;
use std::sync::Arc;

use super::chunk::Script;
use super::phase::Phase;
use super::phases::run_sync;
use super::request::LuaRequest;
use crate::http::Request;
use crate::http::balancer::{Balancer, Turn, Verdict};

/// The script of one group.
pub struct BalancerByLua(pub Arc<Script>);

impl Balancer for BalancerByLua {
    fn choose(&self, r: &Rc<Request>, turn: &Rc<Turn>) -> Verdict {
        // Asked for anew for each try.
        turn.keepalive.replace(None);
        turn.traced.set(false);
        let lua = r.ext::<LuaRequest>();
        lua.exit.set(None);
        if run_sync(r, &self.0, Phase::Balancer, |_| ()).is_none() {
            return Verdict::Status(500);
        }
        match lua.exit.take() {
            None | Some(OK) => Verdict::Go,
            Some(BUSY) => Verdict::Busy,
            Some(DECLINED) => Verdict::Declined,
            // OpenResty's nginx lets a script end the request with a page.
            Some(code @ 300..=999) => Verdict::Status(code as u16),
            Some(_) => Verdict::Status(500),
        }
    }
}

const OK: i32 = 0;
const BUSY: i32 = -3;
const DECLINED: i32 = -5;
