"""Load by wrk, from a core of its own."""

import json
import subprocess

from .processes import GRACE_SECONDS, cpu_seconds

CONNECTIONS = 32
LUA = r"""
local path, headers, bodies, tokens, count = %s, %s, %s, %s, %d
local requests, next_one = {}, 0
function init()
  local seen = 0
  for token in io.lines(tokens) do
    seen = seen + 1
    if seen > count then break end
    headers["authorization"] = "Bearer " .. token
    for _, body in ipairs(bodies) do requests[#requests + 1] = wrk.format("POST", path, headers, body) end
  end
end
function request()
  next_one = next_one %% #requests + 1
  return requests[next_one]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('JSON{"requests":%%d,"seconds":%%f,"p50":%%f,"p99":%%f,"errors":%%d}\n', summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


def script(machine, name, request, tokens, count=1):
    """What wrk sends: each body with each of the first `count` tokens."""
    text = lambda value: "[==[" + value + "]==]"
    own = "{" + ",".join(f"['{name}']={text(value)}" for name, value in request.headers.items()) + "}"
    bodies = "{" + ",".join(text(json.dumps(body)) for body in request.bodies) + "}"
    path = machine.folder / f"{name.replace(' ', '-').replace('/', '-')}.lua"
    path.write_text(LUA % (text(request.path), own, bodies, text(str(tokens)), count))
    return path


def load(machine, process, port, script, seconds, connections=CONNECTIONS):
    """Requests a second, p50 and p99 in ms, CPU in us a request, errors."""
    command = ["taskset", "--cpu-list", machine.client_core, "wrk", "--threads", "1", "--connections", str(connections)]
    command += ["--duration", f"{seconds}s", "--script", str(script), f"http://127.0.0.1:{port}"]
    cpu = cpu_seconds(process)
    timeout = seconds + GRACE_SECONDS
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=timeout)
    cpu = cpu_seconds(process) - cpu
    found = json.loads(done.stdout.split("JSON", 1)[1])
    return found | {"per_second": found["requests"] / found["seconds"], "cpu": cpu * 1e6 / max(found["requests"], 1)}
