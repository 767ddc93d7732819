"""Programs that run beside the measuring one."""

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

MIB = 1024 * 1024
# What a program may take before something is wrong with it.
GRACE_SECONDS = 60


class Machine:
    """Two cores of this machine, and a folder; every program started here ends with it."""

    def __init__(self, folder, running):
        self.folder, self.running = folder, running
        cores = sorted(os.sched_getaffinity(0))
        self.server_core, self.client_core = str(cores[0]), str(cores[-1])
        # Nothing of the caller's own settings.
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}

    def spawn(self, command, name, environment=None, core=None):
        """The process, with a log of that name in the folder."""
        # To a file: audit lines cost what they cost.
        with open(self.folder / f"{name}.log", "wb") as log:
            pin = ["taskset", "--cpu-list", core] if core else []
            own = self.environment | (environment or {})
            process = subprocess.Popen([*pin, *map(str, command)], env=own, stdout=log, stderr=log)
        self.running.callback(stop, process)
        return process

    def until(self, is_there, process, name):
        """Waits for a program; the milliseconds that it took."""
        began = time.monotonic()
        while not is_there():
            if process.poll() is not None or time.monotonic() > began + GRACE_SECONDS:
                sys.exit(f"error: {name} does not answer\n{(self.folder / f'{name}.log').read_text()[-4000:]}")
            time.sleep(0.000_2)
        return (time.monotonic() - began) * 1000

    def silent_port(self):
        """A port that takes connections and never answers."""
        listener = self.running.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        return listener.getsockname()[1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stop(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(process):
    """Resident memory in MiB: all of it, that of the process alone, and mapped files."""
    lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) / 1024 for name in ["VmRSS", "RssAnon", "RssFile"]}


def install_debian(names):
    missing = [name for name in names if not shutil.which(name)]
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    print(f"installing {' and '.join(missing)}: {' '.join(command)}", flush=True)
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
        sys.exit(f"error: cannot install {' and '.join(missing)}; install it by hand and start again")
