//! Flags in, exit code out.

use std::process::ExitCode;

use moonbeat::app;
use moonbeat::base::alloc::Allocator;
use moonbeat::cli::{HELP, Invocation};
use moonbeat::process;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    if process::is_worker() {
        return code(app::run_worker());
    }
    match Invocation::parse(std::env::args().skip(1)) {
        Ok(invocation) => code(start(&invocation)),
        Err(wrong) => {
            eprintln!("nginx: {wrong}");
            code(1)
        }
    }
}

fn start(invocation: &Invocation) -> i32 {
    if invocation.version {
        eprint!("{}", app::version());
        if invocation.help {
            eprint!("{}", HELP.replace("PREFIX", app::DEFAULT_PREFIX));
        }
        if invocation.build {
            eprint!("{}", app::build_info());
        }
        if !invocation.test {
            return 0;
        }
    }
    app::run(&app::Request {
        prefix: invocation.prefix.clone(),
        conf: invocation.conf.clone(),
        error_log: invocation.error_log.clone(),
        globals: invocation.globals.clone(),
        quiet: invocation.quiet,
        what: what(invocation),
    })
}

fn what(invocation: &Invocation) -> app::What {
    match (invocation.signal, &invocation.check_now) {
        (Some(action), _) => app::What::Signal(action),
        (_, Some(upstream)) => app::What::CheckNow(upstream.clone()),
        _ if invocation.explain_health => app::What::ExplainHealth,
        _ if invocation.dump => app::What::Dump,
        _ if invocation.test => app::What::Test,
        _ => app::What::Serve,
    }
}

fn code(number: i32) -> ExitCode {
    ExitCode::from(u8::try_from(number).unwrap_or(1))
}
