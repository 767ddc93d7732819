// What the server said, and what a refusal means.

import { code, element, prose } from "./dom.js";

const PARAMETER = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

/** The parameters of a Bearer challenge (RFC 6750 section 3), or null. */
export function challengeOf(header) {
  if (!header?.startsWith("Bearer")) return null;
  const parameters = [...header.matchAll(PARAMETER)];
  return Object.fromEntries(parameters.map(([, name, value]) => [name, value.replaceAll(/\\(.)/g, "$1")]));
}

/** The elements that show an answer. `getToken` is a command that gets a token with these scopes. */
export function elementsOf({ response, body, milliseconds }, getToken) {
  const status = element("p", { className: response.ok ? "status ok" : "status bad" },
    element("strong", {}, `${response.status} ${titleOf(response, body)}`),
    ` in ${Math.round(milliseconds)} ms, request `, element("code", {}, response.headers.get("x-request-id") ?? ""));
  const challenge = challengeOf(response.headers.get("www-authenticate"));
  const parts = [status];
  if (!response.ok && body?.detail) parts.push(element("p", { className: "detail" }, ...prose(sentence(body.detail))));
  if (body?.errors) parts.push(element("ul", { className: "errors" }, ...body.errors.map(errorOf)));
  if (challenge) parts.push(explained(response.status, challenge, getToken));
  parts.push(code(typeof body === "string" ? body : JSON.stringify(body, null, 2), "Body of the answer"));
  return parts;
}

function titleOf(response, body) {
  return response.ok ? "OK" : (body?.title ?? response.statusText);
}

function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function errorOf({ pointer, detail }) {
  const place = pointer === "" ? [] : [element("code", {}, pointer), ": "];
  return element("li", {}, ...place, ...prose(detail));
}

const MEANINGS = {
  invalid_token: "The token is not good here: expired, revoked, or issued for another server. Get a new one.",
  insufficient_scope:
    "The token is good, but does not allow this tool. Get one with the scopes that the challenge names.",
  invalid_request: "The request carries its token in a way that is not allowed.",
};

function explained(status, challenge, getToken) {
  const meaning = MEANINGS[challenge.error] ?? "No token was sent. Get one, and paste it above.";
  const names = element("dl", {});
  const say = (term, ...what) => names.append(element("dt", {}, term), element("dd", {}, ...what));
  if (challenge.scope) say("Scopes to ask for", element("code", {}, challenge.scope));
  if (challenge.resource_metadata) {
    const { resource_metadata: url } = challenge;
    const isWeb = url.startsWith("http://") || url.startsWith("https://");
    say("Who gives tokens", isWeb ? element("a", { href: url }, url) : url);
  }
  const parts = [element("h4", {}, "What the challenge says"), element("p", {}, meaning), names];
  if (challenge.scope && status !== 400) parts.push(code(getToken(challenge.scope), "Command that gets a token"));
  return element("div", { className: "challenge" }, ...parts);
}
