//! `ngx.arg`: arguments of `set_by_lua`, the chunk and the end mark of `body_filter_by_lua`.

use std::ffi::c_int;

use bytes::Bytes;

use super::Topic;
use super::output::append_list;
use crate::http::{Chunk, Chunks};
use crate::lua::phase::Phase;
use crate::lua::raw::{Call, Kind, Op, Raise};
use crate::lua::request::LuaRequest;

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "arg.get", phases: Phase::Set.bit() | Phase::BodyFilter.bit(), run: get },
    Op { name: "arg.set", phases: Phase::BodyFilter.bit(), run: set },
]);

fn get(c: &Call<'_>) -> Result<c_int, Raise> {
    let lua = c.request()?.ext::<LuaRequest>();
    let index = c.int(1)?;
    if c.ctx()?.phase == Phase::Set {
        let args = lua.set_args.borrow();
        let at = usize::try_from(index - 1).ok();
        return c.ret(at.and_then(|at| args.get(at)));
    }
    let chunks = lua.filtering.borrow();
    match index {
        1 => c.ret(&*joined(&chunks)),
        2 => c.ret(chunks.iter().any(|chunk| chunk.last)),
        _ => Err(Raise::text(format!("bad index: {index}"))),
    }
}

fn joined(chunks: &Chunks) -> Bytes {
    match &chunks[..] {
        [one] => one.data.clone(),
        many => many
            .iter()
            .fold(Vec::new(), |mut all, chunk| {
                all.extend_from_slice(&chunk.data);
                all
            })
            .into(),
    }
}

fn set(c: &Call<'_>) -> Result<c_int, Raise> {
    let lua = c.request()?.ext::<LuaRequest>();
    let mut chunks = lua.filtering.borrow_mut();
    match c.int(1)? {
        1 => {
            let data = data_of(c)?;
            let flush = chunks.iter().any(|chunk| chunk.flush);
            let last = chunks.iter().any(|chunk| chunk.last);
            chunks.clear();
            if !data.is_empty() || flush || last {
                chunks.push(Chunk { data: data.into(), flush, last, ..Chunk::default() });
            }
        }
        2 => {
            let last = c.truthy(2);
            chunks.iter_mut().for_each(|chunk| chunk.last = false);
            match chunks.last_mut() {
                Some(chunk) => chunk.last = last,
                None if last => chunks.push(Chunk::last()),
                None => {}
            }
        }
        index => return Err(Raise::text(format!("bad index: {index}"))),
    }
    Ok(0)
}

fn data_of(c: &Call<'_>) -> Result<Vec<u8>, Raise> {
    match c.kind(2) {
        Kind::Str | Kind::Num => Ok(c.bytes(2)?.to_vec()),
        Kind::Nil => Ok(Vec::new()),
        Kind::Table => {
            let mut data = Vec::new();
            append_list(c, 2, &mut data, true).map_err(|message| c.arg_error(3, message))?;
            Ok(data)
        }
        _ => Err(Raise::text(format!("bad chunk data type: {}", c.type_name(2)))),
    }
}
