// A person with a browser who logs in at /docs, calls a tool, says no, and follows links that others have made.
// Prints what they saw.

import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { launch } from "./chromium.mjs";

const [origin, browser, pictures] = process.argv.slice(2);
const password = process.env.TEST_TOKEN;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const told = { violations: [], console: [], logins: {}, answers: {} };

mkdirSync(pictures, { recursive: true });
const running = await launch(browser);

async function opened(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on("console", (message) => told.console.push(message.text()));
  page.on("pageerror", (error) => told.console.push(String(error)));
  page.traded = 0;
  page.on("request", (request) => { page.traded += new URL(request.url()).pathname === "/token" ? 1 : 0; });
  await page.exposeFunction("tellViolation", (violation) => told.violations.push(violation));
  await page.addInitScript(() =>
    addEventListener("securitypolicyviolation", (event) => tellViolation(event.violatedDirective)));
  return page;
}

const scene = (colorScheme) => running.newContext({ colorScheme, viewport: { width: 1000, height: 800 } });

const press = (page, name) => page.getByRole("button", { name, exact: true }).click();

/** From the page to the issuer, and there as far as the question. */
async function asked(page, take) {
  await page.locator("#log-in:enabled").waitFor();
  await take("start");
  await press(page, "Log in");
  await page.waitForURL("**/authorize?*");
  const field = page.getByLabel("Password");
  await field.or(page.getByRole("button", { name: "Allow" })).waitFor();
  if (await field.isVisible()) {
    await take("login");
    await field.fill(password);
    await press(page, "Log in");
  }
  await page.getByRole("button", { name: "Allow" }).waitFor();
  await take("consent");
}

const kept = (page) => page.evaluate(() => ({
  session: { ...sessionStorage },
  local: localStorage.length,
  cookie: document.cookie,
  address: location.href,
}));

try {
  for (const [name, at, scheme] of [
    ["light", origin, "light"],
    ["dark", origin, "dark"],
    ["localhost", origin.replace("127.0.0.1", "localhost"), "light"],
  ]) {
    const page = await opened(await scene(scheme));
    const take = (step) => page.screenshot({ path: join(pictures, `docs-${name}-${step}.png`) });
    await page.goto(`${at}/docs`);
    await asked(page, take);
    const consent = await page.locator("main").innerText();
    const meanwhile = Object.keys(JSON.parse((await kept(page)).session.login ?? "{}"));
    await press(page, "Allow");
    await page.locator("#caller.ok").waitFor();
    const caller = await page.locator("#caller").innerText();
    const echo = page.locator("#call_echo");
    await echo.getByLabel("message").fill("hello");
    await echo.getByRole("button", { name: "Call", exact: true }).click();
    const status = await echo.locator(".answer .status strong").innerText();
    await page.evaluate(() => scrollTo(0, 0));
    await take("end");
    const after = await kept(page);
    await page.reload();
    await page.locator("#log-in:enabled").waitFor();
    const reloaded = await page.locator("#caller").innerText();
    told.logins[name] = { consent, meanwhile, caller, status, after, reloaded, traded: page.traded };
    await page.context().close();
  }

  // Answers that did not come by way of the issuer, but for the last one; to somebody who has logged in before.
  const context = await scene("dark");
  for (const [name, change] of [
    ["wrong_state", (answer) => ({ ...answer, state: "x".repeat(43) })],
    ["no_state", ({ state, ...answer }) => answer],
    ["wrong_issuer", (answer) => ({ ...answer, iss: "https://evil.example" })],
    ["wrong_issuer_of_a_refusal", ({ code, ...answer }) =>
      ({ ...answer, error: "server_error", error_description: "Call not-shown", iss: `${answer.iss}/` })],
    ["no_issuer", ({ iss, ...answer }) => answer],
    ["refusal", ({ code, ...answer }) =>
      ({ ...answer, error: "server_error", error_description: "<b>Closed</b> today" })],
    ["bad_code", (answer) => answer],
    ["denied", null],
  ]) {
    const page = await opened(context);
    await page.goto(`${origin}/docs`);
    await asked(page, () => {});
    if (change === null) {
      await press(page, "Deny");
    } else {
      const { state, issuer } = JSON.parse((await kept(page)).session.login);
      const answer = change({ code: "guessed", state, iss: issuer });
      await page.goto(`${origin}/docs?${new URLSearchParams(answer)}`);
    }
    await page.locator("#login-trouble:visible").waitFor();
    await page.screenshot({ path: join(pictures, `docs-trouble-${name}.png`) });
    const said = await page.locator("#login-trouble").innerText();
    const shown = await page.locator("body").innerText();
    await page.evaluate(axe);
    const { violations, passes } = await page.evaluate(() => window.axe.run());
    const found = violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target}`));
    told.answers[name] = {
      said,
      repeats: shown.includes("not-shown"),
      traded: page.traded,
      after: await kept(page),
      caller: await page.locator("#caller").innerText(),
      problems: { found, checked: passes.length },
    };
    await page.close();
  }
} finally {
  await running.close();
}
console.log(JSON.stringify(told));
