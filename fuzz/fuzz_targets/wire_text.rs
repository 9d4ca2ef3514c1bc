#![no_main]
//! Everything that is read from text: ids, addresses, links, names, words (spec 10.3, 11.2, 11.12, 11.13).
use libfuzzer_sys::fuzz_target;
use waxwing_wire::{
    address::{Host, ServerAddress},
    id::{AccountId, MailboxId},
    link::ContactLink,
    name::Name,
    words::AccountSecret,
};

fuzz_target!(|text: &str| {
    if let Ok(address) = text.parse::<ServerAddress>() {
        assert_eq!(address.to_string(), text.to_ascii_lowercase());
        assert_eq!(address.to_string().parse(), Ok(address));
    }
    if let Ok(host) = text.parse::<Host>() {
        assert_eq!(host.as_str(), text);
        assert!(host.port() > 0 && !host.name().is_empty());
    }
    if let Ok(id) = text.parse::<AccountId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(id) = text.parse::<MailboxId>() {
        assert_eq!(id.to_string(), text);
    }
    if let Ok(link) = text.parse::<ContactLink>() {
        assert_eq!(link.to_text().as_str(), text.trim().to_ascii_lowercase());
    }
    if let Ok(name) = text.parse::<Name>() {
        assert_eq!(name.as_str(), text);
        assert!(name.skeleton().as_str().len() <= 64);
    }
    if let Ok(secret) = AccountSecret::from_words(text) {
        assert_eq!(AccountSecret::from_words(&secret.to_words()).unwrap().to_words(), secret.to_words());
    }
});
