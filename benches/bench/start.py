"""How soon a server answers, what it holds when nobody has called yet, and how large the program is."""

import http.client
import os
import statistics
import time

from .processes import MIB, free_port, resident, stop
from .tables import Table

TIMES = 11


class Start:
    def __init__(self, bench):
        self.bench, self.machine = bench, bench.machine

    def run(self):
        self.first_answers()
        self.size()

    def first_answers(self):
        """From starting `serve` to the first 200 of /health."""
        silent = self.machine.silent_port()
        table = Table("start", ["from starting `serve` to the first 200, ms", "goal", "median", "range"])
        for what, options, is_fresh in [
            ("embedded issuer, first start ever", [], True),
            ("embedded issuer", [], False),
            ("external issuer that does not answer", ["--issuer", f"http://127.0.0.1:{silent}"], False),
            ("external issuer that does not answer, https", ["--issuer", f"https://127.0.0.1:{silent}"], False),
        ]:
            times, name = [], what.replace(" ", "-")
            for turn in range(TIMES):
                process, milliseconds = self.serve(f"{name}-{turn}" if is_fresh else name, options)
                stop(process)
                times.append(milliseconds)
            # The first of the others is a first start too.
            times = times if is_fresh else times[1:]
            table.row(what, "25", f"{statistics.median(times):.1f}", f"{min(times):.1f} .. {max(times):.1f}")
        self.bench.show(table)

    def size(self):
        table = Table("size", ["MiB", "goal", "measured", ""])
        silent = self.machine.silent_port()
        for what, options in [
            ("embedded issuer", []),
            ("external issuer", ["--issuer", f"http://127.0.0.1:{silent}"]),
        ]:
            process, _ = self.serve(f"size-{what}".replace(" ", "-"), options)
            time.sleep(1)
            memory = {name: f"{value:.1f}" for name, value in resident(process).items()}
            parts = f"{memory['RssAnon']} own, {memory['RssFile']} of files"
            table.row(f"idle memory (VmRSS), {what}", "20", memory["VmRSS"], parts)
            stop(process)
        program = os.path.getsize(self.bench.programs["securemcp"]) / MIB
        table.row(f"program, profile {self.bench.profile}", "30", f"{program:.1f}", "")
        self.bench.show(table)

    def serve(self, state, options):
        port = free_port()
        command = [self.bench.programs["securemcp"], "serve", "--listen", f"127.0.0.1:{port}"]
        command += ["--state-dir", self.machine.folder / state, *options]
        process = self.machine.spawn(command, port)
        return process, self.machine.until(lambda: is_live(port), process, port)


def is_live(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
