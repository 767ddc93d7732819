// A loopback reverse proxy that adds a bearer token, for clients that cannot send one. Everything else passes unchanged.
//
// usage: proxy.mjs PORT TARGET_PORT     (the token is in TEST_TOKEN)
import { createServer, request } from "node:http";

const [port, target] = process.argv.slice(2).map(Number);

// The product takes a loopback name only with its own port, and the client knows only the proxy's. So the port is
// exchanged where the client named the proxy itself; any other Host or Origin, a rebound name above all, is the product's
// to judge and reaches it as it came.
const OWN = new RegExp(`^(http://)?(127\\.0\\.0\\.1|localhost|\\[::1\\]):${port}$`, "i");
const toTarget = (value) => value?.replace(OWN, `$1$2:${target}`);

createServer((incoming, outgoing) => {
    const { host, origin, ...headers } = incoming.headers;
    headers.host = toTarget(host);
    if (origin !== undefined) headers.origin = toTarget(origin);
    headers.authorization = `Bearer ${process.env.TEST_TOKEN}`;
    const { method, url: path } = incoming;
    const passed = request({ host: "127.0.0.1", port: target, method, path, headers, setHost: false });
    passed.on("response", (response) => {
        outgoing.writeHead(response.statusCode, response.headers);
        outgoing.flushHeaders();
        response.pipe(outgoing);
    });
    passed.on("error", () => outgoing.headersSent ? outgoing.destroy() : outgoing.writeHead(502).end());
    // A stream that the client leaves must not stay open behind the proxy.
    outgoing.on("close", () => passed.destroy());
    incoming.pipe(passed);
}).listen(port, "127.0.0.1");
