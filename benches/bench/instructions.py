"""Instructions for each call."""

from . import callgrind
from .contenders import BARE, BY_HAND, BY_HAND_REST, FLOOR, OURS, OURS_REST
from .tables import Table


class Instructions:
    def __init__(self, bench):
        self.bench = bench

    def run(self):
        table = Table("instructions", ["`tools/call echo`, one hot token", "instructions"])
        for name in [FLOOR, BY_HAND, BARE, OURS, BY_HAND_REST, OURS_REST]:
            counted = callgrind.instructions(self.bench, name)
            self.bench.instructions[name] = counted
            table.row(name, f"{counted:,.0f}")
        for name in [BARE, OURS]:
            counted = callgrind.instructions(self.bench, name, in_session=True)
            self.bench.instructions[f"{name}, in a session"] = counted
            table.row(f"{name}, in a session of 2025-11-25", f"{counted:,.0f}")
        self.bench.show(table)
