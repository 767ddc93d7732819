"""A FastMCP server whose tools need tokens of somebody else's issuer.

usage: fastmcp_server.py PORT ISSUER

Tokens are JWTs checked against ISSUER/jwks; the audience is this server's own URL. RFC 9728 metadata names ISSUER.
`greet` needs mcp:read; `wipe` needs mcp:write besides.
"""

import sys

from fastmcp import FastMCP
from fastmcp.server.auth import JWTVerifier, RemoteAuthProvider, require_scopes
from fastmcp.server.dependencies import get_access_token

port, issuer = int(sys.argv[1]), sys.argv[2]
base_url = f"http://127.0.0.1:{port}"
verifier = JWTVerifier(
    jwks_uri=f"{issuer}/jwks",
    issuer=issuer,
    audience=f"{base_url}/mcp",
    algorithm="ES256",
    required_scopes=["mcp:read"],
)
server = FastMCP(
    "fastmcp",
    auth=RemoteAuthProvider(
        token_verifier=verifier,
        authorization_servers=[issuer],
        base_url=base_url,
        scopes_supported=["mcp:read", "mcp:write"],
    ),
)


@server.tool
def greet(name: str, punctuation: str = "!") -> dict:
    """Greets, and says what the token says."""
    token = get_access_token()
    return {
        "greeting": f"Hello, {name}{punctuation}",
        "issuer": token.claims["iss"],
        "audience": token.claims["aud"],
        "scopes": sorted(token.scopes),
    }


@server.tool(auth=require_scopes("mcp:write"))
def wipe(confirm: bool) -> str:
    """Pretends to delete something."""
    return f"wiped: {confirm}"


server.run(transport="http", host="127.0.0.1", port=port, path="/mcp", show_banner=False)
