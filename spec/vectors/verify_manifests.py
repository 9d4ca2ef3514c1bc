#!/usr/bin/env python3
"""Verifies 11-statements.json, 11-manifests.json and 11-steps.json by the text of spec/10 and spec/11, with nothing of Waxwing's code:
a protobuf reader of its own, and Ed25519 from the package `cryptography`.

    python3 -m pip install cryptography
    python3 spec/vectors/verify_manifests.py

Every positive case must give exactly the facts in the file, every negative one the rule it names. Exit code 1 otherwise.
"""
import hashlib
import ipaddress
import json
import pathlib
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

DAY = 86_400_000
P = 2**255 - 19


class Refused(Exception):
    """The rule that an object breaks."""


def need(condition, rule):
    if not condition:
        raise Refused(rule)


# --- spec 10.4: the canonical reader -------------------------------------------------------------------------------------
# A table is (most bytes, {number: field}); a field is (type, limit, presence).
#   type: "uint" with the highest value, "fixed" with the length, "bytes" or "text" with the highest length, "packed" with
#         (count, highest value), or a table with the highest length.
#   presence: "required", "implicit", "optional", or a count for repeated fields.

SIGNED = (65536, {1: ("bytes", 65400, "required"), 2: ("fixed", 64, "required")})
STATEMENT = (1024, {
    1: ("uint", 2**32 - 1, "required"), 2: ("fixed", 32, "required"), 3: ("uint", 2**32 - 1, "implicit"),
    4: ("fixed", 32, "required"), 5: ("fixed", 32, "optional"),
})
BODY = (16384, {
    1: ("uint", 2**32 - 1, "required"), 2: ("bytes", 16000, "required"), 3: ("uint", 2**64 - 1, "required"),
    4: ("uint", 2**64 - 1, "required"),
})
SERVER = (1100, {1: ("fixed", 32, "required"), 2: ("text", 260, 4)})
DEVICE = (400, {
    1: ("uint", 127, "required"), 2: ("uint", 2**32 - 1, "implicit"), 3: ("uint", 16383, "required"),
    4: ("fixed", 32, "required"), 5: ("fixed", 32, "required"), 6: ("fixed", 32, "required"),
    7: ("packed", (8, 65535), "implicit"), 8: ("packed", (8, 65535), "implicit"), 9: ("fixed", 64, "required"),
})
CONTENT = (16000, {
    1: ("uint", 2**32 - 1, "required"), 2: ("fixed", 32, "required"), 3: ("uint", 2**32 - 1, "implicit"),
    4: ("uint", 2**32 - 1, "implicit"), 5: ("fixed", 32, "required"), 6: ("uint", 127, "implicit"),
    7: (SERVER, 1100, 4), 8: (DEVICE, 400, 16), 9: ("uint", 1, "implicit"),
})


def varint(data, at):
    value = 0
    for index in range(10):
        need(at < len(data), "10.4.1")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * index)
        need(value < 2**64, "10.4.2")
        if byte < 0x80:
            need(byte != 0 or index == 0, "10.4.2")
            return value, at
    raise Refused("10.4.2")


def chunk(data, at):
    length, at = varint(data, at)
    need(length <= len(data) - at, "10.4.1")
    return data[at:at + length], at + length


def read(data, table, strict=False):
    """A dict from field number to value (a list for repeated fields)."""
    size, fields = table
    need(len(data) <= size, "10.4.8")
    found, last, at = {}, 0, 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        need(0 < number < 2**29, "10.4.5")
        need(number >= last, "10.4.3")
        for passed, (_, _, presence) in fields.items():
            need(not (passed < number and presence == "required" and passed not in found), "10.4.7")
        if number in fields:
            at = known(data, at, number, wire, fields[number], found)
        else:
            need(number < 1000, "10.4.10")
            need(not strict, "10.4.11")
            at = skip(data, at, wire)
        last = number
    for number, (_, _, presence) in fields.items():
        need(presence != "required" or number in found, "10.4.7")
        if isinstance(presence, int):
            found.setdefault(number, [])
    return found


def known(data, at, number, wire, field, found):
    kind, limit, presence = field
    repeated = isinstance(presence, int)
    need(repeated or number not in found, "10.4.4")
    if repeated:
        need(len(found.setdefault(number, [])) < presence, "10.4.9")
    need(wire == (0 if kind == "uint" else 2), "10.4.5")
    spelled = presence in ("implicit", "required")
    if kind == "uint":
        value, at = varint(data, at)
        need(value <= limit, "10.4.8")
        need(value or not spelled, "10.4.6")
        found[number] = value
        return at
    value, at = chunk(data, at)
    if kind == "packed":
        need(value, "10.4.6")
        numbers, inner = [], 0
        while inner < len(value):
            item, inner = varint(value, inner)
            need(len(numbers) < limit[0], "10.4.9")
            need(item <= limit[1], "10.4.8")
            numbers.append(item)
        found[number] = numbers
        return at
    if not isinstance(kind, tuple):
        need(value or repeated or not spelled, "10.4.6")
    need(len(value) == limit if kind == "fixed" else len(value) <= limit, "10.4.8")
    if kind == "text":
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("10.4.5") from None
    if isinstance(kind, tuple):
        value = read(value, kind)
    if repeated:
        found[number].append(value)
    else:
        found[number] = value
    return at


def skip(data, at, wire):
    if wire == 0:
        return varint(data, at)[1]
    if wire == 2:
        return chunk(data, at)[1]
    need(wire in (1, 5), "10.4.5")
    at += 8 if wire == 1 else 4
    need(at <= len(data), "10.4.1")
    return at


def read_signed(data, table):
    need(len(data) <= table[0] + 72, "10.4.8")
    signed = read(data, SIGNED, strict=True)
    return signed[1], signed[2]


# --- spec 10.5, 10.6: labels and Ed25519 -----------------------------------------------------------------------------------

def labelled(label, content):
    return label.encode() + b"\0" + content


def digest(label, content):
    return hashlib.sha256(labelled(label, content)).digest()


D = -121665 * pow(121666, P - 2, P) % P


def recover_x(y, sign):
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        return None
    return P - x if x & 1 != sign else x


def add(one, other):
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, P - 2, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, P - 2, P) % P
    return x, y


def is_key(key):
    """10.6.1: reduced, on the curve, and eight times it is not the neutral point."""
    number = int.from_bytes(key, "little")
    y, sign = number & (2**255 - 1), number >> 255
    if y >= P:
        return False
    x = recover_x(y, sign)
    if x is None:
        return False
    point = (x, y)
    for _ in range(3):
        point = add(point, point)
    return point != (0, 1)


def is_u(key):
    """11.2.6: reduced and not of small order: the doubling ladder of three steps does not reach zero or infinity."""
    u = int.from_bytes(key, "little")
    if u >= P:
        return False
    x, z = u, 1
    for _ in range(3):
        a, b = (x + z) ** 2 % P, (x - z) ** 2 % P
        c = (a - b) % P
        x, z = a * b % P, c * (b + 121666 * c) % P
    # The point at infinity has z = 0; u = 0 has order 2 and doubles to it.
    return z != 0


def verify(key, label, body, signature, rule):
    need(is_key(signature[:32]) and is_key(key), rule)
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, labelled(label, body))
    except InvalidSignature:
        raise Refused(rule) from None


# --- spec 11.4: statements ---------------------------------------------------------------------------------------------------

def statement(data, recovery):
    body, signature = read_signed(data, STATEMENT)
    fields = read(body, STATEMENT)
    need(fields[1] == 1, "11.3.2")
    generation = fields.get(3, 0)
    need(is_key(fields[4]), "11.4.2")
    need(generation or 5 not in fields, "11.4.3")
    need(fields[2] == digest("waxwing/1 account id", recovery), "11.4.1")
    need(fields[4] != recovery, "11.4.2")
    verify(recovery, "waxwing/1 generation statement", body, signature, "11.3.3")
    return {
        "account": fields[2], "generation": generation, "root": fields[4], "last_trusted": fields.get(5),
        "hash": digest("waxwing/1 generation statement", body),
    }


# --- spec 11.12: addresses ---------------------------------------------------------------------------------------------------

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")


def check_host(host):
    name, colon, port = host.rpartition(":")
    need(colon and re.fullmatch(r"[1-9][0-9]{0,4}", port) and int(port) < 65536, "11.12.3")
    if name.startswith("[") and name.endswith("]"):
        try:
            need(str(ipaddress.IPv6Address(name[1:-1])) == name[1:-1], "11.12.3")
        except ValueError:
            raise Refused("11.12.3") from None
        return
    labels = name.split(".")
    if labels[-1].isascii() and labels[-1].isdigit():
        try:
            ipaddress.IPv4Address(name)
        except ValueError:
            raise Refused("11.12.3") from None
        return
    need(len(name) <= 253 and all(LABEL.match(label) for label in labels), "11.12.3")


def check_server(server):
    need(is_key(server[1]), "11.12.1")
    for host in server[2]:
        check_host(host)
    need(server[2] and len(set(server[2])) == len(server[2]), "11.12.2")


# --- spec 11.5: manifests ----------------------------------------------------------------------------------------------------

def ascends(numbers):
    return bool(numbers) and numbers[0] > 0 and all(one < other for one, other in zip(numbers, numbers[1:]))


def check_device(device):
    need(all(is_u(device[field]) for field in (4, 6)) and is_key(device[5]), "11.5.11")
    need(len({device[4], device[5], device[6]}) == 3, "11.5.11")
    need(ascends(device.get(7, [])) and ascends(device.get(8, [])), "11.5.13")


def content_of(data):
    fields = read(data, CONTENT)
    need(fields[1] == 1, "11.3.2")
    content = {
        "account": fields[2], "generation": fields.get(3, 0), "sequence": fields.get(4, 0), "previous": fields[5],
        "last_device": fields.get(6, 0), "servers": fields[7], "devices": fields[8], "final": bool(fields.get(9, 0)),
    }
    for server in content["servers"]:
        check_server(server)
    for device in content["devices"]:
        check_device(device)
    if content["final"]:
        need(not content["servers"] and not content["devices"], "11.5.9")
    else:
        keys = [server[1] for server in content["servers"]]
        need(keys and len(set(keys)) == len(keys), "11.5.7")
        need(content["devices"] and (content["sequence"] or len(content["devices"]) == 1), "11.5.8")
    before, seen = 0, set()
    for device in content["devices"]:
        need(device[1] > before, "11.5.10")
        before = device[1]
        need(device.get(2, 0) <= content["sequence"], "11.5.10")
        keys = {device[4], device[5], device[6]}
        need(not keys & seen, "11.5.11")
        seen |= keys
    need(before <= content["last_device"], "11.5.10")
    return content


def manifest(data, certified, now):
    body, signature = read_signed(data, BODY)
    fields = read(body, BODY)
    need(fields[1] == 1, "11.3.2")
    issued, expires = fields[3], fields[4]
    need(issued < expires <= issued + 60 * DAY, "11.5.3")
    content = content_of(fields[2])
    need(content["account"] == certified["account"], "11.5.1")
    need(content["generation"] == certified["generation"], "11.5.2")
    need(content["sequence"] or content["previous"] == certified["hash"], "11.5.8")
    need(issued <= now + 2 * DAY, "11.5.4")
    verify(certified["root"], "waxwing/1 manifest", body, signature, "11.3.3")
    for device in content["devices"]:
        need(device[5] != certified["root"], "11.5.11")
        joined = b"\x01" + content["account"] + content["generation"].to_bytes(4, "big") + bytes([device[1]])
        joined += device.get(2, 0).to_bytes(4, "big") + device[3].to_bytes(4, "big") + device[4] + device[5] + device[6]
        verify(device[5], "waxwing/1 device", joined, device[9], "11.5.12")
    content.update(issued=issued, expires=expires, hash=digest("waxwing/1 manifest content", fields[2]), raw=data)
    return content


def validity(content, now):
    if now >= content["expires"]:
        return "expired"
    return "renewal due" if now >= content["issued"] + 20 * DAY else "fresh"


# --- spec 11.6: order --------------------------------------------------------------------------------------------------------

def precedence(content):
    inverse = tuple(255 - byte for byte in content["hash"])
    return (content["generation"], content["final"], content["sequence"], inverse, content["issued"], content["expires"])


def compatible(earlier, later):
    if earlier["sequence"] == later["sequence"]:
        return need(earlier["hash"] == later["hash"], "11.6.3.1")
    need(not earlier["final"], "11.6.3.3")
    need(earlier["sequence"] + 1 != later["sequence"] or later["previous"] == earlier["hash"], "11.6.3.2")
    need(later["last_device"] >= earlier["last_device"], "11.6.3.4")
    listed = {device[1]: device for device in earlier["devices"]}
    for device in later["devices"]:
        known_device = listed.get(device[1])
        if known_device is None:
            need(device.get(2, 0) > earlier["sequence"] and device[1] > earlier["last_device"], "11.6.3.4")
            continue
        need(all(device.get(field, 0) == known_device.get(field, 0) for field in (2, 3, 4, 5, 6)), "11.6.3.4")
        need(all(set(device[field]) >= set(known_device[field]) for field in (7, 8)), "11.6.3.5")


def step(current, candidate):
    if current is None:
        need(candidate["sequence"] == 0, "11.6.2.3")
        return "first"
    need(candidate["account"] == current["account"], "11.6.2.1")
    need(candidate["generation"] >= current["generation"], "11.6.2.2")
    if candidate["generation"] > current["generation"]:
        need(candidate["sequence"] == 0, "11.6.2.3")
        return "generation"
    if candidate["raw"] == current["raw"]:
        return "same"
    if candidate["hash"] == current["hash"]:
        need(precedence(candidate) > precedence(current), "11.6.2.4")
        return "renewal"
    need(candidate["sequence"] >= current["sequence"], "11.6.2.4")
    compatible(current, candidate)
    need(candidate["sequence"] == current["sequence"] + 1, "11.6.2.3")
    need(candidate["issued"] >= current["issued"], "11.6.2.5")
    return "next"


# --- the files ---------------------------------------------------------------------------------------------------------------

def hexed(value):
    return value.hex() if isinstance(value, bytes) else value


def replay_statement(case):
    found = statement(bytes.fromhex(case["object"]), bytes.fromhex(case["recovery"]))
    return {key: hexed(value) for key, value in found.items()}


def proven(case, now):
    certified = statement(bytes.fromhex(case["statement"]), bytes.fromhex(case["recovery"]))
    return manifest(bytes.fromhex(case["object"]), certified, now)


def replay_manifest(case):
    content = proven(case, case["now"])
    facts = ("account", "generation", "sequence", "previous", "issued", "expires", "final")
    found = {key: hexed(content[key]) for key in facts}
    found.update(content_hash=content["hash"].hex(), validity=validity(content, case["now"]))
    found["devices"] = [device[1] for device in content["devices"]]
    return found


def replay_step(case):
    later = 2**62
    current = proven(case["current"], later) if case["current"] else None
    return step(current, proven(case["candidate"], later))


def main():
    folder = pathlib.Path(__file__).parent
    wrong = counted = 0
    files = [("11-statements.json", replay_statement), ("11-manifests.json", replay_manifest), ("11-steps.json", replay_step)]
    for file, replay in files:
        for case in json.loads((folder / file).read_text()):
            counted += 1
            try:
                outcome = {"ok": replay(case)}
            except Refused as refused:
                outcome = {"error": str(refused)}
            expected = {key: case[key] for key in ("ok", "error") if key in case}
            if outcome != expected:
                wrong += 1
                print(f"{file}: {case['name']}: {outcome}, expected {expected}")
    print(f"{counted} cases, {wrong} wrong")
    return 1 if wrong or not counted else 0


if __name__ == "__main__":
    sys.exit(main())
