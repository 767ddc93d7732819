"""Instructions of a program for one request: what noise of the machine does not reach.

Two runs differ only in how many requests they get, and what they differ by is the requests' doing. Eight connections ask
at once, as in a load, and the next eight when all have their answer.
"""

import re
import socket

from . import requests
from .processes import stop

CONNECTIONS = 8
FEW, MANY = 30, 230


def instructions(bench, name, in_session=False):
    """Instructions of this contender for a request."""
    counts = [total(bench, name, turns, in_session) for turns in (FEW, MANY)]
    return (counts[1] - counts[0]) / ((MANY - FEW) * CONNECTIONS)


def total(bench, name, turns, in_session):
    out = bench.machine.folder / f"callgrind-{turns}.out"
    server = bench.contenders.start(name, ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"])
    connections = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(CONNECTIONS)]
    token = bench.issuer.token()
    request = requests.session(server.port, token, 2 * CONNECTIONS) if in_session else server.request
    messages = [request.on_the_wire(token, server.port, turn=turn) for turn in range(CONNECTIONS)]
    for _ in range(turns):
        for connection, message in zip(connections, messages):
            connection.sendall(message)
        for connection in connections:
            read_answer(connection)
    for connection in connections:
        connection.close()
    stop(server.process)
    return int(re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.MULTILINE)[1])


def read_answer(connection):
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += more(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200 " not in head[:20]:
        raise RuntimeError(f"not answered: {answer!r}")
    length = re.search(rb"content-length: (\d+)", head.lower())
    while (len(body) < int(length[1])) if length else not body.endswith(b"0\r\n\r\n"):
        body += more(connection)


def more(connection):
    piece = connection.recv(65536)
    if not piece:
        raise RuntimeError("the server closed the connection")
    return piece
