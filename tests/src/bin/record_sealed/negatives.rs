//! What must be refused, and what the library says to it.

use serde_json::Value;
use waxwing_tests::peer::{Bytes, PeerError, SenderCertificateRequest, UsmcOptions};

use super::{ALICE, BOB, Case, DAVE, EXPIRES, Stage, TEST_SERVER};

impl Stage<'_> {
    pub(super) fn refused(&self, cases: &mut Vec<Value>) -> Result<(), PeerError> {
        self.refused_certificates(cases)?;
        self.by_hand(cases)?;
        self.altered(cases)?;
        self.altered_sent(cases)
    }

    /// Seals a decryption error under this certificate, version 1.
    fn sealed_under(&self, certificate: &Bytes) -> Result<(Bytes, Bytes), PeerError> {
        let options = UsmcOptions { certificate: certificate.clone(), hint: 0, group_id: None };
        let usmc = self.peer.plaintext_usmc(&self.plaintext()?, &options)?;
        Ok((self.alice.seal(&self.bob[0].address(), &usmc)?, usmc))
    }

    /// The library's word on a certificate: nothing if it is valid.
    fn judge(&self, case: &Case<'_>, certificate: &Bytes) -> Result<(), String> {
        match self.peer.validate_certificate(certificate, &case.roots, case.time) {
            Ok(true) => Ok(()),
            Ok(false) => Err("the certificate is not valid".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn refused_certificates(&self, cases: &mut Vec<Value>) -> Result<(), PeerError> {
        let certificate = self.options(0, None, Some("+4915112"))?.certificate;
        let (sealed, _) = self.sealed_under(&certificate)?;
        let other = self.peer.generate_key_pair()?;
        let case = |name: &str| self.case(name, "v1", &sealed, &self.bob[0]);

        let mut wrong_root = case("the wrong root");
        wrong_root.roots = vec![other.public.clone()];
        let verdict = self.judge(&wrong_root, &certificate);
        cases.push(wrong_root.fails("untrusted_server", verdict));

        let mut expired = case("expired by a millisecond");
        expired.time = EXPIRES + 1;
        let verdict = self.judge(&expired, &certificate);
        cases.push(expired.fails("expired", verdict));

        // The library's own revoked id.
        let revoked = SenderCertificateRequest {
            server_certificate: self.server_certificate(0xDEAD_C357)?,
            ..self.request(None)?
        };
        let revoked = self.peer.sender_certificate(&revoked)?;
        let (sealed, _) = self.sealed_under(&revoked)?;
        let case = self.case("a revoked server certificate, signed by the root", "v1", &sealed, &self.bob[0]);
        let verdict = self.judge(&case, &revoked);
        cases.push(case.fails("revoked_server", verdict));

        // A sender certificate that another key signed than the one in the server certificate.
        let forged = SenderCertificateRequest { server_private: other.private.clone(), ..self.request(None)? };
        let forged = self.peer.sender_certificate(&forged)?;
        let (sealed, _) = self.sealed_under(&forged)?;
        let case = self.case("a sender certificate that the server did not sign", "v1", &sealed, &self.bob[0]);
        let verdict = self.judge(&case, &forged);
        cases.push(case.fails("forged_sender", verdict));

        // Somebody else's key in the certificate: the tag, or the static key, does not fit.
        let theirs = SenderCertificateRequest { key: self.carol.info().identity_public.clone(), ..self.request(None)? };
        let theirs = self.peer.sender_certificate(&theirs)?;
        let (sealed, usmc) = self.sealed_under(&theirs)?;
        let case = self.case("version 1 under a certificate of another key", "v1", &sealed, &self.bob[0]);
        let verdict = self.bob[0].open_usmc(&sealed).map(drop);
        cases.push(case.fails("forged", verdict));
        let sent = self.alice.seal_multi(&[self.bob[0].address()], &[], &usmc)?;
        let received = self.peer.received_by_single(&sent)?;
        let case = self.case("version 2 under a certificate of another key", "received", &received, &self.bob[0]);
        let verdict = self.bob[0].open_usmc(&received).map(drop);
        cases.push(case.fails("forged", verdict));

        // Our own message comes back: by service id, and by number.
        let own = SenderCertificateRequest { uuid: BOB.into(), ..self.request(None)? };
        let (sealed, _) = self.sealed_under(&self.peer.sender_certificate(&own)?)?;
        let case = self.case("our own message, by service id", "v1", &sealed, &self.bob[0]);
        let verdict = self.bob[0].open_sealed(&sealed, &self.root.public, EXPIRES).map(drop);
        cases.push(case.fails("sent_by_us", verdict));
        let (sealed, _) = self.sealed_under(&certificate)?;
        let mut case = self.case("our own message, by number", "v1", &sealed, &self.bob[0]);
        case.e164 = Some("+4915112");
        let fields = serde_json::json!({ "sealed": sealed, "trust_root": self.root.public, "time": EXPIRES, "e164": "+4915112" });
        let verdict = self.bob[0].call::<Value>("sealed_decrypt", fields).map(drop);
        cases.push(case.fails("sent_by_us", verdict));
        Ok(())
    }

    /// Certificates that the library reads but does not write: signed with its keys, put together here.
    fn by_hand(&self, cases: &mut Vec<Value>) -> Result<(), PeerError> {
        let zero = self.peer.key_pair(&[0; 32])?;
        let ones = self.peer.key_pair(&[0xFF; 32])?;
        let test_server = self.peer.server_certificate(TEST_SERVER, &ones.public, &zero.private)?;
        let key = &self.alice.info().identity_public;
        let body = |uuid: Vec<u8>, signer: Vec<u8>| {
            let expires = [&[0x19][..], &EXPIRES.to_le_bytes()].concat();
            [vec![0x10, 1], expires, field(4, key), signer, uuid].concat()
        };
        let sign = |body: &[u8], private: &Bytes| {
            let signature = self.peer.sign(private, body)?;
            Ok::<_, PeerError>(Bytes::from([field(1, body), field(2, &signature)].concat()))
        };
        let text = field(6, ALICE.as_bytes());
        let raw = field(7, &hex::decode(ALICE.replace('-', "")).unwrap());
        let id = |id: u32| [vec![0x40], varint(id as usize)].concat();
        let embedded = field(5, &self.server_certificate(5)?);

        let by_id = sign(&body(text.clone(), id(TEST_SERVER)), &ones.private)?;
        let (sealed, usmc) = self.sealed_under(&by_id)?;
        let mut case = self.case("a server that is named by id", "v1", &sealed, &self.bob[0]);
        (case.roots, case.servers) = (vec![zero.public.clone()], vec![test_server]);
        cases.push(case.opens(&self.peer.decode_usmc(&usmc)?, None, self.peer)?);

        let mut case = self.case("a server that is named by an id we were not told of", "v1", &sealed, &self.bob[0]);
        case.roots = vec![zero.public.clone()];
        let verdict = self.judge(&case, &by_id);
        cases.push(case.fails("unknown_server", verdict));

        let binary = sign(&body(raw.clone(), embedded.clone()), &self.server.private)?;
        let (sealed, usmc) = self.sealed_under(&binary)?;
        let case = self.case("a sender uuid of 16 bytes", "v1", &sealed, &self.bob[0]);
        cases.push(case.opens(&self.peer.decode_usmc(&usmc)?, None, self.peer)?);

        for (name, uuid, signer) in [
            ("both forms of a uuid", [text.clone(), raw].concat(), embedded.clone()),
            ("both forms of a signer", text, [embedded.clone(), id(5)].concat()),
            ("a sender that is no service id", field(6, b"alice"), embedded),
        ] {
            let certificate = sign(&body(uuid, signer), &self.server.private)?;
            let (sealed, _) = self.sealed_under(&certificate)?;
            let case = self.case(name, "v1", &sealed, &self.bob[0]);
            let verdict = self.judge(&case, &certificate);
            cases.push(case.fails("content", verdict));
        }
        Ok(())
    }

    /// Bits flipped, bytes missing.
    fn altered(&self, cases: &mut Vec<Value>) -> Result<(), PeerError> {
        let (v1, usmc) = self.sealed_under(&self.options(0, None, None)?.certificate)?;
        let v2 = self.peer.received_by_single(&self.alice.seal_multi(&[self.bob[0].address()], &[], &usmc)?)?;
        let (last_1, last_2) = (v1.len() - 1, v2.len() - 1);
        for (name, form, bytes, at, error) in [
            ("version 1, a bit of the ephemeral key", "v1", &v1, 4, "forged"),
            ("version 1, a bit of the static part", "v1", &v1, 40, "forged"),
            ("version 1, a bit of the static part's MAC", "v1", &v1, 78, "forged"),
            ("version 1, a bit of the message", "v1", &v1, 100, "forged"),
            ("version 1, a bit of the message's MAC", "v1", &v1, last_1, "forged"),
            ("version 2, a bit of C", "received", &v2, 1, "forged"),
            ("version 2, a bit of the authentication tag", "received", &v2, 33, "forged"),
            ("version 2, a bit of the ephemeral key", "received", &v2, 49, "forged"),
            ("version 2, a bit of the ciphertext", "received", &v2, 90, "forged"),
            ("version 2, a bit of the tag of GCM-SIV", "received", &v2, last_2, "forged"),
        ] {
            let mut forged = bytes.to_vec();
            forged[at] ^= 1;
            let forged = Bytes::from(forged);
            let verdict = self.bob[0].open_usmc(&forged).map(drop);
            cases.push(self.case(name, form, &forged, &self.bob[0]).fails(error, verdict));
        }
        for (name, form, bytes, len, error) in [
            ("version 1, the last byte missing", "v1", &v1, last_1, "decode"),
            ("version 2, the last byte missing", "received", &v2, last_2, "forged"),
            ("version 2, only a header", "received", &v2, 49, "decode"),
        ] {
            let cut = Bytes::from(&bytes[..len]);
            let verdict = self.bob[0].open_usmc(&cut).map(drop);
            cases.push(self.case(name, form, &cut, &self.bob[0]).fails(error, verdict));
        }
        let verdict = self.carol.open_usmc(&v2).map(drop);
        cases.push(self.case("version 2, at somebody else", "received", &v2, &self.carol).fails("forged", verdict));
        Ok(())
    }

    /// The sent form: repeated, excluded and absent recipients.
    fn altered_sent(&self, cases: &mut Vec<Value>) -> Result<(), PeerError> {
        let (_, usmc) = self.sealed_under(&self.options(0, None, None)?.certificate)?;
        let bob = self.bob[0].address();
        let seal = |excluded: &[&str]| {
            let excluded: Vec<_> = excluded.iter().map(|id| (*id).to_owned()).collect();
            self.alice.seal_multi(std::slice::from_ref(&bob), &excluded, &usmc)
        };
        for (name, excluded, error) in [
            ("an excluded recipient twice", [DAVE, DAVE], "decode"),
            ("a recipient that is excluded too", [BOB, DAVE], "decode"),
        ] {
            let sent = seal(&excluded)?;
            let verdict = self.peer.decode_sent(&sent).map(drop);
            cases.push(self.case(name, "sent", &sent, &self.bob[0]).fails(error, verdict));
        }
        let sent = seal(&[])?;
        let case = self.case("an account that is not addressed", "sent", &sent, &self.carol);
        cases.push(case.fails("not_addressed", Err("its list has no such account")));
        let mut padded = sent.to_vec();
        padded.splice(1..2, [0x81, 0x00]);
        let verdict = self.peer.decode_sent(&padded).map(drop);
        cases.push(
            self.case("a count that is no minimal varint", "sent", &padded, &self.bob[0]).fails("decode", verdict),
        );
        let cut = Bytes::from(&sent[..2 + 17 + 3 + 48 + 31]);
        let verdict = self.peer.decode_sent(&cut).map(drop);
        cases.push(self.case("a shared part of 31 bytes", "sent", &cut, &self.bob[0]).fails("decode", verdict));
        Ok(())
    }
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [vec![number << 3 | 2], varint(bytes.len()), bytes.to_vec()].concat()
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
