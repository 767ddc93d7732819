// A person to whom a program opens an address: logs in there, and is sent back to the program.
//
// usage: person.mjs URL     (who it is, at which pages, is in TEST_PERSON)
//
// Adds a line to the file `visits`: what the program asked for, and where the person ended.

import { appendFileSync } from "node:fs";
import { launch, picture } from "./chromium.mjs";
import { logIn } from "./login.mjs";

const person = JSON.parse(process.env.TEST_PERSON);
const url = new URL(process.argv[2]);
const asked = Object.fromEntries(url.searchParams);
for (const name of ["state", "code_challenge"]) if (asked[name]) asked[name] = "...";

const visit = { page: url.origin + url.pathname, asked };
const running = await launch(person.browser);
let page;
try {
    // The pages of securemcp need no script.
    const javaScriptEnabled = person.pages !== "securemcp";
    page = await running.newPage({ viewport: { width: 1000, height: 800 }, javaScriptEnabled });
    page.setDefaultTimeout(20_000);
    const elsewhere = (request) => request.isNavigationRequest() && new URL(request.url()).origin !== url.origin;
    const [back] = await Promise.all([
        page.waitForRequest(elsewhere),
        page.goto(url.href).then(() => logIn(page, person)),
    ]);
    const ended = new URL(back.url());
    visit.ended = ended.origin + ended.pathname;
    visit.brought = [...ended.searchParams.keys()].sort();
    visit.issuer = ended.searchParams.get("iss");
    visit.error = ended.searchParams.get("error");
    // Once it has its code, a program may end before its page is whole.
    const shown = page.waitForLoadState().then(() => picture(page, person.pictures, "end"));
    visit.pictured = await shown.then(() => true, () => false);
} catch (error) {
    visit.lost = String(error);
    visit.at = page?.url();
    visit.saw = await page?.locator("body").innerText().catch(String);
    if (page) await picture(page, person.pictures, "lost");
} finally {
    await running.close();
}
appendFileSync("visits", `${JSON.stringify(visit)}\n`);
