// A person with MCP Inspector in a browser: connects it to the server that it was started for, logs in, calls a tool.
//
// usage: inspector.mjs ORIGIN     (who it is, at which pages, is in TEST_PERSON)
//
// Prints one JSON document: {scope, resource, code_challenge_method, tools, result}; the first three are what Inspector
// asked the authorization server for.

import { launch, picture } from "./chromium.mjs";
import { logIn } from "./login.mjs";

const [origin] = process.argv.slice(2);
const person = JSON.parse(process.env.TEST_PERSON);
const told = {};
const running = await launch(person.browser);
let page;
try {
    page = await running.newPage({ viewport: { width: 1280, height: 900 } });
    page.setDefaultTimeout(20_000);
    await page.goto(origin);
    // The switch itself is not to be seen: its label is.
    await page.locator("label").filter({ has: page.getByRole("switch", { name: /^Connect/ }) }).click();
    await page.waitForURL((url) => url.origin !== origin);
    const asked = new URL(page.url()).searchParams;
    for (const name of ["scope", "resource", "code_challenge_method"]) told[name] = asked.get(name);
    await logIn(page, person);
    await page.waitForURL((url) => url.origin === origin);
    await page.getByText("Tools", { exact: true }).click();
    const tool = page.getByRole("button", { name: /^Echo echo/ });
    await tool.waitFor();
    told.tools = await page.getByRole("heading", { name: /^Tools/ }).innerText();
    await tool.click();
    await page.getByRole("textbox", { name: "message" }).fill("Grüße");
    await page.getByRole("checkbox", { name: "uppercase" }).check();
    await page.getByRole("button", { name: "Execute Tool" }).click();
    await page.getByRole("heading", { name: "Results" }).waitFor();
    told.result = await page.getByText("GRÜSSE", { exact: true }).first().innerText();
    await picture(page, person.pictures, "end");
} catch (error) {
    if (page) {
        await picture(page, person.pictures, "lost");
        console.error(`lost at ${page.url()}:\n${await page.locator("body").innerText()}`);
    }
    throw error;
} finally {
    await running.close();
}
console.log(JSON.stringify(told));
