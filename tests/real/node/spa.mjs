// A program that runs in a browser, with the TypeScript SDK 2.x: it asks the server and the issuer itself, across origins.
// What it is to keep while the person is at the issuer's pages, it keeps in the tab.

import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";

const kept = (name) => JSON.parse(sessionStorage.getItem(name)) ?? undefined;
const keep = (name, value) => sessionStorage.setItem(name, JSON.stringify(value));

const authProvider = {
    redirectUrl: `${location.origin}/oauth/callback`,
    get clientMetadata() {
        return {
            client_name: "A program in a browser",
            redirect_uris: [this.redirectUrl],
            grant_types: ["authorization_code", "refresh_token"],
            response_types: ["code"],
            token_endpoint_auth_method: "none",
        };
    },
    clientInformation: () => kept("client"),
    saveClientInformation: (client) => keep("client", client),
    tokens: () => kept("tokens"),
    saveTokens: (tokens) => keep("tokens", tokens),
    codeVerifier: () => kept("verifier"),
    saveCodeVerifier: (verifier) => keep("verifier", verifier),
    discoveryState: () => kept("discovered"),
    saveDiscoveryState: (discovered) => keep("discovered", discovered),
    redirectToAuthorization: (url) => location.assign(url),
};

async function run(url) {
    const transport = () => new StreamableHTTPClientTransport(new URL(url), { authProvider });
    const answer = new URLSearchParams(location.search);
    if (answer.has("code")) await transport().finishAuth(answer);
    const client = new Client({ name: "spa", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
    await client.connect(transport());
    const { tools } = await client.listTools();
    const { structuredContent } = await client.callTool({ name: "echo", arguments: { message: "Grüße" } });
    return { protocol: client.getNegotiatedProtocolVersion(), tools: tools.length, echo: structuredContent.echo };
}

const show = (told) => document.body.append(Object.assign(document.createElement("pre"), { textContent: told }));
const asked = new URLSearchParams(location.search).get("server");
if (asked) keep("server", asked);
try {
    show(JSON.stringify(await run(kept("server"))));
} catch (error) {
    if (!(error instanceof UnauthorizedError)) show(JSON.stringify({ error: String(error) }));
}
