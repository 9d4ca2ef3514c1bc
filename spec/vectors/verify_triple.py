#!/usr/bin/env python3
"""A second witness for spec/06, in another language and with other libraries: our end of the recorded transcripts, made anew.

    pip install cryptography kyber-py
    python3 spec/vectors/verify_triple.py

From our end's secrets and its stream of draws this script, which shares no code with the crate, seals byte for byte the messages
that the transcripts of 06-sessions.json have, and opens what the official library sealed: PQXDH, the Double Ratchet, the exchange
of ML-KEM-768 in pieces, the erasure code by Lagrange's formula, the authenticator and the chains. Transcripts in which something is
refused, archived or forgotten are not for it.
"""
import hashlib
import hmac as hmac_module
import json
import pathlib
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.padding import PKCS7
from kyber_py.kyber import Kyber1024
from kyber_py.ml_kem import ML_KEM_768

HERE = pathlib.Path(__file__).resolve().parent


def hkdf(salt, material, info, length):
    return HKDF(hashes.SHA256(), length, salt or bytes(32), info).derive(material)


def hmac(key, data):
    return hmac_module.digest(key, data, "sha256")


def split(data, size=32):
    return [data[at:at + size] for at in range(0, len(data), size)]


# Curve25519: 33 bytes a public key, 32 a private one.
def public(private):
    return b"\x05" + X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def agree(private, other):
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(other[1:]))


def clamp(draw):
    return bytes([draw[0] & 248]) + draw[1:31] + bytes([draw[31] & 127 | 64])


class Draws:
    """The seed's ChaCha20 key stream."""

    def __init__(self, seed):
        self.stream = Cipher(algorithms.ChaCha20(seed, bytes(16)), None).encryptor()

    def take(self, count):
        return self.stream.update(bytes(count))


# Protobuf.
def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 0x80:
            return value, at


def parse(data):
    at, fields = 0, {}
    while at < len(data):
        tag, at = read_varint(data, at)
        if tag & 7 == 0:
            fields[tag >> 3], at = read_varint(data, at)
        else:
            assert tag & 7 == 2
            length, at = read_varint(data, at)
            fields[tag >> 3], at = data[at:at + length], at + length
    return fields


def write(fields):
    out = b""
    for number, value in sorted(fields.items()):
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        elif value is not None:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


# The erasure code (6.6). GF(2^16), x^16 + x^12 + x^3 + x + 1, by powers of a generator.
POWERS, LOGS = [], {}


def tables():
    for generator in range(2, 50):
        POWERS.clear()
        value = 1
        while True:
            POWERS.append(value)
            value = slow_product(value, generator)
            if value == 1:
                break
        if len(POWERS) == 65535:
            LOGS.update({value: power for power, value in enumerate(POWERS)})
            return


def slow_product(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a, b = a << 1, b >> 1
        if a >> 16:
            a ^= 0x1100B
    return product


def value_at(points, x):
    """Lagrange: the value at x of the polynomials through points, a number and 16 elements each."""
    for number, elements in points:
        if number == x:
            return elements
    result = [0] * 16
    for i, elements in points:
        weight = sum(LOGS[x ^ j] - LOGS[i ^ j] for j, _ in points if j != i)
        for lane, element in enumerate(elements):
            if element:
                result[lane] ^= POWERS[(LOGS[element] + weight) % 65535]
    return result


def elements(chunk):
    return [int.from_bytes(pair, "big") for pair in split(chunk, 2)]


def chunk_of(message, number):
    points = [(at, elements(row)) for at, row in enumerate(split(message))]
    return b"".join(element.to_bytes(2, "big") for element in value_at(points, number))


class Parts:
    def __init__(self, size):
        self.count, self.chunks = size // 32, {}

    def take(self, number, chunk):
        """The whole part, once there is enough of it."""
        self.chunks.setdefault(number, chunk)
        if len(self.chunks) < self.count:
            return None
        points = [(number, elements(chunk)) for number, chunk in self.chunks.items()]
        rows = [value_at(points, at) for at in range(self.count)]
        return b"".join(element.to_bytes(2, "big") for row in rows for element in row)


# ML-KEM-768 in pieces (6.5).
def encapsulate(header, m, vector):
    """Ciphertext and secret; without the vector only the first 960 bytes of the ciphertext mean something."""
    rho, key_hash = split(header)
    secret, coins = split(hashlib.sha3_512(m + key_hash).digest())
    ek = (vector or bytes(1152)) + rho
    if vector:
        assert hashlib.sha3_256(ek).digest() == key_hash
    return ML_KEM_768._k_pke_encrypt(ek, m, coins), secret


# The post-quantum ratchet (6.3, 6.4, 6.7). A state of the exchange is its name; what it knows is in `self`.
HDR, EK, EK_ACK, ACK, CT1, CT2 = range(1, 7)


class Triple:
    def __init__(self, auth_key, is_initiator, draws):
        self.is_initiator, self.draws = is_initiator, draws
        self.epoch, self.sending_epoch = 1, 0
        self.root, *chains = split(hkdf(None, auth_key, b"Signal PQ Ratchet V1 Chain  Start", 96))
        self.chains = {0: self.directions(chains)}
        self.kept = {}
        self.auth_root, self.mac_key = bytes(32), None
        self.update(auth_key)
        self.state = "KeysUnsampled" if is_initiator else "NoHeaderReceived"
        self.incoming = Parts(96)

    def directions(self, chains):
        there, back = ({"key": chain, "n": 0} for chain in chains)
        return {"sending": there, "receiving": back} if self.is_initiator else {"sending": back, "receiving": there}

    def update(self, secret):
        info = b"Signal_PQCKA_V1_MLKEM768:Authenticator Update" + self.epoch.to_bytes(8, "big")
        self.auth_root, self.mac_key = split(hkdf(None, self.auth_root + secret, info, 64))

    def mac(self, label, data):
        return hmac(self.mac_key, b"Signal_PQCKA_V1_MLKEM768:" + label + self.epoch.to_bytes(8, "big") + data)

    def end_epoch(self, shared):
        """Of the exchange that has just got its secret: chains, and the authenticator's update."""
        secret = hkdf(None, shared, b"Signal_PQCKA_V1_MLKEM768:SCKA Key" + self.epoch.to_bytes(8, "big"), 32)
        self.update(secret)
        self.root, *chains = split(hkdf(self.root, secret, b"Signal PQ Ratchet V1 Chain Add Epoch", 96))
        self.chains[self.epoch] = self.directions(chains)

    @staticmethod
    def step(chain):
        chain["n"] += 1
        info = chain["n"].to_bytes(4, "big") + b"Signal PQ Ratchet V1 Chain Next"
        chain["key"], key = split(hkdf(None, chain["key"], info, 64))
        return key

    def say(self, message):
        self.next += 1
        return self.next - 1, chunk_of(message, self.next - 1)

    def send(self):
        """The field and the key."""
        kind, chunk = 0, None
        if self.state == "KeysUnsampled":
            self.ek, self.dk = ML_KEM_768.key_derive(self.draws.take(64))
            self.header = self.ek[1152:] + hashlib.sha3_256(self.ek).digest()
            self.state, self.next = "KeysSampled", 0
        if self.state == "HeaderReceived":
            self.m = self.draws.take(32)
            ciphertext, shared = encapsulate(self.header, self.m, None)
            self.ct1 = ciphertext[:960]
            self.end_epoch(shared)
            self.state, self.next, self.incoming = "Ct1Sampled", 0, Parts(1152)
        if self.state == "KeysSampled":
            kind, chunk = HDR, self.say(self.header + self.mac(b"ekheader", self.header))
        elif self.state in ("HeaderSent", "Ct1Received"):
            kind, chunk = (EK if self.state == "HeaderSent" else EK_ACK), self.say(self.ek[:1152])
        elif self.state == "EkSentCt1Received":
            kind = ACK
        elif self.state in ("Ct1Sampled", "EkReceivedCt1Sampled"):
            kind, chunk = CT1, self.say(self.ct1)
        elif self.state == "Ct2Sampled":
            kind, chunk = CT2, self.say(self.ct2)
        if self.epoch - 1 > self.sending_epoch:
            self.sending_epoch = self.epoch - 1
            self.chains = {epoch: chain for epoch, chain in self.chains.items() if epoch >= self.sending_epoch - 1}
        chain = self.chains[self.epoch - 1]["sending"]
        key = self.step(chain)
        field = b"\x01" + varint(self.epoch) + varint(chain["n"]) + bytes([kind])
        if chunk:
            field += varint(chunk[0]) + chunk[1]
        return field, key

    def key_for(self, field):
        epoch, at = read_varint(field, 1)
        index, at = read_varint(field, at)
        if (epoch, index) == (1, 0):
            return None
        chain = self.chains[epoch - 1]["receiving"]
        while chain["n"] < index:
            key = self.step(chain)
            self.kept[epoch, chain["n"]] = key
        return self.kept.pop((epoch, index))

    def receive(self, field):
        epoch, at = read_varint(field, 1)
        _, at = read_varint(field, at)
        kind, at = field[at], at + 1
        chunk = None
        if kind in (HDR, EK, EK_ACK, CT1, CT2):
            number, at = read_varint(field, at)
            chunk = (number, field[at:at + 32])
        if epoch == self.epoch + 1 and self.state == "Ct2Sampled":
            self.state, self.epoch = "KeysUnsampled", epoch
        elif epoch == self.epoch:
            self.hear(kind, chunk)
        else:
            assert epoch < self.epoch

    def hear(self, kind, chunk):
        if self.state == "KeysSampled" and kind == CT1:
            self.state, self.next, self.incoming = "HeaderSent", 0, Parts(960)
        if self.state == "HeaderSent" and kind == CT1:
            if ct1 := self.incoming.take(*chunk):
                self.state, self.ct1, self.incoming = "Ct1Received", ct1, Parts(160)
        elif self.state in ("Ct1Received", "EkSentCt1Received") and kind == CT2:
            self.state = "EkSentCt1Received"
            if second := self.incoming.take(*chunk):
                self.end_epoch(ML_KEM_768.decaps(self.dk, self.ct1 + second[:128]))
                assert self.mac(b"ciphertext", self.ct1 + second[:128]) == second[128:]
                self.state, self.incoming, self.epoch = "NoHeaderReceived", Parts(96), self.epoch + 1
        elif self.state == "NoHeaderReceived" and kind == HDR:
            if header := self.incoming.take(*chunk):
                assert self.mac(b"ekheader", header[:64]) == header[64:]
                self.state, self.header = "HeaderReceived", header[:64]
        elif self.state in ("Ct1Sampled", "Ct1Acknowledged") and kind in (EK, EK_ACK):
            if vector := self.incoming.take(*chunk):
                ct2 = encapsulate(self.header, self.m, vector)[0][960:]
                self.ct2 = ct2 + self.mac(b"ciphertext", self.ct1 + ct2)
                is_acknowledged = kind == EK_ACK or self.state == "Ct1Acknowledged"
                self.state, self.next = ("Ct2Sampled", 0) if is_acknowledged else ("EkReceivedCt1Sampled", self.next)
            elif kind == EK_ACK:
                self.state = "Ct1Acknowledged"
        elif self.state == "EkReceivedCt1Sampled" and kind in (ACK, EK_ACK):
            self.state, self.next = "Ct2Sampled", 0


def service_id(address):
    name = address["name"]
    kind, name = (1, name[4:]) if name.startswith("PNI:") else (0, name)
    return bytes([kind]) + bytes.fromhex(name.replace("-", "")) + bytes([address["device"]])


class Session:
    """Our end: agreement, Double Ratchet, messages (spec/03 to spec/05)."""

    def __init__(self, transcript):
        self.us, self.peer = transcript["us"], transcript["peer"]
        self.draws = Draws(bytes.fromhex(transcript["seed"]))
        self.identity = bytes.fromhex(self.us["identity_private"])
        self.addresses = service_id(self.us["address"]) + service_id(self.peer["address"])
        self.waiting, self.root, self.receiving, self.skipped = None, None, {}, {}

    def begin(self, material, is_initiator):
        info = b"WhisperText_X25519_SHA-256_CRYSTALS-KYBER-1024"
        self.root, chain, auth_key = split(hkdf(None, b"\xff" * 32 + material, info, 96))
        self.triple = Triple(auth_key, is_initiator, self.draws)
        return chain

    def root_step(self, private, other):
        self.root, chain = split(hkdf(self.root, agree(private, other), b"WhisperRatchet", 64))
        return {"key": chain, "n": 0}

    def initiate(self, bundle):
        base, random = clamp(self.draws.take(32)), self.draws.take(32)
        self.remote = bytes.fromhex(bundle["identity"])
        signed, kyber = bytes.fromhex(bundle["signed"]["public"]), bytes.fromhex(bundle["kyber"]["public"])
        Kyber1024.random_bytes = lambda count: random[:count]
        ciphertext_secret = Kyber1024.encaps(kyber[1:])
        secret, ciphertext = sorted(ciphertext_secret, key=len)
        material = agree(self.identity, signed) + agree(base, self.remote) + agree(base, signed)
        if one_time := bundle.get("one_time"):
            material += agree(base, bytes.fromhex(one_time["public"]))
        chain = self.begin(material + secret, True)
        self.ratchet = clamp(self.draws.take(32))
        self.receiving[signed] = {"key": chain, "n": 0}
        self.sending, self.previous = self.root_step(self.ratchet, signed), 0
        self.waiting = {
            1: one_time["id"] if one_time else None, 2: public(base), 3: public(self.identity),
            5: self.us["registration_id"], 6: bundle["signed"]["id"], 7: bundle["kyber"]["id"], 8: b"\x08" + ciphertext,
        }

    def accept(self, outer):
        self.remote, base = outer[3], outer[2]
        secret = lambda kind, number: next(bytes.fromhex(p["private"]) for p in self.us[kind] if p["id"] == number)
        signed = secret("signed", outer[6])
        material = agree(signed, self.remote) + agree(self.identity, base) + agree(signed, base)
        if 1 in outer:
            material += agree(secret("one_time", outer[1]), base)
        chain = self.begin(material + Kyber1024.decaps(secret("kyber", outer[7])[1:], outer[8][1:]), False)
        self.ratchet, self.sending, self.previous = signed, {"key": chain, "n": 0}, 0

    @staticmethod
    def step(chain):
        seed, chain["key"], chain["n"] = hmac(chain["key"], b"\x01"), hmac(chain["key"], b"\x02"), chain["n"] + 1
        return seed

    @staticmethod
    def keys(seed, salt):
        keys = hkdf(salt, seed, b"WhisperMessageKeys", 80)
        return Cipher(algorithms.AES256(keys[:32]), modes.CBC(keys[64:])), keys[32:64]

    def seal(self, plaintext):
        number = self.sending["n"]
        field, key = self.triple.send()
        cipher, mac_key = self.keys(self.step(self.sending), key)
        padder, encryptor = PKCS7(128).padder(), cipher.encryptor()
        body = b"\x44" + write({
            1: public(self.ratchet), 2: number, 3: self.previous,
            4: encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize(),
            5: field, 6: self.addresses if self.waiting else None,
        })
        body += hmac(mac_key, public(self.identity) + self.remote + body)[:8]
        return b"\x44" + write({**self.waiting, 4: body}) if self.waiting else body

    def open(self, kind, message):
        if kind == "prekey":
            outer = parse(message[1:])
            if self.root is None:
                self.accept(outer)
            message = outer[4]
        fields = parse(message[1:-8])
        theirs, is_new = fields[1], fields[1] not in self.receiving
        if is_new:
            self.receiving[theirs] = self.root_step(self.ratchet, theirs)
        chain = self.receiving[theirs]
        while chain["n"] <= fields[2]:
            seed = self.step(chain)
            self.skipped[theirs, chain["n"] - 1] = seed
        seed, salt = self.skipped.pop((theirs, fields[2])), self.triple.key_for(fields[5])
        cipher, mac_key = self.keys(seed, salt)
        assert hmac(mac_key, self.remote + public(self.identity) + message[:-8])[:8] == message[-8:]
        unpadder, decryptor = PKCS7(128).unpadder(), cipher.decryptor()
        padded = decryptor.update(fields[4]) + decryptor.finalize()
        if is_new:
            self.ratchet, self.previous = clamp(self.draws.take(32)), max(self.sending["n"], 1) - 1
            self.sending = self.root_step(self.ratchet, theirs)
        self.waiting = None
        self.triple.receive(fields[5])
        return unpadder.update(padded) + unpadder.finalize()


def is_plain(transcript):
    """Whether it has nothing but what this script does."""
    for step in transcript["steps"]:
        known = {"we_initiate", "we_seal", "we_skip", "library_opens", "library_seals", "we_open", "we_restart", "library_record"}
        if step["step"] not in known or "change" in step or "budget" in step or "dropped" in step:
            return False
        if step["step"] == "we_seal" and "error" in step:
            return False
    first = [bytes.fromhex(step["bytes"]) for step in transcript["steps"] if step.get("kind") == "prekey" and "bytes" in step]
    is_one_session = len({parse(message[1:])[2] for message in first}) == 1
    return transcript.get("ratchet") == "triple" and transcript["initiator"] != "both" and is_one_session


def verify(transcript):
    session, messages, counts = Session(transcript), {}, [0, 0]
    for step in transcript["steps"]:
        match step["step"]:
            case "we_initiate":
                session.initiate(step["bundle"])
            case "we_seal":
                assert session.seal(bytes.fromhex(step["plaintext"])).hex() == step["bytes"], (transcript["name"], step)
                counts[0] += 1
            case "we_skip":
                for _ in range(step["count"]):
                    session.seal(b"\0")
            case "library_seals":
                messages[step["message"]] = step
            # What is refused here is late or a duplicate.
            case "we_open" if "error" not in step:
                sealed = messages[step["message"]]
                opened = session.open(sealed["kind"], bytes.fromhex(sealed["bytes"]))
                assert opened.hex() == sealed["plaintext"], (transcript["name"], step)
                counts[1] += 1
    return counts, session.triple.sending_epoch


def main():
    tables()
    total, sealed, opened, epochs = 0, 0, 0, 0
    # One transcript of 25,000 skipped messages is slow and says nothing new.
    transcripts = [it for it in json.loads((HERE / "06-sessions.json").read_text()) if is_plain(it)]
    for transcript in transcripts:
        if any(step.get("count", 0) > 5000 for step in transcript["steps"]):
            continue
        counts, epoch = verify(transcript)
        total, sealed, opened, epochs = total + 1, sealed + counts[0], opened + counts[1], epochs + epoch
    print(f"{total} transcripts: {sealed} messages sealed to the same bytes, {opened} opened, {epochs} epochs")
    assert total >= 25 and epochs >= 20
    return 0


if __name__ == "__main__":
    sys.exit(main())
