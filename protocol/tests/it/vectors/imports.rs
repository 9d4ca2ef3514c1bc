//! Replays 06-imports.json: sessions of the library go on with us in every state of the exchange, and what does not fit
//! together is left out (spec/06-spqr.md §6.10).

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use waxwing_protocol::{Budget, Session, SignalMessage, Timestamp, import};

use super::case::ImportCase;
use crate::proto::{Field, Value, read, write};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const PQ_RATCHET_STATE: u32 = 15;

fn cases() -> Vec<ImportCase> {
    super::read("06-imports.json")
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

#[test]
fn sessions_of_the_library_go_on_with_us_in_every_state() {
    let mut seen = [0; 11];
    for ImportCase { library, state, record, seals, plaintext, bytes } in cases() {
        let name = format!("{library}, state {state}");
        let imported = import::session(&record, None).unwrap();
        assert_eq!(imported.left_out, 0, "{name}");
        // What we make of it, we store and load.
        let records: Vec<_> = imported.session.records().collect();
        let mut session = Session::load(records.iter().map(|(key, value)| (key, value))).unwrap();
        let rng = &mut rng();
        if seals {
            let sealed = session.seal(&plaintext, NOW, rng).unwrap().commit();
            assert_eq!(sealed.as_bytes(), &*bytes, "{name}");
            assert_eq!(rng.get_word_pos(), 0, "{name} draws");
        } else {
            let message = SignalMessage::decode(&bytes).unwrap();
            let opened = session.open(&message, &mut Budget::default(), rng).unwrap().commit();
            assert_eq!(opened, *plaintext, "{name}");
            seen[usize::try_from(state).unwrap() - 1] += 1;
        }
    }
    assert_eq!(seen, [2; 11]);
}

/// The record's current state with another `pq_ratchet_state`.
fn with(record: &[u8], edit: &dyn Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut outer = read(record).unwrap();
    let current = bytes_of(&mut outer, 1);
    let mut state = read(current).unwrap();
    edit(bytes_of(&mut state, PQ_RATCHET_STATE));
    *current = write(&state);
    write(&outer)
}

fn bytes_of(fields: &mut [Field], number: u32) -> &mut Vec<u8> {
    let field = fields.iter_mut().find(|field| field.number == number).expect("the field");
    let Value::Bytes(bytes) = &mut field.value else { panic!("field {number} is no bytes") };
    bytes
}

/// With another value in a field, found by the numbers on the way to it.
fn edited(bytes: &mut Vec<u8>, path: &[u32], edit: &dyn Fn(&mut Value)) {
    let mut fields = read(bytes).expect("a message");
    let (number, rest) = path.split_first().expect("a path");
    // A zero is not written.
    if rest.is_empty() && fields.iter().all(|field| field.number != *number) {
        fields.push(Field { number: *number, value: Value::Varint(0) });
    }
    let field = fields.iter_mut().find(|field| field.number == *number).unwrap_or_else(|| panic!("no field {number}"));
    match (&mut field.value, rest) {
        (value, []) => edit(value),
        (Value::Bytes(inner), rest) => edited(inner, rest, edit),
        _ => panic!("field {number} is no message"),
    }
    *bytes = write(&fields);
}

/// One defect each; the states are those that have what it spoils.
#[test]
fn a_ratchet_that_does_not_fit_together_is_left_out_and_the_session_begun_anew() {
    let set = |number: u64| move |value: &mut Value| *value = Value::Varint(number);
    let flip = |at: usize| {
        move |value: &mut Value| {
            let Value::Bytes(bytes) = value else { panic!("no bytes") };
            bytes[at] ^= 1;
        }
    };
    let cut = |value: &mut Value| {
        let Value::Bytes(bytes) = value else { panic!("no bytes") };
        bytes.pop();
    };
    type Edit<'a> = &'a dyn Fn(&mut Value);
    let defects: [(&str, u64, &[u32], Edit<'_>); 19] = [
        ("a direction that there is not", 2, &[2, 1], &set(2)),
        ("a last epoch before the links", 11, &[2, 2], &set(0)),
        ("a sending epoch without chains", 11, &[2, 5], &set(7)),
        ("a short root", 2, &[2, 4], &cut),
        ("a short chain", 2, &[2, 3, 2, 2], &cut),
        ("an exchange far ahead of the chains", 2, &[3, 2, 1, 1], &set(9)),
        ("epoch 0", 2, &[3, 2, 1, 1], &set(0)),
        ("a short authenticator", 2, &[3, 2, 1, 2, 1], &cut),
        ("a short decapsulation key", 3, &[3, 3, 1, 3], &cut),
        ("a chunk number beyond", 3, &[3, 3, 2, 1], &set(65_536)),
        ("a decoder whose lanes differ", 3, &[3, 3, 3, 3], &flip(1)),
        ("a decoder with half an element", 3, &[3, 3, 3, 3], &cut),
        ("a short ct1", 4, &[3, 4, 1, 4], &cut),
        ("a short header", 7, &[3, 7, 1, 3], &cut),
        ("another m, from which ct1 does not follow", 8, &[3, 8, 1, 4], &flip(2079)),
        ("another ct1, which does not follow from m", 10, &[3, 10, 1, 5], &flip(0)),
        ("a coefficient of r that is none", 9, &[3, 9, 1, 3], &|value| {
            let Value::Bytes(bytes) = value else { panic!("no bytes") };
            bytes[1] = 0x7F;
        }),
        ("a short vector", 9, &[3, 9, 1, 4], &cut),
        ("a short lane of ct2", 11, &[3, 11, 2, 2], &cut),
    ];
    let cases = cases();
    for (name, state, path, edit) in defects {
        let case = cases.iter().find(|case| case.state == state && has(&case.record, path));
        let case = case.unwrap_or_else(|| panic!("{name}: no record of state {state} has it"));
        left_out(name, &with(&case.record, &|ratchet| edited(ratchet, path, edit)));
    }
    for ImportCase { state, record, .. } in &cases {
        left_out(
            &format!("a byte less in state {state}"),
            &with(record, &|ratchet| ratchet.truncate(ratchet.len() - 1)),
        );
        left_out(&format!("no exchange in state {state}"), &with(record, &without_exchange));
    }
}

fn without_exchange(ratchet: &mut Vec<u8>) {
    let mut fields = read(ratchet).expect("a message");
    fields.retain(|field| field.number != 3);
    *ratchet = write(&fields);
}

fn has(record: &[u8], path: &[u32]) -> bool {
    let mut outer = read(record).unwrap();
    let mut state = read(bytes_of(&mut outer, 1)).unwrap();
    let mut bytes = bytes_of(&mut state, PQ_RATCHET_STATE).clone();
    for number in &path[..path.len() - 1] {
        let Some(fields) = read(&bytes) else { return false };
        match fields.into_iter().find(|field| field.number == *number).map(|field| field.value) {
            Some(Value::Bytes(inner)) => bytes = inner,
            Some(_) => bytes = Vec::new(),
            None => return false,
        }
    }
    true
}

fn left_out(name: &str, record: &[u8]) {
    let imported = import::session(record, None).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(imported.left_out, 1, "{name}");
    assert!(!imported.session.is_established(), "{name}");
}
