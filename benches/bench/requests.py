"""The call that everybody is measured with, in the words of each protocol."""

import dataclasses
import http.client
import json

ECHO = {"name": "echo", "arguments": {"message": "Hello!"}}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclasses.dataclass
class Request:
    """A POST; of several bodies each is sent in turn."""

    path: str
    headers: dict
    bodies: list

    def send(self, port, token, timeout=60):
        """Status, headers and text of the answer to the first body."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        try:
            own = self.headers | {"authorization": f"Bearer {token}"}
            connection.request("POST", self.path, json.dumps(self.bodies[0]), own)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def on_the_wire(self, token, port, method="POST", turn=0):
        """The bytes of a request with the body whose turn it is, for a connection that stays open."""
        body = json.dumps(self.bodies[turn % len(self.bodies)]) if self.bodies else ""
        own = self.headers | {"authorization": f"Bearer {token}", "host": f"127.0.0.1:{port}"}
        head = "".join(f"{name}: {value}\r\n" for name, value in own.items())
        return f"{method} {self.path} HTTP/1.1\r\n{head}content-length: {len(body)}\r\n\r\n{body}".encode()

    def is_answered(self, port, token):
        """Whether there is a server, and its answer has what was asked to be echoed."""
        try:
            status, _, text = self.send(port, token)
        except OSError:
            return False
        return status == 200 and "Hello!" in text


COMMON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}


def modern(name="echo", arguments=ECHO["arguments"]):
    """A stateless call of 2026-07-28."""
    params = {"name": name, "arguments": arguments, "_meta": META}
    mirrors = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": name}
    return Request("/mcp", COMMON | mirrors, [{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}])


def stateless_2025():
    """A call of a 2025 revision at a server without sessions, as the peers in Python and TypeScript take it."""
    own = COMMON | {"mcp-protocol-version": "2025-06-18"}
    return Request("/mcp", own, [{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ECHO}])


def session(port, token, ids):
    """Calls in a session of 2025-11-25, which this begins. Requests under way must have different ids."""
    parameters = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "0"}}
    begin = {"jsonrpc": "2.0", "id": "begin", "method": "initialize", "params": parameters}
    own = dict(COMMON)
    for body in [begin, {"jsonrpc": "2.0", "method": "notifications/initialized"}]:
        status, headers, text = Request("/mcp", own, [body]).send(port, token)
        if status not in (200, 202):
            raise RuntimeError(f"{status} for {body['method']}: {text}")
        own["mcp-protocol-version"] = "2025-11-25"
        if headers["mcp-session-id"]:
            own["mcp-session-id"] = headers["mcp-session-id"]
    bodies = [{"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": ECHO} for id in range(1, ids + 1)]
    return Request("/mcp", own, bodies)


def rest():
    return Request("/api/v1/tools/echo", {"content-type": "application/json"}, [ECHO["arguments"]])


def listing():
    params = {"_meta": META}
    mirrors = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list"}
    return Request("/mcp", COMMON | mirrors, [{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}])


def subscription():
    params = {"notifications": {"toolsListChanged": True}, "_meta": META}
    mirrors = {"mcp-protocol-version": "2026-07-28", "mcp-method": "subscriptions/listen"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params}
    return Request("/mcp", COMMON | mirrors, [body])
