// An echo tool by the TypeScript SDK 1.x, with its bearer authentication in front.
//
// usage: typescript-echo.mjs NODE_MODULES PORT KEYS ISSUER AUDIENCE
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, port, keys, issuer, audience] = process.argv.slice(2);
const installed = createRequire(pathToFileURL(`${modules}/`));
const { McpServer } = installed("@modelcontextprotocol/sdk/server/mcp.js");
const { StreamableHTTPServerTransport } = installed("@modelcontextprotocol/sdk/server/streamableHttp.js");
const { requireBearerAuth } = installed("@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js");
const express = installed("express");
const { createLocalJWKSet, jwtVerify } = await import(pathToFileURL(installed.resolve("jose")));
const { z } = installed("zod");

const keySet = createLocalJWKSet(JSON.parse(readFileSync(keys, "utf8")));
const verifier = {
    async verifyAccessToken(token) {
        const { payload } = await jwtVerify(token, keySet, { issuer, audience, algorithms: ["RS256"] });
        return { token, clientId: payload.client_id, scopes: payload.scope.split(" "), expiresAt: payload.exp };
    },
};

function server() {
    const server = new McpServer({ name: "typescript", version: "1.0.0" });
    server.registerTool(
        "echo",
        { description: "Gives a message back.", inputSchema: { message: z.string() } },
        async ({ message }) => ({
            content: [{ type: "text", text: message }],
            structuredContent: { echo: message, timestamp: null, length: message.length },
        }),
    );
    return server;
}

const app = express();
app.use(express.json());
app.post("/mcp", requireBearerAuth({ verifier, requiredScopes: ["mcp:read"] }), async (request, response) => {
    // As the SDK's own stateless example does: a server and a transport for each request.
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
    const mcp = server();
    response.on("close", () => {
        void transport.close();
        void mcp.close();
    });
    await mcp.connect(transport);
    await transport.handleRequest(request, response, request.body);
});
app.listen(Number(port), "127.0.0.1");
