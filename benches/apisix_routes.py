#!/usr/bin/env python3
"""APISIX's gateway with few and with many routes: what a request, a write and a route cost.

  apisix_routes.py [--binary PATH] [--routes 10000] [--upstreams 5000] [--seconds 3] [--rounds 5]

Questions: does a request cost more where there are more routes (CPU of the worker thread, matched
and unmatched, in alternation)? How soon does traffic see a PUT? What memory do a route and a peer
under check take? The Admin API writes everything; upstreams have two nodes and active checks.
"""
import argparse
import http.client
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

KEY = {'X-API-KEY': 'bench'}
SERVER_CORE, CLIENT_CORE = '0', '1'

CONF = '''daemon off;
master_process off;
error_log logs/error.log warn;
events {{ }}
http {{
    access_log off;
    keepalive_requests 100000000;
    server {{
        listen 127.0.0.1:{port};
        location /apisix/admin/ {{ apisix_admin key=bench; }}
        location / {{ apisix_gateway; }}
    }}
    server {{
        listen {backend};
        location / {{ return 200 "ok"; }}
    }}
}}
'''

WRK = '''local paths = {{ {paths} }}
local at = 0
function request()
    at = at % #paths + 1
    return wrk.format("GET", paths[at])
end
'''


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Gateway:
    """A gateway with this many routes and upstreams."""

    def __init__(self, binary, routes, upstreams):
        self.folder = tempfile.TemporaryDirectory(prefix='moonbeat-bench-')
        self.port, self.backend = free_port(), free_port()
        for name in ('conf', 'logs'):
            os.mkdir(os.path.join(self.folder.name, name))
        with open(os.path.join(self.folder.name, 'conf/nginx.conf'), 'w') as file:
            file.write(CONF.format(port=self.port, backend=self.backend))
        command = ['taskset', '-c', SERVER_CORE, binary, '-p', self.folder.name]
        self.process = subprocess.Popen(command)
        self.wait()
        self.routes, self.upstreams = routes, upstreams
        self.empty_kb = self.resident_kb()

    def wait(self):
        for _ in range(200):
            try:
                socket.create_connection(('127.0.0.1', self.port)).close()
                return
            except OSError:
                time.sleep(0.05)
        sys.exit('the gateway does not start')

    def put(self, connection, path, document):
        connection.request('PUT', '/apisix/admin' + path, json.dumps(document), KEY)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            sys.exit(f'{path}: {answer.status} {text}')

    def all(self, count, path, document):
        """Writes `count` documents over several connections, as one group of writes each."""
        def some(first):
            connection = http.client.HTTPConnection('127.0.0.1', self.port)
            for at in range(first, count, WRITERS):
                self.put(connection, f'{path}/{at}', document(at))
        threads = [threading.Thread(target=some, args=(first,)) for first in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def fill(self):
        begun = time.time()
        hot = {'nodes': {f'127.0.0.1:{self.backend}': 1}}
        self.put(http.client.HTTPConnection('127.0.0.1', self.port), '/upstreams/hot', hot)
        self.all(self.upstreams, '/upstreams', self.upstream)
        with_upstreams_kb = self.resident_kb()
        self.all(self.routes, '/routes', self.route)
        self.filled_s = time.time() - begun
        return with_upstreams_kb, self.resident_kb()

    def upstream(self, at):
        # Addresses of the loopback net, so that each peer is one of its own.
        nodes = {f'127.{1 + at // 200 % 200}.{at % 200}.{i}:{self.backend}': 1 for i in (1, 2)}
        checks = {'active': {'type': 'tcp', 'healthy': {'interval': 60},
                             'unhealthy': {'interval': 60}}}
        return {'nodes': nodes, 'checks': checks}

    def route(self, at):
        shapes = [f'/api/v1/service-{at}/items', f'/api/v1/service-{at}/*', f'/team-{at}/app/*',
                  f'/{at % 26:x}/deep/path/of/{at}/here']
        # Some share one upstream: what is measured is not how connections are kept.
        upstream = 'hot' if at % 7 == HOT else str(at % self.upstreams)
        return {'uri': shapes[at % 4], 'upstream_id': upstream}

    def paths(self, hit):
        hot = range(HOT, self.routes, 7)
        chosen = random.Random(1).sample(hot, min(len(hot), 1000))
        paths = [self.route(at)['uri'].replace('*', 'leaf') for at in chosen]
        # Those that miss go a long way along a route.
        return paths if hit else [path.removesuffix('/leaf')[:-1] + 'x' for path in paths]

    def resident_kb(self):
        with open(f'/proc/{self.process.pid}/status') as file:
            line = next(line for line in file if line.startswith('VmRSS'))
        return int(line.split()[1])

    def ticks(self):
        """CPU of all threads but those of checks and followers."""
        total = 0
        task = f'/proc/{self.process.pid}/task'
        for thread in os.listdir(task):
            with open(f'{task}/{thread}/stat') as file:
                text = file.read()
            name = text[text.index('(') + 1:text.rindex(')')]
            if not any(word in name for word in ('health', 'apisix', 'store', 'check')):
                fields = text[text.rindex(')') + 2:].split()
                total += int(fields[11]) + int(fields[12])
        return total

    def cost_us(self, hit, seconds):
        """CPU microseconds of a request, by wrk over some connections."""
        script = os.path.join(self.folder.name, 'wrk.lua')
        with open(script, 'w') as file:
            file.write(WRK.format(paths=', '.join(f'"{path}"' for path in self.paths(hit))))
        before = self.ticks()
        printed = subprocess.run(
            ['taskset', '-c', CLIENT_CORE, 'wrk', '-t1', '-c16', f'-d{seconds}s', '-s', script,
             f'http://127.0.0.1:{self.port}'], capture_output=True, text=True, check=True).stdout
        spent = (self.ticks() - before) / os.sysconf('SC_CLK_TCK')
        requests = next(int(line.split()[0]) for line in printed.splitlines() if ' requests in ' in line)
        answered_wrong = 'Non-2xx' in printed
        if hit and answered_wrong:
            sys.exit(printed)
        return spent / requests * 1e6

    def touch_all(self):
        """One request to each upstream: that starts its checks."""
        connection = http.client.HTTPConnection('127.0.0.1', self.port)
        for at in range(min(self.routes, self.upstreams)):
            connection.request('GET', self.route(at)['uri'].replace('*', 'leaf'))
            connection.getresponse().read()

    def visible_ms(self, count):
        """From sending a PUT until traffic sees the new route, for each of some writes."""
        writer = http.client.HTTPConnection('127.0.0.1', self.port)
        reader = http.client.HTTPConnection('127.0.0.1', self.port)
        taken = []
        for at in range(count):
            path = f'/fresh-{at}'
            document = {'uri': path, 'upstream_id': '0'}
            sent = time.perf_counter()
            thread = threading.Thread(
                target=self.put, args=(writer, f'/routes/fresh-{at}', document))
            thread.start()
            while True:
                reader.request('GET', path)
                answer = reader.getresponse()
                answer.read()
                if answer.status == 200:
                    break
            taken.append((time.perf_counter() - sent) * 1000)
            thread.join()
        return taken

    def stop(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(20)
        self.folder.cleanup()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('--binary', default='target/release/moonbeat')
    parser.add_argument('--routes', type=int, default=10_000)
    parser.add_argument('--upstreams', type=int, default=5_000)
    parser.add_argument('--seconds', type=int, default=3)
    parser.add_argument('--rounds', type=int, default=5)
    options = parser.parse_args()
    few = Gateway(options.binary, 10, 5)
    many = Gateway(options.binary, options.routes, options.upstreams)
    few.fill()
    with_upstreams_kb, filled_kb = many.fill()
    print(f'{options.upstreams} upstreams and {options.routes} routes written in '
          f'{many.filled_s:.1f} s')
    upstream_kb = (with_upstreams_kb - many.empty_kb) / options.upstreams
    print(f'memory: {upstream_kb:.1f} KB an upstream of two nodes, '
          f'{(filled_kb - with_upstreams_kb) / options.routes:.1f} KB a route')
    for gateway in (few, many):
        gateway.touch_all()
    time.sleep(2)
    peers = options.upstreams * 2
    print(f'memory: {(many.resident_kb() - filled_kb) / peers:.1f} KB more a peer under check')
    for hit, word in ((False, 'unmatched'), (True, 'matched and proxied')):
        costs = {few: [], many: []}
        for _ in range(options.rounds):
            for gateway, list in costs.items():
                list.append(gateway.cost_us(hit, options.seconds))
        a, b = (statistics.median(costs[gateway]) for gateway in (few, many))
        print(f'{word}: {a:.2f} µs of CPU with 10 routes, {b:.2f} µs with {options.routes}: '
              f'{b / a:.3f}')
    taken = many.visible_ms(50)
    print(f'PUT of a route, seen by traffic: median {statistics.median(taken):.1f} ms, '
          f'most {max(taken):.1f} ms')
    for gateway in (few, many):
        gateway.stop()


WRITERS = 16
HOT = 3

if __name__ == '__main__':
    main()
