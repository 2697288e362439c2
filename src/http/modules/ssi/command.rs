//! The commands.
//!
//! ```text
//!  echo config set ─▶ at once          if elif else endif ─▶ which text is shown
//!  include ─▶ a subrequest in this place     … set=, stub=, wait=: the text behind it waits
//! ```

use std::rc::Rc;

use bytes::Bytes;

use crate::{
    base::{
        escape::{self, Unescape},
        log::Level,
    },
    http::{
        body::Body,
        capture::Capture,
        method::Method,
        output::{Chunk, Chunks},
        redirect,
        request::{Request, SubrequestSpec},
    },
};

use super::{
    resume,
    scan::Command,
    state::{Blocks, Condition, Text, TimeFormat, Vars},
    value,
};

/// A command that failed; the page says so.
pub struct Failed;

pub type Outcome = Result<(), Failed>;

/// Runs a command; what it has to say goes to `out`.
pub fn run(r: &Rc<Request>, text: &mut Text, command: &Command, out: &mut Chunks) -> Outcome {
    match &command.name[..] {
        b"if" => begin(r, text, command),
        b"elif" => other(r, text, command),
        b"else" => otherwise(r, text),
        b"endif" => end(r, text),
        _ if !text.condition.shows() => Ok(()),
        b"echo" => echo(r, command, out),
        b"set" => set(r, command),
        b"config" => config(r, text, command),
        b"include" => include(r, text, command, out),
        b"block" => block(r, text, command),
        b"endblock" => Err(complain(r, "invalid context of SSI command: \"endblock\"")),
        name => {
            let name = bstr::BStr::new(name);
            Err(complain(r, &format!("invalid SSI command: \"{name}\"")))
        }
    }
}

fn complain(r: &Rc<Request>, text: &str) -> Failed {
    r.log(Level::Error, format_args!("{text}"));
    Failed
}

fn needed<'c>(r: &Rc<Request>, command: &'c Command, param: &str) -> Result<&'c [u8], Failed> {
    command.param(param).ok_or_else(|| {
        let name = bstr::BStr::new(&command.name);
        complain(r, &format!("mandatory \"{param}\" parameter is absent in \"{name}\" SSI command"))
    })
}

fn evaluated(r: &Rc<Request>, text: &[u8]) -> Result<Vec<u8>, Failed> {
    value::evaluate(r, text).ok_or_else(|| {
        let text = bstr::BStr::new(text);
        complain(r, &format!("invalid variable name in \"{text}\""))
    })
}

fn holds(r: &Rc<Request>, command: &Command) -> Result<bool, Failed> {
    let expression = needed(r, command, "expr")?;
    value::condition(r, expression).ok_or_else(|| {
        let expression = bstr::BStr::new(expression);
        complain(r, &format!("invalid expression in \"{expression}\""))
    })
}

fn begin(r: &Rc<Request>, text: &mut Text, command: &Command) -> Outcome {
    if text.condition != Condition::Outside {
        return Err(complain(r, "the \"if\" command inside the \"if\" command"));
    }
    let taken = holds(r, command)?;
    text.condition = Condition::If { taken, any: taken };
    Ok(())
}

fn other(r: &Rc<Request>, text: &mut Text, command: &Command) -> Outcome {
    let Condition::If { any, .. } = text.condition else {
        return Err(complain(r, "invalid context of SSI command: \"elif\""));
    };
    let taken = !any && holds(r, command)?;
    text.condition = Condition::If { taken, any: any || taken };
    Ok(())
}

fn otherwise(r: &Rc<Request>, text: &mut Text) -> Outcome {
    let Condition::If { any, .. } = text.condition else {
        return Err(complain(r, "invalid context of SSI command: \"else\""));
    };
    text.condition = Condition::Else { taken: !any };
    Ok(())
}

fn end(r: &Rc<Request>, text: &mut Text) -> Outcome {
    if text.condition == Condition::Outside {
        return Err(complain(r, "invalid context of SSI command: \"endif\""));
    }
    text.condition = Condition::Outside;
    Ok(())
}

fn echo(r: &Rc<Request>, command: &Command, out: &mut Chunks) -> Outcome {
    let name = needed(r, command, "var")?;
    let Some(value) = value::variable(r, name) else {
        let usual = command.param("default").unwrap_or(b"(none)");
        if !usual.is_empty() {
            out.push(Chunk::data(usual.to_vec()));
        }
        return Ok(());
    };
    let shown = match command.param("encoding").unwrap_or(b"entity") {
        b"none" => value,
        b"url" => escape::uri(&value, &escape::HTML).into_owned().into(),
        b"entity" => escape::html(&value).into_owned().into(),
        word => {
            let word = bstr::BStr::new(word);
            return Err(complain(
                r,
                &format!("unknown encoding \"{word}\" in the \"echo\" command"),
            ));
        }
    };
    out.push(Chunk::data(shown));
    Ok(())
}

fn set(r: &Rc<Request>, command: &Command) -> Outcome {
    let name = needed(r, command, "var")?.to_ascii_lowercase();
    let value = evaluated(r, needed(r, command, "value")?)?;
    r.main().kept::<Vars>().set(&name, value.into());
    Ok(())
}

fn config(r: &Rc<Request>, text: &mut Text, command: &Command) -> Outcome {
    if let Some(format) = command.param("timefmt") {
        let format = Bytes::copy_from_slice(format);
        *r.main().kept::<TimeFormat>().0.borrow_mut() = Some(format);
    }
    if let Some(message) = command.param("errmsg") {
        text.error_message = Bytes::copy_from_slice(message);
    }
    Ok(())
}

fn block(r: &Rc<Request>, text: &mut Text, command: &Command) -> Outcome {
    let name = needed(r, command, "name")?;
    text.block = Some((name.to_vec(), Vec::new()));
    Ok(())
}

fn include(r: &Rc<Request>, text: &mut Text, command: &Command, out: &mut Chunks) -> Outcome {
    let uri = match (command.param("virtual"), command.param("file")) {
        (Some(_), Some(_)) => {
            return Err(complain(r, "inclusion may be either virtual or file"));
        }
        (None, None) => return Err(complain(r, "no parameter in \"include\" SSI command")),
        (Some(uri), None) | (None, Some(uri)) => uri,
    };
    let stub = command.param("stub").map(<[u8]>::to_vec);
    let set = command.param("set").map(<[u8]>::to_ascii_lowercase);
    let wait = match command.param("wait") {
        None => false,
        Some(b"yes") => true,
        Some(b"no") => false,
        Some(word) => {
            let word = bstr::BStr::new(word);
            let text = format!("invalid value \"{word}\" in the \"wait\" parameter");
            return Err(complain(r, &text));
        }
    };
    if set.is_some() && stub.is_some() {
        return Err(complain(r, "\"set\" and \"stub\" cannot be used together in \"include\""));
    }
    let (path, args) = address(r, uri)?;
    let captured = set.is_some() || stub.is_some();
    let spec = SubrequestSpec {
        method: Method::get(),
        uri: path,
        args,
        headers: r.headers_in.borrow().clone(),
        body: Body::shared(&r.body),
        vars: r.vars.borrow().clone(),
        capture: captured.then(|| Rc::new(Capture::default())),
    };
    let Some(sub) = Request::subrequest(r, spec) else {
        return Err(complain(r, "subrequests cycle while processing SSI"));
    };
    if captured || wait {
        text.waits = true;
        resume::when_ended(r, &sub, set, stub);
    }
    out.push(Chunk::sub(sub));
    Ok(())
}

/// The path and arguments of what is included; a path without a slash starts where this one does.
fn address(r: &Rc<Request>, uri: &[u8]) -> Result<(Bytes, Bytes), Failed> {
    let mut text = evaluated(r, uri)?;
    if text.first() != Some(&b'/') {
        let own = r.uri.borrow();
        let folder = own.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        text.splice(..0, own[..folder].iter().copied());
    }
    let (path, args) = redirect::split_args(&text.into());
    let path = escape::unescape_uri(&path, Unescape::All);
    let climbs = path.windows(4).any(|w| w == b"/../") || path.ends_with(b"/..");
    if path.is_empty() || climbs || path.contains(&0) {
        let path = bstr::BStr::new(&path);
        return Err(complain(r, &format!("unsafe URI \"{path}\" was detected")));
    }
    Ok((path.into(), args.unwrap_or_default()))
}

/// The text of a block.
pub fn stub(r: &Rc<Request>, name: &[u8]) -> Option<Bytes> {
    r.main().kept::<Stubs>().0.find(name)
}

/// Keeps a block that has been read.
pub fn keep_block(r: &Rc<Request>, name: &[u8], text: Vec<u8>) {
    r.main().kept::<Stubs>().0.set(name, text.into());
}

/// Apart from the variables, by its type.
#[derive(Default)]
struct Stubs(Blocks);
