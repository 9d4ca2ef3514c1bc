// Shows that the driver is good before anybody relies on it: each version talks with itself, through the driver's
// standard streams. `node selftest.mjs` needs `npm ci --ignore-scripts` and takes a few seconds.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { versions } from "./driver/versions.mjs";

const DRIVER = fileURLToPath(new URL("driver.mjs", import.meta.url));
const ALICE = { name: "9d0652a3-dcc3-4d11-975f-74d61598733f", device: 1 };
const BOB = { name: "796abedb-ca4e-4f18-8803-1fde5b921f9f", device: 2 };
const WHISPER = 2;
const PREKEY = 3;
const hex = (text) => Buffer.from(text).toString("hex");

/** A driver process. Calls may be sent without waiting; answers come in order. */
class Driver {
    #waiting = [];
    #next = 0;

    constructor(version) {
        this.child = spawn(process.execPath, [DRIVER, version], { stdio: ["pipe", "pipe", "inherit"] });
        createInterface({ input: this.child.stdout }).on("line", (line) => {
            const { id, ok, error } = JSON.parse(line);
            const call = this.#waiting.shift();
            assert.equal(id, call.id, "answers come in order");
            if (ok !== undefined) call.resolve(ok);
            else call.reject(Object.assign(new Error(`${call.op}: ${error.message}`), error));
        });
    }

    call(op, fields = {}) {
        return new Promise((resolve, reject) => {
            const id = this.#next++;
            this.#waiting.push({ id, op, resolve, reject });
            this.child.stdin.write(JSON.stringify({ id, op, ...fields }) + "\n");
        });
    }

    async end() {
        const ended = new Promise((resolve) => this.child.once("exit", resolve));
        this.child.stdin.end();
        assert.equal(await ended, 0, "ends with its input");
    }
}

const fails = (promise, expected) =>
    assert.rejects(promise, (error) => {
        for (const [name, value] of Object.entries(expected)) {
            if (value instanceof RegExp) assert.match(error[name], value);
            else assert.equal(error[name], value, error.message);
        }
        return true;
    });

/** Two fresh parties; Bob has one prekey of each kind, all with id 1. */
async function pair(driver) {
    await driver.call("reset");
    const alice = await driver.call("party_create", { party: "alice", ...ALICE });
    const bob = await driver.call("party_create", { party: "bob", ...BOB });
    for (const kind of ["one_time", "signed", "kyber"]) {
        await driver.call("prekey_generate", { party: "bob", kind, prekey: 1 });
    }
    return { alice, bob };
}

async function establish(driver, chosen) {
    const parties = await pair(driver);
    const bundle = await driver.call("bundle", { party: "bob", signed: 1, ...chosen });
    await driver.call("process_bundle", { party: "alice", remote: BOB, bundle });
    return parties;
}

async function send(driver, from, to, text) {
    const [remote, back] = from === "alice" ? [BOB, ALICE] : [ALICE, BOB];
    const message = await driver.call("encrypt", { party: from, remote, plaintext: hex(text) });
    const opened = await driver.call("decrypt", { party: to, remote: back, ...message });
    assert.equal(opened.plaintext, hex(text));
    return { message, events: opened.events };
}

async function sessions(driver, can) {
    const kinds = [
        ["v4", 4, { one_time: 1, kyber: 1 }],
        ["v4 without one-time key", 4, { kyber: 1 }],
    ];
    if (can.x3dh) kinds.push(["v3", 3, { one_time: 1 }], ["v3 without one-time key", 3, {}]);
    for (const [name, version, chosen] of kinds) {
        await establish(driver, chosen);
        const first = await send(driver, "alice", "bob", "first");
        assert.equal(first.message.type, PREKEY, name);
        const used = first.events.map(({ event }) => event);
        assert.equal(used.includes("prekey_removed"), chosen.one_time !== undefined, name);
        assert.equal(used.includes("kyber_prekey_used"), chosen.kyber !== undefined, name);
        const repeated = driver.call("decrypt", { party: "bob", remote: ALICE, ...first.message });
        await fails(repeated, { kind: "library", name: "DuplicatedMessage", code: 1 });

        assert.equal((await send(driver, "bob", "alice", "answer")).message.type, WHISPER, name);
        for (let n = 0; n < 20; n++) {
            await send(driver, "alice", "bob", `to ${n}`);
            await send(driver, "bob", "alice", `from ${n}`);
        }
        const { current } = await driver.call("session_info", { party: "bob", remote: ALICE });
        assert.equal(current.version, version, name);
        assert.equal(current.unacknowledged, false, name);
        assert.equal(current.spqr_state_size > 0, can.spqr !== "absent", name);
    }
}

async function records(driver) {
    await establish(driver, { one_time: 1, kyber: 1 });
    await send(driver, "alice", "bob", "first");
    const { record } = await driver.call("session_export", { party: "alice", remote: BOB });
    const { identity_private } = await driver.call("party_export", { party: "alice" });
    await driver.call("party_drop", { party: "alice" });
    await driver.call("party_create", { party: "alice", ...ALICE, identity_private });
    await fails(driver.call("encrypt", { party: "alice", remote: BOB, plaintext: "" }), { kind: "library" });
    await driver.call("session_import", { party: "alice", remote: BOB, record });
    await send(driver, "alice", "bob", "from the restored record");

    await driver.call("session_archive", { party: "alice", remote: BOB });
    const info = await driver.call("session_info", { party: "alice", remote: BOB });
    assert.deepEqual([info.has_current_state, info.archived, info.current], [false, 1, null]);
    await send(driver, "bob", "alice", "opened by the archived state");

    const kyber = await driver.call("prekey_generate", { party: "alice", kind: "kyber", prekey: 5, timestamp: 7 });
    assert.equal(kyber.private.length, 2 * 3169);
    assert.equal(kyber.public.length, 2 * 1569);
    assert.deepEqual(await driver.call("prekey_export", { party: "alice", kind: "kyber", prekey: 5 }), kyber);
    await driver.call("prekey_import", { party: "bob", kind: "kyber", record: kyber.record });
    assert.deepEqual((await driver.call("prekey_list", { party: "bob", kind: "kyber" })).ids, [5]);
}

async function outOfOrder(driver) {
    await establish(driver, { one_time: 1, kyber: 1 });
    await send(driver, "alice", "bob", "first");
    await send(driver, "bob", "alice", "answer");
    const late = await driver.call("encrypt", { party: "alice", remote: BOB, plaintext: hex("late") });
    await driver.call("skip", { party: "alice", remote: BOB, count: 300 });
    await send(driver, "alice", "bob", "after 300 lost");
    assert.equal((await driver.call("decrypt", { party: "bob", remote: ALICE, ...late })).plaintext, hex("late"));
    const forged = { ...late, body: late.body.slice(0, -2) + (late.body.endsWith("00") ? "01" : "00") };
    await fails(driver.call("decrypt", { party: "bob", remote: ALICE, ...forged }), { kind: "library" });
}

async function identities(driver, can) {
    await establish(driver, { one_time: 1, kyber: 1 });
    await send(driver, "alice", "bob", "first");
    await driver.call("party_drop", { party: "bob" });
    await driver.call("party_create", { party: "bob", ...BOB });
    for (const kind of ["signed", "kyber"]) {
        await driver.call("prekey_generate", { party: "bob", kind, prekey: 1, last_resort: kind === "kyber" });
    }
    const bundle = await driver.call("bundle", { party: "bob", signed: 1, kyber: 1 });
    const process = () => driver.call("process_bundle", { party: "alice", remote: BOB, bundle });
    await fails(process(), { kind: "library", name: "UntrustedIdentity" });
    await driver.call("trust", { party: "alice", policy: "always" });
    const { events } = await process();
    assert.equal(events[0].identity, bundle.identity);
    const { message } = await send(driver, "alice", "bob", "to the new identity");

    // Bob loses his session; the replayed first message would use the last-resort key with the same base key again.
    await driver.call("session_remove", { party: "bob", remote: ALICE });
    const replayed = driver.call("decrypt", { party: "bob", remote: ALICE, ...message });
    if (can.kyberUseDetails) await fails(replayed, { message: /used with this base key before/ });
    else await replayed;

    const broken = structuredClone(bundle);
    broken.signed.signature = bundle.kyber.signature;
    await fails(driver.call("process_bundle", { party: "alice", remote: BOB, bundle: broken }), { message: /signature/ });
}

async function primitives(driver) {
    const [a, b] = [await driver.call("key_pair"), await driver.call("key_pair")];
    const shared = await driver.call("agree", { private: a.private, public: b.public });
    assert.deepEqual(shared, await driver.call("agree", { private: b.private, public: a.public }));
    assert.deepEqual(await driver.call("key_pair", { private: a.private }), a);

    const { signature } = await driver.call("sign", { private: a.private, message: "616263" });
    const verified = (message) => driver.call("verify", { public: a.public, message, signature });
    assert.deepEqual([await verified("616263"), await verified("616264")], [{ valid: true }, { valid: false }]);

    const alternate = await driver.call("alternate_identity_sign", { private: a.private, other: b.public });
    const check = (other) => driver.call("alternate_identity_verify", { public: a.public, other, ...alternate });
    assert.deepEqual([await check(b.public), await check(a.public)], [{ valid: true }, { valid: false }]);

    // RFC 5869 A.1
    const okm = await driver.call("hkdf", {
        ikm: "0b".repeat(22),
        salt: "000102030405060708090a0b0c",
        info: "f0f1f2f3f4f5f6f7f8f9",
        length: 42,
    });
    assert.equal(okm.output, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");

    const key = { key: "01".repeat(32), nonce: "00".repeat(12), ad: "" };
    const sealed = await driver.call("aes_gcm_siv_encrypt", { ...key, plaintext: "0102" });
    assert.equal((await driver.call("aes_gcm_siv_decrypt", { ...key, ...sealed })).plaintext, "0102");

    const kyber = await driver.call("kyber_generate");
    assert.equal((await driver.call("kyber_public", { public: kyber.public })).public, kyber.public);
    assert.equal((await driver.call("kyber_private", { private: kyber.private })).private, kyber.private);
    const [publicKey, secretKey] = [kyber.public, kyber.private].map((key) => Buffer.from(key, "hex").subarray(1));
    assert.deepEqual(secretKey.subarray(1536, 3104), publicKey, "dk_pke || ek || H(ek) || z");
    assert.deepEqual(secretKey.subarray(3104, 3136), createHash("sha3-256").update(publicKey).digest());
    assert.equal((await driver.call("service_id", { string: `PNI:${ALICE.name}` })).fixed_width.slice(0, 2), "01");

    const ids = { local_id: hex("a"), local_key: a.public, remote_id: hex("b"), remote_key: b.public };
    const back = { local_id: hex("b"), local_key: b.public, remote_id: hex("a"), remote_key: a.public };
    const ours = await driver.call("fingerprint", { iterations: 5200, version: 2, ...ids });
    const theirs = await driver.call("fingerprint", { iterations: 5200, version: 2, ...back });
    assert.equal(ours.display, theirs.display);
    assert.equal(ours.display.length, 60);
    const compared = await driver.call("fingerprint_compare", { ours: ours.scannable, theirs: theirs.scannable });
    assert.equal(compared.equal, true);
}

async function messages(driver, can) {
    const { alice, bob } = await establish(driver, { one_time: 1, kyber: 1 });
    const { body } = await driver.call("encrypt", { party: "alice", remote: BOB, plaintext: hex("x") });
    const prekey = await driver.call("decode", { kind: "prekey_signal", bytes: body });
    assert.deepEqual([prekey.version, prekey.prekey_id, prekey.serialized], [4, 1, body]);

    const ratchet = await driver.call("key_pair");
    const fields = {
        kind: "signal", version: 3, mac_key: "07".repeat(32), ratchet_key: ratchet.public, counter: 4, previous_counter: 2,
        ciphertext: "aabb", sender_identity: alice.identity_public, receiver_identity: bob.identity_public,
    };
    const { bytes } = await driver.call("construct", fields);
    const decoded = await driver.call("decode", { kind: "signal", bytes });
    assert.deepEqual([decoded.version, decoded.counter, decoded.ciphertext, decoded.serialized], [3, 4, "aabb", bytes]);
    if (can.verifyMac) {
        const mac = { message: bytes, sender_identity: alice.identity_public, receiver_identity: bob.identity_public };
        assert.equal((await driver.call("verify_mac", { ...mac, mac_key: fields.mac_key })).valid, true);
        assert.equal((await driver.call("verify_mac", { ...mac, mac_key: "08".repeat(32) })).valid, false);
    } else {
        await fails(driver.call("verify_mac", { message: bytes }), { kind: "unsupported" });
    }
    const wrapped = await driver.call("construct", {
        kind: "prekey_signal", version: 3, registration_id: 9, prekey_id: null, signed_prekey_id: 8,
        base_key: ratchet.public, identity: alice.identity_public, message: bytes,
    });
    assert.equal((await driver.call("decode", { kind: "prekey_signal", ...wrapped })).signed_prekey_id, 8);

    const error = { kind: "decryption_error", original: bytes, type: WHISPER, timestamp: 1234567890123, device: 7 };
    const message = (await driver.call("construct", error)).bytes;
    const plaintext = (await driver.call("construct", { kind: "plaintext", message })).bytes;
    const { body: content } = await driver.call("decode", { kind: "plaintext", bytes: plaintext });
    const extracted = await driver.call("decryption_error_extract", { body: content });
    assert.deepEqual(extracted, await driver.call("decode", { kind: "decryption_error", bytes: message }));
    assert.deepEqual([extracted.ratchet_key, extracted.timestamp, extracted.device], [ratchet.public, 1234567890123, 7]);
}

async function groups(driver) {
    await pair(driver);
    const distribution = "d1d1d1d1-7000-11eb-b32a-33b8a8a487a6";
    const encrypt = (text) => driver.call("group_encrypt", { party: "alice", distribution, plaintext: hex(text) });
    const decrypt = ({ body }) => driver.call("group_decrypt", { party: "bob", sender: ALICE, body });
    const { message } = await driver.call("group_distribute", { party: "alice", distribution });
    await driver.call("group_process", { party: "bob", sender: ALICE, message });
    const [early, one, two] = [await encrypt("early"), await encrypt("one"), await encrypt("two")];
    assert.equal((await decrypt(two)).plaintext, hex("two"));
    assert.equal((await decrypt(one)).plaintext, hex("one"));
    await fails(decrypt(one), { name: "DuplicatedMessage" });
    assert.equal((await decrypt(early)).plaintext, hex("early"));
    const fields = await driver.call("decode", { kind: "sender_key", bytes: one.body });
    assert.equal(fields.iteration, 1);
    const { record } = await driver.call("sender_key_export", { party: "bob", sender: ALICE, distribution });
    await driver.call("sender_key_import", { party: "bob", sender: BOB, distribution, record });
    await driver.call("group_skip", { party: "alice", distribution, count: 10 });
    assert.equal((await decrypt(await encrypt("after ten lost"))).plaintext, hex("after ten lost"));

    const signing = await driver.call("key_pair");
    const made = { version: 3, distribution, chain_id: 5, iteration: 6, ciphertext: "0102", signing_private: signing.private };
    const { bytes } = await driver.call("construct", { kind: "sender_key", ...made });
    const verify = (key) => driver.call("verify_sender_key_signature", { message: bytes, signing_public: key });
    assert.equal((await verify(signing.public)).valid, true);
    assert.equal((await verify((await driver.call("key_pair")).public)).valid, false);
}

async function sealedSender(driver) {
    const { alice, bob } = await establish(driver, { one_time: 1, kyber: 1 });
    const [root, server] = [await driver.call("key_pair"), await driver.call("key_pair")];
    const issued = await driver.call("server_certificate", { key_id: 9, key: server.public, trust_root_private: root.private });
    const { certificate } = await driver.call("sender_certificate", {
        uuid: ALICE.name,
        e164: "+14151111111",
        device: ALICE.device,
        key: alice.identity_public,
        expires: 31337,
        server_certificate: issued.certificate,
        server_private: server.private,
    });
    const valid = (time) => driver.call("certificate_validate", { certificate, trust_roots: [root.public], time });
    assert.deepEqual([await valid(31337), await valid(31338)], [{ valid: true }, { valid: false }]);

    const options = { certificate, hint: 1, group_id: "0a0b" };
    const usmc = (text) => driver.call("usmc_encrypt", { party: "alice", remote: BOB, plaintext: hex(text), ...options });
    const v1 = await driver.call("sealed_encrypt", { party: "alice", remote: BOB, ...(await usmc("v1")) });
    const opened = await driver.call("sealed_decrypt", { party: "bob", ...v1, trust_root: root.public, time: 31336 });
    assert.deepEqual([opened.plaintext, opened.uuid, opened.e164, opened.device], [hex("v1"), ALICE.name, "+14151111111", 1]);

    const v2 = await usmc("v2");
    const { sent } = await driver.call("sealed_encrypt_multi", { party: "alice", recipients: [BOB], excluded: [], ...v2 });
    const { recipients } = await driver.call("decode", { kind: "sealed_sent", bytes: sent });
    assert.deepEqual([recipients[0].service_id, recipients[0].devices], [BOB.name, [2]]);
    assert.equal(recipients[0].received, (await driver.call("sealed_for_single", { sent })).received);
    assert.equal(recipients[0].registration_ids[0], bob.registration_id);
    const inner = await driver.call("sealed_decrypt_usmc", { party: "bob", sealed: recipients[0].received });
    assert.equal(inner.usmc, v2.usmc);
    const { type, contents, hint, group_id } = await driver.call("decode", { kind: "usmc", bytes: inner.usmc });
    assert.deepEqual([hint, group_id], [1, "0a0b"]);
    const plain = await driver.call("decrypt", { party: "bob", remote: ALICE, type, body: contents });
    assert.equal(plain.plaintext, hex("v2"));
}

async function theDriverItself(driver) {
    await fails(driver.call("no_such_thing"), { kind: "request" });
    await fails(driver.call("party_export", { party: "nobody" }), { kind: "request" });
    await fails(driver.call("agree", { private: "0" }), { kind: "request" });
    const { responses } = await driver.call("batch", { requests: [{ op: "key_pair" }, { op: "nothing" }, { op: "info" }] });
    assert.deepEqual(responses.map((response) => "ok" in response), [true, false, true]);
    const pipelined = await Promise.all(Array.from({ length: 500 }, () => driver.call("key_pair")));
    assert.equal(new Set(pipelined.map((pair) => pair.private)).size, 500);
}

const CHECKS = { theDriverItself, primitives, messages, sessions, outOfOrder, records, identities, groups, sealedSender };

let failed = 0;
for (const version of versions) {
    const driver = new Driver(version);
    const { can } = await driver.call("info");
    for (const [name, check] of Object.entries(CHECKS)) {
        const start = performance.now();
        try {
            await check(driver, can);
            console.log(`${version} ${name}: ok (${Math.round(performance.now() - start)} ms)`);
        } catch (error) {
            failed++;
            console.log(`${version} ${name}: FAILED\n${error.stack}`);
        }
    }
    await driver.end();
}
process.exitCode = failed === 0 ? 0 : 1;
