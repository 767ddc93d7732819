// The official TypeScript SDK 1.x lists and calls the four tools; it knows the legacy generation only.
//
// usage: client-v1.mjs URL [login]
//
// The bearer token, if any, is in TEST_TOKEN; `login` has a person log in.
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { CreateMessageRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { connect, provider, refresh } from "./auth.mjs";
import { requestInit, story } from "./story.mjs";

const [url, login] = process.argv.slice(2);
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
const authProvider = login && (await provider());
const options = authProvider ? { authProvider } : { requestInit: requestInit() };
const transport = await connect(client, () => new StreamableHTTPClientTransport(new URL(url), options), authProvider, {
    UnauthorizedError,
    finish: (refused, answer) => refused.finishAuth(answer.get("code")),
});
const protocol = transport.protocolVersion;
const told = { protocol, ...(await story(client)), sampled };
if (login) told.refreshed = await refresh(client, authProvider);
console.log(JSON.stringify(told));
await transport.terminateSession();
await client.close();
