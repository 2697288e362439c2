//! `echo_before_body` and `echo_after_body`: text around the body of any response.

use std::rc::Rc;

use crate::{
    conf::Scope,
    http::{
        output::{Chunk, Chunks, Filter, OutputError},
        request::Request,
    },
};

use super::{
    Progress,
    conf::{Command, Commands},
};

pub static FILTER: Around = Around;

/// Puts the text around.
pub struct Around;

impl Filter for Around {
    fn applies(&self, scope: &Scope) -> bool {
        let found = scope.find::<Commands>();
        found.is_some_and(|commands| !commands.before.is_empty() || !commands.after.is_empty())
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        let mut out = r.headers_out.borrow_mut();
        out.content_length = None;
        out.list.remove(b"Accept-Ranges");
        Ok(())
    }

    fn body(&self, r: &Rc<Request>, chunks: &mut Chunks) -> Result<(), OutputError> {
        if r.header_only.get() {
            return Ok(());
        }
        let location = r.location();
        let commands = location.scope.part::<Commands>();
        if !r.ext::<Progress>().before_sent.replace(true) {
            chunks.insert(0, Chunk::data(text(r, &commands.before)));
        }
        if let Some(last) = chunks.iter_mut().find(|chunk| chunk.last) {
            last.last = false;
            let data = text(r, &commands.after).into();
            chunks.push(Chunk { data, last: true, ..Chunk::default() });
        }
        Ok(())
    }
}

fn text(r: &Rc<Request>, commands: &[Command]) -> Vec<u8> {
    let mut text = Vec::new();
    for command in commands {
        let args: Vec<_> = command.args.iter().map(|arg| arg.eval(r)).collect();
        text.extend_from_slice(&super::line(&args, command.bare));
    }
    text
}
