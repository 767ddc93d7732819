// What every SDK client here does once it is connected, and how it shows what came back.

/** The headers of each request: the bearer token of TEST_TOKEN, if there is one. */
export function requestInit() {
    const token = process.env.TEST_TOKEN;
    return token ? { headers: { Authorization: `Bearer ${token}` } } : {};
}

/** Lists the tools and calls all four; one call is refused by the tool. */
export async function story(client) {
    const call = (name, args) => shown(client.callTool({ name, arguments: args }));
    return {
        server: client.getServerVersion()?.name ?? null,
        tools: (await client.listTools()).tools.map((tool) => tool.name),
        echo: await call("echo", { message: "Grüße", uppercase: true }),
        timestamp: await call("timestamp", { timezone: "America/New_York", include_epoch: true }),
        calculator: await call("calculator", { operation: "add", operands: [10, 20, 30] }),
        refused: await call("calculator", { operation: "divide", operands: [1, 0] }),
        summarize: await call("summarize", { text: "A long story about a short name." }),
    };
}

async function shown(call) {
    try {
        const result = await call;
        return {
            error: result.isError === true,
            structured: result.structuredContent ?? null,
            text: result.content.map((block) => (block.type === "text" ? block.text : "")).join(""),
        };
    } catch (error) {
        // A JSON-RPC error; anything else is a defect that must end the script.
        if (typeof error.code !== "number") throw error;
        return { error: true, code: error.code, text: error.message };
    }
}
