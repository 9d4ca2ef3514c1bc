//! Words, derived keys, addresses, links and names.
use serde_json::{Value, json};

use super::{ALICE, MALLORY, bad, good};
use crate::forge::{Writer, derive, hash, public, server};

const LEGAL: &str = "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful \
                     legal winner thank year wave sausage worth title";
const LETTER: &str = "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic \
                      avoid letter advice cage absurd amount doctor acoustic bless";

pub(super) fn words() -> Vec<Value> {
    let input = |words: &str| json!({ "words": words });
    let account = |account: super::Account| json!({ "account": hex::encode(account.id()) });
    let swapped = LEGAL.replacen("legal winner", "winner legal", 1);
    vec![
        good("the published vector 7f…", input(LEGAL), account(ALICE)),
        good("the published vector 80…", input(LETTER), account(MALLORY)),
        good("upper case, tabs and line ends", input(&LEGAL.to_uppercase().replace(' ', "\t\r\n")), account(ALICE)),
        bad("nothing", input(""), "11.2.1"),
        bad("23 words", input(LEGAL.rsplit_once(' ').unwrap().0), "11.2.1"),
        bad("25 words", input(&format!("{LEGAL} legal")), "11.2.1"),
        bad("a word that is not in the list", input(&LEGAL.replacen("winner", "winnner", 1)), "11.2.1"),
        bad("two words swapped", input(&swapped), "11.2.1"),
        bad("another last word", input(&LEGAL.replace("title", "toast")), "11.2.1"),
        bad("12 words of another wallet", input(&format!("{}about", "abandon ".repeat(11))), "11.2.1"),
        bad("words of another language", input(&"abaco ".repeat(24)), "11.2.1"),
        bad("words joined by commas", input(&LEGAL.replace(' ', ",")), "11.2.1"),
    ]
}

pub(super) fn keys() -> Vec<Value> {
    [("the published vector 7f…", LEGAL, ALICE), ("the published vector 80…", LETTER, MALLORY)]
        .into_iter()
        .map(|(name, words, account)| {
            let id = account.id();
            let mut service: [u8; 16] = id[..16].try_into().unwrap();
            service[6] = service[6] & 0x0f | 0x80;
            service[8] = service[8] & 0x3f | 0x80;
            let point = curve25519_dalek::edwards::CompressedEdwardsY(account.recovery()).decompress().unwrap();
            let generations: Vec<_> = [0, 1, 4_000_000_000].map(|generation| root(&account, generation)).into();
            let ok = json!({
                "recovery": hex::encode(account.recovery()), "account": hex::encode(id),
                "service": hex::encode(service), "montgomery": hex::encode(point.to_montgomery().to_bytes()),
                "generations": generations,
            });
            good(name, json!({ "words": words, "mailbox": hex::encode([0x11; 16]) }), ok)
        })
        .collect()
}

fn root(account: &super::Account, generation: u32) -> Value {
    let seed = account.root_seed(generation);
    let close = derive(&seed, "waxwing/1 close capability", &[0x11; 16]);
    json!({
        "generation": generation, "root": hex::encode(public(&seed)),
        "reach_key_0": hex::encode(derive(&seed, "waxwing/1 reach key", &[0; 4])),
        "reach_key_258": hex::encode(derive(&seed, "waxwing/1 reach key", &[0, 0, 1, 2])),
        "close_capability": hex::encode(close), "close_hash": hex::encode(hash("waxwing/1 close hash", &close)),
    })
}

fn base32(bytes: &[u8]) -> String {
    data_encoding::BASE32_NOPAD.encode(bytes).to_lowercase()
}

pub(super) fn addresses() -> Vec<Value> {
    let key = base32(&public(&[1; 32]));
    let input = |text: &str| json!({ "text": text });
    let ok = |hosts: &[&str], is_public: bool| json!({ "key": hex::encode(public(&[1; 32])), "hosts": hosts, "public": is_public });
    let text = |rest: &str| format!("wxs-{key}{rest}");
    let mut cases = vec![
        good("one host", input(&text("/keys.example.org:4433")), ok(&["keys.example.org:4433"], true)),
        good(
            "four hosts",
            input(&text("/a.b:1/8.8.8.8:2/[2606:4700::1]:3/c.d:4")),
            ok(&["a.b:1", "8.8.8.8:2", "[2606:4700::1]:3", "c.d:4"], true),
        ),
        good(
            "upper case, as in a QR code",
            input(&text("/keys.example.org:4433").to_uppercase()),
            ok(&["keys.example.org:4433"], true),
        ),
        good("a private address", input(&text("/10.0.0.1:1")), ok(&["10.0.0.1:1"], false)),
        good("loopback", input(&text("/[::1]:1")), ok(&["[::1]:1"], false)),
        good(
            "a private address in IPv6 clothes",
            input(&text("/[::ffff:192.168.0.1]:1")),
            ok(&["[::ffff:192.168.0.1]:1"], false),
        ),
        good("one of two is local", input(&text("/a.b:1/nas.local:1")), ok(&["a.b:1", "nas.local:1"], false)),
    ];
    for (name, rest, rule) in [
        ("no host", "", "11.12.2"),
        ("five hosts", "/a.b:1/a.b:2/a.b:3/a.b:4/a.b:5", "11.12.2"),
        ("a host twice", "/a.b:1/a.b:1", "11.12.2"),
        ("no port", "/a.b", "11.12.3"),
        ("port 0", "/a.b:0", "11.12.3"),
        ("port 65536", "/a.b:65536", "11.12.3"),
        ("a port with a zero before it", "/a.b:0443", "11.12.3"),
        ("mixed case", "/A.b:1", "11.12.3"),
        ("an underscore", "/a_b.c:1", "11.12.3"),
        ("a final dot", "/a.b.:1", "11.12.3"),
        ("an empty label", "/a..b:1", "11.12.3"),
        ("a name that ends in a number", "/a.1:1", "11.12.3"),
        ("IPv4 with a zero before a number", "/10.0.0.01:1", "11.12.3"),
        ("IPv4 as one number", "/167772161:1", "11.12.3"),
        ("IPv6 that is not in its short form", "/[2001:0db8::1]:1", "11.12.3"),
        ("IPv6 without brackets", "/2001:db8::1:1", "11.12.3"),
        ("letters of another script", "/b\u{fc}cher.example:1", "11.12.3"),
    ] {
        cases.push(bad(name, input(&text(rest)), rule));
    }
    cases.push(bad("another prefix", input(&format!("wxa-{key}/a.b:1")), "11.12.1"));
    cases.push(bad("a key of small order", input(&format!("wxs-{}/a.b:1", base32(&[0; 32]))), "11.12.1"));
    cases.push(bad("a character too few in the key", input(&format!("wxs-{}/a.b:1", &key[1..])), "11.12.1"));
    cases
}

pub(super) fn links() -> Vec<Value> {
    let input = |text: &str| json!({ "text": text });
    let payload = |token: bool, servers: u8| {
        let payload = Writer::default().bytes(1, &ALICE.id()).bytes(2, &[0x55; 32]);
        let payload = if token { payload.bytes(3, &[0x66; 32]) } else { payload };
        (1..=servers).fold(payload, |payload, seed| payload.bytes(4, &server(seed, &["keys.example.org:4433"]))).0
    };
    let text = |payload: &[u8]| {
        let check = &hash("waxwing/1 link check", payload)[..4];
        format!("waxwing:contact/1/{}", base32(&[payload, check].concat()))
    };
    let ok = |token: bool, servers: u8| {
        json!({
            "account": hex::encode(ALICE.id()), "reach_key": hex::encode([0x55; 32]),
            "token": token.then(|| hex::encode([0x66; 32])), "servers": servers,
        })
    };
    let usual = text(&payload(true, 1));
    let short = &payload(true, 1)[..payload(true, 1).len() - 1];
    let mistyped = usual.replacen("waxwing:contact/1/bi", "waxwing:contact/1/bj", 1);
    assert_ne!(usual, mistyped);
    vec![
        good("a link", input(&usual), ok(true, 1)),
        good("in upper case, as in a QR code", input(&usual.to_uppercase()), ok(true, 1)),
        good("without token", input(&text(&payload(false, 1))), ok(false, 1)),
        good("four key servers", input(&text(&payload(true, 4))), ok(true, 4)),
        bad("nothing", input(""), "11.12.5"),
        bad("a web page", input("https://example.org/"), "11.12.5"),
        bad("version 2", input(&usual.replace("/1/", "/2/")), "11.12.5"),
        bad("a link to a group", input(&usual.replace("contact", "group")), "11.12.5"),
        bad("mixed case", input(&usual.replacen("bi", "Bi", 1)), "11.12.5"),
        bad("a space inside", input(&usual.replacen("bi", "b i", 1)), "11.12.5"),
        bad("mistyped", input(&mistyped), "11.12.6"),
        bad("the last 8 characters missing", input(&usual[..usual.len() - 8]), "11.12.6"),
        bad("a payload that ends inside a field", input(&text(short)), "10.4.1"),
        bad("no key server", input(&text(&payload(true, 0))), "11.12.7"),
        bad("five key servers", input(&text(&payload(true, 5))), "10.4.9"),
        bad("an unknown field", input(&text(&Writer(payload(true, 1)).uint(5, 1).0)), "10.4.11"),
        bad("unknown critical field 1000", input(&text(&Writer(payload(true, 1)).uint(1000, 1).0)), "10.4.10"),
        bad("no reach key", input(&text(&Writer::default().bytes(1, &ALICE.id()).0)), "10.4.7"),
        bad("an account id of 31 bytes", input(&text(&Writer::default().bytes(1, &[1; 31]).0)), "10.4.8"),
    ]
}

pub(super) fn names() -> Vec<Value> {
    let input = |text: &str| json!({ "text": text });
    let ok = |skeleton: &str, reserved: bool| json!({ "skeleton": skeleton, "reserved": reserved });
    let mut cases = vec![
        good("plain", input("bob"), ok("bob", false)),
        good("with hyphens and digits", input("modern-vole-72"), ok("rnoclernvole7z", false)),
        good("F4: m and rn", input("rnodern"), ok("rnoclern", false)),
        good("F4: w and vv", input("vvendy"), ok("vvencly", false)),
        good("F4: 1, i and l", input("l1i"), ok("lll", false)),
        good("F4: digits for letters", input("b0b5-8og9y"), ok("bobsboggy", false)),
        good("reserved", input("admin"), ok("aclrnln", true)),
        good("F4: reserved in disguise", input("aclm1n"), ok("aclrnln", true)),
        good("reserved with a hyphen", input("no-reply"), ok("noreply", true)),
        good("like an identifier", input("wxa-bob"), ok("vvxabob", true)),
        good("32 characters", input(&"a".repeat(32)), ok(&"a".repeat(32), false)),
    ];
    for text in ["", "ab", &"a".repeat(33), "Bob", "b ob", "b_b", "b.b", "1bob", "-bob", "bob-", "b--b", "bob\n"] {
        cases.push(bad(&format!("{text:?}"), input(text), "11.13.1"));
    }
    for text in ["b\u{43e}b", "bo\u{200b}b", "\u{202e}bob", "b\u{f6}b", "\u{ff42}ob", "bob\u{0}"] {
        cases.push(bad(&format!("F4: {}", text.escape_unicode()), input(text), "11.13.1"));
    }
    cases
}
