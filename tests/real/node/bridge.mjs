// A program that knows stdio only, with `mcp-remote` as its server.
//
// usage: bridge.mjs URL [ARGUMENT of mcp-remote]...
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { CreateMessageRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { story } from "./story.mjs";

const client = new Client({ name: "securemcp-test", version: "1.0.0" }, { capabilities: { sampling: {} } });
const sampled = [];
client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
    sampled.push(params.messages.at(-1).content.text);
    return {
        model: "test-model",
        role: "assistant",
        stopReason: "endTurn",
        content: { type: "text", text: "A summary by way of mcp-remote." },
    };
});
const args = ["node_modules/mcp-remote/dist/proxy.js", ...process.argv.slice(2)];
await client.connect(new StdioClientTransport({ command: process.execPath, args, env: process.env }));
console.log(JSON.stringify({ ...(await story(client)), sampled }));
await client.close();
