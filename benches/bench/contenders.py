"""Who is measured beside whom, and how each is started."""

import dataclasses
import pathlib
import socket
import time

from . import requests
from .issuer import AUDIENCE
from .processes import free_port, resident

TOOLS = pathlib.Path(__file__).resolve().parent.parent.parent / "target" / "test-tools"
SERVERS = pathlib.Path(__file__).resolve().parent / "servers"
OURS = "securemcp, MCP"
OURS_REST = "securemcp, REST"
BARE = "rmcp, same cache"
BY_HAND = "by hand, JSON-RPC"
BY_HAND_REST = "by hand, REST"
FLOOR = "bare axum, no token"
FASTMCP = "FastMCP, JWTVerifier"
TYPESCRIPT = "TypeScript SDK, bearer auth"
BY_HAND_VERIFYING = "by hand, JSON-RPC, verifying each time"
BARE_VERIFYING = "rmcp, verifying each time"


@dataclasses.dataclass
class Server:
    """A program that runs, with what it takes."""

    process: object
    port: int
    request: requests.Request
    start_ms: float
    idle: float


class Contenders:
    def __init__(self, machine, programs, issuer):
        self.machine, self.programs, self.issuer = machine, programs, issuer

    def start(self, name, prefix=(), options=(), environment=None):
        """A server of that name on the servers' core; it answers the hot token when this returns."""
        port = free_port()
        command, request = self.command(name, port)
        core = None if prefix else self.machine.server_core
        process = self.machine.spawn([*prefix, *command, *options], port, environment, core)
        start_ms = self.machine.until(lambda: is_open(port), process, port)
        if not prefix:
            time.sleep(1)
        idle = resident(process)["VmRSS"]
        token = self.issuer.token()
        self.machine.until(lambda: request.is_answered(port, token), process, port)
        return Server(process, port, request, start_ms, idle)

    def command(self, name, port):
        keys, url = self.issuer.keys, self.issuer.url
        peer = lambda mode: [self.programs["peers"], mode, f"127.0.0.1:{port}", keys, url, AUDIENCE]
        ours = [self.programs["securemcp"], "serve", "--listen", f"127.0.0.1:{port}", "--issuer", url]
        ours += ["--state-dir", self.machine.folder / f"state-{port}"]
        python, node, modules = (TOOLS / path for path in ["python/bin/python", "nodejs/node", "node/node_modules"])
        fastmcp = [python, SERVERS / "fastmcp_echo.py", port, url, AUDIENCE]
        typescript = [node, SERVERS / "typescript-echo.mjs", modules, port, keys, url, AUDIENCE]
        return {
            FLOOR: (peer("floor"), requests.modern()),
            BY_HAND: (peer("jsonrpc"), requests.modern()),
            BY_HAND_VERIFYING: (peer("jsonrpc-verify"), requests.modern()),
            BY_HAND_REST: (peer("rest"), requests.rest()),
            BARE: (peer("rmcp"), requests.modern()),
            BARE_VERIFYING: (peer("rmcp-verify"), requests.modern()),
            OURS: (ours, requests.modern()),
            OURS_REST: (ours, requests.rest()),
            FASTMCP: (fastmcp, requests.stateless_2025()),
            TYPESCRIPT: (typescript, requests.stateless_2025()),
        }[name]


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False
