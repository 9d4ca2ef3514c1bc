// Prekeys with both halves, and bundles as fields.
import { hex } from "../args.mjs";
import { RequestError, StoreError, UnsupportedError } from "../errors.mjs";
import { addressOf } from "../party.mjs";

export function prekeyOperations(peer, parties) {
    const { lib, can } = peer;

    const described = (record) => {
        const pair = record.secretKey === undefined ? record.privateKey() : record.secretKey();
        return {
            id: record.id(),
            public: hex(record.publicKey().serialize()),
            private: hex(pair.serialize()),
            signature: record.signature === undefined ? null : hex(record.signature()),
            timestamp: record.timestamp === undefined ? null : record.timestamp(),
            record: hex(record.serialize()),
        };
    };
    const secretFrom = (args) =>
        args.has("private") ? lib.PrivateKey.deserialize(args.bytes("private")) : lib.PrivateKey.generate();

    // Each kind: where its records live, how one is made, how one is read.
    const kinds = {
        one_time: {
            store: (party) => party.prekeys,
            parse: (bytes) => lib.PreKeyRecord.deserialize(bytes),
            make(party, args) {
                const secret = secretFrom(args);
                return lib.PreKeyRecord.new(args.number("prekey"), secret.getPublicKey(), secret);
            },
        },
        signed: {
            store: (party) => party.signedPrekeys,
            parse: (bytes) => lib.SignedPreKeyRecord.deserialize(bytes),
            make(party, args) {
                const secret = secretFrom(args);
                const signature = party.identity.privateKey.sign(secret.getPublicKey().serialize());
                const time = args.numberOr("timestamp", Date.now());
                return lib.SignedPreKeyRecord.new(args.number("prekey"), time, secret.getPublicKey(), secret, signature);
            },
        },
        kyber: {
            store: (party) => party.kyberPrekeys,
            parse: (bytes) => lib.KyberPreKeyRecord.deserialize(bytes),
            make(party, args) {
                const pair = lib.KEMKeyPair.generate();
                const signature = party.identity.privateKey.sign(pair.getPublicKey().serialize());
                const time = args.numberOr("timestamp", Date.now());
                return lib.KyberPreKeyRecord.new(args.number("prekey"), time, pair, signature);
            },
        },
    };
    const kindOf = (args) => {
        const kind = args.string("kind");
        if (!Object.hasOwn(kinds, kind)) throw new RequestError(`no kind ${kind}`);
        return kinds[kind];
    };
    const stored = (party, kind, id) => {
        const bytes = kind.store(party).records.get(id);
        if (bytes === undefined) throw new StoreError(`no prekey ${id} of this kind`);
        return kind.parse(bytes);
    };
    const keep = (party, kind, record, args) => {
        kind.store(party).records.set(record.id(), record.serialize());
        if (args.flag("last_resort")) party.kyberPrekeys.lastResort.add(record.id());
        return described(record);
    };
    const publicHalf = ({ id, public: key, signature }) =>
        signature === null ? { id, public: key } : { id, public: key, signature };

    return {
        prekey_generate(args) {
            const [party, kind] = [parties.of(args), kindOf(args)];
            return keep(party, kind, kind.make(party, args), args);
        },

        prekey_import(args) {
            const kind = kindOf(args);
            return keep(parties.of(args), kind, kind.parse(args.bytes("record")), args);
        },

        prekey_export: (args) => described(stored(parties.of(args), kindOf(args), args.number("prekey"))),

        prekey_remove(args) {
            kindOf(args).store(parties.of(args)).records.delete(args.number("prekey"));
        },

        prekey_list: (args) => ({ ids: [...kindOf(args).store(parties.of(args)).records.keys()] }),

        bundle(args) {
            const party = parties.of(args);
            const half = (name, kind) =>
                args.has(name) ? publicHalf(described(stored(party, kinds[kind], args.number(name)))) : null;
            return {
                registration_id: party.registrationId,
                device_id: party.address.deviceId(),
                identity: hex(party.identity.publicKey.serialize()),
                one_time: half("one_time", "one_time"),
                signed: half("signed", "signed"),
                kyber: half("kyber", "kyber"),
            };
        },

        async process_bundle(args) {
            const party = parties.of(args);
            const remote = addressOf(peer, args.object("remote"));
            const bundle = bundleFrom(args.object("bundle"));
            const local = can.localAddress ? [party.address] : [];
            const now = new Date(args.numberOr("now", Date.now()));
            await lib.processPreKeyBundle(bundle, remote, ...local, party.sessions, party.identities, now);
            return { events: party.takeEvents() };
        },
    };

    function bundleFrom(args) {
        const oneTime = args.objectOr("one_time");
        const signed = args.object("signed");
        const kyber = args.objectOr("kyber");
        if (kyber === undefined && !can.x3dh) throw new UnsupportedError("a bundle without a Kyber prekey");
        return lib.PreKeyBundle.new(
            args.number("registration_id"),
            args.number("device_id"),
            oneTime?.number("id") ?? null,
            oneTime === undefined ? null : lib.PublicKey.deserialize(oneTime.bytes("public")),
            signed.number("id"),
            lib.PublicKey.deserialize(signed.bytes("public")),
            signed.bytes("signature"),
            lib.PublicKey.deserialize(args.bytes("identity")),
            kyber?.number("id") ?? null,
            kyber === undefined ? null : lib.KEMPublicKey.deserialize(kyber.bytes("public")),
            kyber?.bytes("signature") ?? null,
        );
    }
}
