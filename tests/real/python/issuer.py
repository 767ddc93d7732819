"""An issuer with complete metadata and no login: `GET /token?aud=..&scope=..` gives whatever token is asked for."""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

port = int(sys.argv[1])
issuer = f"http://127.0.0.1:{port}"
key = ec.generate_private_key(ec.SECP256R1())
jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())) | {"kid": "k1", "use": "sig", "alg": "ES256"}
documents = {
    "/.well-known/oauth-authorization-server": {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "registration_endpoint": f"{issuer}/register",
        "jwks_uri": f"{issuer}/jwks",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    },
    "/jwks": {"keys": [jwk]},
}


def token(aud, scope):
    now = int(time.time())
    claims = {"iss": issuer, "aud": aud, "sub": "ada", "client_id": "scanner", "scope": scope}
    claims |= {"iat": now, "exp": now + 600}
    return jwt.encode(claims, key, algorithm="ES256", headers={"kid": "k1", "typ": "at+jwt"})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/token":
            query = parse_qs(url.query)
            self.answer(200, "text/plain", token(query["aud"][0], query["scope"][0]))
        elif url.path in documents:
            self.answer(200, "application/json", json.dumps(documents[url.path]))
        else:
            self.answer(404, "text/plain", "")

    def answer(self, status, kind, text):
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
