// Records what protocol/examples/migrate.rs moves in with: a conversation of Signal's library with itself, one party's
// records at the moment of the move, what was on the way to it then, and how the library itself went on from there.
//
//   node record-migration.mjs > ../../protocol/examples/migrate.json
//
// Every run draws new keys; the example holds for any of them.
import process from "node:process";

import { Args } from "./driver/args.mjs";
import { operations } from "./driver/operations.mjs";
import { load } from "./driver/versions.mjs";

const VERSION = "0.72.1";
const PQXDH = { signed: 1, one_time: 1, kyber: 1 };
const remotes = {
    alice: { name: "9d0652a3-dcc3-4d11-975f-74d61598733f", device: 1 },
    bob: { name: "796abedb-ca4e-4f18-8803-1fde5b921f9f", device: 2 },
    carol: { name: "38381c3b-2606-4ca7-9310-7cb927f2ab4a", device: 1 },
};
const hex = (text) => Buffer.from(text).toString("hex");

const ops = operations(await load(VERSION));
const call = async (op, fields) => (await ops[op](new Args(fields))) ?? {};
const encrypt = (from, to, text) => call("encrypt", { party: from, remote: remotes[to], plaintext: hex(text) });
const decrypt = (at, from, message) => call("decrypt", { party: at, remote: remotes[from], ...message });
const record = (kind, prekey) => call("prekey_export", { party: "alice", kind, prekey }).then((it) => it.record);
const start = async (from, to) => {
    const bundle = await call("bundle", { party: to, ...PQXDH });
    await call("process_bundle", { party: from, remote: remotes[to], bundle });
};

for (const [party, { name, device }] of Object.entries(remotes)) {
    await call("party_create", { party, name, device });
    for (const kind of ["one_time", "signed", "kyber"]) await call("prekey_generate", { party, kind, prekey: 1 });
}

// Bob writes to Alice, she answers, and his message 0 of the next chain is overtaken by his message 1.
await start("bob", "alice");
await decrypt("alice", "bob", await encrypt("bob", "alice", "hello"));
await call("prekey_generate", { party: "alice", kind: "one_time", prekey: 2 });
await call("prekey_generate", { party: "alice", kind: "kyber", prekey: 2 });
await decrypt("bob", "alice", await encrypt("alice", "bob", "hello yourself"));
const overtaken = await encrypt("bob", "alice", "sent before you moved, and overtaken");
await decrypt("alice", "bob", await encrypt("bob", "alice", "arrived before you moved"));

// Here Alice moves.
const identity = await call("party_export", { party: "alice" });
const session = await call("session_export", { party: "alice", remote: remotes.bob });
const prekeys = {
    signed: await record("signed", 1),
    one_time: await record("one_time", 2),
    kyber: await record("kyber", 2),
};

const onTheWay = await encrypt("bob", "alice", "sent before you moved, in order");
Object.assign(PQXDH, { one_time: 2, kyber: 2 });
await start("carol", "alice");
const fromCarol = await encrypt("carol", "alice", "do we know each other?");

// The library goes on as Alice, for comparison; Bob opens that and answers.
const next = await encrypt("alice", "bob", "I have moved");
await decrypt("bob", "alice", next);
const answer = await encrypt("bob", "alice", "I did not notice");

const recorded = {
    library: VERSION,
    identity_key_pair: identity.identity_key_pair,
    registration_id: identity.registration_id,
    session_with_bob: session.record,
    signed_prekey: prekeys.signed,
    one_time_prekey: prekeys.one_time,
    kyber_prekey: prekeys.kyber,
    overtaken: overtaken.body,
    on_the_way: onTheWay.body,
    from_carol: fromCarol.body,
    next: next.body,
    answer: answer.body,
};
process.stdout.write(JSON.stringify(recorded, null, 2) + "\n");
