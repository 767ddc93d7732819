// A person at a program that runs in a browser, from an origin at which nobody listens: Chromium is given the program.
//
// usage: browser.mjs URL ORIGIN     (who it is, at which pages, is in TEST_PERSON)
//
// Prints what the program shows.

import { rolldown } from "rolldown";
import { launch, picture } from "./chromium.mjs";
import { logIn } from "./login.mjs";

const [url, origin] = process.argv.slice(2);
const person = JSON.parse(process.env.TEST_PERSON);
const program = await rolldown({ input: "spa.mjs", platform: "browser" });
const { output } = await program.generate({ format: "esm", codeSplitting: false });
const body = "<!doctype html><title>A program</title><body><script type=module src=/program.js></script>";
const running = await launch(person.browser);
try {
    // A page that comes from nowhere would be asked whether it may reach this machine.
    const permissions = ["local-network-access"];
    const page = await running.newPage({ viewport: { width: 1000, height: 800 }, permissions });
    page.setDefaultTimeout(20_000);
    page.on("console", (message) => console.error(message.text()));
    await page.route(`${origin}/**`, (route) =>
        new URL(route.request().url()).pathname === "/program.js"
            ? route.fulfill({ contentType: "text/javascript", body: output[0].code })
            : route.fulfill({ contentType: "text/html", body }));
    await page.goto(`${origin}/?server=${encodeURIComponent(url)}`);
    const shown = page.locator("pre");
    const left = page.waitForURL((url) => url.origin !== origin);
    await Promise.race([left, shown.waitFor()]);
    if (!(await shown.isVisible())) {
        await logIn(page, person);
        await page.waitForURL((url) => url.origin === origin);
        await shown.waitFor();
    }
    await picture(page, person.pictures, "end");
    console.log(await shown.innerText());
} finally {
    await running.close();
}
