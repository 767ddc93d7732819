"""An echo tool by FastMCP, with its JWTVerifier in front.

usage: fastmcp_echo.py PORT ISSUER AUDIENCE
"""

import sys

from fastmcp import FastMCP
from fastmcp.server.auth import JWTVerifier

port, issuer, audience = int(sys.argv[1]), sys.argv[2], sys.argv[3]
verifier = JWTVerifier(
    jwks_uri=f"{issuer}/jwks", issuer=issuer, audience=audience, algorithm="RS256", required_scopes=["mcp:read"]
)
server = FastMCP("fastmcp", auth=verifier)


@server.tool
def echo(message: str) -> dict:
    """Gives a message back."""
    return {"echo": message, "timestamp": None, "length": len(message)}


server.run(
    transport="http",
    host="127.0.0.1",
    port=port,
    path="/mcp",
    show_banner=False,
    stateless_http=True,
    json_response=True,
    log_level="WARNING",
)
