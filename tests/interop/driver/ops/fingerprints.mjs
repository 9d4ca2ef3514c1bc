// Safety numbers.
import { hex } from "../args.mjs";

export function fingerprintOperations({ lib }) {
    return {
        fingerprint(args) {
            const fingerprint = lib.Fingerprint.new(
                args.number("iterations"),
                args.number("version"),
                args.bytes("local_id"),
                lib.PublicKey.deserialize(args.bytes("local_key")),
                args.bytes("remote_id"),
                lib.PublicKey.deserialize(args.bytes("remote_key")),
            );
            return {
                display: fingerprint.displayableFingerprint().toString(),
                scannable: hex(fingerprint.scannableFingerprint().toBuffer()),
            };
        },

        fingerprint_compare(args) {
            const read = (name) => lib.ScannableFingerprint._fromBuffer(args.bytes(name));
            return { equal: read("ours").compare(read("theirs")) };
        },
    };
}
