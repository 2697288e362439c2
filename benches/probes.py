#!/usr/bin/env python3
"""What a health probe costs: ours, HAProxy, resty.upstream.healthcheck on nginx + Lua, and a bare
epoll loop, in alternation, with the same peers and interval.

  probes.py [--binary PATH] [--peers 1000] [--interval 1] [--rounds 3] [--seconds 8] [ROW ...]

Rows: cost (default), latency (from a peer's death to the verdict), many (100,000 peers: slots and
memory), traffic (what verdicts cost the requests that read them). Probers run on one core, the peers (one nginx behind many loopback addresses) on another.
Processor time is counted, not time on the clock; a row shows medians. The Lua library is not part
of the distribution: LUA_RESTY_UPSTREAM_HEALTHCHECK names the folder that holds `resty/upstream`.
"""
import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from side_by_side import HERE, NGINX, Server, family, free_port, load, peer_modules

PROBER_CORE, PEER_CORE = '0', '1'
LIBRARY = os.environ.get('LUA_RESTY_UPSTREAM_HEALTHCHECK', '')

# What each figure has to be at most, as a share of the peer's.
TARGETS = {('ours', 'haproxy'): 0.65, ('ours', 'lua'): 0.8, ('ours', 'epoll'): 1.05,
           ('kept', 'haproxy'): 0.25}


def main():
    options = arguments()
    for row in options.rows:
        {'cost': cost, 'latency': latency, 'many': many, 'traffic': traffic}[row](options)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--binary', default=os.path.join(HERE, '../target/release/moonbeat'))
    parser.add_argument('--peers', type=int, default=1000)
    parser.add_argument('--interval', type=float, default=1)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--seconds', type=float, default=8)
    parser.add_argument('--many', type=int, default=100_000)
    parser.add_argument('--only', help='probers, with commas between')
    parser.add_argument('rows', nargs='*', default=['cost'])
    options = parser.parse_args()
    options.binary = os.path.abspath(options.binary)
    unknown = set(options.rows) - {'cost', 'latency', 'many', 'traffic'}
    if unknown:
        sys.exit('unknown row: ' + ' '.join(unknown))
    return options


def cost(options):
    """CPU microseconds per probe, and how much of it is ours and not the kernel's."""
    probers = available(options)
    figures = {name: [] for name in probers}
    with Peers() as peers:
        for _ in range(options.rounds):
            for name in probers:
                with PROBERS[name](options, peers, options.peers, options.interval) as prober:
                    figures[name].append(measure(prober, peers, options.seconds))
    print('\n%-8s %10s %10s %10s %12s' % ('prober', 'us/probe', 'user', 'wakeups', 'probes/s'))
    for name, rows in figures.items():
        us, user, wakeups, rate = (statistics.median(column) for column in zip(*rows))
        print('%-8s %10.1f %9.0f%% %10.2f %12.0f' % (name, us, user * 100, wakeups, rate))
    print()
    for (mine, theirs), target in TARGETS.items():
        if figures.get(mine) and figures.get(theirs):
            pairs = zip(figures[mine], figures[theirs])
            ratio = statistics.median(a[0] / b[0] for a, b in pairs)
            verdict = 'reached' if ratio <= target else 'missed'
            print('%s / %s: %.2f of at most %.2f, %s' % (mine, theirs, ratio, target, verdict))


def measure(prober, peers, seconds):
    time.sleep(2)
    before = prober.usage(), peers.requests()
    begun = time.monotonic()
    time.sleep(seconds)
    after, probes = prober.usage(), peers.requests() - before[1] - 1
    took = time.monotonic() - begun
    if not probes:
        sys.exit('%s sends no probes\n%s' % (type(prober).__name__, prober.complaints()))
    cpu, user, system, switches = (b - a for a, b in zip(before[0], after))
    user_share = user / max(1, user + system)
    return cpu / probes * 1e6, user_share, switches / probes, probes / took


def latency(options):
    """From the death of every peer to the verdict on half of them, and on 99 in a hundred."""
    probers = [name for name in available(options) if name not in ('epoll', 'kept')]
    print('%-8s %10s %10s   seconds after the death of all peers' % ('prober', 'p50', 'p99'))
    for name in probers:
        halves, most = [], []
        for _ in range(options.rounds):
            with Peers() as peers:
                with PROBERS[name](options, peers, options.peers, options.interval) as prober:
                    time.sleep(2.5 * options.interval)
                    if prober.down():
                        sys.exit('%s: peers are down before they die' % name)
                    peers.die()
                    died = time.monotonic()
                    marks = {0.5: None, 0.99: None}
                    while None in marks.values():
                        share = prober.down() / options.peers
                        took = time.monotonic() - died
                        for mark in marks:
                            if share >= mark and marks[mark] is None:
                                marks[mark] = took
                        if took > 20 * options.interval:
                            sys.exit('%s: only %.0f%% are down' % (name, share * 100))
                        time.sleep(0.02)
                    halves.append(marks[0.5])
                    most.append(marks[0.99])
        print('%-8s %10.2f %10.2f' % (name, statistics.median(halves), statistics.median(most)))


def many(options):
    """A hundred thousand peers every ten seconds: no slot missed, and how much memory each takes."""
    count, interval = options.many, 10
    with Peers() as peers:
        with Ours(options, peers, count, 0) as idle:
            time.sleep(3)
            base = idle.resident()
        with Ours(options, peers, count, interval, jitter=interval) as prober:
            time.sleep(2 * interval + 2)
            us, user, wakeups, rate = measure(prober, peers, 3 * interval)
            own = prober.resident() - base
    print('%d peers every %d s: %.0f probes/s of %.0f, %.1f us/probe, %.0f%% of a core, '
          '%.0f bytes a peer' % (count, interval, rate, count / interval, us, us * rate / 1e4,
                                 own / count))


def traffic(options):
    """The same requests through an upstream that is checked and one that is not."""
    figures = {0: [], 60: []}
    with Peers() as peers:
        for _ in range(options.rounds):
            for interval, rows in figures.items():
                with Ours(options, peers, 20, interval) as gateway:
                    time.sleep(1.5)
                    before = gateway.usage()[0]
                    count, _ = load(gateway.listen, options.seconds, 16, [])
                    rows.append((gateway.usage()[0] - before) / count * 1e6)
    plain, checked = (statistics.median(rows) for rows in figures.values())
    ratios = sorted(b / a for a, b in zip(*figures.values()))
    print('us a request: %.2f without checks, %.2f with; ratio %.3f (%.3f to %.3f)' % (
        plain, checked, statistics.median(ratios), ratios[0], ratios[-1]))


def available(options):
    names = options.only.split(',') if options.only else list(PROBERS)
    reasons = {'haproxy': not shutil.which('haproxy') and 'not installed',
               'epoll': not shutil.which('cc') and 'no C compiler',
               'lua': not os.path.exists(os.path.join(LIBRARY, 'resty/upstream/healthcheck.lua'))
               and 'LUA_RESTY_UPSTREAM_HEALTHCHECK does not name its folder'}
    for name in list(names):
        if reasons.get(name):
            print('without %s: %s' % (name, reasons[name]))
            names.remove(name)
    return names


def address(i):
    return '127.%d.%d.%d' % (1 + i // 62500, i // 250 % 250, i % 250 + 1)


def get(port, path):
    with urllib.request.urlopen('http://127.0.0.1:%d%s' % (port, path), timeout=10) as answer:
        return answer.read().decode()


class Peers(Server):
    """One nginx that stands for every peer."""

    def __init__(self):
        self.port, self.control = free_port(), free_port()
        super().__init__(NGINX, '''worker_processes 1;
daemon off; error_log logs/error.log crit; pid logs/nginx.pid; worker_rlimit_nofile 200000;
%s
events { worker_connections 100000; }
http {
    access_log off; keepalive_requests 100000000; keepalive_timeout 600s;
    server { listen %d backlog=16384; return 200 "fine\\n"; }
    server { listen 127.0.0.1:%d; location / { stub_status; } }
}
''' % (user(), self.port, self.control), self.control, PEER_CORE)
        self.alive = True

    def requests(self):
        return int(get(self.control, '/').split('\n')[2].split()[2])

    def die(self):
        self.process.terminate()
        self.process.wait(10)
        self.alive = False

    def __exit__(self, *_):
        if self.alive:
            return super().__exit__(*_)
        shutil.rmtree(self.folder, ignore_errors=True)


class Prober(Server):
    """A process with checks; counts its own processor time."""

    def usage(self):
        """Seconds on a core, ticks in user space and in the kernel, times it slept."""
        ran = user = system = switches = 0
        for pid in family(self.process.pid):
            for task in os.listdir('/proc/%d/task' % pid):
                folder = '/proc/%d/task/%s/' % (pid, task)
                with open(folder + 'schedstat') as text:
                    ran += int(text.read().split()[0]) / 1e9
                with open(folder + 'stat') as text:
                    fields = text.read().rsplit(')', 1)[1].split()
                user, system = user + int(fields[11]), system + int(fields[12])
                with open(folder + 'status') as text:
                    switches += int(re.search(r'\nvoluntary\S+\s+(\d+)', text.read()).group(1))
        return ran, user, system, switches

    def resident(self):
        total = 0
        for pid in family(self.process.pid):
            with open('/proc/%d/status' % pid) as text:
                total += int(re.search(r'VmRSS:\s+(\d+)', text.read()).group(1)) * 1024
        return total

    def complaints(self):
        with open(self.folder + '/logs/error.log') as log:
            return log.read()[-2000:]


class Ours(Prober):
    check = ''

    def __init__(self, options, peers, count, interval, jitter=0):
        self.listen = free_port()
        servers = '\n'.join('server %s:%d;' % (address(i), peers.port) for i in range(count))
        check = 'health_check interval=%gs jitter=%gs uri=/ timeout=5s %s;' % (
            interval, jitter, self.check) if interval else ''
        super().__init__(options.binary, '''worker_processes 1;
daemon off; master_process off; error_log logs/error.log crit; pid logs/nginx.pid;
worker_rlimit_nofile 200000;
%s
events { worker_connections 4096; }
http {
    access_log off;
    upstream bench { %s %s }
    server {
        listen 127.0.0.1:%d;
        location / { return 200; }
        location /down { content_by_lua_block {
            local page = require("resty.upstream.healthcheck").status_page()
            ngx.say(select(2, page:gsub(" DOWN", "")))
        } }
        location /t { proxy_pass http://bench; }
    }
}
''' % (user(), servers, check, self.listen), self.listen, PROBER_CORE)

    def down(self):
        return int(get(self.listen, '/down'))


class Kept(Ours):
    check = 'keepalive_time=600s'


class Lua(Prober):
    def __init__(self, options, peers, count, interval):
        self.listen = free_port()
        names = tempfile.NamedTemporaryFile('w', suffix='.peers', delete=False)
        with names:
            names.writelines('%s:%d\n' % (address(i), peers.port) for i in range(count))
        os.environ['BENCH_PEERS'] = names.name
        super().__init__(NGINX, '''%s worker_processes 1;
daemon off; error_log logs/error.log crit; pid logs/nginx.pid; worker_rlimit_nofile 200000;
env BENCH_PEERS;
%s
events { worker_connections 16384; }
http {
    access_log off;
    lua_package_path "%s/?.lua;%s/peer/?.lua;;";
    lua_socket_log_errors off;
    lua_shared_dict healthcheck 16m;
    init_worker_by_lua_block {
        assert(require("resty.upstream.healthcheck").spawn_checker{
            shm = "healthcheck", upstream = "bench", type = "http", interval = %d, timeout = 5000,
            fall = 1, rise = 1, valid_statuses = { 200, 302 }, concurrency = %d,
            http_req = "GET / HTTP/1.0\\r\\nHost: a.example\\r\\n\\r\\n" })
    }
    server {
        listen 127.0.0.1:%d;
        location /down { content_by_lua_block {
            local down = 0
            for _, key in ipairs(ngx.shared.healthcheck:get_keys(0)) do
                if key:sub(1, 2) == "d:" then down = down + 1 end
            end
            ngx.say(down)
        } }
    }
}
''' % (peer_modules(), user(), LIBRARY, HERE, interval * 1000, count, self.listen),
            self.listen, PROBER_CORE)

    def down(self):
        return int(get(self.listen, '/down'))


class Haproxy(Prober):
    def __init__(self, options, peers, count, interval):
        self.listen = free_port()
        servers = '\n'.join('    server s%d %s:%d check inter %dms fall 1 rise 1' % (
            i, address(i), peers.port, interval * 1000) for i in range(count))
        self.folder = tempfile.mkdtemp(prefix='moonbeat-bench-')
        os.makedirs(self.folder + '/logs')
        open(self.folder + '/logs/error.log', 'w').close()
        with open(self.folder + '/haproxy.cfg', 'w') as out:
            out.write('''global
    nbthread 1
    maxconn 4096
    stats socket %s/stats
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    timeout check 5s
frontend front
    bind 127.0.0.1:%d
    http-request return status 200
backend bench
    option httpchk GET /
    http-check expect rstatus (2|3)[0-9][0-9]
%s
''' % (self.folder, self.listen, servers))
        self.process = subprocess.Popen(
            ['taskset', '-c', PROBER_CORE, 'haproxy', '-db', '-q', '-f',
             self.folder + '/haproxy.cfg'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_until_listening(self.listen)

    def down(self):
        with socket.socket(socket.AF_UNIX) as stats:
            stats.connect(self.folder + '/stats')
            stats.sendall(b'show stat bench 4 -1\n')
            text = b''
            while piece := stats.recv(1 << 16):
                text += piece
        return text.count(b',DOWN,')


class Epoll(Prober):
    def __init__(self, options, peers, count, interval):
        self.folder = tempfile.mkdtemp(prefix='moonbeat-bench-')
        program = self.folder + '/epoll'
        source = os.path.join(HERE, 'peer/epoll.c')
        subprocess.run(['cc', '-O2', '-o', program, source], check=True)
        self.process = subprocess.Popen(['taskset', '-c', PROBER_CORE, program, str(peers.port),
                                         str(count), str(int(interval * 1000))])

    def complaints(self):
        return ''


def user():
    return 'user root;' if os.geteuid() == 0 else ''


PROBERS = {'ours': Ours, 'haproxy': Haproxy, 'lua': Lua, 'epoll': Epoll, 'kept': Kept}

if __name__ == '__main__':
    main()
