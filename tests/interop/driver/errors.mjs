// What can go wrong, told apart by whose fault it is.

/** The request is malformed: a mistake of whoever drives the driver. */
export class RequestError extends Error {}

/** This version of the library has no such operation. */
export class UnsupportedError extends Error {}

/** A store callback refused: a key is not there (any more), or was used already. */
export class StoreError extends Error {
    name = "StoreError";
}

/** The error as it goes over the wire; `name` and `code` are the library's own. */
export function describe(error, { lib }) {
    const message = String(error?.message ?? error);
    if (error instanceof RequestError) return { kind: "request", message };
    if (error instanceof UnsupportedError) return { kind: "unsupported", message };
    const refusal = error instanceof StoreError ? message : message.match(WRAPPED)?.[1];
    if (refusal !== undefined) return { kind: "store", message: refusal };
    if (error instanceof lib.LibSignalErrorBase) {
        return { kind: "library", name: lib.ErrorCode[error.code] ?? error.name, code: error.code, message };
    }
    // Type and range errors come from the library's argument conversion, for instance an integer out of range.
    return { kind: "library", name: error?.name ?? "Error", code: -1, message };
}

/** How some versions report an error that a callback threw. */
const WRAPPED = /^error in method call '\w+': (?:callback error )?StoreError: (.*)$/s;
