// The official TypeScript SDK 1.x lists and calls the four tools; it knows the legacy generation only.
//
// usage: client-v1.mjs URL     (the bearer token, if any, is in TEST_TOKEN)
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { CreateMessageRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { requestInit, story } from "./story.mjs";

const [url] = process.argv.slice(2);
const client = new Client({ name: "securemcp-test", version: "1.0.0" }, { capabilities: { sampling: {} } });
const sampled = [];
client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
    sampled.push(params.messages.at(-1).content.text);
    return {
        model: "test-model",
        role: "assistant",
        stopReason: "endTurn",
        content: { type: "text", text: "A summary from the TypeScript SDK 1.x." },
    };
});
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: requestInit() });
await client.connect(transport);
const protocol = transport.protocolVersion;
console.log(JSON.stringify({ protocol, ...(await story(client)), sampled }));
await transport.terminateSession();
await client.close();
