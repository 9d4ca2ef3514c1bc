//! The examples hold: each runs to its end, and asserts on the way what it tells its reader.

#[path = "../../examples/group_chat.rs"]
mod group_chat;
#[path = "../../examples/migrate.rs"]
mod migrate;
#[path = "../../examples/persist.rs"]
mod persist;
#[path = "../../examples/two_party.rs"]
mod two_party;

#[test]
fn two_people_talk_in_any_order_and_forgeries_change_nothing() {
    two_party::main().unwrap();
}

#[test]
fn no_crash_loses_a_message_or_uses_a_key_twice() {
    persist::main().unwrap();
}

#[test]
fn the_official_library_s_records_move_and_its_conversation_goes_on() {
    migrate::main().unwrap();
}

#[test]
fn a_group_talks_and_who_leaves_reads_no_more() {
    group_chat::main().unwrap();
}
