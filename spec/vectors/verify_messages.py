#!/usr/bin/env python3
"""A second witness for the vectors of spec/12 to spec/16, in another language and with other libraries.

    pip install cryptography argon2-cffi grpcio-tools
    python3 spec/vectors/verify_messages.py

Sealed objects are made again from their fields and opened by the rules of spec/12; derivations and frames are computed again;
every accepted message is read with Google's protobuf from wire/proto/ and written again to the same bytes.
"""
import hashlib
import importlib
import json
import pathlib
import struct
import sys
import tempfile

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from grpc_tools import protoc

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "wire" / "proto"
SEGMENT = 65536
CLASSES = {
    "reach entry": (1024, 4096),
    "profile": (1024, 16384),
    "register change": (512, 16384),
    "register snapshot": (4096, 1048576),
    "provisioning": (4096, 65536),
}


def load(name):
    return json.loads((HERE / name).read_text())


def label(name):
    # The label of a purpose drops "register": §12.1's table.
    return b"waxwing/1 sealed " + name.replace("register ", "").encode()


class Refused(Exception):
    pass


def padme(k):
    if k < 4:
        return k
    e = k.bit_length() - 1
    s = e.bit_length()
    step = 1 << (e - s)
    return -(-k // step) * step


def size_of(purpose, header, length):
    bare = header + 8 + length
    need = bare + 16 * -(-bare // (SEGMENT - 16))
    if purpose == "blob":
        chunk = next((c for c in (65536, 262144, 1048576, 4194304) if -(-need // c) <= 64), 4194304)
        return chunk * padme(-(-need // chunk))
    if purpose == "backup":
        return 262144 * padme(-(-need // 262144))
    least, most = CLASSES[purpose]
    size = max(least, 1 << (need - 1).bit_length())
    if size > most:
        raise Refused("TooLong")
    return size


def keys(case, header, salt):
    if header[0] == 2:
        memory, passes, lanes = struct.unpack(">IBB", header[1:7])
        secret = hash_secret_raw(case["passphrase"].encode(), salt, passes, memory, lanes, 32, Type.ID)
    else:
        secret = bytes.fromhex(case["secret"])
    context = bytes.fromhex(case["context"])
    info = label(case["purpose"]) + b"\0" + header + bytes([len(context)]) + context
    out = HKDF(hashes.SHA256(), 71, salt, info).derive(secret)
    return AESGCM(out[:32]), out[32:39], out[39:]


def segments(total, header):
    """(start, end, last) of each segment in an object."""
    count = -(-total // SEGMENT)
    return [(max(i * SEGMENT, header), min((i + 1) * SEGMENT, total), i == count - 1) for i in range(count)]


def nonce(prefix, number, last):
    return prefix + struct.pack(">IB", number, int(last))


def seal(case):
    content = bytes(i % 251 for i in range(case["length"]))
    header = struct.pack(">BIBB", 2, 65536, 3, 1) if "passphrase" in case else b"\x01"
    salt = bytes.fromhex(case["salt"])
    cipher, prefix, commitment = keys(case, header, salt)
    out = header + salt + commitment
    size = size_of(case["purpose"], len(out), len(content))
    stream = struct.pack(">Q", len(content)) + content
    begin = len(out)
    for number, (start, end, last) in enumerate(segments(size, begin)):
        room = end - start - 16
        piece, stream = stream[:room].ljust(room, b"\0"), stream[room:]
        out += cipher.encrypt(nonce(prefix, number, last), piece, b"")
    return out


def open_object(case, data):
    if not data:
        raise Refused("Header")
    if data[0] == 1:
        begin = 1
    elif data[0] == 2:
        begin = 7
        if len(data) < 7:
            raise Refused("Header")
        memory, passes, lanes = struct.unpack(">IBB", data[1:7])
        good = 65536 <= memory <= 1048576 and 3 <= passes <= 10 and 1 <= lanes <= 4 and memory * passes <= 4194304
        if not good:
            raise Refused("Parameters")
    else:
        raise Refused("UnknownFormat")
    if len(data) < begin + 64:
        raise Refused("Header")
    header = begin + 64
    if len(data) < header + 16 + 8:
        raise Refused("TooLong")
    if begin == 7 and "passphrase" not in case:
        raise Refused("UnknownFormat")
    cipher, prefix, commitment = keys(case, data[:begin], data[begin : begin + 32])
    if commitment != data[begin + 32 : header]:
        raise Refused("Commitment")
    stream = b""
    for number, (start, end, last) in enumerate(segments(len(data), header)):
        try:
            stream += cipher.decrypt(nonce(prefix, number, last), data[start:end], b"")
        except (InvalidTag, ValueError):
            raise Refused("Forged") from None
    length = struct.unpack(">Q", stream[:8])[0]
    if length > len(stream) or size_of(case["purpose"], header, length) != len(data) or any(stream[8 + length :]):
        raise Refused("Padding")
    return stream[8 : 8 + length]


def check_sealed():
    made = {}
    cases = load("12-sealed.json")
    for case in cases:
        if "error" not in case:
            data = made[case["name"]] = seal(case)
            assert len(data) == case["size"], case["name"]
            assert hashlib.sha256(data).hexdigest() == case["sha256"], case["name"]
            assert case["object"] in (None, data.hex()), case["name"]
            assert open_object(case, data) == bytes(i % 251 for i in range(case["length"])), case["name"]
    for case in cases:
        if "error" in case:
            if "order" in case:
                whole = made[case["segments of"]]
                data = b"".join(whole[i * SEGMENT : (i + 1) * SEGMENT] for i in case["order"])
            else:
                data = bytes.fromhex(case["object"])
            # An opener with the passphrase is not what these cases are about.
            asked = {k: v for k, v in case.items() if k != "passphrase"} | {"secret": "5e" * 32}
            try:
                open_object(asked, data)
            except Refused as refused:
                assert str(refused) == case["error"], (case["name"], str(refused))
            else:
                raise AssertionError(case["name"])
    return len(cases)


def sha(name, *parts):
    return hashlib.sha256(b"waxwing/1 " + name.encode() + b"\0" + b"".join(parts)).digest()


def derive(name, secret, context, size):
    info = b"waxwing/1 " + name.encode() + b"\0" + context
    return HKDF(hashes.SHA256(), size, None, info).derive(secret)


def first_nonce(case):
    base = b"waxwing/1 proof of work\0" + bytes([case["kind"]])
    base += bytes.fromhex(case["challenge"]) + bytes.fromhex(case["a"]) + bytes.fromhex(case["b"])
    state = hashlib.sha256(base)
    number = 0
    while True:
        trial = state.copy()
        trial.update(struct.pack(">Q", number))
        if int.from_bytes(trial.digest(), "big") >> (256 - case["bits"]) == 0:
            return number
        number += 1


def repeated(text):
    count, _, byte = text.partition(" times ")
    return bytes.fromhex(byte) * int(count.replace(",", ""))


def check_derivations():
    cases = load("14-derivations.json")
    for case in cases:
        def get(field):
            return bytes.fromhex(case[field])

        match case["name"]:
            case "mailbox id":
                out = sha("mailbox id", get("owner_key"))[:16]
            case "delivery key" | "introduction key" as name:
                out = derive(name, get("secret"), get("mailbox"), 16)
            case "lane hash":
                out = sha("lane", get("mailbox"), get("key"))
            case "envelope hash":
                envelope = repeated(case["envelope"])
                out = sha("envelope", envelope[:48], hashlib.sha256(envelope[48:]).digest())
            case "owner transcript":
                out = b"waxwing/1 mailbox owner\0" + get("exporter") + get("mailbox")
            case "proof of work":
                assert first_nonce(case) == case["first nonce"], case
                continue
            case "verifier":
                out = sha(case["label"], get("id"), get("capability"))
            case "register version":
                entry = hashlib.sha256(repeated(case["entry"])).digest()
                place = struct.pack(">QB", case["version"], case["kind"])
                out = sha("register version", get("register"), place, get("before"), entry)
            case "prekey batch":
                out = sha("prekey batch", *(hashlib.sha256(repeated(p)).digest() for p in case["prekeys"]))
            case "prekey digest":
                parts = struct.pack(">II", case["signed"], case["last resort"])
                for ids in (case["one-time"], case["one-time Kyber"]):
                    parts += struct.pack(f">I{len(ids)}I", len(ids), *ids)
                out = sha("prekey digest", parts)
            case "reach entry secret":
                out = derive("reach entry key", get("reach_key"), struct.pack(">BQ", case["device"], case["number"]), 32)
            case "content chain":
                out = sha("content chain", get("content"))
            case name:
                raise AssertionError(f"no witness for {name}")
        assert out.hex() == case["out"], case["name"]
    return len(cases)


def check_frames():
    cases = load("13-frames.json")
    for case in cases:
        stream, frames, error = bytes.fromhex(case["stream"]), 0, None
        while len(stream) >= 4:
            length = struct.unpack(">I", stream[:4])[0]
            if length == 0 or length > case["ceiling"]:
                error = "13.2.1" if length == 0 else "13.2.2"
                break
            if len(stream) < 4 + length:
                break
            frames, stream = frames + 1, stream[4 + length :]
        assert (frames, error) == (case["frames"], case.get("error")), case["name"]
    return len(cases)


def check_messages():
    checked = 0
    with tempfile.TemporaryDirectory() as folder:
        import grpc_tools

        include = pathlib.Path(grpc_tools.__file__).parent / "_proto"
        files = sorted(path.name for path in PROTO.glob("*.proto"))
        assert protoc.main(["protoc", f"-I{PROTO}", f"-I{include}", f"--python_out={folder}", *files]) == 0
        sys.path.insert(0, folder)
        for name in ("14-relay.json", "15-keyserver.json", "16-content.json"):
            for case in load(name):
                if "error" in case:
                    continue
                _, module, message = case["type"].split(".")
                value = getattr(importlib.import_module(f"{module}_pb2"), message)()
                data = bytes.fromhex(case["bytes"])
                value.ParseFromString(data)
                assert value.SerializeToString(deterministic=True) == data, case["name"]
                value.DiscardUnknownFields()
                assert value.SerializeToString(deterministic=True) == data, case["name"]
                checked += 1
    return checked


if __name__ == "__main__":
    print(f"sealed objects: {check_sealed()} cases hold")
    print(f"derivations: {check_derivations()} cases hold")
    print(f"frames: {check_frames()} cases hold")
    print(f"messages: {check_messages()} cases hold")
