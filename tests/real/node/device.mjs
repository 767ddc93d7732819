// A person who has read the code of a device: types it, logs in, and waits for the last word.
//
// usage: device.mjs URL CODE     (who it is, at which pages, is in TEST_PERSON)

import { launch } from "./chromium.mjs";
import { connect } from "./login.mjs";

const [url, code] = process.argv.slice(2);
const person = JSON.parse(process.env.TEST_PERSON);
const running = await launch(person.browser);
try {
    const page = await running.newPage({ viewport: { width: 1000, height: 800 } });
    page.setDefaultTimeout(20_000);
    await page.goto(url);
    await connect(page, code, person);
} finally {
    await running.close();
}
