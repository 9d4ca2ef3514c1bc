// Sender keys.
import { hex } from "../args.mjs";
import { addressOf } from "../party.mjs";

export function groupOperations(peer, parties) {
    const { lib } = peer;
    const sender = (args) => addressOf(peer, args.object("sender"));

    return {
        /** The distribution message of the party's own sender key, which is made if there is none. */
        async group_distribute(args) {
            const party = parties.of(args);
            const create = lib.SenderKeyDistributionMessage.create;
            const message = await create(party.address, args.string("distribution"), party.senderKeys);
            return { message: hex(message.serialize()) };
        },

        async group_process(args) {
            const message = lib.SenderKeyDistributionMessage.deserialize(args.bytes("message"));
            await lib.processSenderKeyDistributionMessage(sender(args), message, parties.of(args).senderKeys);
        },

        async group_encrypt(args) {
            const { address, senderKeys } = parties.of(args);
            const distribution = args.string("distribution");
            const message = await lib.groupEncrypt(address, distribution, senderKeys, args.bytes("plaintext"));
            return { type: message.type(), body: hex(message.serialize()) };
        },

        /** Encrypts `count` messages that are never delivered. */
        async group_skip(args) {
            const { address, senderKeys } = parties.of(args);
            const distribution = args.string("distribution");
            for (let n = args.number("count"); n > 0; n--) {
                await lib.groupEncrypt(address, distribution, senderKeys, Buffer.of(0));
            }
        },

        async group_decrypt(args) {
            const plaintext = await lib.groupDecrypt(sender(args), parties.of(args).senderKeys, args.bytes("body"));
            return { plaintext: hex(plaintext) };
        },

        sender_key_export: (args) => ({
            record: hex(parties.of(args).senderKeys.bytes(sender(args), args.string("distribution"))),
        }),

        sender_key_remove(args) {
            parties.of(args).senderKeys.remove(sender(args), args.string("distribution"));
        },

        sender_key_import(args) {
            const record = lib.SenderKeyRecord.deserialize(args.bytes("record")).serialize();
            parties.of(args).senderKeys.put(sender(args), args.string("distribution"), record);
        },
    };
}
