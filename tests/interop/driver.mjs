// Drives one version of Signal's published library as a test peer: `node driver.mjs <version> [log level]`.
//
// One JSON request per line on standard input, one JSON response per line on standard output, in order:
//
//   {"id":1,"op":"agree","private":"..","public":".."}   ->   {"id":1,"ok":{"shared":".."}}
//                                                        or   {"id":1,"error":{"kind":"library","name":"..",..}}
//
// Byte strings are lower-case hex, times are milliseconds since 1970. The operations stand in driver/ops/, the README
// lists them. Everything lives in memory; nothing is read or written but the standard streams. The process ends when
// its input does.
import { createInterface } from "node:readline";
import process from "node:process";

import { Args } from "./driver/args.mjs";
import { describe, RequestError } from "./driver/errors.mjs";
import { load } from "./driver/versions.mjs";
import { operations } from "./driver/operations.mjs";

const [version, logLevel] = process.argv.slice(2);

async function main() {
    const peer = await load(version, logLevel);
    const ops = operations(peer);

    const run = async ({ op, ...fields }) => {
        if (op === "batch") return { responses: await batch(fields.requests) };
        if (!Object.hasOwn(ops, op)) throw new RequestError(`no operation ${JSON.stringify(op)}`);
        return (await ops[op](new Args(fields))) ?? {};
    };
    const respond = async (request) => {
        try {
            return { ok: await run(request) };
        } catch (error) {
            return { error: describe(error, peer) };
        }
    };
    // Every request runs, whatever became of the ones before it: the caller sees each outcome.
    const batch = async (requests) => {
        if (!Array.isArray(requests)) throw new RequestError("batch needs a list of requests");
        const responses = [];
        for (const request of requests) responses.push(await respond(request));
        return responses;
    };

    for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
        if (line.trim() !== "") await write(await answer(line, respond));
    }
    await new Promise((resolve) => process.stdout.write("", resolve));
    process.exit(0);
}

async function answer(line, respond) {
    let request;
    try {
        request = JSON.parse(line);
        if (request === null || typeof request !== "object") throw new Error("not an object");
    } catch (error) {
        return { id: null, error: { kind: "request", message: `not a request: ${error.message}` } };
    }
    const { id = null, ...rest } = request;
    return { id, ...(await respond(rest)) };
}

async function write(response) {
    if (!process.stdout.write(JSON.stringify(response) + "\n")) {
        await new Promise((resolve) => process.stdout.once("drain", resolve));
    }
}

main().catch((error) => {
    process.stderr.write(`${error.stack ?? error}\n`);
    process.exit(1);
});
