// Logging in: the authorization code with PKCE, as a public client (OAuth 2.1, RFC 7636, RFC 8414, RFC 9207, RFC 9728).

/** What the page needs to go on when it comes back: nothing that is worth anything to somebody else. */
const KEPT = "login";
/** The most that is shown of what an issuer says. */
const MAX_SHOWN = 300;
const PLAIN = { credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer" };

/** Why there is no token: what happened, and what to do. */
export class Trouble extends Error {
  constructor(message, hint) {
    super(message);
    this.hint = hint;
  }
}

/** Leaves the page for the issuer's. `metadata` is where the server says who that is. */
export async function logIn({ metadata, clientId }) {
  const resource = await read(metadata);
  if (!resource) throw new Trouble(`${metadata} cannot be read`, "Load the page again.");
  const [issuer] = resource.authorization_servers;
  const server = await serverOf(issuer);
  const [verifier, state] = [random(), random()];
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
  const parameters = {
    response_type: "code",
    client_id: clientId,
    redirect_uri: here(),
    resource: resource.resource,
    state,
    code_challenge: base64url(new Uint8Array(digest)),
    code_challenge_method: "S256",
  };
  const scope = resource.scopes_supported?.join(" ");
  if (scope) parameters.scope = scope;
  const url = new URL(server.authorization_endpoint);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  sessionStorage.setItem(KEPT, JSON.stringify({ verifier, state, issuer }));
  location.assign(url);
}

/** The token that this visit of the page brings; null if nobody was sent back here. */
export async function comeBack({ clientId }) {
  const answer = new URLSearchParams(location.search);
  if (!answer.has("state") && !answer.has("code") && !answer.has("error")) return null;
  const kept = JSON.parse(sessionStorage.getItem(KEPT));
  // A code that stays in the address is one reload away from being sent twice, and in the history.
  sessionStorage.removeItem(KEPT);
  history.replaceState(null, "", here() + location.hash);

  const one = (name) => (answer.getAll(name).length === 1 ? answer.get(name) : null);
  if (kept === null || one("state") !== kept.state) {
    throw new Trouble("This answer is for no login that was begun in this tab", "Log in once more, in one tab.");
  }
  // Before anything is sent anywhere: a code of one issuer is nothing for another (RFC 9207 section 2.4). What such an
  // answer says of itself is not shown, since anybody may have written it.
  const ofAnother = () => {
    const hint = "Log in once more. If it happens again, tell whoever runs this server.";
    return new Trouble(`The answer is not from ${kept.issuer}, where the login was begun, and was not used`, hint);
  };
  if (answer.has("iss") && one("iss") !== kept.issuer) throw ofAnother();
  const server = await serverOf(kept.issuer);
  if (!answer.has("iss") && server.authorization_response_iss_parameter_supported === true) throw ofAnother();
  if (answer.has("error")) throw refusal(one("error"), one("error_description"));
  const code = one("code");
  if (!code) throw new Trouble("The answer has no code", "Log in once more.");
  return tokenFor(server, { code, code_verifier: kept.verifier, client_id: clientId });
}

/** Where people come back to. */
function here() {
  return location.origin + location.pathname;
}

/** Where the metadata of an issuer may be, in the order to ask: RFC 8414 section 3.1, then OpenID Connect. */
function placesOf(issuer) {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, "");
  const inserted = ["oauth-authorization-server", "openid-configuration"].map((name) => `/.well-known/${name}${path}`);
  return [...new Set([...inserted, `${path}/.well-known/openid-configuration`])].map((place) => origin + place);
}

/** The metadata of an issuer, which has to be its own. */
async function serverOf(issuer) {
  let server = null;
  for (const place of placesOf(issuer)) server ??= await read(place);
  if (!server) {
    const hint = `Open ${issuer} in another tab: it has to be reached from this browser, and to let pages of ` +
      `${location.origin} read its metadata.`;
    throw new Trouble(`The issuer ${issuer} did not answer this page`, hint);
  }
  const broken = (what) => new Trouble(`The metadata of the issuer ${issuer} ${what}`, "Tell whoever runs the issuer.");
  if (server.issuer !== issuer) throw broken(`is another's: ${shown(server.issuer)}`);
  if (!server.code_challenge_methods_supported?.includes("S256")) throw broken("does not list PKCE with S256");
  const { origin } = new URL(issuer);
  const isPlace = (url) => URL.canParse(url) && (url.startsWith("https://") || new URL(url).origin === origin);
  if (![server.authorization_endpoint, server.token_endpoint].every(isPlace)) throw broken("names no place to log in");
  return server;
}

/** A document, or null. */
async function read(url) {
  try {
    const response = await fetch(url, { ...PLAIN, headers: { accept: "application/json" } });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

async function tokenFor(server, proof) {
  const form = new URLSearchParams({ grant_type: "authorization_code", redirect_uri: here(), ...proof });
  let response;
  let answer;
  try {
    response = await fetch(server.token_endpoint, { ...PLAIN, method: "POST", body: form });
    answer = await response.json();
  } catch {
    const hint = `It has to let pages of ${location.origin} use its token endpoint: at Keycloak that is the client's ` +
      "Web origins.";
    throw new Trouble(`The issuer ${server.issuer} did not give this page a token`, hint);
  }
  if (!response.ok) throw refusal(answer?.error, answer?.error_description);
  const isToken = typeof answer.access_token === "string" && /^bearer$/i.test(answer.token_type);
  if (!isToken) throw new Trouble("The issuer's answer has no bearer token", "Tell whoever runs the issuer.");
  return answer.access_token;
}

/** What an issuer said no with, in its words. */
function refusal(error, description) {
  if (error === "access_denied") {
    return new Trouble("Access was not allowed at the issuer", "Log in once more and allow it, or paste a token.");
  }
  const words = description ? `${shown(error)}: ${shown(description)}` : shown(error);
  const hint = "Log in once more. If it happens again, tell whoever runs the issuer.";
  return new Trouble(`The issuer refused: ${words}`, hint);
}

function shown(text) {
  return String(text).slice(0, MAX_SHOWN);
}

/** 256 bits that nobody can guess. */
function random() {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
