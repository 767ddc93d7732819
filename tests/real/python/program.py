"""Runs a command that a Python package installed: its name, then its arguments."""

import sys
from importlib.metadata import entry_points

name = sys.argv[1]
(command,) = entry_points(group="console_scripts", name=name)
sys.argv = sys.argv[1:]
sys.exit(command.load()())
