//! A store may fail at any write: the engine is dropped, another is loaded, and nothing is lost or shown twice.
use core::time::Duration;

use waxwing_engine::{Command, Input, MessageText};
use waxwing_wire::content::MessageId;

use crate::town::Town;

/// Whoever gave a command whose save failed gives it again, with the same id.
fn say_until_stored(town: &mut Town, by: usize, text: &str) {
    let to = town.account(1 - by);
    let id: MessageId = town.message_id();
    loop {
        let command = Command::Send { to, id, text: MessageText::new(text.to_owned()).expect("a text") };
        town.residents[by].inputs.push_back(Input::Command(command));
        town.run();
        if town.residents[by].messages(&to).iter().any(|message| message.id == id) {
            return;
        }
        assert!(town.residents[by].crashes > 0, "what was taken is stored, but for a crash");
    }
}

/// A short conversation in which one's `failing`th save fails. How many saves it had, and whether one failed.
fn converse(failing: usize, save: u64) -> (u64, bool) {
    let mut town = Town::with_two_friends();
    let peers = [town.account(1), town.account(0)];
    let before = [town.residents[0].messages(&peers[0]).len(), town.residents[1].messages(&peers[1]).len()];
    let saved = town.residents[failing].saves;
    town.residents[failing].store.refuse_after(Some(save));
    for number in 0..3 {
        say_until_stored(&mut town, 0, &format!("from one, {number}"));
        say_until_stored(&mut town, 1, &format!("from two, {number}"));
        town.pass(Duration::from_secs(15));
    }
    town.pass(Duration::from_secs(300));
    let saves = town.residents[failing].saves - saved;
    let crashed = town.residents[failing].crashes > 0;
    town.residents[failing].store.refuse_after(None);
    for index in 0..2 {
        let messages = town.residents[index].messages(&peers[index]);
        let new = &messages[before[index]..];
        let mut texts: Vec<&str> = new.iter().map(|message| message.text.as_str()).collect();
        texts.sort_unstable();
        let all: Vec<String> =
            ["one", "two"].iter().flat_map(|by| (0..3).map(move |number| format!("from {by}, {number}"))).collect();
        assert_eq!(texts, all, "each once, for {index}, when save {save} of {failing} fails");
        let own = new.iter().filter(|message| message.author != peers[index]);
        for message in own {
            let delivered = message.state == waxwing_engine::State::Delivered;
            assert!(delivered, "{:?} for {index}, when save {save} of {failing} fails", message.state);
        }
    }
    (saves, crashed)
}

#[test]
fn whichever_save_fails_nothing_is_lost_or_doubled() {
    for failing in 0..2 {
        let mut save = 0;
        loop {
            let (saves, crashed) = converse(failing, save);
            if !crashed {
                assert!(save > 10 && saves <= save, "every save of the conversation failed once");
                break;
            }
            save += 1;
        }
    }
}
