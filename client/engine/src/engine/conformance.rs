//! What an engine would write if everything had changed, for tests that compare it with what a store holds.
//!
//! Not here: what was put into quarantine, which no engine keeps in memory.
use super::{Engine, duties::seen_key};
use crate::{
    stage::Stage,
    store::{Record, SecretBytes, Table, Write},
};

impl Engine {
    /// Every record of what is in memory, in the order of table and key.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let mut stage = Stage::new();
        self.own.save(&mut stage);
        self.mailbox.save(&mut stage);
        self.contacts.iter().for_each(|contact| contact.put(&mut stage));
        self.sessions.save_all(&mut stage);
        self.prekeys.save_all(&mut stage);
        self.outbox.save_all(&mut stage);
        self.names.save_all(&mut stage);
        self.searches.save_all(&mut stage);
        for (key, at) in &self.seen {
            stage.put(Table::Seen, seen_key(key), SecretBytes::new(at.0.to_be_bytes().to_vec()));
        }
        let put = |write: &Write| if let Write::Put(record) = write { Some(record.clone()) } else { None };
        let mut records: Vec<Record> = stage.writes().iter().filter_map(put).collect();
        records.sort_by(|one, other| (one.table, &one.key).cmp(&(other.table, &other.key)));
        records
    }
}
