#!/usr/bin/env python3
"""Our binary and the distribution's nginx + Lua module, in alternation, with the same configuration.

  side_by_side.py [--binary PATH] [--rounds 5] [--seconds 3] [--connections 32] [SCENARIO ...]

The server runs on one core and wrk, with any backend, on another, so that requests/s is the
server's limit. Every round starts each server afresh; a row shows medians. Ratios above 1 mean
that ours is faster or uses less CPU.
"""
import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
NGINX = '/usr/sbin/nginx'
MODULES = '/usr/lib/nginx/modules'
SERVER_CORE, CLIENT_CORE = '0', '1'

HEADERS = ['X-One: 1', 'X-Two: two', 'X-Three: three', 'X-Four: 4', 'X-Five: five']

# name -> (question, http-level lines, location body, request headers)
SCENARIOS = {
    'return_200': (
        'What does the bare core cost?',
        '', 'return 200 "hello\\n";', []),
    'lua_hello': (
        'What does entering Lua and one ngx.say cost?',
        '', 'content_by_lua_block { ngx.say("hello") }', []),
    'lua_headers': (
        'What do five header reads and three header writes cost?',
        '', '''content_by_lua_block {
            local h = ngx.req.get_headers()
            local sum = (h["x-one"] or "") .. (h["x-two"] or "") .. (h["x-three"] or "")
                .. (h["x-four"] or "") .. (h["x-five"] or "")
            ngx.header["X-Sum"] = sum
            ngx.header["X-Length"] = #sum
            ngx.header["Content-Type"] = "text/plain"
            ngx.say("ok")
        }''', HEADERS),
    'status_page': (
        'What does the status page of three upstreams cost?',
        '''lua_shared_dict healthcheck 1m;
        upstream one { server 127.0.0.1:BACKEND; server 127.0.0.1:BACKEND backup; }
        upstream two { server 127.0.0.1:BACKEND; server 127.0.0.1:BACKEND backup; }
        upstream three { server 127.0.0.1:BACKEND; server 127.0.0.1:BACKEND backup; }''',
        '''content_by_lua_block {
            ngx.print(require("resty.upstream.healthcheck").status_page())
        }''', []),
    'proxy': (
        'What does proxying with a connection per request cost?',
        '', 'proxy_pass http://127.0.0.1:BACKEND;', []),
    'proxy_keepalive': (
        'What does proxying over kept connections cost?',
        'upstream backend { server 127.0.0.1:BACKEND; keepalive 64; }',
        '''proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_pass http://backend;''', []),
}


def main():
    options = arguments()
    backend_port = free_port()
    rows = []
    with Server(NGINX, backend_configuration(backend_port), backend_port, core=CLIENT_CORE):
        for name in options.scenarios:
            rows.append(scenario(name, options, backend_port))
            print(rows[-1], flush=True)
    print()
    print('%-16s %12s %12s %8s %12s %12s %8s' % (
        'scenario', 'peer req/s', 'ours req/s', 'ratio', 'peer us/req', 'ours us/req', 'ratio'))
    worst = None
    for row in rows:
        print(row.line())
        worst = min(worst or row.rate_ratio, row.rate_ratio, row.cpu_ratio)
    print('\nworst ratio: %.2f' % worst)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--binary', default=os.path.join(HERE, '../target/release/moonbeat'))
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=3)
    parser.add_argument('--connections', type=int, default=32)
    parser.add_argument('scenarios', nargs='*', default=list(SCENARIOS))
    options = parser.parse_args()
    for tool in ('wrk', 'taskset', NGINX):
        if not shutil.which(tool):
            sys.exit('not installed: ' + tool)
    unknown = [name for name in options.scenarios if name not in SCENARIOS]
    if unknown:
        sys.exit('unknown scenario: ' + ' '.join(unknown))
    options.binary = os.path.abspath(options.binary)
    return options


class Row:
    """Medians of one scenario."""

    def __init__(self, name, peer, ours):
        middle = statistics.median
        self.name = name
        self.peer_rate, self.ours_rate = (middle(r for r, _ in side) for side in (peer, ours))
        self.peer_cpu, self.ours_cpu = (middle(c for _, c in side) for side in (peer, ours))
        self.rate_ratio = self.ours_rate / self.peer_rate
        self.cpu_ratio = self.peer_cpu / self.ours_cpu

    def line(self):
        return '%-16s %12.0f %12.0f %8.2f %12.2f %12.2f %8.2f' % (
            self.name, self.peer_rate, self.ours_rate, self.rate_ratio,
            self.peer_cpu, self.ours_cpu, self.cpu_ratio)

    __str__ = line


def scenario(name, options, backend_port):
    question, http, location, headers = SCENARIOS[name]
    print('%s: %s' % (name, question), flush=True)
    sides = {NGINX: [], options.binary: []}
    for _ in range(options.rounds):
        for program, results in sides.items():
            port = free_port()
            text = configuration(program, port, http, location)
            text = text.replace('BACKEND', str(backend_port))
            with Server(program, text, port, core=SERVER_CORE) as server:
                load(port, 0.5, options.connections, headers)
                results.append(measure(server, port, options, headers))
    return Row(name, sides[NGINX], sides[options.binary])


def measure(server, port, options, headers):
    """Requests per second, and CPU microseconds per request of the whole server."""
    before = server.cpu_seconds()
    requests, seconds = load(port, options.seconds, options.connections, headers)
    used = server.cpu_seconds() - before
    return requests / seconds, used / requests * 1e6


def load(port, seconds, connections, headers):
    """Runs wrk; returns requests and seconds. Any failed request ends the run."""
    command = ['taskset', '-c', CLIENT_CORE, 'wrk', '-t1', '-c%d' % connections,
               '-d%ds' % max(1, round(seconds))]
    for header in headers:
        command += ['-H', header]
    command += ['-s', os.path.join(HERE, 'count.lua'), 'http://127.0.0.1:%d/t' % port]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    requests, microseconds, errors = (int(n) for n in output.split('COUNT ')[1].split()[:3])
    if errors or not requests:
        sys.exit('%d requests, %d failed:\n%s' % (requests, errors, output))
    return requests, microseconds / 1e6


def configuration(program, port, http, location):
    peer = program == NGINX
    return '''%s
worker_processes 1;
daemon off;
master_process on;
error_log logs/error.log warn;
pid logs/nginx.pid;
%s
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 100000000;
    default_type text/plain;
    %s
    %s
    server {
        listen 127.0.0.1:%d;
        location /t {
            %s
        }
    }
}
''' % (peer_modules() if peer else '', 'user root;' if os.geteuid() == 0 else '',
       'lua_package_path "%s/peer/?.lua;;";' % HERE if peer else '', http, port, location)


def backend_configuration(port):
    return '''worker_processes 1;
daemon off;
error_log logs/error.log warn;
pid logs/nginx.pid;
%s
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 100000000;
    server { listen 127.0.0.1:%d; return 200 "hello from the backend\\n"; }
}
''' % ('user root;' if os.geteuid() == 0 else '', port)


def peer_modules():
    names = ('ndk_http_module.so', 'ngx_http_lua_module.so')
    return ''.join('load_module %s/%s;\n' % (MODULES, name) for name in names)


class Server:
    """A server on a core of its own, in a temporary folder."""

    def __init__(self, program, conf, port, core):
        self.folder = tempfile.mkdtemp(prefix='moonbeat-bench-')
        os.makedirs(self.folder + '/logs')
        os.makedirs(self.folder + '/conf')
        with open(self.folder + '/conf/nginx.conf', 'w') as out:
            out.write(conf)
        self.process = subprocess.Popen(
            ['taskset', '-c', core, program, '-p', self.folder + '/', '-c', 'conf/nginx.conf',
             '-e', 'logs/error.log'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_until_listening(port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def wait_until_listening(self, port):
        end = time.monotonic() + 10
        while time.monotonic() < end and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', port)) == 0:
                    return
            time.sleep(0.02)
        with open(self.folder + '/logs/error.log') as log:
            sys.exit('the server does not start:\n' + log.read())

    def cpu_seconds(self):
        """User and system time of the process and its children."""
        return sum(cpu_of(pid) for pid in family(self.process.pid))


def family(root):
    children = {}
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                with open('/proc/%s/stat' % entry) as stat:
                    parent = int(stat.read().rsplit(')', 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry))
    found, open_pids = [root], [root]
    while open_pids:
        for child in children.get(open_pids.pop(), []):
            found.append(child)
            open_pids.append(child)
    return found


def cpu_of(pid):
    with open('/proc/%d/stat' % pid) as stat:
        fields = stat.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


if __name__ == '__main__':
    main()
