//! Rows of the echo module: each adds a command to a list of its block.

use crate::{
    conf::{
        Builder, Diag, Directive, Part,
        row::{Arity, IF_LOCATION, LOCATION, Row, args, at_least, row, take},
    },
    http::{build::Content, template::Template},
};

/// The commands of one block.
#[derive(Clone, Default)]
pub struct Commands {
    pub content: Vec<Command>,
    pub before: Vec<Command>,
    pub after: Vec<Command>,
    pub status: Option<u64>,
}

impl Part for Commands {
    fn inherit(&mut self, parent: &Self) {
        for (own, above) in [
            (&mut self.content, &parent.content),
            (&mut self.before, &parent.before),
            (&mut self.after, &parent.after),
        ] {
            if own.is_empty() {
                own.clone_from(above);
            }
        }
        self.status = self.status.or(parent.status);
    }
}

/// A command and its arguments.
#[derive(Clone, Debug)]
pub struct Command {
    pub what: What,
    pub args: Vec<Template>,
    /// `-n`: no line end.
    pub bare: bool,
}

/// The commands, named as their directives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Echo,
    RequestBody,
    ReadRequestBody,
    Sleep,
    BlockingSleep,
    Flush,
    ResetTimer,
    Location,
    LocationAsync,
    Subrequest,
    SubrequestAsync,
    Duplicate,
    ForeachSplit,
    End,
    Exec,
    AbortParent,
}

pub const ROWS: &[Row] = &[
    command("echo", at_least(0), |b, d| add(b, d, What::Echo)),
    command("echo_request_body", take(0), |b, d| add(b, d, What::RequestBody)),
    command("echo_sleep", take(1), |b, d| add(b, d, What::Sleep)),
    command("echo_flush", take(0), |b, d| add(b, d, What::Flush)),
    command("echo_blocking_sleep", take(1), |b, d| add(b, d, What::BlockingSleep)),
    command("echo_reset_timer", take(0), |b, d| add(b, d, What::ResetTimer)),
    command("echo_location_async", args(1, 2), |b, d| add(b, d, What::LocationAsync)),
    command("echo_location", args(1, 2), |b, d| add(b, d, What::Location)),
    command("echo_subrequest_async", at_least(2), |b, d| add(b, d, What::SubrequestAsync)),
    command("echo_subrequest", at_least(2), |b, d| add(b, d, What::Subrequest)),
    command("echo_duplicate", at_least(2), |b, d| add(b, d, What::Duplicate)),
    command("echo_read_request_body", take(0), |b, d| add(b, d, What::ReadRequestBody)),
    command("echo_foreach_split", at_least(2), |b, d| add(b, d, What::ForeachSplit)),
    command("echo_end", take(0), |b, d| add(b, d, What::End)),
    command("echo_abort_parent", take(0), |b, d| add(b, d, What::AbortParent)),
    command("echo_exec", args(1, 2), |b, d| add(b, d, What::Exec)),
    command("echo_before_body", at_least(0), |b, d| {
        let command = compile(b, d, What::Echo)?;
        b.part::<Commands>().before.push(command);
        Ok(())
    }),
    command("echo_after_body", at_least(0), |b, d| {
        let command = compile(b, d, What::Echo)?;
        b.part::<Commands>().after.push(command);
        Ok(())
    }),
    command("echo_status", take(1), |b, d| d.number_slot(&mut b.part::<Commands>().status)),
];

const fn command(name: &'static str, arity: Arity, set: crate::conf::row::Set) -> Row {
    row(name, LOCATION | IF_LOCATION, arity, set)
}

fn add(b: &mut Builder<'_>, d: &Directive, what: What) -> Result<(), Diag> {
    let command = compile(b, d, what)?;
    b.part::<Commands>().content.push(command);
    b.part::<Content>().0 = Some(&super::Echo);
    Ok(())
}

/// Words that begin with `-` before the first other one are options; `--` ends them.
fn compile(b: &mut Builder<'_>, d: &Directive, what: What) -> Result<Command, Diag> {
    let mut command = Command { what, args: Vec::new(), bare: false };
    let mut options = true;
    let mut first_option = None;
    for word in d.args() {
        let text = &word.text;
        if options && text.len() > 1 && text.starts_with(b"-") && !text.contains(&b'$') {
            if text.starts_with(b"--") {
                options = false;
            } else {
                first_option.get_or_insert(&text[1..]);
            }
            continue;
        }
        options = false;
        command.args.push(Template::compile(b, text)?);
    }
    command.bare = first_option == Some(&b"n"[..]);
    Ok(command)
}
