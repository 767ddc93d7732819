"""What it costs as tokens, tools, results, streams, sessions and replicas grow."""

import concurrent.futures
import contextlib
import socket
import time

from . import requests, wrk
from .contenders import BARE, BY_HAND, OURS, is_open
from .plots import plot
from .processes import free_port, resident, stop
from .tables import Table, number

SECONDS = 2
KIB = 1024
# As long as a server may take to give back what it had for those who have gone.
SETTLING_SECONDS = 6


class Scale:
    def __init__(self, bench):
        self.bench, self.machine = bench, bench.machine

    def run(self):
        self.tokens()
        self.tools()
        self.results()
        self.streams()
        self.abandoned()
        self.replicas()

    # One axis each

    def tokens(self):
        server = self.bench.contenders.start(OURS)
        points = {}
        for count in [1, 10, 100, 1_000, 10_000]:
            points[count] = self.load(server, server.request, f"{count}-tokens", count)
        self.per_second("tokens", "distinct tokens in turn", {OURS: points})
        stop(server.process)

    def tools(self):
        """Of a guarded server, since that is where so many come from."""
        points = {}
        for count in [1, 10, 100, 1_000]:
            guarded, upstream = self.guarding(count)
            listing = requests.listing()
            points[count] = self.load(guarded, listing, f"{count}-tools")
            stop(guarded.process)
            stop(upstream)
        self.per_second("tools", "tools in the list", {"tools/list": points})

    def results(self):
        entries = {name: self.bench.contenders.start(name) for name in [OURS, BARE, BY_HAND]}
        lines = {name: {} for name in entries}
        for size in [KIB, 16 * KIB, 128 * KIB, KIB * KIB]:
            request = requests.modern(arguments={"message": "x" * size})
            for name, server in entries.items():
                lines[name][size] = self.load(server, request, f"{name}-{size}")
        self.per_second("results", "bytes echoed", lines)
        for server in entries.values():
            stop(server.process)

    def streams(self):
        """Idle streams: subscriptions of 2026-07-28, and listening sessions of 2025-11-25, beside rmcp's own."""
        lines = {}
        for name in [OURS, BARE]:
            server = self.start_unbounded(name)
            lines[f"{name}, sessions"] = self.grow(server, listening_session)
            stop(server.process)
        # A server of its own tools alone has nothing that changes.
        guarded, upstream = self.guarding(1)
        lines[f"{OURS}, subscriptions"] = self.grow(guarded, subscription)
        stop(guarded.process)
        stop(upstream)
        counts = sorted(next(iter(lines.values())))
        table = Table("streams", ["idle streams, KiB of resident memory for each", *[f"{count:,}" for count in counts]])
        for label, points in lines.items():
            table.row(label, *[number(points[count], 1) for count in counts])
        self.bench.show(table)
        self.picture("streams", "Memory of one idle stream", "streams", "KiB each", lines)
        goals, most = self.bench.goals, counts[-1]
        found = lambda label: number(lines[label][most], 1)
        goals.add(f"{most:,} idle subscriptions, KiB each", "32", found(f"{OURS}, subscriptions"))
        own = f"{found(f'{BARE}, sessions')}, rmcp's own"
        goals.add(f"{most:,} idle sessions, KiB each", own, found(f"{OURS}, sessions"))

    def abandoned(self):
        """Sessions that nobody ends, in waves; each wave is idle for longer than a session may be."""
        own = {"SECUREMCP_LIMITS_SESSION_IDLE": "2s"} | UNBOUNDED
        server = self.bench.contenders.start(OURS, environment=own)
        token, points = self.bench.issuer.token(), {1: resident(server.process)["VmRSS"]}
        for wave in range(1, 4):
            for _ in range(8_000):
                requests.session(server.port, token, 1)
            time.sleep(SETTLING_SECONDS)
            # The allocator gives memory back to the system when a thread that had it works again.
            with concurrent.futures.ThreadPoolExecutor(16) as callers:
                list(callers.map(lambda _: server.request.send(server.port, token), range(400)))
            points[8_000 * wave] = resident(server.process)["VmRSS"]
        stop(server.process)
        table = Table("abandoned", ["sessions begun and abandoned", *[f"{count:,}" for count in points]])
        table.row("resident memory, MiB", *[number(value, 1) for value in points.values()])
        self.bench.show(table)
        self.picture("abandoned", "Memory after abandoned sessions", "sessions", "MiB", {OURS: points}, by_factors=False)

    def replicas(self):
        """One and two processes that share Redis, each loaded in turn: what a request pays for it."""
        port = free_port()
        redis = self.machine.spawn(
            ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], "redis",
            core=self.machine.client_core,
        )
        self.machine.until(lambda: is_open(port), redis, "redis")
        alone = self.bench.contenders.start(OURS)
        with_redis = {"SECUREMCP_REDIS_URL": f"redis://127.0.0.1:{port}"}
        first, second = (self.bench.contenders.start(OURS, environment=with_redis) for _ in range(2))
        table = Table("replicas", ["calls on one core", "requests/s", "p99 ms", "CPU us"])
        for label, servers in [("alone", [alone]), ("one replica on Redis", [first]), ("two in turn", [first, second])]:
            for server in servers:
                done = self.load(server, server.request, label)
                table.row(label, f"{done['per_second']:,.0f}", f"{done['p99']:.2f}", f"{done['cpu']:.1f}")
        self.bench.show(table)
        for process in [alone.process, first.process, second.process, redis]:
            stop(process)

    # Helpers

    def load(self, server, request, name, count=1):
        script = wrk.script(self.machine, name, request, self.bench.issuer.tokens, count)
        done = wrk.load(self.machine, server.process, server.port, script, SECONDS)
        self.bench.complain(name, done["errors"])
        return done

    def per_second(self, name, what, lines):
        counts = list(next(iter(lines.values())))
        table = Table(f"scale-{name}", [f"{what}: requests/s (p99 ms)", *[f"{count:,}" for count in counts]])
        for label, points in lines.items():
            table.row(label, *[f"{done['per_second']:,.0f} ({done['p99']:.1f})" for done in points.values()])
        self.bench.show(table)
        rates = {label: {count: done["per_second"] for count, done in points.items()} for label, points in lines.items()}
        self.picture(name, f"Requests a second by {what}", what, "requests/s", rates)

    def picture(self, name, title, across, up, lines, by_factors=True):
        if self.bench.arguments.write:
            points = {label: sorted(points.items()) for label, points in lines.items()}
            self.bench.pictures.mkdir(exist_ok=True)
            (self.bench.pictures / f"{name}.svg").write_text(plot(title, across, up, points, by_factors))

    def start_unbounded(self, name):
        return self.bench.contenders.start(name, environment=UNBOUNDED)

    def guarding(self, count):
        """securemcp in front of a server with so many tools, and that server."""
        port = free_port()
        upstream = self.machine.spawn([self.bench.programs["peers"], "tools", f"127.0.0.1:{port}", count], f"{port}")
        self.machine.until(lambda: is_open(port), upstream, f"{port}")
        guarded = self.bench.contenders.start(OURS, options=["--upstream", f"http://127.0.0.1:{port}/mcp"])
        return guarded, upstream

    def grow(self, server, opened):
        """KiB for each of so many streams."""
        token, points, before = self.bench.issuer.token(), {}, resident(server.process)["VmRSS"]
        with contextlib.ExitStack() as streams:
            count = 0
            for goal in [10, 100, 1_000, 10_000]:
                while count < goal:
                    streams.enter_context(opened(server.port, token))
                    count += 1
                time.sleep(1)
                points[goal] = (resident(server.process)["VmRSS"] - before) * KIB / goal
        return points


UNBOUNDED = {"SECUREMCP_LIMITS_SESSIONS": "100000", "SECUREMCP_LIMITS_SESSIONS_PER_PRINCIPAL": "100000"}


def subscription(port, token):
    """A stream of one subscription, whose head has come."""
    return opened(port, requests.subscription().on_the_wire(token, port))


def listening_session(port, token):
    """A session with its stream open."""
    session = requests.session(port, token, 1)
    own = session.headers | {"accept": "text/event-stream"}
    return opened(port, requests.Request("/mcp", own, []).on_the_wire(token, port, "GET"))


def opened(port, message):
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(message)
    answer = connection.recv(4096)
    if b" 200 " not in answer[:20]:
        raise RuntimeError(f"not answered: {answer!r}")
    return connection
