// Just enough protobuf to look into records for which the library offers no accessor.

/** Field number to the list of its values: integers as BigInt, byte strings as Buffer. */
export function fields(bytes) {
    const found = new Map();
    let at = 0;
    const varint = () => {
        let value = 0n;
        for (let shift = 0n; ; shift += 7n) {
            if (at >= bytes.length || shift > 63n) throw new Error("truncated varint");
            const byte = bytes[at++];
            value |= BigInt(byte & 0x7f) << shift;
            if (byte < 0x80) return value;
        }
    };
    const chunk = (length) => {
        if (at + length > bytes.length) throw new Error("truncated field");
        at += length;
        return Buffer.from(bytes.subarray(at - length, at));
    };
    while (at < bytes.length) {
        const key = varint();
        const number = Number(key >> 3n);
        const wire = Number(key & 7n);
        let value;
        if (wire === 0) value = varint();
        else if (wire === 1) value = chunk(8).readBigUInt64LE();
        else if (wire === 2) value = chunk(Number(varint()));
        else if (wire === 5) value = BigInt(chunk(4).readUInt32LE());
        else throw new Error(`wire type ${wire}`);
        if (!found.has(number)) found.set(number, []);
        found.get(number).push(value);
    }
    return found;
}

/** The last value of a field, as protobuf wants it, or undefined. */
export const last = (message, number) => message.get(number)?.at(-1);
