// A person with a browser at /docs: reads, calls without and with a token, makes mistakes. Prints what they saw.

import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { launch } from "./chromium.mjs";

const [origin, browser, pictures] = process.argv.slice(2);
const token = process.env.TEST_TOKEN;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const sizes = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };
const told = { requests: [], console: [], violations: [] };

mkdirSync(pictures, { recursive: true });
const running = await launch(browser);
try {
  const permissions = ["clipboard-read", "clipboard-write"];
  const context = await running.newContext({ viewport: sizes.desktop, permissions });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on("request", (request) => told.requests.push(request.url()));
  page.on("console", (message) => told.console.push(message.text()));
  page.on("pageerror", (error) => told.console.push(String(error)));
  await page.exposeFunction("tellViolation", (violation) => told.violations.push(violation));
  await page.addInitScript(() =>
    addEventListener("securitypolicyviolation", (event) => tellViolation(event.violatedDirective)));

  await page.goto(`${origin}/docs`);
  const card = (tool) => page.locator(`#call_${tool}`);
  const submit = async (tool) => {
    const answered = page.waitForResponse((response) => response.url().endsWith(`/tools/${tool}`));
    await card(tool).getByRole("button", { name: "Call", exact: true }).click();
    await answered;
    await card(tool).locator("form .primary:enabled").waitFor();
    const answer = card(tool).locator(".answer");
    return { status: await answer.locator(".status strong").innerText(), text: await answer.innerText() };
  };
  const use = async (pasted, expected) => {
    await page.getByLabel("Access token").fill(pasted);
    await page.getByRole("button", { name: "Use this token" }).click();
    await page.locator(`#caller.${expected}`).waitFor();
    return page.locator("#caller").innerText();
  };
  await card("echo").waitFor();
  told.tools = await page.locator("#tools h2").allInnerTexts();
  told.index = await page.locator("#index a").allInnerTexts();

  await card("echo").getByLabel("message").fill("it's ü");
  await card("echo").getByLabel("uppercase").check();
  told.anonymous = await submit("echo");
  told.wrong = await use("x.y.z", "bad");
  told.refused = await submit("echo");
  told.typo = await use("not a token", "bad");
  told.caller = await use(token, "ok");
  told.left_in_the_field = await page.getByLabel("Access token").inputValue();
  told.badges = await page.locator(".badge").allInnerTexts();
  told.echo = await submit("echo");
  told.curl = await card("echo").locator(".curl").innerText();
  await card("echo").getByRole("button", { name: /^Copy/ }).click();
  told.copied = await page.evaluate(() => navigator.clipboard.readText());

  await card("calculator").getByLabel("operation").selectOption("add");
  await card("calculator").getByLabel("operands").fill("2\n-3.5\n4");
  told.calculator = await submit("calculator");
  await card("timestamp").getByLabel("timezone").fill("Mars/Olympus");
  told.timestamp = await submit("timestamp");
  const zone = card("timestamp").getByLabel("timezone");
  told.marked = {
    invalid: await zone.getAttribute("aria-invalid"),
    error: await page.locator("#call_timestamp-timezone-error").innerText(),
    focused: await zone.evaluate((control) => control === document.activeElement),
  };
  await card("order").getByLabel("lines").fill('[{"item": "nut", "count": 3}]');
  await card("order").getByLabel("note").fill("soon");
  told.order = await submit("order");
  await card("order").getByLabel("lines").fill("[");
  // Typing goes on where it began, whatever is wrong elsewhere.
  await card("order").getByLabel("note").press("x");
  told.typing_in = await page.evaluate(() => document.activeElement.id);
  await card("order").getByRole("button", { name: "Call", exact: true }).click();
  told.sent_to = await page.evaluate(() => document.activeElement.id);
  told.not_sent = await card("order").locator("#call_order-lines-error").innerText();

  told.kept = await page.evaluate(async (secret) => ({
    local: localStorage.length,
    session: sessionStorage.length,
    databases: (await indexedDB.databases()).length,
    caches: (await caches.keys()).length,
    cookie: document.cookie,
    address: location.href,
    history: JSON.stringify(history.state),
    in_page: document.documentElement.outerHTML.includes(secret),
  }), token);

  told.problems = {};
  for (const colorScheme of ["light", "dark"]) {
    for (const [size, viewport] of Object.entries(sizes)) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      await page.evaluate(() => scrollTo(0, 0));
      await page.screenshot({ path: join(pictures, `docs-${size}-${colorScheme}.png`), fullPage: true });
      const wide = await page.evaluate(() => {
        const { scrollWidth, clientWidth } = document.documentElement;
        return scrollWidth > clientWidth;
      });
      await page.evaluate(axe);
      const { violations, passes } = await page.evaluate(() => window.axe.run());
      const found = violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target}`));
      told.problems[`${size}-${colorScheme}`] = { wide, found, checked: passes.length };
    }
  }
  await page.reload();
  await card("echo").waitFor();
  told.after_reload = await page.locator("#caller").innerText();
} finally {
  await running.close();
}
console.log(JSON.stringify(told));
