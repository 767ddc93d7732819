"""Authenticated calls: who answers how many, in alternating rounds on one core."""

import dataclasses
import statistics

from . import requests, wrk
from .contenders import (
    BARE, BARE_VERIFYING, BY_HAND, BY_HAND_REST, BY_HAND_VERIFYING, FASTMCP, FLOOR, OURS, OURS_REST, TYPESCRIPT,
)
from .processes import resident, stop
from .tables import Table, number, spread

# Of facts about the Python demo that securemcp replaces: 612 requests/s on one core in the median round.
ORIGINAL_PER_SECOND = 612
# More than the cache of verified tokens holds, so that each is seen for the first time.
NEVER_SEEN = 40_000
MANY_TOKENS = 10_000


@dataclasses.dataclass
class Entry:
    """A contender with what it is asked and all that was measured."""

    name: str
    server: object
    script: object
    rounds: list = dataclasses.field(default_factory=list)

    def median(self, column):
        return statistics.median(one[column] for one in self.rounds)

    def errors(self):
        return sum(one["errors"] for one in self.rounds)


class Calls:
    def __init__(self, bench):
        self.bench, self.machine, self.arguments = bench, bench.machine, bench.arguments

    def run(self):
        names = [FLOOR, BY_HAND, BARE, OURS, BY_HAND_REST, OURS_REST, *self.foreign()]
        entries = [self.entry(name) for name in names]
        self.rounds(entries)
        for entry in entries:
            entry.loaded = resident(entry.server.process)["VmRSS"]
            stop(entry.server.process)
        self.show(entries)
        self.sessions()
        self.tokens()

    def foreign(self):
        return [] if self.arguments.no_foreign else [FASTMCP, TYPESCRIPT]

    def entry(self, name, count=1, label=None):
        server = self.bench.contenders.start(name)
        script = wrk.script(self.machine, label or name, server.request, self.bench.issuer.tokens, count)
        return Entry(label or name, server, script)

    def rounds(self, entries):
        seconds = self.arguments.seconds
        load = lambda entry, seconds: wrk.load(self.machine, entry.server.process, entry.server.port, entry.script, seconds)
        for entry in entries:
            load(entry, 1)
        for turn in range(self.arguments.rounds):
            # Whoever comes first in one round comes last in the next.
            for entry in entries if turn % 2 == 0 else entries[::-1]:
                entry.rounds.append(load(entry, seconds))

    def show(self, entries):
        by_name = {entry.name: entry for entry in entries}
        instructions = self.bench.instructions
        table = Table(
            "calls",
            ["`tools/call echo`, one hot token", "requests/s", "p50 ms", "p99 ms", "CPU us", "instructions",
             "MiB idle / loaded", "start ms", "securemcp beside it"],
        )
        for entry in entries:
            ours = by_name[OURS_REST if entry.name == BY_HAND_REST else OURS]
            beside = "" if entry.name in (OURS, OURS_REST) else spread(ratios(ours, entry))
            counted = instructions.get(entry.name)
            table.row(
                entry.name,
                spread([one["per_second"] for one in entry.rounds], digits=0),
                f"{entry.median('p50'):.2f}",
                f"{entry.median('p99'):.2f}",
                f"{entry.median('cpu'):.1f}",
                f"{counted:,.0f}" if counted else "",
                f"{entry.server.idle:.1f} / {entry.loaded:.1f}",
                f"{entry.server.start_ms:.0f}",
                beside,
            )
            self.bench.complain(entry.name, entry.errors())
        self.bench.show(table)
        goals = self.bench.goals
        against = lambda name, ours=OURS: ratios(by_name[ours], by_name[name])
        goals.add("MCP, requests/s beside rmcp with the same cache", "0.85", spread(against(BARE)))
        goals.add("MCP, requests/s beside the handler by hand", "0.75", spread(against(BY_HAND)))
        if FASTMCP in by_name:
            goals.add("MCP, requests/s beside FastMCP", "60", spread(against(FASTMCP), digits=0))
            goals.add("MCP, requests/s beside the TypeScript SDK", "", spread(against(TYPESCRIPT), digits=0))
        times = [one["per_second"] / ORIGINAL_PER_SECOND for one in by_name[OURS_REST].rounds]
        goals.add("REST, requests/s beside the original's 612, measured on another day", "100", spread(times, digits=0))
        goals.add("MCP, p99 with 32 connections, ms", "3", spread([one["p99"] for one in by_name[OURS].rounds]))
        if instructions:
            goals.add("MCP, instructions beside rmcp", "1.15", number(instructions[OURS] / instructions[BARE]))
            session = instructions[f"{OURS}, in a session"] / instructions[f"{BARE}, in a session"]
            goals.add("MCP in a session, instructions beside rmcp", "1.15", number(session))
            goals.add("MCP, instructions beside the handler by hand", "", number(instructions[OURS] / instructions[BY_HAND]))
            rest = instructions[OURS_REST] / instructions[BY_HAND_REST]
            goals.add("REST, instructions beside the handler by hand", "1.3", number(rest))

    def sessions(self):
        """The same within a session of 2025-11-25."""
        entries = []
        for name in (BARE, OURS):
            server = self.bench.contenders.start(name)
            server.request = requests.session(server.port, self.bench.issuer.token(), 20 * wrk.CONNECTIONS)
            script = wrk.script(self.machine, f"{name} in a session", server.request, self.bench.issuer.tokens)
            entries.append(Entry(f"{name}, in a session of 2025-11-25", server, script))
        self.rounds(entries)
        for entry in entries:
            stop(entry.server.process)
            self.bench.complain(entry.name, entry.errors())
        bare, ours = entries
        self.bench.goals.add("MCP in a session, requests/s beside rmcp", "0.85", spread(ratios(ours, bare)))

    def tokens(self):
        """Many tokens beside one, and tokens that nobody has seen beside those who verify each time."""
        one, many = self.entry(OURS), self.entry(OURS, MANY_TOKENS, "securemcp, 10,000 tokens")
        new = self.entry(OURS, NEVER_SEEN, "securemcp, tokens never seen")
        peers = [self.entry(name, NEVER_SEEN) for name in (BY_HAND_VERIFYING, BARE_VERIFYING)]
        entries = [one, many, new, *peers]
        self.rounds(entries)
        table = Table("tokens", ["tokens", "requests/s", "p99 ms", "CPU us"])
        for entry in entries:
            per_second = spread([done["per_second"] for done in entry.rounds], digits=0)
            table.row(entry.name, per_second, f"{entry.median('p99'):.2f}", f"{entry.median('cpu'):.1f}")
            stop(entry.server.process)
            self.bench.complain(entry.name, entry.errors())
        self.bench.show(table)
        goals = self.bench.goals
        goals.add("10,000 tokens, requests/s beside one", "0.9", spread(ratios(many, one)))
        for peer in peers:
            goals.add(f"a token's first sight beside {peer.name}", "0.85", spread(ratios(new, peer)))


def ratios(ours, other):
    return [mine["per_second"] / theirs["per_second"] for mine, theirs in zip(ours.rounds, other.rounds)]
