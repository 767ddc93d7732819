// A person at every page that people log in at, who makes mistakes: how each looks, and whether it is for everybody.
//
// usage: look.mjs ORIGIN     (who it is is in TEST_PERSON)
//
// Prints one JSON document: for each page {title, problems: {SIZE-SCHEME: {found, wide, checked}}}, and what the browser
// asked for, complained of and was kept from.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { launch, picture } from "./chromium.mjs";

const [origin] = process.argv.slice(2);
const person = JSON.parse(process.env.TEST_PERSON);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const sizes = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };
const exact = true;
const told = { pages: {}, requests: [], console: [], violations: [] };

const redirect = "http://127.0.0.1:9/callback";
const registered = await fetch(`${origin}/register`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
        client_name: "An editor with a rather long name that somebody gave it",
        redirect_uris: [redirect],
        token_endpoint_auth_method: "none",
    }),
});
const client = await registered.json();
const authorize = (more) => {
    const asked = {
        response_type: "code",
        client_id: client.client_id,
        redirect_uri: redirect,
        state: "state",
        // RFC 7636 appendix B.
        code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        code_challenge_method: "S256",
        ...more,
    };
    return `${origin}/authorize?${new URLSearchParams(asked)}`;
};

const running = await launch(person.browser);
try {
    const page = await running.newPage();
    page.setDefaultTimeout(20_000);
    page.on("request", (request) => told.requests.push(request.url()));
    page.on("console", (message) => told.console.push(message.text()));
    page.on("pageerror", (error) => told.console.push(String(error)));
    await page.exposeFunction("tellViolation", (violation) => told.violations.push(violation));
    await page.addInitScript(() =>
        addEventListener("securitypolicyviolation", (event) => tellViolation(event.violatedDirective)));

    const look = async (name) => {
        const problems = {};
        for (const colorScheme of ["light", "dark"]) {
            for (const [size, viewport] of Object.entries(sizes)) {
                await page.emulateMedia({ colorScheme });
                await page.setViewportSize(viewport);
                await picture(page, person.pictures, `${name}-${size}-${colorScheme}`);
                const wide = await page.evaluate(() => {
                    const { scrollWidth, clientWidth } = document.documentElement;
                    return scrollWidth > clientWidth;
                });
                await page.evaluate(axe);
                const { violations, passes } = await page.evaluate(() => window.axe.run());
                const found = violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target}`));
                problems[`${size}-${colorScheme}`] = { found, wide, checked: passes.length };
            }
        }
        told.pages[name] = { title: await page.title(), problems };
    };
    const logIn = async (password) => {
        await page.getByLabel("User name", { exact }).fill(person.user);
        await page.getByLabel("Password", { exact }).fill(password);
        await page.getByRole("button", { name: "Log in", exact }).click();
    };

    await page.goto(authorize({ client_id: "nobody" }));
    await look("refused");
    await page.goto(authorize({}));
    await look("login");
    await logIn("wrong");
    await page.getByRole("alert").waitFor();
    await look("wrong");
    await logIn(person.password);
    await page.getByRole("button", { name: "Allow", exact }).waitFor();
    await look("consent");

    await page.goto(`${origin}/device`);
    await look("device");
    await page.getByLabel("Code", { exact }).fill("BBBB-BBBB");
    await page.getByRole("button", { name: "Continue", exact }).click();
    await page.getByRole("alert").waitFor();
    await look("wrong-code");
} finally {
    await running.close();
}
console.log(JSON.stringify(told));
