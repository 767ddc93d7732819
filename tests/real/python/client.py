"""The official Python SDK lists and calls the four tools.

usage: client.py URL legacy|modern [login]

The bearer token, if any, is in TEST_TOKEN; `login` has a person log in.
Prints one JSON document, the same for every SDK client here:
{protocol, server, tools, echo, timestamp, calculator, refused, summarize, sampled}, after a login {refreshed} too
"""

import asyncio
import json
import os
import sys

import httpx2
from auth import Login
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CreateMessageResult, TextContent

# `auto` asks `server/discover` first: the way the SDK's users reach 2026-07-28.
MODES = {"legacy": "legacy", "modern": "auto"}


def shown(result):
    """What a caller sees of a tool's result."""
    return {
        "error": bool(result.is_error),
        "structured": result.structured_content,
        "text": "".join(block.text for block in result.content if block.type == "text"),
    }


async def main(url, generation, login=None):
    sampled = []

    async def sample(_context, params):
        sampled.append(params.messages[-1].content.text)
        return CreateMessageResult(
            role="assistant",
            content=TextContent(type="text", text="A summary from the Python SDK."),
            model="test-model",
            stop_reason="endTurn",
        )

    async def call(name, **arguments):
        try:
            return shown(await client.call_tool(name, arguments))
        except MCPError as error:
            return {"error": True, "code": error.code, "text": error.message}

    token = os.environ.get("TEST_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    login = await Login.listening(url) if login else None
    provider = login.provider if login else None
    async with httpx2.AsyncClient(headers=headers, auth=provider, timeout=30) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=MODES[generation], sampling_callback=sample) as client:
            told = {
                "protocol": client.protocol_version,
                "server": client.server_info.name if client.server_info else None,
                "tools": [tool.name for tool in (await client.list_tools()).tools],
                "echo": await call("echo", message="Grüße", uppercase=True),
                "timestamp": await call("timestamp", timezone="America/New_York", include_epoch=True),
                "calculator": await call("calculator", operation="add", operands=[10, 20, 30]),
                "refused": await call("calculator", operation="divide", operands=[1, 0]),
                "summarize": await call("summarize", text="A long story about a short name."),
                "sampled": sampled,
            }
            if login:
                login.spoil()
                again = await call("echo", message="again")
                told["refreshed"] = {"echo": again["structured"]["echo"], "given": login.memory.given}
            return told


print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
