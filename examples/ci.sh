#!/bin/sh
# What a CI job does with a server behind securemcp: wait for it, get a token, call tools, and tell failures apart.
#
# It needs `securemcp` on the path, SECUREMCP_SERVER if the server is not http://127.0.0.1:8000/mcp, and, unless the
# server is this account's own, SECUREMCP_CLIENT_ID and SECUREMCP_CLIENT_SECRET, with SECUREMCP_ISSUER unless the issuer
# is at the server's own address. With CI set, nothing ever asks or opens
# a browser.
set -eu

# Until it is healthy, but no longer than a minute; exit code 5 ends the job here.
securemcp health --wait 60s --quiet

# A token for another program. It is kept, so that later commands and jobs on this machine use it again.
token=$(securemcp token get)
test -n "$token"

# The text of the answer.
greeting=$(securemcp call echo "Hello from CI" --uppercase)
test "$greeting" = "HELLO FROM CI"

# The whole answer, as one JSON document.
securemcp call calculator multiply 6 7 --output json >answer.json
grep -q '"result": 42' answer.json
rm answer.json

# The exit code says what kind of failure it was, and the last line of stderr says why.
status=0
securemcp call no-such-tool --output json 2>error.json || status=$?
test "$status" -eq 2
grep -q '"code":"usage"' error.json
rm error.json

echo "all is well"
