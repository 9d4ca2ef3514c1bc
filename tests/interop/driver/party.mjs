// A party: an address, an identity, and the library's stores, in memory. Records are kept as bytes, so what the
// library holds on to never aliases what is stored. What the library did to the stores is logged as events.
import { hex } from "./args.mjs";
import { RequestError, StoreError } from "./errors.mjs";

export class Parties {
    #peer;
    #parties = new Map();

    constructor(peer) {
        this.#peer = peer;
    }

    create(handle, options) {
        if (this.#parties.has(handle)) throw new RequestError(`party ${handle} exists`);
        const party = newParty(this.#peer, options);
        this.#parties.set(handle, party);
        return party;
    }

    drop(handle) {
        this.#parties.delete(handle);
    }

    clear() {
        this.#parties.clear();
    }

    /** The party that the request's field `party` names. */
    of(args) {
        const handle = args.string("party");
        const party = this.#parties.get(handle);
        if (party === undefined) throw new RequestError(`no party ${handle}`);
        return party;
    }
}

/** The address that a nested `{name, device}` names. */
export function addressOf({ lib }, args) {
    return lib.ProtocolAddress.new(args.string("name"), args.number("device"));
}

const keyOf = (address) => `${address.name()}.${address.deviceId()}`;

function newParty(peer, { address, registrationId, identity }) {
    const { lib } = peer;
    const log = [];
    const party = {
        address,
        registrationId,
        identity,
        trust: "first_use",
        takeEvents: () => log.splice(0),
        sessions: new (sessionStore(lib))(),
        prekeys: new (prekeyStore(lib))(log),
        signedPrekeys: new (signedPrekeyStore(lib))(),
        kyberPrekeys: new (kyberPrekeyStore(peer))(log),
        senderKeys: new (senderKeyStore(lib))(),
    };
    party.identities = new (identityStore(lib))(party, log);
    return party;
}

const identityStore = (lib) =>
    class extends lib.IdentityKeyStore {
        known = new Map();

        constructor(party, log) {
            super();
            this.party = party;
            this.log = log;
        }

        async getIdentityKey() {
            return this.party.identity.privateKey;
        }

        async getIdentityKeyPair() {
            return this.party.identity;
        }

        async getLocalRegistrationId() {
            return this.party.registrationId;
        }

        async saveIdentity(address, key) {
            const before = this.known.get(keyOf(address));
            const after = hex(key.serialize());
            if (before === after) return lib.IdentityChange.NewOrUnchanged;
            this.known.set(keyOf(address), after);
            this.log.push({ event: "identity_saved", address: keyOf(address), identity: after, previous: before ?? null });
            return before === undefined ? lib.IdentityChange.NewOrUnchanged : lib.IdentityChange.ReplacedExisting;
        }

        async isTrustedIdentity(address, key) {
            const known = this.known.get(keyOf(address));
            return this.party.trust === "always" || known === undefined || known === hex(key.serialize());
        }

        async getIdentity(address) {
            const known = this.known.get(keyOf(address));
            return known === undefined ? null : lib.PublicKey.deserialize(Buffer.from(known, "hex"));
        }

        /** Pins or forgets (`undefined`) what is known of an address. */
        pin(address, key) {
            if (key === undefined) this.known.delete(keyOf(address));
            else this.known.set(keyOf(address), hex(key.serialize()));
        }
    };

const sessionStore = (lib) =>
    class extends lib.SessionStore {
        records = new Map();

        async saveSession(address, record) {
            this.records.set(keyOf(address), record.serialize());
        }

        async getSession(address) {
            const record = this.records.get(keyOf(address));
            return record === undefined ? null : lib.SessionRecord.deserialize(record);
        }

        async getExistingSessions(addresses) {
            return addresses.map((address) => lib.SessionRecord.deserialize(this.bytes(address)));
        }

        bytes(address) {
            const record = this.records.get(keyOf(address));
            if (record === undefined) throw new StoreError(`no session with ${keyOf(address)}`);
            return record;
        }

        put(address, record) {
            this.records.set(keyOf(address), record);
        }

        remove(address) {
            this.records.delete(keyOf(address));
        }
    };

const prekeyStore = (lib) =>
    class extends lib.PreKeyStore {
        records = new Map();

        constructor(log) {
            super();
            this.log = log;
        }

        async savePreKey(id, record) {
            this.records.set(id, record.serialize());
        }

        async getPreKey(id) {
            return lib.PreKeyRecord.deserialize(take(this.records, "one-time prekey", id));
        }

        async removePreKey(id) {
            this.log.push({ event: "prekey_removed", id });
            this.records.delete(id);
        }
    };

const signedPrekeyStore = (lib) =>
    class extends lib.SignedPreKeyStore {
        records = new Map();

        async saveSignedPreKey(id, record) {
            this.records.set(id, record.serialize());
        }

        async getSignedPreKey(id) {
            return lib.SignedPreKeyRecord.deserialize(take(this.records, "signed prekey", id));
        }
    };

/** One-time Kyber keys go when used; last-resort keys stay, and remember with which keys they were used. */
const kyberPrekeyStore = ({ lib, can }) =>
    class extends lib.KyberPreKeyStore {
        records = new Map();
        lastResort = new Set();
        uses = new Set();

        constructor(log) {
            super();
            this.log = log;
        }

        async saveKyberPreKey(id, record) {
            this.records.set(id, record.serialize());
        }

        async getKyberPreKey(id) {
            return lib.KyberPreKeyRecord.deserialize(take(this.records, "Kyber prekey", id));
        }

        async markKyberPreKeyUsed(id, signedPrekeyId, baseKey) {
            const use = can.kyberUseDetails ? { signed_prekey_id: signedPrekeyId, base_key: hex(baseKey.serialize()) } : {};
            this.log.push({ event: "kyber_prekey_used", id, ...use });
            if (!this.lastResort.has(id)) {
                this.records.delete(id);
            } else if (can.kyberUseDetails) {
                const triple = `${id} ${use.signed_prekey_id} ${use.base_key}`;
                if (this.uses.has(triple)) throw new StoreError(`Kyber prekey ${id} was used with this base key before`);
                this.uses.add(triple);
            }
        }
    };

const senderKeyStore = (lib) =>
    class extends lib.SenderKeyStore {
        records = new Map();

        async saveSenderKey(sender, distribution, record) {
            this.put(sender, distribution, record.serialize());
        }

        async getSenderKey(sender, distribution) {
            const record = this.records.get(`${keyOf(sender)} ${distribution}`);
            return record === undefined ? null : lib.SenderKeyRecord.deserialize(record);
        }

        bytes(sender, distribution) {
            return take(this.records, "sender key", `${keyOf(sender)} ${distribution}`);
        }

        put(sender, distribution, record) {
            this.records.set(`${keyOf(sender)} ${distribution}`, record);
        }

        remove(sender, distribution) {
            this.records.delete(`${keyOf(sender)} ${distribution}`);
        }
    };

function take(records, what, id) {
    const record = records.get(id);
    if (record === undefined) throw new StoreError(`no ${what} ${id}`);
    return record;
}
