"""One call by command lines, from their start to their end."""

import json
import shlex
import statistics
import subprocess

from . import requests
from .contenders import TOOLS
from .processes import free_port, stop
from .start import is_live
from .tables import Table

TIMES = 30
# Of command lines that take half a second and more.
FEW_TIMES = 8


class Command:
    def __init__(self, bench):
        self.bench, self.machine = bench, bench.machine

    def run(self):
        port, state = free_port(), self.machine.folder / "command"
        ours, url = self.bench.programs["securemcp"], f"http://127.0.0.1:{port}/mcp"
        serve = [ours, "serve", "--listen", f"127.0.0.1:{port}", "--state-dir", state]
        process = self.machine.spawn(serve, port)
        self.machine.until(lambda: is_live(port), process, port)
        common = ["--server", url, "--state-dir", state]
        call = [ours, "call", "echo", "Hello!", *common]
        forget = [ours, "token", "forget", "--quiet", *common]
        token = subprocess.run(
            [ours, "token", "get", *common], env=self.machine.environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout.strip()
        table = Table("command", ["from start to end of the command, ms", "goal", "median", "range", "securemcp beside it"])
        medians = []
        for what, goal, line, prepare, times in [
            ("`securemcp call echo`, cached token", "15", call, None, TIMES),
            ("`securemcp call echo`, token fetched", "25", call, forget, TIMES),
            ("`securemcp --version`", "", [ours, "--version"], None, TIMES),
            ("curl and jq, one `tools/call` with a token", "", self.curl(url, token), None, TIMES),
            *self.foreign(url, token),
        ]:
            taken = [time * 1000 for time in self.hyperfine(line, prepare, times)]
            medians.append(statistics.median(taken))
            beside = f"{medians[-1] / medians[0]:.1f} times as fast" if len(medians) > 3 else ""
            table.row(what, goal, f"{medians[-1]:.1f}", f"{min(taken):.1f} .. {max(taken):.1f}", beside)
        stop(process)
        self.bench.show(table)

    def curl(self, url, token):
        request = requests.modern()
        (self.machine.folder / "body.json").write_text(json.dumps(request.bodies[0]))
        # In a file of curl's own, where no process list shows the token.
        own = request.headers | {"authorization": f"Bearer {token}"}
        config = self.machine.folder / "curl"
        config.write_text("\n".join(f'header = "{name}: {value}"' for name, value in own.items()))
        body = self.machine.folder / "body.json"
        curl = f"curl --silent --fail --config {config} --data-binary @{body} {url}"
        return ["sh", "-c", f"{curl} | jq --raw-output '.result.content[0].text'"]

    def foreign(self, url, token):
        if self.bench.arguments.no_foreign:
            return []
        package = TOOLS / "node" / "node_modules" / "@modelcontextprotocol" / "inspector"
        script = package / "clients" / "launcher" / "build" / "index.js"
        # They have no other way to be told.
        inspector = [TOOLS / "nodejs" / "node", script, "--cli", url, "--transport", "http", "--method", "tools/call"]
        inspector += ["--tool-name", "echo", "--tool-arg", "message=Hello!", "--header", f"Authorization: Bearer {token}"]
        fastmcp = [TOOLS / "python" / "bin" / "fastmcp", "call", url, "echo", "message=Hello!", "--auth", token]
        return [
            ("MCP Inspector's command line, with a token", "", inspector, None, FEW_TIMES),
            ("`fastmcp call`, with a token", "", fastmcp, None, FEW_TIMES),
        ]

    def hyperfine(self, line, prepare, times):
        result = self.machine.folder / "hyperfine.json"
        command = ["hyperfine", "--shell=none", "--style", "none", "--warmup", "2", "--runs", str(times)]
        # It takes quotes away as a shell would.
        text = lambda words: shlex.join(map(str, words))
        command += ["--export-json", str(result), *(["--prepare", text(prepare)] if prepare else []), text(line)]
        subprocess.run(command, env=self.machine.environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return json.loads(result.read_text())["results"][0]["times"]
