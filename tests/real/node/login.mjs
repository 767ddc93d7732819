// What a person does at the pages of an authorization server: fields are found by their labels, buttons by their names.

import { picture } from "./chromium.mjs";

const words = {
    securemcp: { label: "User name", enter: "Log in", allow: "Allow", deny: "Deny" },
    keycloak: { label: "Username or email", enter: "Sign In", allow: "Yes", deny: "No" },
};

/** Logs in, and decides what the client may; what comes then is left to the caller. */
export async function logIn(page, { pages, user, password, decision, pictures }) {
    const { label, enter, ...decisions } = words[pages];
    const exact = true;
    await page.getByLabel(label, { exact }).fill(user);
    await page.getByLabel("Password", { exact }).fill(password);
    await picture(page, pictures, "login");
    await page.getByRole("button", { name: enter, exact }).click();
    const button = page.getByRole("button", { name: decisions[decision], exact });
    await button.waitFor();
    await picture(page, pictures, "consent");
    await button.click();
}
