// Raw primitives, as witnesses for ours.
import { hex } from "../args.mjs";
import { addressOf } from "../party.mjs";

export function keyOperations(peer) {
    const { lib } = peer;
    const publicKey = (args, name) => lib.PublicKey.deserialize(args.bytes(name));
    const privateKey = (args, name) => lib.PrivateKey.deserialize(args.bytes(name));

    return {
        key_pair(args) {
            const secret = args.has("private") ? privateKey(args, "private") : lib.PrivateKey.generate();
            return { private: hex(secret.serialize()), public: hex(secret.getPublicKey().serialize()) };
        },

        /** Parses and serialises again, so that one sees what the parser keeps. */
        public_key(args) {
            const key = publicKey(args, "public");
            return { public: hex(key.serialize()), raw: hex(key.getPublicKeyBytes()) };
        },

        agree: (args) => ({ shared: hex(privateKey(args, "private").agree(publicKey(args, "public"))) }),

        sign: (args) => ({ signature: hex(privateKey(args, "private").sign(args.bytes("message"))) }),

        verify: (args) => ({ valid: publicKey(args, "public").verify(args.bytes("message"), args.bytes("signature")) }),

        alternate_identity_sign(args) {
            const secret = privateKey(args, "private");
            const pair = new lib.IdentityKeyPair(secret.getPublicKey(), secret);
            return { signature: hex(pair.signAlternateIdentity(publicKey(args, "other"))) };
        },

        alternate_identity_verify: (args) => ({
            valid: publicKey(args, "public").verifyAlternateIdentity(publicKey(args, "other"), args.bytes("signature")),
        }),

        kyber_generate() {
            const pair = lib.KEMKeyPair.generate();
            return { public: hex(pair.getPublicKey().serialize()), private: hex(pair.getSecretKey().serialize()) };
        },

        kyber_public: (args) => ({ public: hex(lib.KEMPublicKey.deserialize(args.bytes("public")).serialize()) }),

        kyber_private: (args) => ({ private: hex(lib.KEMSecretKey.deserialize(args.bytes("private")).serialize()) }),

        hkdf(args) {
            const salt = args.bytesOr("salt", null);
            return { output: hex(lib.hkdf(args.number("length"), args.bytes("ikm"), args.bytes("info"), salt)) };
        },

        aes_gcm_siv_encrypt(args) {
            const key = lib.Aes256GcmSiv.new(args.bytes("key"));
            return { ciphertext: hex(key.encrypt(args.bytes("plaintext"), args.bytes("nonce"), args.bytes("ad"))) };
        },

        aes_gcm_siv_decrypt(args) {
            const key = lib.Aes256GcmSiv.new(args.bytes("key"));
            return { plaintext: hex(key.decrypt(args.bytes("ciphertext"), args.bytes("nonce"), args.bytes("ad"))) };
        },

        service_id(args) {
            const id = args.has("string")
                ? lib.ServiceId.parseFromServiceIdString(args.string("string"))
                : lib.ServiceId.parseFromServiceIdFixedWidthBinary(args.bytes("fixed_width"));
            return {
                string: id.getServiceIdString(),
                binary: hex(id.getServiceIdBinary()),
                fixed_width: hex(id.getServiceIdFixedWidthBinary()),
            };
        },

        address(args) {
            const address = addressOf(peer, args);
            return { name: address.name(), device: address.deviceId(), is_service_id: address.serviceId() !== null };
        },
    };
}
