// How the versions of the library differ, in one table. Operations ask the table, never the version.
import process from "node:process";

import { RequestError } from "./errors.mjs";

const VERSIONS = {
    "0.72.1": {
        x3dh: true, // a bundle may lack the Kyber prekey, and X3DH messages are accepted (session version 3)
        spqr: "absent",
        localAddress: false, // session operations take the local address too
        kyberUseDetails: false, // markKyberPreKeyUsed is told the signed prekey's id and the base key
        pqRatchetField: false, // SignalMessage has pqRatchet() and its constructor takes it
        verifyMac: true, // SignalMessage.verifyMac exists
        trustRoots: false, // SenderCertificate.validateWithTrustRoots exists
    },
    "0.90.0": {
        x3dh: false,
        spqr: "negotiated",
        localAddress: false,
        kyberUseDetails: true,
        pqRatchetField: true,
        verifyMac: true,
        trustRoots: true,
    },
    "0.103.0": {
        x3dh: false,
        spqr: "required",
        localAddress: true,
        kyberUseDetails: true,
        pqRatchetField: true,
        verifyMac: false,
        trustRoots: true,
    },
};

export const versions = Object.keys(VERSIONS);

/** The library, its parser of multi-recipient messages, and its row of the table. */
export async function load(version, logLevel) {
    if (!Object.hasOwn(VERSIONS, version ?? "")) {
        throw new RequestError(`usage: node driver.mjs ${versions.join("|")} [Error|Warn|Info|Debug]`);
    }
    const lib = flatten(await import(`libsignal-${version}`));
    const parser = await import(`libsignal-${version}/dist/SealedSenderMultiRecipientMessage.js`);
    if (logLevel !== undefined) {
        lib.initLogger(lib.LogLevel[logLevel], (level, target, _file, _line, message) =>
            process.stderr.write(`${lib.LogLevel[level]} ${target}: ${message}\n`),
        );
    }
    const MultiRecipientMessage = parser.default?.default ?? parser.default;
    return { version, lib, MultiRecipientMessage, can: VERSIONS[version] };
}

/** The older packages are CommonJS and arrive as a default export. */
function flatten(module) {
    return module.default ?? module;
}
