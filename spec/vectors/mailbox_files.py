#!/usr/bin/env python3
"""Writes 17-mailbox-files.json: files of mailboxes (spec §17.25), made without any code of the relay."""
import hashlib
import json
import pathlib

SIZES = [2560, 4096, 8192, 16384, 32768, 65536]
CONTACTS, GROUPS, OWN, INTRODUCTION, SPLIT = range(1, 6)
POOLS = {"contacts": 1, "groups": 2, "own": 3, "tokens": 4, "strangers": 5}


def number(value, size):
    return value.to_bytes(size, "big")


def lane(one):
    return (number(one["number"], 4) + bytes([one["kind"], POOLS[one["pool"]]]) + number(one["parent"], 4)
            + bytes([one["halvings"]]) + bytes.fromhex(one["hash"]) + number(one["ends"], 8) + number(one["admitted"], 4))


def envelope(one):
    body = bytes([one["fill"]]) * one["size"]
    return (b"\x01" + number(one["sequence"], 8) + number(one["lane"], 4)
            + bytes([POOLS[one["pool"]], SIZES.index(one["size"]) + 1]) + number(one["ends"], 8)
            + bytes.fromhex(one["delivery"]) + body)


def file(case):
    out = b"waxwing-mailbox\0" + number(1, 4)
    if case["state"] == "live":
        out += b"\x01" + bytes.fromhex(case["owner_key"] + case["close_hash"]) + number(case["newest"], 8)
        out += number(case["next_lane"], 4) + bytes([len(case["lanes"])]) + b"".join(map(lane, case["lanes"]))
        out += b"".join(map(envelope, case["envelopes"])) + b"\0"
    elif case["state"] == "blocked":
        out += b"\x02" + bytes.fromhex(case["mailbox"])
    else:
        out += b"\x03" + bytes.fromhex(case["mailbox"] + case["close_hash"]) + number(case["until"], 8)
    return out + hashlib.sha256(out).digest()


def row(at, kind, pool, **other):
    return {"number": at, "kind": kind, "pool": pool, "parent": 0, "halvings": 0, "hash": f"{at:02x}" * 32, "ends": 0,
            "admitted": 0} | other


def waiting(sequence, at, pool, size, **other):
    return {"sequence": sequence, "lane": at, "pool": pool, "size": size, "fill": sequence % 251, "ends": 1_801_209_600_000,
            "delivery": f"{sequence:032x}"} | other


lanes = [row(1, CONTACTS, "contacts"), row(2, GROUPS, "groups", ends=1_801_000_000_000), row(4, OWN, "own"),
         row(5, INTRODUCTION, "tokens", halvings=3, ends=1_900_000_000_000, admitted=3),
         row(6, SPLIT, "contacts", parent=1, halvings=1), row(7, SPLIT, "groups", parent=3, halvings=2)]
live = {"state": "live", "owner_key": "0a" * 32, "close_hash": "0b" * 32, "newest": (7 << 32) + 9, "next_lane": 9,
        "lanes": lanes, "envelopes": [waiting(3, 1, "contacts", 2560), waiting((7 << 32) + 1, 3, "groups", 4096),
                                      waiting((7 << 32) + 9, 0, "strangers", 2560)]}
empty = live | {"newest": 0, "next_lane": 1, "lanes": [], "envelopes": []}
good = [("a mailbox with lanes and envelopes", live), ("an empty mailbox", empty),
        ("a blocked mailbox", {"state": "blocked", "mailbox": "0c" * 16}),
        ("a closed mailbox", {"state": "closed", "mailbox": "0c" * 16, "close_hash": "0b" * 32, "until": 1_805_184_000_000})]
cases = [{"name": name} | case | {"bytes": file(case).hex()} for name, case in good]


def bad(name, error, data):
    cases.append({"name": name, "error": error, "bytes": data.hex()})


def resealed(data):
    return data + hashlib.sha256(data).digest()


whole = file(empty)
bad("nothing", "Foreign", b"")
bad("another file", "Foreign", b"waxwing-mailbox\n" + whole[16:])
bad("a later version", "Version", resealed(whole[:16] + number(2, 4) + whole[20:-32]))
bad("cut off in its digest", "Length", whole[:-1])
bad("something after its end", "Length", whole + b"\0")
bad("another digest", "Damaged", whole[:-1] + bytes([whole[-1] ^ 1]))
bad("another owner under the same digest", "Damaged", whole[:21] + b"\x0d" + whole[22:])
bad("no state", "Rule", resealed(b"waxwing-mailbox\0" + number(1, 4) + b"\x04"))
bad("neither an envelope nor the end", "Rule", resealed(whole[:-33] + b"\x02"))


def spoiled(name, **change):
    bad(name, "Rule", file(empty | {"newest": 9, "next_lane": 9} | change))


spoiled("seventeen lanes", next_lane=99, lanes=[row(at, SPLIT, "own", parent=1, halvings=1) for at in range(2, 19)])
spoiled("lanes out of order", lanes=[row(2, GROUPS, "groups"), row(1, CONTACTS, "contacts")])
spoiled("a lane with the next one's number", lanes=[row(9, CONTACTS, "contacts")])
spoiled("a lane of no kind", lanes=[row(1, 6, "strangers")])
spoiled("two keys of one audience", lanes=[row(1, CONTACTS, "contacts"), row(2, CONTACTS, "contacts")])
spoiled("one key of two lanes", lanes=[row(1, CONTACTS, "contacts"), row(2, GROUPS, "groups", hash="01" * 32)])
spoiled("contacts with the share of groups", lanes=[row(1, CONTACTS, "groups")])
spoiled("a split of another share", lanes=[row(1, CONTACTS, "contacts"), row(2, SPLIT, "groups", parent=1, halvings=1)])
spoiled("an introduction without an end", lanes=[row(1, INTRODUCTION, "tokens", halvings=3)])
spoiled("a number that was never given", envelopes=[waiting(10, 0, "strangers", 2560)])
spoiled("numbers out of order", envelopes=[waiting(2, 0, "strangers", 2560), waiting(1, 0, "strangers", 2560)])
spoiled("one delivery id twice",
        envelopes=[waiting(1, 0, "strangers", 2560), waiting(2, 0, "strangers", 2560, delivery=f"{1:032x}")])
spoiled("a stranger's envelope that counts as a contact's", envelopes=[waiting(1, 0, "contacts", 2560)])
pathlib.Path(__file__).with_name("17-mailbox-files.json").write_text(json.dumps(cases, indent=1) + "\n")
