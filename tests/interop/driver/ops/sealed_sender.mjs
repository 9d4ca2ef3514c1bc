// Sealed sender: certificates, version 1, and version 2 for several recipients.
import { Args, hex } from "../args.mjs";
import { UnsupportedError } from "../errors.mjs";
import { addressOf } from "../party.mjs";

export function sealedSenderOperations(peer, parties) {
    const { lib, can } = peer;
    const publicKey = (args, name) => lib.PublicKey.deserialize(args.bytes(name));

    /** Wraps a message of the library's into unidentified content, with the request's certificate, hint and group. */
    const content = (message, args) => {
        const certificate = lib.SenderCertificate.deserialize(args.bytes("certificate"));
        const group = args.bytesOr("group_id", null);
        const usmc = lib.UnidentifiedSenderMessageContent.new(message, certificate, args.numberOr("hint", 0), group);
        return { usmc: hex(usmc.serialize()) };
    };

    return {
        server_certificate(args) {
            const root = lib.PrivateKey.deserialize(args.bytes("trust_root_private"));
            const certificate = lib.ServerCertificate.new(args.number("key_id"), publicKey(args, "key"), root);
            return { certificate: hex(certificate.serialize()) };
        },

        sender_certificate(args) {
            const certificate = lib.SenderCertificate.new(
                args.string("uuid"),
                args.stringOr("e164", null),
                args.number("device"),
                publicKey(args, "key"),
                args.number("expires"),
                lib.ServerCertificate.deserialize(args.bytes("server_certificate")),
                lib.PrivateKey.deserialize(args.bytes("server_private")),
            );
            return { certificate: hex(certificate.serialize()) };
        },

        certificate_validate(args) {
            const certificate = lib.SenderCertificate.deserialize(args.bytes("certificate"));
            const roots = args.list("trust_roots").map((root) => publicKey(new Args({ root }), "root"));
            if (can.trustRoots) return { valid: certificate.validateWithTrustRoots(roots, args.number("time")) };
            if (roots.length !== 1) throw new UnsupportedError("other than one trust root");
            return { valid: certificate.validate(roots[0], args.number("time")) };
        },

        async usmc_encrypt(args) {
            const party = parties.of(args);
            const local = can.localAddress ? [party.address] : [];
            const remote = addressOf(peer, args.object("remote"));
            const now = new Date(args.numberOr("now", Date.now()));
            const plaintext = args.bytes("plaintext");
            const message = await lib.signalEncrypt(plaintext, remote, ...local, party.sessions, party.identities, now);
            return content(message, args);
        },

        async usmc_group_encrypt(args) {
            const { address, senderKeys } = parties.of(args);
            const distribution = args.string("distribution");
            return content(await lib.groupEncrypt(address, distribution, senderKeys, args.bytes("plaintext")), args);
        },

        usmc_plaintext(args) {
            const plaintext = lib.PlaintextContent.deserialize(args.bytes("content"));
            return content(lib.CiphertextMessage.from(plaintext), args);
        },

        /** Version 1, to one recipient whose identity is known. */
        async sealed_encrypt(args) {
            const usmc = lib.UnidentifiedSenderMessageContent.deserialize(args.bytes("usmc"));
            const remote = addressOf(peer, args.object("remote"));
            return { sealed: hex(await lib.sealedSenderEncrypt(usmc, remote, parties.of(args).identities)) };
        },

        /** Version 2 in its sent form, to recipients with whom there are sessions. */
        async sealed_encrypt_multi(args) {
            const party = parties.of(args);
            const sealed = await lib.sealedSenderMultiRecipientEncrypt({
                content: lib.UnidentifiedSenderMessageContent.deserialize(args.bytes("usmc")),
                recipients: args.list("recipients").map((recipient) => addressOf(peer, new Args(recipient))),
                excludedRecipients: args.list("excluded").map((id) => lib.ServiceId.parseFromServiceIdString(id)),
                identityStore: party.identities,
                sessionStore: party.sessions,
            });
            return { sent: hex(sealed) };
        },

        /** The received form of a sent message with exactly one recipient. */
        sealed_for_single: (args) => ({
            received: hex(lib.sealedSenderMultiRecipientMessageForSingleRecipient(args.bytes("sent"))),
        }),

        async sealed_decrypt_usmc(args) {
            const usmc = await lib.sealedSenderDecryptToUsmc(args.bytes("sealed"), parties.of(args).identities);
            return { usmc: hex(usmc.serialize()) };
        },

        /** Opens a version 1 message down to the plaintext, with every check. */
        async sealed_decrypt(args) {
            const party = parties.of(args);
            const result = await lib.sealedSenderDecryptMessage(
                args.bytes("sealed"),
                publicKey(args, "trust_root"),
                args.number("time"),
                args.stringOr("e164", null),
                party.address.name(),
                party.address.deviceId(),
                party.sessions,
                party.identities,
                party.prekeys,
                party.signedPrekeys,
                party.kyberPrekeys,
            );
            return {
                plaintext: hex(result.message()),
                uuid: result.senderUuid(),
                e164: result.senderE164(),
                device: result.deviceId(),
                events: party.takeEvents(),
            };
        },
    };
}
