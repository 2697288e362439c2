//! `ngx.sleep`.

use std::ffi::c_int;
use std::time::Duration;

use super::Topic;
use crate::lua::ask::Ask;
use crate::lua::phase::YIELDABLE;
use crate::lua::raw::{Call, Op, Raise, Reply};

pub const TOPIC: Topic = Topic::of(&[Op { name: "sleep.sleep", phases: YIELDABLE, run: sleep }]);

fn sleep(c: &Call<'_>) -> Result<c_int, Raise> {
    if c.len() != 1 {
        return Err(Raise::text(format!("attempt to pass {} arguments, but accepted 1", c.len())));
    }
    let delay_ms = (c.num(1)? * 1000.0) as i64;
    if delay_ms < 0 {
        return Err(Raise::text(format!("invalid sleep duration \"{delay_ms}\"")));
    }
    if delay_ms == 0 {
        return c.leave(Ask::Again);
    }
    let delay = Duration::from_millis(delay_ms as u64);
    c.wait(async move {
        tokio::time::sleep(delay).await;
        Reply::none()
    })
}
