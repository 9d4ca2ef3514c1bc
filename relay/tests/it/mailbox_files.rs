//! `spec/vectors/17-mailbox-files.json`, which a script wrote that shares no code with us: each file is read, and written again byte for byte.
use serde_json::Value;
use waxwing_relay::{
    ledger::Quota,
    portable::{FileError, Head, Parcel, Reader, Writer},
};

const FILE: &str = include_str!("../../../spec/vectors/17-mailbox-files.json");

/// Everything that a file says.
pub(crate) fn read(bytes: &[u8]) -> Result<(Head, Vec<Parcel>), FileError> {
    let (head, mut reader) = Reader::open(bytes, Quota::default())?;
    let mut parcels = Vec::new();
    while let Some(parcel) = reader.next()? {
        parcels.push(parcel);
    }
    assert!(reader.next()?.is_none(), "and so it stays");
    Ok((head, parcels))
}

pub(crate) fn written(head: &Head, parcels: &[Parcel]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), head).unwrap();
    parcels.iter().for_each(|parcel| writer.envelope(parcel).unwrap());
    writer.finish().unwrap()
}

fn same(value: &Value, bytes: &[u8]) -> bool {
    value.as_str().unwrap() == hex::encode(bytes)
}

fn assert_says(case: &Value, head: &Head, parcels: &[Parcel]) {
    let name = &case["name"];
    let number = |value: &Value| value.as_u64().unwrap();
    match head {
        Head::Live(live) => {
            assert!(same(&case["owner_key"], &live.owner_key) && same(&case["close_hash"], &live.close_hash), "{name}");
            assert_eq!((live.newest, u64::from(live.next_lane)), (number(&case["newest"]), number(&case["next_lane"])));
            let lanes = case["lanes"].as_array().unwrap();
            assert_eq!(lanes.len(), live.lanes.len(), "{name}");
            for (said, lane) in lanes.iter().zip(&live.lanes) {
                assert_eq!(number(&said["number"]), u64::from(lane.number.0), "{name}");
                assert_eq!(number(&said["parent"]), lane.lineage.parent.map_or(0, |parent| parent.0.into()), "{name}");
                assert_eq!(number(&said["halvings"]), u64::from(lane.lineage.halvings), "{name}");
                assert_eq!(number(&said["ends"]), lane.ends.map_or(0, |ends| ends.0), "{name}");
                assert_eq!(number(&said["admitted"]), u64::from(lane.admitted), "{name}");
                assert_eq!(said["pool"], format!("{:?}", lane.lineage.pool).to_lowercase(), "{name}");
                assert!(same(&said["hash"], lane.hash.as_bytes()), "{name}");
            }
        }
        Head::Blocked(mailbox) => assert!(same(&case["mailbox"], mailbox.as_bytes()), "{name}"),
        Head::Closed { mailbox, close_hash, until } => {
            assert!(same(&case["mailbox"], mailbox.as_bytes()) && same(&case["close_hash"], close_hash), "{name}");
            assert_eq!(number(&case["until"]), until.0, "{name}");
        }
    }
    let envelopes = case["envelopes"].as_array().map_or(&[][..], Vec::as_slice);
    assert_eq!(envelopes.len(), parcels.len(), "{name}");
    for (said, parcel) in envelopes.iter().zip(parcels) {
        assert_eq!(number(&said["sequence"]), parcel.sequence, "{name}");
        assert_eq!(number(&said["lane"]), u64::from(parcel.lane.0), "{name}");
        assert_eq!(said["pool"], format!("{:?}", parcel.pool).to_lowercase(), "{name}");
        assert_eq!(number(&said["ends"]), parcel.ends.0, "{name}");
        assert!(same(&said["delivery"], parcel.delivery.as_bytes()), "{name}");
        let (fill, bytes) = (number(&said["fill"]), parcel.envelope.as_bytes());
        assert_eq!(number(&said["size"]), u64::try_from(bytes.len()).unwrap(), "{name}");
        assert!(bytes.iter().all(|byte| u64::from(*byte) == fill), "{name}");
    }
}

#[test]
fn vectors_of_mailboxes_files() {
    let cases: Vec<Value> = serde_json::from_str(FILE).unwrap();
    for case in &cases {
        let name = &case["name"];
        let bytes = hex::decode(case["bytes"].as_str().unwrap()).unwrap();
        match (case["error"].as_str(), read(&bytes)) {
            (None, Ok((head, parcels))) => {
                assert_says(case, &head, &parcels);
                assert_eq!(written(&head, &parcels), bytes, "{name}");
            }
            (Some(expected), Err(error)) => {
                let debug = format!("{error:?}");
                assert!(debug.starts_with(expected), "{name}: {debug}");
            }
            (_, outcome) => panic!("{name}: {outcome:?}"),
        }
    }
    assert_eq!(cases.iter().filter(|case| case["error"].is_null()).count(), 4);
    assert_eq!(cases.len(), 26);
}
