// All operations of a driver, over one set of parties.
import { Parties } from "./party.mjs";
import { fingerprintOperations } from "./ops/fingerprints.mjs";
import { groupOperations } from "./ops/groups.mjs";
import { keyOperations } from "./ops/keys.mjs";
import { messageOperations } from "./ops/messages.mjs";
import { partyOperations } from "./ops/parties.mjs";
import { prekeyOperations } from "./ops/prekeys.mjs";
import { sealedSenderOperations } from "./ops/sealed_sender.mjs";
import { sessionOperations } from "./ops/sessions.mjs";

export function operations(peer) {
    const parties = new Parties(peer);
    return {
        ...partyOperations(peer, parties),
        ...prekeyOperations(peer, parties),
        ...sessionOperations(peer, parties),
        ...keyOperations(peer),
        ...messageOperations(peer),
        ...groupOperations(peer, parties),
        ...sealedSenderOperations(peer, parties),
        ...fingerprintOperations(peer),
    };
}
