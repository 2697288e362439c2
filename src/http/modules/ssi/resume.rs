//! Going on with a text when the subrequest it waited for has ended.

use std::rc::Rc;

use bytes::Bytes;

use crate::http::{
    output::{After, Chunk},
    request::Request,
};

use super::{
    FILTER, command,
    state::{Vars, Work},
};

/// Lets the text wait for `sub`: its answer goes into a variable, or a block takes the place of an
/// empty one, or it has spoken already.
pub fn when_ended(r: &Rc<Request>, sub: &Rc<Request>, set: Option<Vec<u8>>, stub: Option<Vec<u8>>) {
    let r = r.clone();
    let told = Rc::downgrade(sub);
    sub.kept::<After>().set(Box::new(move || {
        let works = told.upgrade().is_some_and(|sub| super::is_on(&sub));
        let answer = told.upgrade().and_then(|sub| answer(&sub));
        if let Some(name) = set {
            r.main().kept::<Vars>().set(&name, answer.clone().unwrap_or_default());
        }
        let shown = stub.map(|name| {
            let answer = answer.filter(|text| !text.is_empty());
            match answer {
                Some(text) => Shown::Answer(text),
                None => {
                    let stub = command::stub(&r, &name).unwrap_or_default();
                    // Commands in it count as they would in the answer it stands for.
                    if works { Shown::Stub(stub) } else { Shown::Answer(stub) }
                }
            }
        });
        go_on(&r, shown);
    }));
}

enum Shown {
    /// It has been worked through by its own location.
    Answer(Bytes),
    /// It is a text of this page.
    Stub(Bytes),
}

/// What a captured subrequest answered; nothing for an error.
fn answer(sub: &Rc<Request>) -> Option<Bytes> {
    let capture = sub.capture.as_ref()?;
    let status = sub.status();
    let body = Bytes::copy_from_slice(&capture.body.borrow());
    (status < 300 && !capture.truncated.get()).then_some(body)
}

fn go_on(r: &Rc<Request>, shown: Option<Shown>) {
    let Some(work) = r.ext_if_any::<Work>() else { return };
    let mut out = Default::default();
    if let Some(text) = work.0.borrow_mut().as_mut() {
        text.waits = false;
        match shown {
            Some(Shown::Stub(stub)) => {
                let rest = text.scanner.rest();
                text.scanner.push(&stub);
                text.scanner.push(&rest);
            }
            Some(Shown::Answer(answer)) => {
                let chunks: &mut crate::http::output::Chunks = &mut out;
                chunks.push(Chunk::data(answer));
            }
            None => {}
        }
    }
    super::work_on(r, &work, &mut out);
    // Who is gone does not get the rest.
    let _ = r.output_after(&FILTER, out);
}
