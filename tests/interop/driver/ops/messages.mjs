// Every message type taken apart by the library's parser, and put together where the library has a constructor.
import { hex } from "../args.mjs";
import { RequestError, UnsupportedError } from "../errors.mjs";

export function messageOperations({ lib, can, MultiRecipientMessage }) {
    const publicKey = (args, name) => lib.PublicKey.deserialize(args.bytes(name));

    const decoders = {
        signal(bytes) {
            const message = lib.SignalMessage.deserialize(bytes);
            return {
                version: message.messageVersion(),
                counter: message.counter(),
                ciphertext: hex(message.body()),
                ...(can.pqRatchetField ? { pq_ratchet: hex(message.pqRatchet()) } : {}),
                serialized: hex(message.serialize()),
            };
        },
        prekey_signal(bytes) {
            const message = lib.PreKeySignalMessage.deserialize(bytes);
            return {
                version: message.version(),
                registration_id: message.registrationId(),
                prekey_id: message.preKeyId(),
                signed_prekey_id: message.signedPreKeyId(),
                serialized: hex(message.serialize()),
            };
        },
        sender_key(bytes) {
            const message = lib.SenderKeyMessage.deserialize(bytes);
            return {
                distribution: message.distributionId(),
                chain_id: message.chainId(),
                iteration: message.iteration(),
                ciphertext: hex(message.ciphertext()),
                serialized: hex(message.serialize()),
            };
        },
        sender_key_distribution(bytes) {
            const message = lib.SenderKeyDistributionMessage.deserialize(bytes);
            return {
                distribution: message.distributionId(),
                chain_id: message.chainId(),
                iteration: message.iteration(),
                chain_key: hex(message.chainKey()),
                serialized: hex(message.serialize()),
            };
        },
        decryption_error: (bytes) => decryptionError(lib.DecryptionErrorMessage.deserialize(bytes)),
        plaintext(bytes) {
            const content = lib.PlaintextContent.deserialize(bytes);
            return { body: hex(content.body()), serialized: hex(content.serialize()) };
        },
        server_certificate(bytes) {
            const certificate = lib.ServerCertificate.deserialize(bytes);
            return {
                key_id: certificate.keyId(),
                key: hex(certificate.key().serialize()),
                certificate: hex(certificate.certificateData()),
                signature: hex(certificate.signature()),
                serialized: hex(certificate.serialize()),
            };
        },
        sender_certificate(bytes) {
            const certificate = lib.SenderCertificate.deserialize(bytes);
            return {
                uuid: certificate.senderUuid(),
                e164: certificate.senderE164(),
                device: certificate.senderDeviceId(),
                key: hex(certificate.key().serialize()),
                expires: certificate.expiration(),
                certificate: hex(certificate.certificate()),
                signature: hex(certificate.signature()),
                server_certificate: hex(certificate.serverCertificate().serialize()),
                serialized: hex(certificate.serialize()),
            };
        },
        usmc(bytes) {
            const content = lib.UnidentifiedSenderMessageContent.deserialize(bytes);
            const group = content.groupId();
            return {
                type: content.msgType(),
                contents: hex(content.contents()),
                certificate: hex(content.senderCertificate().serialize()),
                hint: content.contentHint(),
                group_id: group === null ? null : hex(group),
                serialized: hex(content.serialize()),
            };
        },
        sealed_sent(bytes) {
            const message = new MultiRecipientMessage(bytes);
            const recipients = Object.entries(message.recipientsByServiceIdString()).map(([serviceId, recipient]) => ({
                service_id: serviceId,
                devices: [...recipient.deviceIds],
                registration_ids: [...recipient.registrationIds],
                received: hex(message.messageForRecipient(recipient)),
            }));
            return { recipients, excluded: [...message.excludedRecipientServiceIdStrings()] };
        },
    };

    const constructors = {
        signal(args) {
            if (args.has("pq_ratchet") && !can.pqRatchetField) throw new UnsupportedError("SignalMessage with pq_ratchet");
            return lib.SignalMessage._new(
                args.number("version"),
                args.bytes("mac_key"),
                publicKey(args, "ratchet_key"),
                args.number("counter"),
                args.number("previous_counter"),
                args.bytes("ciphertext"),
                publicKey(args, "sender_identity"),
                publicKey(args, "receiver_identity"),
                ...(can.pqRatchetField ? [args.bytesOr("pq_ratchet", Buffer.alloc(0))] : []),
            );
        },
        /** The library's constructor takes no Kyber fields, so it makes version 3 messages only. */
        prekey_signal: (args) =>
            lib.PreKeySignalMessage._new(
                args.number("version"),
                args.number("registration_id"),
                args.numberOr("prekey_id", null),
                args.number("signed_prekey_id"),
                publicKey(args, "base_key"),
                publicKey(args, "identity"),
                lib.SignalMessage.deserialize(args.bytes("message")),
            ),
        sender_key: (args) =>
            lib.SenderKeyMessage._new(
                args.number("version"),
                args.string("distribution"),
                args.number("chain_id"),
                args.number("iteration"),
                args.bytes("ciphertext"),
                lib.PrivateKey.deserialize(args.bytes("signing_private")),
            ),
        sender_key_distribution: (args) =>
            lib.SenderKeyDistributionMessage._new(
                args.number("version"),
                args.string("distribution"),
                args.number("chain_id"),
                args.number("iteration"),
                args.bytes("chain_key"),
                publicKey(args, "signing_public"),
            ),
        decryption_error: (args) =>
            lib.DecryptionErrorMessage.forOriginal(
                args.bytes("original"),
                args.number("type"),
                args.number("timestamp"),
                args.number("device"),
            ),
        plaintext: (args) => lib.PlaintextContent.from(lib.DecryptionErrorMessage.deserialize(args.bytes("message"))),
    };

    const chosen = (table, args) => {
        const kind = args.string("kind");
        if (!Object.hasOwn(table, kind)) throw new RequestError(`no kind ${kind}`);
        return table[kind];
    };

    return {
        decode: (args) => chosen(decoders, args)(args.bytes("bytes")),

        construct: (args) => ({ bytes: hex(chosen(constructors, args)(args).serialize()) }),

        /** Reads the decryption error out of a decrypted plaintext content's body. */
        decryption_error_extract: (args) =>
            decryptionError(lib.DecryptionErrorMessage.extractFromSerializedBody(args.bytes("body"))),

        verify_mac(args) {
            if (!can.verifyMac) throw new UnsupportedError("SignalMessage.verifyMac");
            const message = lib.SignalMessage.deserialize(args.bytes("message"));
            const [sender, receiver] = [publicKey(args, "sender_identity"), publicKey(args, "receiver_identity")];
            return { valid: message.verifyMac(sender, receiver, args.bytes("mac_key")) };
        },

        verify_sender_key_signature(args) {
            const message = lib.SenderKeyMessage.deserialize(args.bytes("message"));
            return { valid: message.verifySignature(publicKey(args, "signing_public")) };
        },
    };
}

function decryptionError(message) {
    const key = message.ratchetKey();
    return {
        timestamp: message.timestamp(),
        device: message.deviceId(),
        ratchet_key: key === undefined ? null : hex(key.serialize()),
        serialized: hex(message.serialize()),
    };
}
