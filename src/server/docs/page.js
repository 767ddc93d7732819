// The page: the tools of /openapi.json, a token in memory, and calls.

import { elementsOf } from "./answer.js";
import { curlOf, tokenOf } from "./curl.js";
import { element, prose } from "./dom.js";
import { formOf } from "./form.js";
import { comeBack, logIn } from "./login.js";

const base = new URL(".", document.baseURI);
const at = (path) => new URL(path.replace(/^\//, ""), base).href;
const byId = (id) => document.getElementById(id);

/** No cookie goes along, and nothing is kept. */
const ALONE = { credentials: "omit", cache: "no-store" };
/** Never written anywhere: not into storage, not into an address, not into the page. */
let token = null;
/** The scopes of the token; null while they are not known. */
let scopes = null;
/** What shows whether the token allows a tool. */
const lamps = [];

try {
  await start();
} catch (problem) {
  const trouble = byId("trouble");
  trouble.textContent = `The tools cannot be shown: ${problem.message}.`;
  trouble.hidden = false;
}

async function start() {
  const [openapi, front] = await Promise.all(["openapi.json", ""].map(fetched));
  byId("version").textContent = openapi.info.version;
  const tools = toolsOf(openapi);
  const wanted = [...new Set(tools.flatMap((tool) => tool.scopes))].join(" ");
  const getToken = (scope) => tokenOf(front.mcp, scope);
  byId("how-token").textContent = getToken(wanted);
  byId("tools").append(...tools.map((tool) => cardOf(tool, getToken)));
  const link = ({ title, anchor }) => element("li", {}, element("a", { href: `#${anchor}` }, title));
  byId("index").append(...tools.map(link));
  byId("token-form").addEventListener("submit", takeToken);
  byId("forget").addEventListener("click", forgetToken);
  offerLogin(front);
  document.addEventListener("click", copy);
  // The tools were not there yet when the browser looked for the one in the address.
  if (location.hash) byId(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
}

/** With a client to log in as there is a button; who comes back from the issuer has a token. */
function offerLogin({ docs_client_id: clientId, authorization_servers: [issuer] }) {
  byId("no-login").hidden = clientId !== null;
  byId("login").hidden = clientId === null;
  if (clientId === null) return;
  byId("issuer").textContent = issuer;
  const button = byId("log-in");
  const attempt = async (work) => {
    button.disabled = true;
    byId("login-trouble").hidden = true;
    try {
      await work();
    } catch (problem) {
      byId("login-problem").textContent = `${problem.message}.`;
      byId("login-way-out").textContent = problem.hint ?? "";
      byId("login-trouble").hidden = false;
    } finally {
      button.disabled = false;
    }
  };
  const metadata = at(".well-known/oauth-protected-resource");
  button.addEventListener("click", () => attempt(() => logIn({ metadata, clientId })));
  attempt(async () => {
    const got = await comeBack({ clientId });
    if (got !== null) await use(got);
  });
}

async function fetched(path) {
  const response = await fetch(at(path), { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`${at(path)} answered ${response.status}`);
  return response.json();
}

function toolsOf(openapi) {
  const resolve = (schema) => {
    let found = schema;
    for (let hops = 0; typeof found?.$ref === "string" && found.$ref.startsWith("#/") && hops < 16; hops += 1) {
      const { $ref: reference, ...rest } = found;
      const names = decodeURIComponent(reference.slice(2)).split("/").map(unescaped);
      found = { ...names.reduce((value, name) => value?.[name], openapi), ...rest };
    }
    return found ?? {};
  };
  return Object.entries(openapi.paths)
    .filter(([, item]) => item.post?.tags?.includes("tools"))
    .map(([path, { post }]) => ({
      path,
      resolve,
      anchor: post.operationId,
      title: post.summary,
      description: post.description,
      scopes: post.security.flatMap((requirement) => requirement.bearer ?? []),
      schema: post.requestBody.content["application/json"].schema,
    }));
}

/** A name in a JSON pointer (RFC 6901). */
function unescaped(name) {
  return name.replaceAll("~1", "/").replaceAll("~0", "~");
}

function cardOf(tool, getToken) {
  const card = byId("tool").content.cloneNode(true).firstElementChild;
  const find = (selector) => card.querySelector(selector);
  const heading = find("h2");
  card.id = tool.anchor;
  heading.id = `${tool.anchor}-title`;
  heading.textContent = tool.title;
  card.setAttribute("aria-labelledby", heading.id);
  find(".description").append(...prose(tool.description));
  find(".endpoint code").textContent = tool.path;
  const lamp = find(".scopes");
  lamps.push(() => showScopes(lamp, tool.scopes));
  lamps.at(-1)();

  const form = formOf(tool.schema, { resolve: tool.resolve, id: tool.anchor });
  find(".fields").append(...form.elements);
  if (form.elements.length === 0) find(".fields").append(element("p", { className: "hint" }, "It takes none."));
  const curl = find(".curl");
  curl.parentElement.setAttribute("aria-label", `curl command that calls ${tool.title}`);
  find(".copy").setAttribute("aria-label", `Copy the curl command that calls ${tool.title}`);
  curl.id = `${tool.anchor}-curl`;
  find(".copy").dataset.copies = curl.id;
  const url = at(tool.path);
  const show = (body) => { curl.textContent = curlOf(url, body); };
  show(form.read() ?? {});
  const formElement = find("form");
  formElement.addEventListener("input", () => {
    const body = form.read();
    if (body !== null) show(body);
  });
  formElement.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = form.read();
    form.focusInvalid();
    if (body === null) return;
    show(body);
    const button = find("form .primary");
    button.disabled = true;
    const answer = find(".answer");
    find(".answer-title").hidden = false;
    try {
      const got = await call(url, body);
      answer.replaceChildren(...elementsOf(got, getToken));
      form.mark(got.body?.errors ?? []);
      form.focusInvalid();
    } catch (problem) {
      answer.replaceChildren(element("p", { className: "status bad" }, `No answer: ${problem.message}.`));
    } finally {
      button.disabled = false;
    }
  });
  return card;
}

async function call(url, body) {
  const headers = { "content-type": "application/json", accept: "application/json" };
  if (token !== null) headers.authorization = `Bearer ${token}`;
  const began = performance.now();
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body), ...ALONE });
  const text = await response.text();
  return { response, body: parsed(text), milliseconds: performance.now() - began };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

async function takeToken(event) {
  event.preventDefault();
  const input = byId("token");
  const pasted = input.value.trim();
  input.value = "";
  if (pasted === "") return;
  // A header can carry nothing else, and a typing error is told here.
  if (!/^[\w.~+/-]+=*$/.test(pasted)) {
    forgetToken();
    say("That is no token: it has characters that no token has.", "bad");
    return;
  }
  await use(pasted);
}

async function use(got) {
  token = got;
  byId("forget").hidden = false;
  try {
    const response = await fetch(at("api/v1/me"), { headers: { authorization: `Bearer ${token}` }, ...ALONE });
    const caller = await response.json();
    scopes = response.ok ? caller.scopes : null;
    if (response.ok) say(described(caller), "ok");
    else say(`Refused with ${response.status}: ${caller.detail}.`, "bad");
  } catch (problem) {
    say(`The token could not be tried: ${problem.message}.`, "bad");
  }
  lamps.forEach((light) => light());
}

function described({ user, client, scopes: allowed, exp }) {
  const software = client === user ? "" : `, by ${client ?? "an unnamed client"}`;
  return `${user}${software}: ${allowed.join(" ") || "no scope"}, until ${timeOf(exp)}.`;
}

function forgetToken() {
  token = null;
  scopes = null;
  byId("forget").hidden = true;
  say("No token: calls will be refused with 401.", "");
  lamps.forEach((light) => light());
}

function say(text, tone) {
  const caller = byId("caller");
  caller.textContent = text;
  caller.className = `caller ${tone}`;
}

function timeOf(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

function showScopes(place, needed) {
  const badges = needed.map((scope) => {
    const has = scopes?.includes(scope);
    const badge = element("span", { className: "badge" }, scope);
    if (scopes !== null) {
      badge.classList.add(has ? "has" : "lacks");
      const words = has ? "your token has it" : "your token lacks it";
      badge.append(has ? " ✓" : " ✗", element("span", { className: "unseen" }, words));
    }
    return badge;
  });
  if (badges.length === 0) badges.push(element("span", { className: "badge" }, "any token"));
  place.replaceChildren(...badges);
}

async function copy(event) {
  const button = event.target.closest("button.copy");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(byId(button.dataset.copies).textContent);
    button.textContent = "Copied";
  } catch {
    // Without a clipboard (plain http off loopback) the text is selected instead.
    getSelection().selectAllChildren(byId(button.dataset.copies));
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}
