// What the official SDKs want of a program whose user logs in: keeps all in memory, has the system's browser opened.

import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

/** A provider for the SDKs, which listens where the browser comes back. */
export async function provider() {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Provider(server);
}

class Provider {
    #server;
    #state = randomUUID();
    #client;
    #tokens;
    #verifier;
    #discovered;
    /** How often an authorization server has given tokens. */
    given = 0;

    /** Whose document is this program's client id, where the authorization server takes such. */
    clientMetadataUrl = process.env.TEST_CLIENT_DOCUMENT;

    constructor(server) {
        this.#server = server;
        this.redirectUrl = `http://127.0.0.1:${server.address().port}/callback`;
    }

    get clientMetadata() {
        return {
            client_name: "A program with the TypeScript SDK",
            redirect_uris: [this.redirectUrl],
            grant_types: ["authorization_code", "refresh_token"],
            response_types: ["code"],
            token_endpoint_auth_method: "none",
        };
    }

    state() {
        return this.#state;
    }

    clientInformation() {
        return this.#client;
    }

    saveClientInformation(client) {
        this.#client = client;
    }

    tokens() {
        return this.#tokens;
    }

    saveTokens(tokens) {
        this.given += 1;
        this.#tokens = tokens;
    }

    /** Makes the access token one that no server takes, as time would. */
    spoil() {
        this.#tokens = { ...this.#tokens, access_token: "spoilt" };
    }

    discoveryState() {
        return this.#discovered;
    }

    saveDiscoveryState(discovered) {
        this.#discovered = discovered;
    }

    saveCodeVerifier(verifier) {
        this.#verifier = verifier;
    }

    codeVerifier() {
        return this.#verifier;
    }

    redirectToAuthorization(url) {
        spawn(process.env.BROWSER, [url.href], { stdio: "ignore" });
    }

    /** Waits for the browser to come back with an answer. */
    async answer() {
        const [request, response] = await once(this.#server, "request");
        const { searchParams } = new URL(request.url, this.redirectUrl);
        await new Promise((done) => response.end("Go back to the program.\n", done));
        this.#server.close();
        this.#server.closeAllConnections();
        if (searchParams.get("state") !== this.#state) throw new Error("an answer to another question");
        if (!searchParams.has("code")) throw new Error(`no code: ${searchParams}`);
        return searchParams;
    }
}

/** Connects; with a provider by a login, before which it must be refused. */
export async function connect(client, transport, provider, { UnauthorizedError, finish }) {
    if (provider) {
        const refused = transport();
        const error = await client.connect(refused).catch((error) => error);
        if (!(error instanceof UnauthorizedError)) throw error ?? new Error("it was let in without a login");
        await finish(refused, await provider.answer());
    }
    const connected = transport();
    await client.connect(connected);
    return connected;
}

/** Calls a tool after the access token's time; tells what came of it, and how often tokens were given by then. */
export async function refresh(client, provider) {
    provider.spoil();
    const { structuredContent } = await client.callTool({ name: "echo", arguments: { message: "again" } });
    return { echo: structuredContent.echo, given: provider.given };
}
