// A server made with the TypeScript SDK 2.x that speaks 2026-07-28 only, without authentication.
//
// usage: server-v2.mjs PORT
import { createServer } from "node:http";
import { localhostHostValidation, localhostOriginValidation, toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, inputRequired, inputResponse, McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";

function tools() {
    const server = new McpServer({ name: "typescript-v2", version: "1.0.0" });
    server.registerTool(
        "join",
        {
            description: "Joins words.",
            inputSchema: z.object({ words: z.array(z.string()), separator: z.string().default(" ") }),
            outputSchema: z.object({ joined: z.string(), count: z.number() }),
        },
        async ({ words, separator }) => {
            const structuredContent = { joined: words.join(separator), count: words.length };
            return { content: [{ type: "text", text: structuredContent.joined }], structuredContent };
        },
    );
    server.registerTool(
        "fail",
        { description: "Always fails.", inputSchema: z.object({}) },
        async () => ({ isError: true, content: [{ type: "text", text: "this tool always fails" }] }),
    );
    server.registerTool(
        "ask",
        { description: "Asks the caller's model.", inputSchema: z.object({ question: z.string() }) },
        async ({ question }, ctx) => {
            const answer = inputResponse(ctx.mcpReq.inputResponses, "answer");
            if (answer.kind !== "sampling") {
                const message = { role: "user", content: { type: "text", text: question } };
                const request = inputRequired.createMessage({ messages: [message], maxTokens: 100 });
                return inputRequired({ inputRequests: { answer: request } });
            }
            return { content: [{ type: "text", text: `The model says: ${answer.result.content.text}` }] };
        },
    );
    return server;
}

const mcp = toNodeHandler(createMcpHandler(tools, { legacy: "reject" }));
const rightHost = localhostHostValidation();
const rightOrigin = localhostOriginValidation();
createServer((request, response) => {
    if (!rightHost(request, response) || !rightOrigin(request, response)) return;
    if (new URL(request.url, "http://127.0.0.1").pathname !== "/mcp") {
        response.writeHead(404).end();
        return;
    }
    void mcp(request, response);
}).listen(Number(process.argv[2]), "127.0.0.1");
