// The official TypeScript client 2.x lists and calls the four tools.
//
// usage: client-v2.mjs URL legacy|modern [login]
//
// The bearer token, if any, is in TEST_TOKEN; `login` has a person log in.
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";
import { connect, provider, refresh } from "./auth.mjs";
import { requestInit, story } from "./story.mjs";

const [url, generation, login] = process.argv.slice(2);
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
const authProvider = login && (await provider());
const options = authProvider ? { authProvider } : { requestInit: requestInit() };
const transport = await connect(client, () => new StreamableHTTPClientTransport(new URL(url), options), authProvider, {
    UnauthorizedError,
    finish: (refused, answer) => refused.finishAuth(answer),
});
const protocol = client.getNegotiatedProtocolVersion();
const told = { protocol, ...(await story(client)), sampled };
if (login) told.refreshed = await refresh(client, authProvider);
console.log(JSON.stringify(told));
if (generation === "legacy") await transport.terminateSession();
await client.close();
