// The official TypeScript client 2.x lists the tools of a guarded server and calls one of each kind.
//
// usage: guarded.mjs URL legacy|modern     (the bearer token, if any, is in TEST_TOKEN)
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { requestInit } from "./story.mjs";

const [url, generation] = process.argv.slice(2);
const mode = generation === "modern" ? { pin: "2026-07-28" } : "legacy";
const client = new Client({ name: "securemcp-test", version: "1.0.0" }, { versionNegotiation: { mode } });
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: requestInit() });
await client.connect(transport);
const tools = (await client.listTools()).tools;
const call = (name, args) => client.callTool({ name, arguments: args });
console.log(
    JSON.stringify({
        protocol: client.getNegotiatedProtocolVersion(),
        tools: tools.map((tool) => tool.name),
        echo: await call("echo", { message: "Grüße" }),
        image: (await call("get-tiny-image", {})).content.map((block) => block.type),
        structured: await call("get-structured-content", { location: "Chicago" }),
    }),
);
if (generation === "legacy") await transport.terminateSession();
await client.close();
