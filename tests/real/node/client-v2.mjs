// The official TypeScript client 2.x lists and calls the four tools.
//
// usage: client-v2.mjs URL legacy|modern     (the bearer token, if any, is in TEST_TOKEN)
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { requestInit, story } from "./story.mjs";

const [url, generation] = process.argv.slice(2);
const mode = generation === "modern" ? { pin: "2026-07-28" } : "legacy";
const client = new Client(
    { name: "securemcp-test", version: "1.0.0" },
    { capabilities: { sampling: {} }, versionNegotiation: { mode } },
);
const sampled = [];
client.setRequestHandler("sampling/createMessage", async ({ params }) => {
    sampled.push(params.messages.at(-1).content.text);
    return {
        model: "test-model",
        role: "assistant",
        stopReason: "endTurn",
        content: { type: "text", text: "A summary from the TypeScript SDK 2.x." },
    };
});
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: requestInit() });
await client.connect(transport);
const protocol = client.getNegotiatedProtocolVersion();
console.log(JSON.stringify({ protocol, ...(await story(client)), sampled }));
if (generation === "legacy") await transport.terminateSession();
await client.close();
