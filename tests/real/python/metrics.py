"""Reads the metrics at a URL as strictly as OpenMetrics 1.0 asks, and prints their samples as JSON."""

import json
import sys
from urllib.request import urlopen

from prometheus_client.openmetrics.parser import text_string_to_metric_families

with urlopen(sys.argv[1], timeout=20) as answer:
    assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    page = answer.read().decode()

families = list(text_string_to_metric_families(page))
try:
    list(text_string_to_metric_families(page.removesuffix("# EOF\n")))
except ValueError:
    pass
else:
    sys.exit("a page that was cut off was read as if it were whole")

print(json.dumps({
    "types": {family.name: family.type for family in families},
    "samples": [[sample.name, sample.labels, sample.value] for family in families for sample in family.samples],
}))
