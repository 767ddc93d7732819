// A server made with the TypeScript SDK 2.x that speaks 2026-07-28 only, without authentication.
//
// usage: server-v2.mjs PORT
import { createServer } from "node:http";
import { localhostHostValidation, localhostOriginValidation, toNodeHandler } from "@modelcontextprotocol/node";
import { acceptedContent, createMcpHandler, inputRequired, inputResponse, McpServer } from "@modelcontextprotocol/server";
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
    server.registerTool(
        "book",
        { description: "Asks the caller where to, and whether that is sure.", inputSchema: z.object({}) },
        async (_, ctx) => {
            const place = z.object({ where: z.string().min(3), nights: z.number().int().default(2) });
            const sure = z.object({ sure: z.boolean() });
            const { inputResponses, requestState, _meta } = ctx.mcpReq;
            if (!inputResponses) {
                const ask = inputRequired.elicit({ message: "Where to?", requestedSchema: place });
                return inputRequired({ inputRequests: { place: ask }, requestState: "asked" });
            }
            const booked = acceptedContent(inputResponses, "place", place);
            if (booked) {
                const ask = inputRequired.elicit({ message: "Sure?", requestedSchema: sure });
                return inputRequired({ inputRequests: { sure: ask }, requestState: JSON.stringify(booked) });
            }
            if (!acceptedContent(inputResponses, "sure", sure)?.sure) {
                return { content: [{ type: "text", text: "nothing is booked" }] };
            }
            const progressToken = _meta?.progressToken;
            const params = { progressToken, progress: 1, total: 1, message: "booked" };
            await ctx.mcpReq.notify({ method: "notifications/progress", params });
            return { content: [{ type: "text", text: `booked: ${requestState()}` }] };
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
