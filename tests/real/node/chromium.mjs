// Headless Chromium, and what tests want of it.

import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { chromium } from "playwright-core";

/** Starts the browser at this path; it finds no host but this one. */
export function launch(executablePath) {
    return chromium.launch({
        executablePath,
        // Chromium's own sandbox does not work for root, as whom CI often runs.
        chromiumSandbox: process.getuid() !== 0,
        args: ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"],
    });
}

/** Writes what a page shows into `FILE-STEP.png`. */
export async function picture(page, file, step) {
    mkdirSync(dirname(file), { recursive: true });
    await page.screenshot({ path: `${file}-${step}.png` });
}
