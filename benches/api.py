#!/usr/bin/env python3
"""What single calls of the Lua API cost, ours and the distribution's nginx + Lua module with
lua-resty-core, in alternation.

  api.py [--binary PATH] [--rounds 5] [ROW ...]

A row is a loop in one request on a pinned server; it tells the CPU time of the process per turn,
so that other work on the machine matters little. A ratio above 1 means that ours uses less.
"""
import argparse
import os
import shutil
import statistics
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from side_by_side import HERE, NGINX, SERVER_CORE, CLIENT_CORE, Server, backend_configuration
from side_by_side import configuration, free_port

# name -> (question, wanted ratio, turns, what comes before the loop, the body of the loop)
ROWS = {
    'shdict_get': (
        'Reading a string of a shared dictionary', 3, 1_000_000,
        'local d = ngx.shared.d; d:set("key", "a value")', 'd:get("key")'),
    'shdict_get_number': (
        'Reading a number of a shared dictionary', 3, 1_000_000,
        'local d = ngx.shared.d; d:set("number", 42)', 'd:get("number")'),
    'shdict_set': (
        'Writing a string into a shared dictionary', 3, 1_000_000,
        'local d = ngx.shared.d', 'd:set("key", "a value")'),
    'shdict_incr': (
        'Counting in a shared dictionary', 3, 1_000_000,
        'local d = ngx.shared.d; d:set("count", 0)', 'd:incr("count", 1)'),
    're_match': (
        'ngx.re.match that matches, compiled once', 1, 300_000,
        'local match = ngx.re.match', 'match("hello, 1234", "([0-9]+)", "jo")'),
    're_find': (
        'ngx.re.find that matches, compiled once', 1, 300_000,
        'local find = ngx.re.find', 'find("hello, 1234", "([0-9]+)", "jo")'),
    'sleep_0': (
        'ngx.sleep(0): back in the queue and on', 1.3, 200_000,
        'local sleep = ngx.sleep', 'sleep(0)'),
    'thread': (
        'Spawning a light thread and waiting for it', 1.3, 100_000,
        'local spawn, wait = ngx.thread.spawn, ngx.thread.wait; local function f() return 1 end',
        'wait(spawn(f))'),
    'coroutine': (
        'Resuming a coroutine that yields', 1.3, 300_000,
        '''local resume, yield = coroutine.resume, coroutine.yield
        local co = coroutine.create(function() while true do yield(1) end end)''',
        'resume(co)'),
    'coroutine_new': (
        'Making a coroutine and running it to its end', 1.3, 100_000,
        'local create, resume = coroutine.create, coroutine.resume; local function f() end',
        'resume(create(f))'),
    'cosocket': (
        'A line to an echo server and back over a kept connection', 1, 10_000,
        'local tcp = ngx.socket.tcp',
        '''local s = tcp()
        s:connect("127.0.0.1", BACKEND)
        s:send("GET / HTTP/1.1\\r\\nHost: b\\r\\n\\r\\n")
        repeat local line = s:receive() until line == ""
        s:receive(23)
        s:setkeepalive()'''),
    'capture': (
        'A subrequest with location.capture', 1, 20_000,
        'local capture = ngx.location.capture', 'capture("/sub")'),
    'var': (
        'Reading ngx.var', 1, 300_000, 'local var = ngx.var', 'local x = var.request_method'),
    'ctx': (
        'Reading ngx.ctx', 1, 1_000_000, 'ngx.ctx.key = 1', 'local x = ngx.ctx.key'),
    'now': ('ngx.now', 1, 1_000_000, 'local now = ngx.now', 'now()'),
    'md5': ('ngx.md5 of ten bytes', 1, 200_000, 'local md5 = ngx.md5', 'md5("0123456789")'),
    'base64': (
        'ngx.encode_base64 of ten bytes', 1, 500_000,
        'local encode = ngx.encode_base64', 'encode("0123456789")'),
    'escape': (
        'ngx.escape_uri', 1, 500_000, 'local escape = ngx.escape_uri', 'escape("a b/c?d")'),
}

# Four workers at the same keys: requests over four connections, each of this many turns.
SHARED_WORKERS, SHARED_TURNS = 4, 400_000
SHARED = ('local d = ngx.shared.d', '''local key = "key" .. i % 64
            d:set(key, i)
            d:get(key)
            d:incr("all", 1, 0)''')


def main():
    options = arguments()
    port = free_port()
    rows, shared = {name: {} for name in options.rows}, {}
    with Server(NGINX, backend_configuration(port), port, core=CLIENT_CORE):
        for _ in range(options.rounds):
            for program in (NGINX, options.binary):
                one_round(program, port, options, rows)
                if options.shared:
                    shared.setdefault(program, []).append(four_workers(program))
    print('%-18s %10s %10s %8s %8s' % ('call', 'peer ns', 'ours ns', 'ratio', 'wanted'))
    missed = 0
    for name, sides in rows.items():
        missed += line(name, sides, options, ROWS[name][1])
    if options.shared:
        missed += line('shdict_4_workers', shared, options, 1)
    print('\n%d of %d rows below what is wanted' % (missed, len(rows) + bool(options.shared)))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--binary', default=os.path.join(HERE, '../target/release/moonbeat'))
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('rows', nargs='*', metavar='ROW')
    options = parser.parse_args()
    options.shared = not options.rows or 'shdict_4_workers' in options.rows
    options.rows = [row for row in options.rows if row != 'shdict_4_workers'] or (
        [] if options.rows else list(ROWS))
    unknown = [row for row in options.rows if row not in ROWS]
    if unknown:
        sys.exit('unknown row: ' + ' '.join(unknown))
    for tool in ('taskset', NGINX):
        if not shutil.which(tool):
            sys.exit('not installed: ' + tool)
    options.binary = os.path.abspath(options.binary)
    return options


def line(name, sides, options, wanted):
    peer, ours = (statistics.median(sides[program]) for program in (NGINX, options.binary))
    ratio = peer / ours
    print('%-18s %10.0f %10.0f %8.2f %8.1f%s' % (
        name, peer, ours, ratio, wanted, '' if ratio >= wanted else '  <'))
    return ratio < wanted


def location(name, before, body, turns):
    """CPU nanoseconds per turn; the first tenth warms up."""
    return '''location = /%s {
        content_by_lua_block {
            local clock = os.clock
            %s
            for i = 1, %d do %s end
            collectgarbage()
            local start = clock()
            for i = 1, %d do %s end
            ngx.say((clock() - start) / %d * 1e9)
        }
    }
''' % (name, before, turns // 10, body, turns, body, turns)


def one_round(program, backend_port, options, rows):
    port = free_port()
    locations = 'return 404; } location = /sub { return 200 "sub"; }\n'
    for name in options.rows:
        _, _, turns, before, body = ROWS[name]
        locations += location(name, before, body, turns)
    text = configuration(program, port, 'lua_shared_dict d 10m;',
                         locations.replace('BACKEND', str(backend_port)) + 'location /end {')
    with Server(program, text, port, core=SERVER_CORE):
        for name in options.rows:
            rows[name].setdefault(program, []).append(float(fetch(port, name)))


def fetch(port, name):
    return urllib.request.urlopen('http://127.0.0.1:%d/%s' % (port, name), timeout=120).read()


def four_workers(program):
    """CPU nanoseconds of the whole server per turn, with four workers on all cores."""
    port, cores = free_port(), SERVER_CORE + ',' + CLIENT_CORE
    before, body = SHARED
    text = configuration(program, port, 'lua_shared_dict d 10m;', '''content_by_lua_block {
            %s
            for i = 1, %d do %s end
            ngx.say(ngx.worker.pid())
        }''' % (before, SHARED_TURNS, body))
    text = text.replace('worker_processes 1', 'worker_processes %d' % SHARED_WORKERS)
    # Each worker takes connections from a queue of its own, so that none gets two of a few.
    text = text.replace('listen 127.0.0.1:%d' % port, 'listen 127.0.0.1:%d reuseport' % port)
    with Server(program, text, port, core=cores) as server:
        used = server.cpu_seconds()
        requests = 16
        with ThreadPoolExecutor(requests) as pool:
            list(pool.map(lambda _: fetch(port, 't'), range(requests)))
        used = server.cpu_seconds() - used
    return used / (requests * SHARED_TURNS) * 1e9


if __name__ == '__main__':
    main()
