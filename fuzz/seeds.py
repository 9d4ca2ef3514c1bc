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
