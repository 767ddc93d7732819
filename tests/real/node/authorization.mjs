// The conformance suite on an authorization server, with a person who logs in at the address that it prints.
//
// usage: authorization.mjs SUITE ARGUMENT...
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const suite = spawn(process.execPath, process.argv.slice(2), { stdio: ["ignore", "pipe", "inherit"] });
const ended = once(suite, "exit");
for await (const line of createInterface({ input: suite.stdout })) {
    console.log(line);
    if (/^https?:/.test(line)) spawn(process.env.BROWSER, [line], { stdio: "ignore" });
}
[process.exitCode] = await ended;
