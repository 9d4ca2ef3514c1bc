#!/usr/bin/env python3
"""Fills fuzz/corpus/ from spec/vectors/, so that a fuzzer starts from objects that mean something. Run before `cargo fuzz run`."""
import hashlib
import json
import pathlib

here = pathlib.Path(__file__).parent
targets = {
    "11-statements.json": ["wire_statement"], "11-manifests.json": ["wire_manifest"],
    "11-reach.json": ["wire_reach_entry", "wire_reach_record"], "11-listings.json": ["wire_listing"],
    "11-moved.json": ["wire_moved"], "11-prekeys.json": ["wire_prekey"], "11-requests.json": ["wire_request"],
    "11-addresses.json": ["wire_text"], "11-links.json": ["wire_text"], "11-names.json": ["wire_text"],
    "11-words.json": ["wire_text"],
}
for file, names in targets.items():
    for case in json.loads((here / "../spec/vectors" / file).read_text()):
        seed = bytes.fromhex(case["object"]) if "object" in case else case.get("text", case.get("words")).encode()
        for name in names:
            folder = here / "corpus" / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
            if name == "wire_manifest" and len(seed) > 70:
                (folder / hashlib.sha256(b"body" + seed).hexdigest()[:16]).write_bytes(seed[3:-66])

messages = {
    "waxwing.relay.Request": "wire_relay_request", "waxwing.relay.Reply": "wire_relay_reply",
    "waxwing.relay.Put": "wire_relay_put", "waxwing.relay.FanOut": "wire_relay_fan_out",
    "waxwing.keyserver.Request": "wire_keyserver_request", "waxwing.keyserver.Reply": "wire_keyserver_reply",
    "waxwing.keyserver.DeviceRequest": "wire_device_request", "waxwing.content.Content": "wire_content",
}
for file in ["13-frames.json", "14-relay.json", "15-keyserver.json", "16-content.json"]:
    for case in json.loads((here / "../spec/vectors" / file).read_text()):
        seed = bytes.fromhex(case["stream"] if "stream" in case else case["bytes"])
        folder = here / "corpus" / (messages[case["type"]] if "type" in case else "wire_frames")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)

for case in json.loads((here / "../spec/vectors/17-mailbox-files.json").read_text()):
    seed = bytes.fromhex(case["bytes"])
    folder = here / "corpus" / "relay_mailbox_file"
    folder.mkdir(parents=True, exist_ok=True)
    for part in [seed, seed[:seed.find(b"\x01" + bytes(6)) + 40]]:
        (folder / hashlib.sha256(part).hexdigest()[:16]).write_bytes(part[:4096])

# Fields of the post-quantum ratchet out of recorded messages: version, epoch, index, type, chunk.
def fields(message):
    at, found = 1, {}
    while at < len(message) - 8:
        tag, at = varint(message, at)
        if tag & 7 == 2:
            length, at = varint(message, at)
            found[tag >> 3], at = message[at:at + length], at + length
        else:
            found[tag >> 3], at = varint(message, at)
    return found


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at


folder = here / "corpus" / "protocol_pq_ratchet_field"
folder.mkdir(parents=True, exist_ok=True)
seen = set()
for transcript in json.loads((here / "../spec/vectors/06-sessions.json").read_text()):
    for step in transcript["steps"]:
        if step.get("kind") == "signal" and "bytes" in step:
            field = fields(bytes.fromhex(step["bytes"])).get(5)
            # One of each type in each epoch.
            if field and (field[1], field[3]) not in seen:
                seen.add((field[1], field[3]))
                (folder / hashlib.sha256(field).hexdigest()[:16]).write_bytes(field)
for target in ["protocol_pq_ratchet", "protocol_session_epochs"]:
    folder = here / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    # One message at a time, in turns; and bursts of 8.
    for name, turn in [("turns", [0x00, 0x07, 0x01, 0x06]), ("bursts", [0xF0, 0xF7, 0xF0, 0xF7, 0xF1, 0xF6, 0xF1, 0xF6])]:
        (folder / name).write_bytes(bytes(turn * (100 if name == "turns" else 20)))

# Sessions: any bytes are a schedule; these are of some length.
for name in ["relay_session", "keyserver_session"]:
    folder = here / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(64):
        schedule = b"".join(hashlib.sha256(f"{name} {number} {part}".encode()).digest() for part in range(1 + number // 8))
        # Mostly well-formed requests, polled at once.
        schedule = bytes(byte & 0x3F if at % 5 == 0 else byte for at, byte in enumerate(schedule))
        (folder / f"schedule-{number:02}").write_bytes(schedule)

# Blob streams: steps of three bytes, each an operation on one of two blobs.
def begin(blob, count, first=None, wrong=False):
    return bytes([blob << 7, (0 if first is None else 0x40 | first) | wrong << 7, count])


def write(blob, length, times=1):
    return bytes([blob << 7 | times]) + length.to_bytes(2, "big")


def read(blob, first, count, kilobytes=16, wrong=False):
    return bytes([blob << 7 | 6, kilobytes | wrong << 7, first << 3 | count])


def step(blob, operation, length=0):
    return bytes([blob << 7 | operation, 0, length])


chunk = write(0, 32_768, 2)
histories = {
    "whole": begin(0, 4) + chunk * 4 + step(0, 4) + read(0, 0, 4),
    "pieces": begin(0, 2) + write(0, 1_000) * 131 + write(0, 72) + step(0, 4) + read(0, 1, 1, 0),
    "cut": begin(0, 4) + chunk + write(0, 9_000) + step(0, 5) + read(0, 0, 1) + begin(0, 3) + chunk * 3 + step(0, 4),
    "taken-over": begin(0, 4) + chunk + write(0, 5) + begin(0, 3) + chunk * 3 + step(0, 4) + read(0, 0, 4),
    "beyond": begin(0, 1) + chunk + write(0, 1) + step(0, 4) + begin(0, 4) + read(0, 0, 2) + read(0, 4, 1),
    "elsewhere": begin(0, 2, first=1) + begin(0, 0) + begin(0, 4) + chunk * 2 + step(0, 4) + begin(0, 2, first=1) + chunk,
    "wrong": begin(0, 4, wrong=True) + begin(0, 1) + chunk + step(0, 4) + read(0, 0, 1, wrong=True) + read(0, 0, 0),
    "two": begin(0, 4) + begin(1, 4) + (chunk + write(1, 32_768, 2)) * 4 + step(1, 4) + read(0, 0, 4) + read(1, 0, 4),
    "anything": begin(0, 1) + step(0, 7, 64) + bytes(range(64)) + step(0, 4),
}
folder = here / "corpus" / "relay_blob_streams"
folder.mkdir(parents=True, exist_ok=True)
for name, steps in histories.items():
    (folder / name).write_bytes(steps)

# An engine: replies and pushes of a server, each as the answer to one of the first calls; and changes of genuine envelopes.
folder = here / "corpus" / "engine_push"
folder.mkdir(parents=True, exist_ok=True)
for file, kind, operation in [("14-relay.json", "waxwing.relay.Reply", 2), ("15-keyserver.json", "waxwing.keyserver.Reply", 3)]:
    for case in json.loads((here / "../spec/vectors" / file).read_text()):
        if case.get("type") == kind and len(case["bytes"]) < 6_000:
            frame = bytes.fromhex(case["bytes"])
            answer = bytes([operation]) + len(frame).to_bytes(2, "big") + frame + bytes([4])
            whole = bytes([0, 0, 4]) + b"".join(bytes([call]) + answer for call in range(1, 4))
            (folder / hashlib.sha256(whole).hexdigest()[:16]).write_bytes(whole)
for letter in range(2):
    for place in range(0, 400, 16):
        changed = bytes([0, 6, 9, 1, letter, 1, 1]) + place.to_bytes(2, "big") + bytes([0x80, 4])
        (folder / f"letter-{letter}-{place:03}").write_bytes(changed)

# Records of an engine: one is changed in one place, in each of the ways.
folder = here / "corpus" / "engine_load"
folder.mkdir(parents=True, exist_ok=True)
for record in range(24):
    for operation in range(8):
        damage = record.to_bytes(2, "big") + bytes([operation]) + (5 * record).to_bytes(2, "big") + bytes([0, 2, 0x80, 1])
        (folder / f"damage-{record:02}-{operation}").write_bytes(damage)
