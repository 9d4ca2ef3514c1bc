// Typed access to the fields of a request. Whatever is missing or misshapen is a RequestError that names the field.
import { RequestError } from "./errors.mjs";

export const hex = (bytes) => Buffer.from(bytes).toString("hex");

export class Args {
    constructor(fields) {
        this.fields = fields;
    }

    /** The field, or undefined when it is absent or null. */
    #optional(name) {
        return this.fields[name] ?? undefined;
    }

    #required(name, value) {
        if (value === undefined) throw new RequestError(`field ${name} is missing`);
        return value;
    }

    has(name) {
        return this.#optional(name) !== undefined;
    }

    string(name) {
        return this.#required(name, this.stringOr(name, undefined));
    }

    stringOr(name, otherwise) {
        const value = this.#optional(name);
        if (value !== undefined && typeof value !== "string") throw new RequestError(`field ${name} is no string`);
        return value ?? otherwise;
    }

    number(name) {
        return this.#required(name, this.numberOr(name, undefined));
    }

    numberOr(name, otherwise) {
        const value = this.#optional(name);
        if (value !== undefined && !Number.isSafeInteger(value)) throw new RequestError(`field ${name} is no integer`);
        return value ?? otherwise;
    }

    flag(name) {
        const value = this.#optional(name) ?? false;
        if (typeof value !== "boolean") throw new RequestError(`field ${name} is no boolean`);
        return value;
    }

    bytes(name) {
        return this.#required(name, this.bytesOr(name, undefined));
    }

    bytesOr(name, otherwise) {
        const value = this.#optional(name);
        if (value === undefined) return otherwise;
        if (typeof value !== "string" || value.length % 2 !== 0 || !/^[0-9a-f]*$/.test(value)) {
            throw new RequestError(`field ${name} is no lower-case hex`);
        }
        return Buffer.from(value, "hex");
    }

    list(name) {
        const value = this.#optional(name) ?? [];
        if (!Array.isArray(value)) throw new RequestError(`field ${name} is no list`);
        return value;
    }

    /** A nested object, as its own Args. */
    object(name) {
        return this.#required(name, this.objectOr(name, undefined));
    }

    objectOr(name, otherwise) {
        const value = this.#optional(name);
        if (value === undefined) return otherwise;
        if (typeof value !== "object") throw new RequestError(`field ${name} is no object`);
        return new Args(value);
    }
}
