//! Chunks run as light threads; what they print with `out()` is compared.

use std::cell::RefCell;

use super::api;
use super::ask::Outcome;
use super::ctx::Ctx;
use super::phase::Phase;
use super::sched;
use super::vm::{Settings, Vm, Worker};
use crate::process::conf::ThreadPool;

/// Runs `code` as `content_by_lua`; gives the outcome and the global `out` joined by spaces.
fn run(code: &str) -> (Outcome, String) {
    run_in(Phase::Content, code)
}

fn run_in(phase: Phase, code: &str) -> (Outcome, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    runtime.block_on(local.run_until(async {
        let vm = Vm::new(&Worker::new(Settings::default(), Some(0))).unwrap();
        let pool = ThreadPool { name: "pool".into(), threads: 2, max_queue: 10 };
        api::worker_thread::bind(&vm.worker, &[pool], Some(1), || Box::new(|_| ()));
        let prelude = "local lines = {}\nout = function(...)\nfor i = 1, select('#', ...) do \
                       lines[#lines + 1] = tostring((select(i, ...))) end end\n\
                       function collect() return table.concat(lines, ' ') end";
        let setup = vm.host.load(prelude.as_bytes(), "=setup").unwrap();
        vm.host.call(&setup, &[], |_| ()).unwrap();
        let func = vm.host.load(code.as_bytes(), "=content_by_lua(nginx.conf:40)").unwrap();
        let ctx = Ctx::new(&vm, phase, None);
        let outcome = sched::run(&ctx, &func, &[]).await;
        let text = RefCell::new(String::new());
        let read = vm.host.load(b"return collect()", "=read").unwrap();
        vm.host.call(&read, &[], |v| *text.borrow_mut() = v.text_lossy(1)).unwrap();
        (outcome, text.into_inner())
    }))
}

fn prints(code: &str, expected: &str) {
    assert_eq!(run(code), (Outcome::Done, expected.to_owned()));
}

#[test]
fn a_chunk_runs_to_its_end() {
    prints("out(1 + 1, ngx.get_phase())", "2 content");
}

#[test]
fn sleep_waits_and_gives_way() {
    prints(
        "local t = ngx.now() ngx.sleep(0.02) ngx.update_time() out(ngx.now() - t >= 0.019)",
        "true",
    );
    prints("ngx.sleep(0) out('after')", "after");
}

#[test]
fn sleep_inside_coroutines_suspends_the_light_thread() {
    prints(
        "local co = coroutine.create(function(a) ngx.sleep(0.001) local b = coroutine.yield(a + 1) \
         ngx.sleep(0) return b * 2 end)
         out(coroutine.resume(co, 1)) out(coroutine.status(co)) out(coroutine.resume(co, 5))
         out(coroutine.status(co)) out(coroutine.resume(co))",
        "true 2 suspended true 10 dead false cannot resume dead coroutine",
    );
    prints(
        "local w = coroutine.wrap(function() for i = 1, 3 do ngx.sleep(0.001) coroutine.yield(i) end \
         end) out(w(), w(), w())",
        "1 2 3",
    );
}

#[test]
fn resume_keeps_the_number_of_results() {
    prints(
        "local co = coroutine.create(function() end) out(select('#', coroutine.resume(co)))",
        "1",
    );
}

#[test]
fn spawn_runs_the_child_at_once() {
    prints(
        "local t = ngx.thread.spawn(function(a, b) out('child', a, b) ngx.sleep(0.01) out('late') \
         return 'x', 'y' end, 1, 2)
         out('parent', coroutine.status(t)) out(ngx.thread.wait(t)) out(coroutine.status(t))
         out(ngx.thread.wait(t))",
        "child 1 2 parent running late true x y dead nil already waited or killed",
    );
}

#[test]
fn the_entry_waits_for_user_threads() {
    prints("ngx.thread.spawn(function() ngx.sleep(0.01) out('end') end) out('entry')", "entry end");
}

#[test]
fn wait_takes_the_first_of_several() {
    prints(
        "local function f(s) ngx.sleep(s) return s end
         local a, b = ngx.thread.spawn(f, 0.5), ngx.thread.spawn(f, 0.001)
         out(ngx.thread.wait(a, b)) out(ngx.thread.wait(a))",
        "true 0.001 true 0.5",
    );
}

#[test]
fn a_failed_thread_gives_false_and_the_message() {
    prints(
        "local t = ngx.thread.spawn(function() ngx.sleep(0) error('boom') end)
         out(ngx.thread.wait(t))",
        "false boom content_by_lua(nginx.conf:40):1: boom",
    );
}

#[test]
fn kill_has_openrestys_answers() {
    prints(
        "local t = ngx.thread.spawn(function() ngx.sleep(10) end)
         out(ngx.thread.kill(t)) out(ngx.thread.kill(t))
         local z = ngx.thread.spawn(function() end)
         out(coroutine.status(z)) out(ngx.thread.kill(z))",
        "1 nil already waited or killed zombie nil already terminated",
    );
}

#[test]
fn only_the_parent_may_wait() {
    prints(
        "local t = ngx.thread.spawn(function() ngx.sleep(0.001) end)
         local u = ngx.thread.spawn(function() out(pcall(ngx.thread.wait, t)) end)",
        "false only the parent coroutine can wait on the thread",
    );
}

#[test]
fn an_uncaught_error_ends_the_entry() {
    let (outcome, _) = run("local function f() error('boom') end\nf()");
    assert_eq!(outcome, Outcome::Error);
    let (outcome, _) = run("ngx.thread.spawn(function() ngx.sleep(9) end) error({})");
    assert_eq!(outcome, Outcome::Error);
}

#[test]
fn phases_are_checked_in_one_place() {
    let (_, text) = run_in(Phase::Log, "out(pcall(ngx.sleep, 1))");
    assert_eq!(text, "false API disabled in the context of log_by_lua*");
}

#[test]
fn argument_errors_name_the_caller() {
    prints(
        "out(pcall(ngx.sleep, 'x'))",
        "false bad argument #1 to 'sleep' (number expected, got string)",
    );
    prints(
        "out(pcall(function() ngx.sleep() end))",
        "false content_by_lua(nginx.conf:40):1: attempt to pass 0 arguments, but accepted 1",
    );
}

#[test]
fn timers_run_without_a_request() {
    prints(
        "out(ngx.timer.at(0.001, function(premature, a) out(premature, a, ngx.get_phase()) end, 7))
         out(ngx.timer.pending_count(), ngx.timer.running_count())
         repeat ngx.sleep(0.005) until ngx.timer.pending_count() + ngx.timer.running_count() == 0
         out(ngx.timer.pending_count())",
        "1 1 0 false 7 timer 0",
    );
    prints(
        "local n = 0 ngx.timer.every(0.005, function(p, a) n = n + a end, 2)
         repeat ngx.sleep(0.005) until n >= 6
         out(n >= 6)",
        "true",
    );
}

#[test]
fn many_threads_are_cheap_and_reused() {
    prints(
        "local n = 0 for i = 1, 10000 do local t = ngx.thread.spawn(function() ngx.sleep(0) n = n + 1 \
         end) ngx.thread.wait(t) end out(n)",
        "10000",
    );
}

#[test]
fn encoding() {
    prints(
        "out(ngx.escape_uri('a b/é'), ngx.unescape_uri('a+b%2F'), ngx.encode_base64('hello', true),
         ngx.decode_base64('aGVsbG8='), ngx.md5('x'), ngx.crc32_long('hello'))
         out(ngx.encode_args({ a = { 1, 'x y', true } }))
         local t = ngx.decode_args('a=1&b&a=2&a=3') out(t.b, #t.a, t.a[3])",
        "a%20b%2F%C3%A9 a b/ aGVsbG8 hello 9dd4e461268c8034f5c8564e155c67a6 907060870 \
         a=1&a=x%20y&a true 3 3",
    );
}

#[test]
fn regexes() {
    prints(
        "local m = ngx.re.match('hello, 1234', '(?<n>[0-9])([0-9]+)', 'jo') out(m[0], m[1], m.n, m[2])
         out(ngx.re.find('abc', 'b')) out(ngx.re.match('x', 'y'))
         out(ngx.re.gsub('hello', '([a-z])', '[$1]', 'i'))
         out(ngx.re.sub('abc', 'b', function(m) return '<' .. m[0] .. '>' end))
         for m in ngx.re.gmatch('a1b2', '[a-z]') do out(m[0]) end
         out(table.concat(require('ngx.re').split('a,b,c', ','), '|'))
         out(ngx.re.match('x', '(')) out(pcall(ngx.re.match, 'x', 'y', 'Z'))",
        "1234 1 1 234 2 2 nil [h][e][l][l][o] 5 a<b>c 1 a b a|b|c nil \
         pcre2_compile() failed: missing closing parenthesis in \"(\" false \
         unknown flag \"Z\" (flags \"Z\")",
    );
}

#[test]
fn semaphores() {
    prints(
        "local s = require('ngx.semaphore').new(0)
         local t = ngx.thread.spawn(function() return s:wait(1) end)
         out(s:count()) s:post(1) out(ngx.thread.wait(t)) out(s:wait(0.001)) out(s:wait(0))",
        "-1 true true nil nil timeout nil timeout",
    );
}

#[test]
fn json_both_ways() {
    prints(
        r#"local j = require 'cjson' out(j.encode({ 1, 2, { a = 'x"y' } }), j.encode({}))
         local v = j.decode('{"a":[1,2.5,null,true],"b":{"c":"\\u00e9"}}')
         out(v.a[2], v.a[3] == j.null, v.a[4], v.b.c)
         out(require('cjson.safe').decode('{"a":')) out(j.encode(j.empty_array), j.encode(ngx.null))"#,
        "[1,2,{\"a\":\"x\\\"y\"}] {} 2.5 true true é nil \
         Expected value but found T_END at character 6 [] null",
    );
}

#[test]
fn chunk_names_are_openrestys() {
    use super::chunk::inline_name;
    use std::path::Path;
    let prefix = Path::new("/etc/moonbeat/");
    let name = |file: &str| inline_name("content_by_lua_block", Path::new(file), prefix, 40);
    assert_eq!(name("/a/b/conf/nginx.conf"), "=content_by_lua(nginx.conf:40)");
    assert_eq!(name("/etc/moonbeat/sites/a.conf"), "=content_by_lua(sites/a.conf:40)");
    assert_eq!(
        name("/srv/a/very/long/path/that/does/not/fit/into/it/b.conf"),
        "=content_by_lua(...path/that/does/not/fit/into/it/b.conf:40)"
    );
}

#[test]
fn worker_threads_run_functions_of_modules() {
    prints(
        "local run = ngx.run_worker_thread
         out(run('pool', 'string', 'rep', 'ab', 3)) out(run('pool', 'math', 'max', 2, 7))
         out(run('pool', 'ngx', 'md5', 'hello')) out(run('pool', 'ngx', 'say'))
         local _, t = run('pool', 'table', 'clone', { 1, a = { b = true } }) out(t[1], t.a.b)
         out(run('none', 'm', 'f')) out(run('pool', 'm')) out(run({}, 'm', 'f'))
         out(run('pool', {}, 'f')) out(run('pool', 'm', {})) out(run('pool', 'math', 'pi'))
         out(run('pool', 'string', 'len', print)) out(run('pool', 'coroutine', 'create', 1))
         local t = {} t.t = t out(run('pool', 'math', 'max', t))",
        "true ababab true 7 true 5d41402abc4b2a76b9719d911017c592 false invalid function 1 true \
         false thread pool none not found false expecting at least 3 arguments \
         false threadpool should be a string false module name should be a string \
         false function name should be a string false invalid function \
         false unsupported Lua type: LUA_TFUNCTION in the argument \
         false bad argument #1 to '?' (function expected, got number) \
         false suspicious circular references, table depth exceed max depth: 100 in the argument",
    );
}

#[test]
fn a_worker_may_make_so_many_thread_vms() {
    prints(
        "local a = ngx.thread.spawn(ngx.run_worker_thread, 'pool', 'string', 'rep', 'x', 2)
         out(ngx.run_worker_thread('pool', 'string', 'len', 'x')) out(ngx.thread.wait(a))
         out(ngx.run_worker_thread('pool', 'string', 'len', 'x'))",
        "false no available Lua vm true true xx true 1",
    );
}

#[test]
fn children_are_written_to_read_and_waited_for() {
    prints(
        "local pipe = require 'ngx.pipe'
         local p = pipe.spawn({ 'cat' }) out(p:write('one\\r\\ntwo\\nthree')) p:shutdown('stdin')
         out(p:stdout_read_line()) out(p:stdout_read_bytes(2)) out(p:stdout_read_any(9))
         out(p:stdout_read_all()) out(p:stdout_read_line()) out(p:wait()) out(p:wait())
         out(p:stdout_read_all())
         local q = pipe.spawn('echo $A >&2; exit 3', { environ = { 'A=b' } })
         out(q:stderr_read_line()) out(q:wait()) out(q:kill(9))
         local s = pipe.spawn({ 'sleep', 10 }, { wait_timeout = 10, merge_stderr = true })
         out(s:wait()) out(s:kill(12345)) out(s:stderr_read_line()) out(s:kill(15)) out(s:wait())
         out(pipe.spawn({ '/nowhere/x' }):wait())",
        "14 one nil nil tw nil nil o\nthree nil nil  nil nil nil closed  true exit 0 nil exited nil \
         nil closed nil b nil nil false exit 3 nil exited nil timeout nil nil invalid signal \
         nil merged to stdout nil true false signal 15 false exit 1",
    );
}

#[test]
fn a_pipe_has_one_reader() {
    prints(
        "local pipe = require 'ngx.pipe' local p = pipe.spawn({ 'sleep', '10' })
         local function read() return p:stdout_read_line() end
         local a = ngx.thread.spawn(read) out(read()) p:shutdown('stdout') out(ngx.thread.wait(a))
         p:set_timeouts(nil, nil, 10) out(p:stderr_read_line())
         out(pcall(p.write, p, true)) out(pcall(pipe.spawn, {}))",
        "nil pipe busy reading nil true nil aborted  nil timeout  \
         false bad data arg: string, number, or table expected, got boolean \
         false bad args arg: non-empty table expected",
    );
}
