"""An issuer that knows one key and gives no tokens: `peers tokens` has made them."""

import http.server
import json
import subprocess
import threading

# The name that every server takes for its own, whatever its port is.
AUDIENCE = "https://bench.example/mcp"


class Issuer:
    def __init__(self, machine, peers, count):
        self.keys, self.tokens = machine.folder / "keys.json", machine.folder / "tokens.txt"
        documents = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = documents.get(self.path, b"")
                self.send_response(200 if body else 404)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        machine.running.callback(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_port}"
        with open(self.tokens, "wb") as file:
            subprocess.run([peers, "tokens", self.keys, self.url, AUDIENCE, str(count)], stdout=file, check=True)
        metadata = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/jwks",
            "token_endpoint": f"{self.url}/token",
            "response_types_supported": ["code"],
        }
        documents["/.well-known/oauth-authorization-server"] = json.dumps(metadata).encode()
        documents["/.well-known/openid-configuration"] = json.dumps(metadata).encode()
        documents["/jwks"] = self.keys.read_bytes()
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def token(self):
        """The first of its tokens, which is the hot one."""
        with open(self.tokens) as file:
            return file.readline().strip()
