"""Says which fields of a form are empty: `check.py < form.json`."""

import json
import sys

for name, value in json.load(sys.stdin).items():
    if not value:
        print(name)
