// Serves by https what a client says of itself: the document's URL is the client's id.
//
// usage: document.mjs PORT CERTIFICATE KEY
import { readFileSync } from "node:fs";
import { createServer } from "node:https";

const [port, cert, key] = process.argv.slice(2);
const path = "/client.json";
const places = ["http://127.0.0.1", "http://localhost"];
const document = {
    client_id: `https://localhost:${port}${path}`,
    client_name: "A client by its document",
    // Any port of this machine.
    redirect_uris: places.flatMap((place) => [`${place}/callback`, `${place}/oauth/callback`]),
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
};
const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
    const found = request.url === path;
    if (found) console.log("asked for the document");
    response.writeHead(found ? 200 : 404, { "Content-Type": "application/json", "Cache-Control": "max-age=600" });
    response.end(JSON.stringify(found ? document : {}));
});
server.listen(Number(port), "127.0.0.1", () => console.log("listening"));
