//! The echo module: a location's response, written down as a list of commands.
//!
//! ```text
//!  echo_before_body ─▶ echo, echo_sleep, echo_location … one after the other ─▶ echo_after_body
//! ```
//! Commands that need no waiting run at once; the first that does makes the handler wait.

pub mod conf;
mod filter;
mod subrequest;
mod vars;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use bstr::{BStr, ByteSlice};
use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::{
    base::{clock, log::Level},
    conf::Scope,
};

use self::conf::{Command, Commands, What};
use crate::http::{
    location::Location,
    output::Chunk,
    phase::{Flow, Handler, LocalBoxFuture, Step},
    redirect,
    request::Request,
};

pub use self::{filter::FILTER, vars::VARS};

/// The content handler.
pub struct Echo;

/// Where a request stands in its commands.
#[derive(Default)]
struct Progress {
    next: Cell<usize>,
    each: RefCell<Option<Loop>>,
    timer: Cell<Option<clock::Wall>>,
    /// `$echo_incr`, counted in the main request.
    count: Cell<u64>,
    before_sent: Cell<bool>,
    /// Subrequests that run beside the commands.
    beside: RefCell<Vec<JoinHandle<()>>>,
}

/// `echo_foreach_split … echo_end`
struct Loop {
    start: usize,
    choices: Vec<Bytes>,
    at: usize,
}

/// What a command comes to.
enum Then {
    GoOn,
    End(Flow),
    Sleep(Duration),
    ReadBody,
    /// The subrequest is over before the next command begins.
    Await(Rc<Request>),
}

impl Handler for Echo {
    fn applies(&self, _scope: &Scope) -> bool {
        true
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        r.ext::<Progress>().next.set(0);
        match advance(r) {
            Then::End(flow) => Step::Ready(flow),
            then => Step::wait(go_on(r, then)),
        }
    }
}

/// Runs commands until one has to wait, or the list ends.
fn advance(r: &Rc<Request>) -> Then {
    let progress = r.ext::<Progress>();
    let location = r.location();
    let commands = &location.scope.part::<Commands>().content;
    while let Some(command) = commands.get(progress.next.get()) {
        match run(r, &progress, &location, command) {
            Then::GoOn => progress.next.set(progress.next.get() + 1),
            Then::ReadBody if command.what != What::ReadRequestBody => return Then::ReadBody,
            Then::End(flow) => return finish(r, &progress, flow),
            then => {
                progress.next.set(progress.next.get() + 1);
                return then;
            }
        }
    }
    let flow = match send(r, Chunk::last()) {
        Then::End(flow) => flow,
        _ => match r.discard_body() {
            Ok(()) => Flow::Done,
            Err(error) => Flow::Status(error.0),
        },
    };
    finish(r, &progress, flow)
}

/// The end, once the subrequests beside have ended too.
fn finish(r: &Rc<Request>, progress: &Progress, flow: Flow) -> Then {
    match progress.beside.borrow().is_empty() {
        true => Then::End(flow),
        false => {
            r.ext::<Ending>().0.set(Some(flow));
            Then::GoOn
        }
    }
}

/// The answer of a handler that waits for subrequests beside it.
#[derive(Default)]
struct Ending(Cell<Option<Flow>>);

fn go_on<'a>(r: &'a Rc<Request>, mut then: Then) -> LocalBoxFuture<'a, Flow> {
    Box::pin(async move {
        loop {
            match then {
                Then::End(flow) => return flow,
                Then::GoOn => return wait_beside(r).await,
                Then::Sleep(duration) => tokio::time::sleep(duration).await,
                Then::Await(sub) => {
                    if !r.ext::<Progress>().beside.borrow().is_empty() {
                        // Those beside began earlier.
                        tokio::task::yield_now().await;
                    }
                    crate::http::subrequest::drive(sub).await;
                }
                Then::ReadBody => {
                    if let Err(error) = r.read_body().await {
                        return Flow::Status(error.0);
                    }
                }
            }
            clock::update();
            then = advance(r);
        }
    })
}

async fn wait_beside(r: &Rc<Request>) -> Flow {
    let progress = r.ext::<Progress>();
    let ending = r.ext::<Ending>();
    loop {
        let Some(task) = progress.beside.borrow_mut().pop() else { break };
        // A subrequest that panicked has ended.
        let _ = task.await;
    }
    ending.0.take().unwrap_or(Flow::Done)
}

fn run(r: &Rc<Request>, progress: &Progress, location: &Location, command: &Command) -> Then {
    let args: Vec<Bytes> = command.args.iter().map(|arg| arg.eval(r)).collect();
    match command.what {
        What::Echo => send(r, Chunk::data(line(&args, command.bare))),
        What::RequestBody => match r.body.bytes() {
            Ok(body) => send(r, Chunk::data(body)),
            Err(error) => {
                r.log(Level::Crit, format_args!("request body file: {error}"));
                Then::End(Flow::Status(500))
            }
        },
        What::ReadRequestBody => Then::ReadBody,
        What::Sleep => match duration(r, &args) {
            Ok(duration) => Then::Sleep(duration),
            Err(then) => then,
        },
        What::BlockingSleep => match duration(r, &args) {
            Ok(duration) => {
                // Blocking is what it is for.
                std::thread::sleep(duration);
                clock::update();
                Then::GoOn
            }
            Err(then) => then,
        },
        What::Flush => match r.output(Chunk::flush()) {
            Ok(()) => Then::GoOn,
            Err(error) => Then::End(error.flow()),
        },
        What::ResetTimer => {
            progress.timer.set(Some(clock::fresh_wall()));
            Then::GoOn
        }
        What::Duplicate => duplicate(r, &args),
        What::ForeachSplit => split(r, progress, location, &args),
        What::End => end(r, progress),
        What::Exec => Then::End(exec(r, &args)),
        What::AbortParent => Then::GoOn,
        What::Location | What::LocationAsync | What::Subrequest | What::SubrequestAsync
            if needs_body(r) =>
        {
            Then::ReadBody
        }
        What::Location => wait_for(subrequest::location(r, "echo_location", &args)),
        What::Subrequest => wait_for(subrequest::custom(r, "echo_subrequest", &args)),
        What::LocationAsync => {
            beside(progress, subrequest::location(r, "echo_location_async", &args))
        }
        What::SubrequestAsync => {
            beside(progress, subrequest::custom(r, "echo_subrequest_async", &args))
        }
    }
}

/// Subrequests share the body, so it has to be there first.
fn needs_body(r: &Rc<Request>) -> bool {
    !r.is_subrequest() && !r.body.is_read() && !r.body.is_discarded()
}

fn wait_for(sub: Result<Rc<Request>, Flow>) -> Then {
    sub.map_or_else(Then::End, Then::Await)
}

fn beside(progress: &Progress, sub: Result<Rc<Request>, Flow>) -> Then {
    match sub {
        Ok(sub) => {
            let task = tokio::task::spawn_local(crate::http::subrequest::drive(sub));
            progress.beside.borrow_mut().push(task);
            Then::GoOn
        }
        Err(flow) => Then::End(flow),
    }
}

/// Sends the head when it is still to be sent; true when there may be a body.
fn send_head(r: &Rc<Request>) -> Result<bool, Flow> {
    if !r.header_sent.get() {
        let status = r.with_location(|location| location.scope.part::<Commands>().status);
        r.set_status(status.unwrap_or(200) as u16);
        r.choose_content_type();
        r.headers_out.borrow_mut().content_length = None;
        r.headers_out.borrow_mut().list.remove(b"Accept-Ranges");
        r.send_header().map_err(|error| error.flow())?;
    }
    Ok(!r.header_only.get())
}

fn send(r: &Rc<Request>, chunk: Chunk) -> Then {
    match send_head(r) {
        Err(flow) => return Then::End(flow),
        Ok(false) => return Then::GoOn,
        Ok(true) => {}
    }
    if chunk.data.is_empty() && !chunk.last {
        return Then::GoOn;
    }
    match r.output(chunk) {
        Ok(()) => Then::GoOn,
        Err(error) => Then::End(error.flow()),
    }
}

/// The arguments with spaces between them.
fn line(args: &[Bytes], bare: bool) -> Bytes {
    let mut text = args.join(&b' ');
    if !bare {
        text.push(b'\n');
    }
    text.into()
}

fn duplicate(r: &Rc<Request>, args: &[Bytes]) -> Then {
    let [count, text, ..] = args else { return Then::End(Flow::Status(500)) };
    let digits = count.replace(b"_", b"");
    let Some(times) = crate::base::units::parse_number(&digits) else {
        r.log(Level::Error, format_args!("invalid size specified: \"{}\"", BStr::new(count)));
        return Then::End(Flow::Status(500));
    };
    let Some(bytes) =
        times.checked_mul(text.len() as u64).filter(|all| *all <= DUPLICATE_BYTES_MAX)
    else {
        return Then::End(Flow::Status(500));
    };
    if bytes == 0 {
        return send(r, Chunk::default());
    }
    send(r, Chunk::data(text.repeat(times as usize)))
}

fn duration(r: &Rc<Request>, args: &[Bytes]) -> Result<Duration, Then> {
    let text = args.first().cloned().unwrap_or_default();
    match parse_ms(&text) {
        Some(ms) => Ok(Duration::from_millis(ms)),
        None => {
            let text = BStr::new(&text);
            r.log(Level::Error, format_args!("invalid sleep duration \"{text}\""));
            Err(Then::End(Flow::Status(400)))
        }
    }
}

/// Seconds with up to three decimals.
fn parse_ms(text: &[u8]) -> Option<u64> {
    let text = text.to_str().ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if text.is_empty() || !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    whole.checked_mul(1000)?.checked_add(part)
}

fn split(r: &Rc<Request>, progress: &Progress, location: &Location, args: &[Bytes]) -> Then {
    if progress.each.borrow().is_some() {
        r.log(Level::Error, format_args!("Nested echo_foreach not supported yet."));
        return Then::End(Flow::Status(500));
    }
    let [delimiter, compound, ..] = args else {
        r.log(
            Level::Error,
            format_args!(
                "echo_foreach should take at least two arguments. (if your delimiter starts with \
                 \"-\", preceding it with a \"--\".)"
            ),
        );
        return Then::End(Flow::Status(500));
    };
    let choices: Vec<Bytes> = match delimiter.is_empty() {
        true => vec![compound.clone()],
        false => compound.split_str(delimiter).map(|part| compound.slice_ref(part)).collect(),
    };
    let choices: Vec<Bytes> = choices.into_iter().filter(|choice| !choice.is_empty()).collect();
    let start = progress.next.get();
    if choices.is_empty() {
        let commands = &location.scope.part::<Commands>().content;
        let rest = commands[start..].iter();
        // The body is skipped; `echo_end` then closes the empty loop.
        let skipped = rest.take_while(|command| command.what != What::End).count();
        progress.next.set(start + skipped - 1);
    }
    *progress.each.borrow_mut() = Some(Loop { start, choices, at: 0 });
    Then::GoOn
}

fn end(r: &Rc<Request>, progress: &Progress) -> Then {
    let mut each = progress.each.borrow_mut();
    let Some(current) = each.as_mut() else {
        r.log(
            Level::Error,
            format_args!("Found a echo_end that has no corresponding echo_foreach before it."),
        );
        return Then::End(Flow::Close);
    };
    current.at += 1;
    if current.at >= current.choices.len() {
        *each = None;
    } else {
        progress.next.set(current.start);
    }
    Then::GoOn
}

fn exec(r: &Rc<Request>, args: &[Bytes]) -> Flow {
    let target = args.first().cloned().unwrap_or_default();
    if target.is_empty() {
        return Flow::Status(400);
    }
    let Some((uri, query)) = redirect::parse_given(&target) else { return Flow::Close };
    let query = args.get(1).cloned().or(query).unwrap_or_default();
    if !uri.starts_with(b"@") {
        return redirect::internal(r, uri, query);
    }
    if !query.is_empty() {
        let (query, uri) = (BStr::new(&query), BStr::new(&uri));
        r.log(
            Level::Warn,
            format_args!("querystring {query} ignored when exec'ing named location {uri}"),
        );
    }
    redirect::named(r, &uri)
}

/// A configuration that asks for more is refused instead of taking all memory.
const DUPLICATE_BYTES_MAX: u64 = 1 << 31;
