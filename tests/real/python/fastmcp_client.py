"""FastMCP's client logs a person in and calls a tool, as its documentation shows.

usage: fastmcp_client.py URL

Prints one JSON document: {tools, echo, again, given}; `again` is from after the access token's time, and `given` says
how often tokens were given.
"""

import asyncio
import json
import os
import sys

from fastmcp import Client
from fastmcp.client.auth import OAuth


async def main(url):
    document = os.environ.get("TEST_CLIENT_DOCUMENT")
    client = Client(url, auth=OAuth(client_metadata_url=document) if document else "oauth")
    given = 0

    async def said(message):
        return (await client.call_tool("echo", {"message": message})).structured_content["echo"]

    storage = client.transport.auth.token_storage_adapter
    keep = storage.set_tokens

    async def counted(tokens):
        nonlocal given
        given += 1
        await keep(tokens)

    storage.set_tokens = counted
    async with client:
        told = {"tools": [tool.name for tool in await client.list_tools()], "echo": await said("Grüße")}
    client.transport.auth.context.token_expiry_time = 1
    async with client:
        return {**told, "again": await said("again"), "given": given}


print(json.dumps(asyncio.run(main(sys.argv[1]))))
