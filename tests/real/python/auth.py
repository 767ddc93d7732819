"""What the official SDK wants of a program whose user logs in: keeps all in memory, has the system's browser opened."""

import asyncio
import os
import webbrowser
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.shared.auth import OAuthClientMetadata


class Memory:
    """The storage that the SDK asks for."""

    def __init__(self):
        self.client = None
        self.tokens = None
        # How often an authorization server has given tokens.
        self.given = 0

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens
        self.given += 1

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info


class Login:
    """An authentication for HTTP clients, which listens where the browser comes back."""

    @classmethod
    async def listening(cls, url):
        self = cls()
        self.memory = Memory()
        self.answered = asyncio.get_running_loop().create_future()
        self.server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.provider = OAuthClientProvider(
            server_url=url,
            client_metadata=OAuthClientMetadata(
                client_name="A program with the Python SDK",
                redirect_uris=[f"http://127.0.0.1:{port}/callback"],
                token_endpoint_auth_method="none",
            ),
            storage=self.memory,
            redirect_handler=self.open,
            callback_handler=self.wait,
            client_metadata_url=os.environ.get("TEST_CLIENT_DOCUMENT"),
        )
        return self

    async def open(self, url):
        if not await asyncio.to_thread(webbrowser.open, url):
            raise RuntimeError("there is no browser: BROWSER names one")

    async def answer(self, reader, writer):
        path = (await reader.readline()).split()[1].decode()
        words = b"Go back to the program.\n"
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(words), words))
        await writer.drain()
        writer.close()
        if not self.answered.done():
            self.answered.set_result({name: values[0] for name, values in parse_qs(urlsplit(path).query).items()})

    async def wait(self):
        answer = await self.answered
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))

    def spoil(self):
        """Lets the access token's time be over, as the provider sees it."""
        self.provider.context.token_expiry_time = 1
