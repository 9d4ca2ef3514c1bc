// What can go wrong, told apart by whose fault it is.

/** The request is malformed: a mistake of whoever drives the driver. */
export class RequestError extends Error {}

/** This version of the library has no such operation. */
export class UnsupportedError extends Error {}

/** A store callback refused: a key is not there (any more), or was used already. */
export class StoreError extends Error {}

/** The error as it goes over the wire; `name` and `code` are the library's own. */
export function describe(error, { lib }) {
    const message = String(error?.message ?? error);
    if (error instanceof RequestError) return { kind: "request", message };
    if (error instanceof UnsupportedError) return { kind: "unsupported", message };
    if (error instanceof StoreError) return { kind: "store", message };
    if (error instanceof lib.LibSignalErrorBase) {
        return { kind: "library", name: lib.ErrorCode[error.code] ?? error.name, code: error.code, message };
    }
    // Type and range errors come from the library's argument conversion, for instance an integer out of range.
    return { kind: "library", name: error?.name ?? "Error", code: -1, message };
}
