// Parties: who they are, whom they trust, what happened to their stores.
import { randomInt } from "node:crypto";
import process from "node:process";

import { hex } from "../args.mjs";
import { RequestError } from "../errors.mjs";
import { addressOf } from "../party.mjs";

export function partyOperations(peer, parties) {
    const { lib, version, can } = peer;

    const identityFrom = (args) => {
        const secret = args.bytesOr("identity_private");
        if (secret === undefined) return lib.IdentityKeyPair.generate();
        const privateKey = lib.PrivateKey.deserialize(secret);
        return new lib.IdentityKeyPair(privateKey.getPublicKey(), privateKey);
    };
    const described = (party) => ({
        name: party.address.name(),
        device: party.address.deviceId(),
        registration_id: party.registrationId,
        identity_public: hex(party.identity.publicKey.serialize()),
        identity_private: hex(party.identity.privateKey.serialize()),
        identity_key_pair: hex(party.identity.serialize()),
    });

    return {
        info: () => ({ version, node: process.version, can }),

        reset: () => parties.clear(),

        party_create(args) {
            const party = parties.create(args.string("party"), {
                address: addressOf(peer, args),
                registrationId: args.numberOr("registration_id", randomInt(1, 16381)),
                identity: identityFrom(args),
            });
            return described(party);
        },

        party_drop: (args) => parties.drop(args.string("party")),

        party_export: (args) => described(parties.of(args)),

        trust(args) {
            const policy = args.string("policy");
            if (!["first_use", "always"].includes(policy)) throw new RequestError(`no policy ${policy}`);
            parties.of(args).trust = policy;
        },

        async known_identity(args) {
            const key = await parties.of(args).identities.getIdentity(addressOf(peer, args.object("remote")));
            return { identity: key === null ? null : hex(key.serialize()) };
        },

        set_known_identity(args) {
            const key = args.bytesOr("identity");
            parties
                .of(args)
                .identities.pin(
                    addressOf(peer, args.object("remote")),
                    key === undefined ? undefined : lib.PublicKey.deserialize(key),
                );
        },

        events: (args) => ({ events: parties.of(args).takeEvents() }),
    };
}
