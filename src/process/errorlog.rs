//! `error_log`: where the messages of the whole server, or of one http block, go.
//!
//! A log file that cannot be opened is told after the whole configuration was read, without a
//! place, as nginx does.

use std::path::PathBuf;
use std::sync::Arc;

use bstr::ByteSlice;

use crate::base::log::{self, Chain, Level, Sink, Syslog};
use crate::conf::row::{HTTP_LEVELS, MAIN, STREAM, STREAM_SERVER, at_least, row};
use crate::conf::{Builder, Diag, Directive, Part, Row, Scope, logfile};

/// The error logs of one block.
#[derive(Debug, Default)]
pub struct ErrorLog {
    sinks: Vec<(Sink, Level)>,
    chain: Option<Arc<Chain>>,
}

impl ErrorLog {
    /// The logs of this block; those of the main level when neither it nor a block around it
    /// names any.
    pub fn chain(&self) -> Arc<Chain> {
        self.chain.clone().unwrap_or_else(log::main_chain)
    }

    /// The same without the main level.
    pub fn own_chain(&self) -> Option<&Arc<Chain>> {
        self.chain.as_ref()
    }

    /// The file behind the first log, for redirecting stderr into it.
    pub fn file(&self) -> Option<Arc<std::fs::File>> {
        self.chain.iter().flat_map(|c| c.sinks()).find_map(|(sink, _)| match sink {
            Sink::File(file) => Some(file.current()),
            _ => None,
        })
    }
}

impl Part for ErrorLog {
    fn inherit(&mut self, parent: &Self) {
        self.chain = match self.sinks.is_empty() {
            true => parent.chain.clone(),
            false => Some(Arc::new(Chain::new(self.sinks.clone()))),
        };
    }
}

pub const ROWS: &[Row] = &[row("error_log", LEVELS, at_least(1), set_error_log)];

/// Opens the default log if the configuration names none on the main level, and tells of all
/// logs that could not be opened.
pub fn finish(b: &mut Builder<'_>) -> Result<(), Diag> {
    if b.main::<ErrorLog>().sinks.is_empty() {
        let default = b.main::<DefaultLog>().0.clone();
        let name = default.as_os_str().as_encoded_bytes().as_bstr();
        let sink = match name == b"stderr".as_bstr() {
            true => Some(Sink::Stderr),
            false => logfile::open(b, name).map(Sink::File),
        };
        b.main::<ErrorLog>().sinks.extend(sink.map(|s| (s, Level::Error)));
    }
    let main = b.main::<ErrorLog>();
    main.chain = Some(Arc::new(Chain::new(main.sinks.clone())));
    logfile::finish(b);
    Ok(())
}

fn set_error_log(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let sink = sink(b, d)?;
    let level = level(d)?;
    let scope: &mut Scope = b.scope();
    scope.part_mut::<ErrorLog>().sinks.extend(sink.map(|s| (s, level)));
    Ok(())
}

fn sink(b: &mut Builder<'_>, d: &Directive) -> Result<Option<Sink>, Diag> {
    let target = d.arg(1);
    if target == b"stderr".as_bstr() {
        return Ok(Some(Sink::Stderr));
    }
    if target.starts_with(b"memory:") {
        return Err(d.wrong_arg(1, "nginx was built without debug support"));
    }
    if let Some(params) = target.strip_prefix(b"syslog:") {
        let peer = Syslog::parse(&params.to_str_lossy());
        return peer
            .map(|p| Some(Sink::Syslog(Arc::new(p))))
            .map_err(|e| d.wrong_arg(1, e.to_string()));
    }
    Ok(logfile::open(b, target).map(Sink::File))
}

fn level(d: &Directive) -> Result<Level, Diag> {
    let mut chosen: Option<Level> = None;
    for (index, word) in (2..).zip(d.args().iter().skip(1)) {
        let bad = |what| d.wrong_arg(index, format!("{what} log level \"{}\"", word.text));
        let level = Level::from_name(&word.text).ok_or_else(|| bad("invalid"))?;
        // Several debug masks may stand together; levels may not.
        if chosen.is_some_and(|known| known != Level::Debug || level != Level::Debug) {
            return Err(bad("duplicate"));
        }
        chosen = Some(level);
    }
    Ok(chosen.unwrap_or(Level::Error))
}

/// The log of a configuration that names none: `-e`; set before the configuration is read.
#[derive(Debug, Default)]
pub struct DefaultLog(pub PathBuf);

impl Part for DefaultLog {
    fn inherit(&mut self, _: &Self) {}
}

const LEVELS: u32 = MAIN | HTTP_LEVELS | STREAM | STREAM_SERVER;
