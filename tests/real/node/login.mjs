// What a person does at the pages of an authorization server: fields are found by their labels, buttons by their names.

import { picture } from "./chromium.mjs";

const words = {
    securemcp: {
        code: { label: "Code", enter: "Continue", isFirst: false, done: "The device is connected." },
        user: { label: "User name", enter: "Log in" },
        allow: "Allow",
        deny: "Deny",
    },
    keycloak: {
        code: {
            label: "Enter the code provided by your device and click Submit",
            enter: "Submit",
            isFirst: true,
            done: "Device Login Successful",
        },
        user: { label: "Username or email", enter: "Sign In" },
        allow: "Yes",
        deny: "No",
    },
};

const exact = true;

/** Logs in, and decides what the client may if that is asked; what comes then is left to the caller. */
export async function logIn(page, person) {
    await identify(page, person);
    await decide(page, person);
}

async function identify(page, { pages, user, password, pictures }) {
    const { label, enter } = words[pages].user;
    await page.getByLabel(label, { exact }).fill(user);
    await page.getByLabel("Password", { exact }).fill(password);
    await picture(page, pictures, "login");
    await page.getByRole("button", { name: enter, exact }).click();
}

async function decide(page, { pages, decision, pictures }) {
    if (!decision) return;
    const button = page.getByRole("button", { name: words[pages][decision], exact });
    await button.waitFor();
    await picture(page, pictures, "consent");
    await button.click();
}

/** Types the code that a device shows, decides, and waits for the last word. */
export async function connect(page, code, person) {
    const { label, enter, isFirst, done } = words[person.pages].code;
    if (!isFirst) await identify(page, person);
    await page.getByLabel(label, { exact }).fill(code);
    await picture(page, person.pictures, "device");
    await page.getByRole("button", { name: enter, exact }).click();
    if (isFirst) await identify(page, person);
    await decide(page, person);
    await page.getByText(done).waitFor();
    await picture(page, person.pictures, "end");
}
