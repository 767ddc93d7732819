// A loopback reverse proxy that adds a bearer token, for clients that cannot send one. Everything else passes unchanged.
//
// usage: proxy.mjs PORT URL     (the token is in TEST_TOKEN; every target is on this machine, whatever its name)
import { createServer, request as plain } from "node:http";
import { request as secured } from "node:https";

const port = Number(process.argv[2]);
const target = new URL(process.argv[3]);
const request = target.protocol === "https:" ? secured : plain;

// The product takes its own names only, and the client knows only the proxy's. So they are exchanged where the client
// named the proxy itself; any other Host or Origin, a rebound name above all, is the product's to judge and reaches it as
// it came.
const OWN = new RegExp(`^(http://)?(127\\.0\\.0\\.1|localhost|\\[::1\\]):${port}$`, "i");
const toTarget = (value) => value?.replace(OWN, (_, scheme) => scheme ? target.origin : target.host);

createServer((incoming, outgoing) => {
    const { host, origin, ...headers } = incoming.headers;
    headers.host = toTarget(host);
    if (origin !== undefined) headers.origin = toTarget(origin);
    headers.authorization = `Bearer ${process.env.TEST_TOKEN}`;
    const { method, url: path } = incoming;
    const to = { host: "127.0.0.1", port: target.port, servername: target.hostname };
    const passed = request({ ...to, method, path, headers, setHost: false });
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
