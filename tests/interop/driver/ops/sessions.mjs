// Sessions: encrypt, decrypt, records in and out.
import { hex } from "../args.mjs";
import { RequestError } from "../errors.mjs";
import { addressOf } from "../party.mjs";
import { fields, last } from "../protobuf.mjs";

export function sessionOperations(peer, parties) {
    const { lib, can } = peer;

    /** The arguments that nearly every session call shares: who acts, towards whom, and over which stores. */
    const ends = (args) => {
        const party = parties.of(args);
        const remote = addressOf(peer, args.object("remote"));
        const local = can.localAddress ? [party.address] : [];
        return { party, remote, common: [remote, ...local, party.sessions, party.identities] };
    };
    const nowOf = (args) => new Date(args.numberOr("now", Date.now()));

    return {
        async encrypt(args) {
            const { common } = ends(args);
            const message = await lib.signalEncrypt(args.bytes("plaintext"), ...common, nowOf(args));
            return { type: message.type(), body: hex(message.serialize()) };
        },

        /** Encrypts `count` messages that are never delivered. */
        async skip(args) {
            const { common } = ends(args);
            for (let n = args.number("count"); n > 0; n--) {
                await lib.signalEncrypt(Buffer.of(0), ...common, nowOf(args));
            }
        },

        async decrypt(args) {
            const { party, common } = ends(args);
            const body = args.bytes("body");
            const plaintext = await open(party, common, args.number("type"), body);
            return { plaintext: hex(plaintext), events: party.takeEvents() };
        },

        session_export(args) {
            const { party, remote } = ends(args);
            return { record: hex(party.sessions.bytes(remote)) };
        },

        session_import(args) {
            const { party, remote } = ends(args);
            party.sessions.put(remote, lib.SessionRecord.deserialize(args.bytes("record")).serialize());
        },

        session_remove(args) {
            const { party, remote } = ends(args);
            party.sessions.remove(remote);
        },

        session_archive(args) {
            const { party, remote } = ends(args);
            const record = lib.SessionRecord.deserialize(party.sessions.bytes(remote));
            record.archiveCurrentState();
            party.sessions.put(remote, record.serialize());
        },

        session_info(args) {
            const { party, remote } = ends(args);
            const bytes = party.sessions.bytes(remote);
            const record = lib.SessionRecord.deserialize(bytes);
            const usable = record.hasCurrentState(nowOf(args));
            return { has_current_state: usable, record_size: bytes.length, ...inside(bytes, record) };
        },

        session_ratchet_key_matches(args) {
            const { party, remote } = ends(args);
            const record = lib.SessionRecord.deserialize(party.sessions.bytes(remote));
            return { matches: record.currentRatchetKeyMatches(lib.PublicKey.deserialize(args.bytes("key"))) };
        },
    };

    function open(party, common, type, body) {
        if (type === lib.CiphertextMessageType.Whisper) {
            return lib.signalDecrypt(lib.SignalMessage.deserialize(body), ...common);
        }
        if (type === lib.CiphertextMessageType.PreKey) {
            const message = lib.PreKeySignalMessage.deserialize(body);
            return lib.signalDecryptPreKey(message, ...common, party.prekeys, party.signedPrekeys, party.kyberPrekeys);
        }
        throw new RequestError(`no session message has type ${type}`);
    }

    /** What only the record itself tells: the current state's version and base key, and how many states are archived. */
    function inside(bytes, record) {
        const outer = fields(bytes);
        const current = last(outer, 1);
        const state = current === undefined ? undefined : fields(current);
        const version = state && last(state, 1);
        if (version === undefined) return { archived: outer.get(2)?.length ?? 0, current: null };
        return {
            archived: outer.get(2)?.length ?? 0,
            current: {
                version: Number(version),
                local_registration_id: record.localRegistrationId(),
                remote_registration_id: record.remoteRegistrationId(),
                base_key: hex(last(state, 13) ?? []),
                unacknowledged: state.has(9),
                receiver_chains: state.get(7)?.length ?? 0,
                spqr_state_size: last(state, 15)?.length ?? 0,
            },
        };
    }
}
