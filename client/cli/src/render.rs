//! Answers, as a person reads them.
//!
//! Invariant: every text of an answer goes through [`crate::text`] before it is shown: whoever reads trusts what stands on the screen.
use std::{fmt::Write as _, io::IsTerminal as _};

use jiff::{Timestamp, tz::TimeZone};

use crate::{
    api::{
        AddAnswer, ByName, Contact, ContactAnswer, ContactsAnswer, DoctorAnswer, Done, EventsAnswer, ExportAnswer,
        IdentityLogAnswer, InviteAnswer, LinksAnswer, ListAnswer, LookingFor, Message, MessagesAnswer, NameAnswer,
        NamesAnswer, OwnName, ReceiveAnswer, Render, SearchAnswer, SendAnswer, StatusAnswer, SubscribeAnswer,
        VerifyAnswer, Who, WhoamiAnswer,
    },
    qr, text,
};

/// Lines for a terminal, or for whoever reads standard output.
#[derive(Debug)]
pub struct Screen {
    zone: TimeZone,
    styled: bool,
    out: String,
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

impl Screen {
    /// In the reader's zone; in bold only on a terminal, and not with `NO_COLOR`.
    #[must_use]
    pub fn new() -> Self {
        let quiet = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { zone: TimeZone::system(), styled: std::io::stdout().is_terminal() && !quiet, out: String::new() }
    }

    /// A line, which is safe already.
    pub fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    /// What was written so far.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    fn bold(&self, text: &str) -> String {
        if self.styled { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// A time of this year without its year.
    fn time(&self, milliseconds: u64) -> String {
        let time = i64::try_from(milliseconds).ok().and_then(|time| Timestamp::from_millisecond(time).ok());
        let Some(time) = time else { return "?".into() };
        let (time, now) =
            (time.to_zoned_datetime(self.zone.clone()), Timestamp::now().to_zoned_datetime(self.zone.clone()));
        let format = if time.date() == now.date() {
            "%H:%M"
        } else if time.year() == now.year() {
            "%d %b %H:%M"
        } else {
            "%Y-%m-%d %H:%M"
        };
        time.strftime(format).to_string()
    }

    fn message(&mut self, message: &Message) {
        let author = if message.mine { "me".into() } else { who(&message.author) };
        let state = match (&message.state, &message.reason) {
            (Some(state), Some(reason)) => format!(" [{}: {}]", text::inline(state), text::inline(reason)),
            (Some(state), None) => format!(" [{}]", text::inline(state)),
            _ => String::new(),
        };
        let head = format!("{} {} {}", text::inline(&message.short), self.time(message.sent), self.bold(&author));
        self.line(&format!("{head}: {}{state}", text::block(&message.body, MARGIN)));
    }

    fn contact(&mut self, contact: &Contact) {
        let mut marks = vec![text::inline(&contact.standing)];
        let mut mark = |is: bool, mark: &str| {
            if is {
                marks.push(mark.to_owned());
            }
        };
        mark(contact.accepted_us, "accepted you");
        mark(contact.verified, "verified");
        mark(contact.identity_changed, "IDENTITY CHANGED: `waxwing identity log`, then `waxwing trust`");
        mark(contact.forked, "IN TWO HANDS: do not trust");
        mark(contact.deleted, "deleted");
        mark(contact.stale, "not heard of for long");
        mark(contact.looks_like_another, "LOOKS LIKE ANOTHER NAME");
        mark(contact.unread > 0, &format!("{} unread", contact.unread));
        match contact.muted_until {
            Some(u64::MAX) => marks.push("muted".into()),
            Some(until) => marks.push(format!("muted until {}", self.time(until))),
            None => {}
        }
        let name = who(&Who { account: contact.account.clone(), name: contact.name.clone() });
        let line = format!("{}  {}  {}", self.bold(&name), text::inline(&contact.account), marks.join(", "));
        self.line(&line);
    }

    /// A safety number, in rows.
    fn number(&mut self, number: &str) {
        let mut groups = number.split(' ').map(text::inline).peekable();
        while groups.peek().is_some() {
            let row: Vec<String> = groups.by_ref().take(GROUPS).collect();
            self.line(&row.join(" "));
        }
    }

    fn own_name(&mut self, own: &OwnName) {
        let state = match (own.state.as_str(), own.listed) {
            ("listed", true) => "listed: whoever looks it up finds you",
            ("listed", false) => "listed; no longer wanted, the key server has not answered yet",
            ("held", false) => "yours, and found by nobody",
            ("held", true) => "yours; to be listed, the key server has not answered yet",
            ("claiming", _) => "asked for; the key server has not answered yet",
            ("releasing", _) => "being given up; the key server has not answered yet",
            _ => "?",
        };
        self.line(&format!("{}  {state}", self.bold(&text::inline(&own.name))));
        self.line(&format!("  for others: {}", text::inline(&own.address)));
    }
}

/// What somebody is called.
#[must_use]
pub fn who(who: &Who) -> String {
    match &who.name {
        Some(name) => text::name(name),
        None => text::inline(&who.account.chars().take(SHORT_ACCOUNT).collect::<String>()),
    }
}

impl Render for Done {
    fn render(&self, _: &mut Screen) {}
}

impl Render for StatusAnswer {
    fn render(&self, screen: &mut Screen) {
        let ready = match (&self.failing, self.ready) {
            (Some(why), _) => format!("nothing can be stored: {}", text::inline(why)),
            (None, true) => "connected: others can reach this device".into(),
            (None, false) => "not connected yet".into(),
        };
        screen.line(&ready);
        screen.line(if self.daemon { "a daemon is at work" } else { "no daemon: messages come while a verb runs" });
        screen.line(&format!("{} unread, {} requests, {} contacts", self.unread, self.requests, self.contacts));
        for waiting in &self.waiting {
            let next = waiting.next_try.map(|at| format!(", next try {}", screen.time(at))).unwrap_or_default();
            let line = format!("queued for {}: {}{next}", who(&waiting.conversation), text::inline(&waiting.text));
            screen.line(&line);
        }
        for LookingFor { name, since, .. } in &self.looking_for {
            screen.line(&format!("looking for {} since {}", text::inline(name), screen.time(*since)));
        }
        for connection in &self.connections {
            let contact = connection.contact.as_ref().map(|contact| format!(" for {}", who(contact)));
            let reason = connection.reason.as_ref().map(|reason| format!(" ({})", text::inline(reason)));
            let line = format!(
                "{}{}: {} since or until {}{}",
                text::inline(&connection.purpose),
                contact.unwrap_or_default(),
                text::inline(&connection.state),
                screen.time(connection.at),
                reason.unwrap_or_default()
            );
            screen.line(&line);
        }
    }
}

impl Render for DoctorAnswer {
    fn render(&self, screen: &mut Screen) {
        for check in &self.checks {
            let head = match check.outcome.as_str() {
                "ok" => "ok      ",
                "warning" => "WARNING ",
                _ => "FAILURE ",
            };
            screen.line(&format!("{head}{}: {}", text::inline(&check.name), text::inline(&check.detail)));
            if let Some(advice) = &check.advice {
                screen.line(&format!("        → {}", text::inline(advice)));
            }
        }
    }
}

impl Render for WhoamiAnswer {
    fn render(&self, screen: &mut Screen) {
        screen.line(&format!("account     {}", text::inline(&self.account)));
        for device in &self.devices {
            let marks = [(device.this, " this one"), (device.primary, " primary")];
            let marks: String = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
            screen.line(&format!("device      {}{marks}", device.device));
        }
        screen.line(&format!("relay       {}", text::inline(&self.relay)));
        for server in &self.key_servers {
            screen.line(&format!("key server  {}", text::inline(server)));
        }
        screen.line(&format!("profile     {}", text::inline(&self.profile)));
    }
}

impl Render for InviteAnswer {
    fn render(&self, screen: &mut Screen) {
        if let Some(code) = self.qr.as_deref().and_then(|link| qr::lines(link.as_bytes())) {
            screen.line(&code);
        }
        screen.line(&text::inline(&self.link));
        if !self.ready {
            screen.line("(the relay does not know it yet: it works once this device has been connected)");
        }
    }
}

impl Render for LinksAnswer {
    fn render(&self, screen: &mut Screen) {
        for link in &self.links {
            let once = if link.once { ", once" } else { "" };
            let ready = if link.ready { "" } else { ", not at the relay yet" };
            let line = format!("{}  until {}{once}{ready}", text::inline(&link.id), screen.time(link.ends));
            screen.line(&line);
        }
    }
}

impl Render for AddAnswer {
    fn render(&self, screen: &mut Screen) {
        screen.contact(&self.contact);
        let Some(ByName { name, safety_number: Some(number), .. }) = &self.by_name else { return };
        screen.line(&format!(
            "The key server says that this is {}, and was believed. To be sure, compare:",
            text::inline(name)
        ));
        screen.number(number);
    }
}

impl Render for NamesAnswer {
    fn render(&self, screen: &mut Screen) {
        self.names.iter().for_each(|name| screen.own_name(name));
    }
}

impl Render for NameAnswer {
    fn render(&self, screen: &mut Screen) {
        screen.own_name(&self.name);
    }
}

impl Render for ContactAnswer {
    fn render(&self, screen: &mut Screen) {
        screen.contact(&self.contact);
    }
}

impl Render for ContactsAnswer {
    fn render(&self, screen: &mut Screen) {
        self.contacts.iter().for_each(|contact| screen.contact(contact));
    }
}

impl Render for SendAnswer {
    fn render(&self, screen: &mut Screen) {
        let line = match &self.text {
            Some(why) => {
                let next = self.next_try.map(|at| format!(", next try {}", screen.time(at))).unwrap_or_default();
                format!("{} {}: {}{next}", text::inline(&self.short), text::inline(&self.state), text::inline(why))
            }
            None => format!("{} {}", text::inline(&self.short), text::inline(&self.state)),
        };
        screen.line(&line);
    }
}

impl Render for MessagesAnswer {
    fn render(&self, screen: &mut Screen) {
        self.messages.iter().for_each(|message| screen.message(message));
    }
}

impl Render for ReceiveAnswer {
    fn render(&self, screen: &mut Screen) {
        for request in &self.requests {
            let id = text::inline(&request.account);
            screen.line(&format!("{} asks to write to you: `waxwing contact accept {id}`", who(request)));
        }
        for changed in &self.identity_changes {
            screen.line(&format!(
                "The identity of {} changed: `waxwing identity log`, then `waxwing trust`",
                who(changed)
            ));
        }
        self.messages.iter().for_each(|message| screen.message(message));
    }
}

impl Render for ListAnswer {
    fn render(&self, screen: &mut Screen) {
        for conversation in &self.conversations {
            screen.contact(&conversation.contact);
            if let Some(last) = &conversation.last {
                let author = if last.mine { "me" } else { "they" };
                let short: String = last.body.chars().take(SHORT_BODY).collect();
                let line = format!("    {} {author}: {}", screen.time(last.sent), text::inline(&short));
                screen.line(&line);
            }
        }
    }
}

impl Render for SearchAnswer {
    fn render(&self, screen: &mut Screen) {
        for hit in &self.hits {
            let message = &hit.message;
            let author = if message.mine { "me".into() } else { who(&message.author) };
            let line = format!(
                "{} {} {}: {author}: {}",
                text::inline(&message.short),
                screen.time(message.sent),
                who(&message.conversation),
                text::inline(&hit.snippet)
            );
            screen.line(&line);
        }
    }
}

impl Render for VerifyAnswer {
    fn render(&self, screen: &mut Screen) {
        if self.qr
            && let Ok(bytes) = hex::decode(&self.scannable)
            && let Some(code) = qr::lines(&bytes)
        {
            screen.line(&code);
        }
        screen.number(&self.number);
        match self.same {
            Some(true) => screen.line("The same: verified."),
            Some(false) => screen.line("DIFFERENT: somebody may stand between you. Do not talk until it is clear why."),
            None if self.contact.verified => screen.line("Verified."),
            None => screen.line("Compare it with what they see, in person or by a call; then say `--same`."),
        }
    }
}

impl Render for IdentityLogAnswer {
    fn render(&self, screen: &mut Screen) {
        for entry in &self.entries {
            let line = format!("{}  {}", screen.time(entry.at), text::inline(&entry.text));
            screen.line(&line);
        }
    }
}

impl Render for ExportAnswer {
    fn render(&self, screen: &mut Screen) {
        screen.line(&format!(
            "{} lines in {}, readable by whoever reads that file",
            self.lines,
            text::inline(&self.file)
        ));
    }
}

impl Render for EventsAnswer {
    fn render(&self, screen: &mut Screen) {
        for note in &self.events {
            // Escaped by JSON, and then made safe.
            let event = serde_json::to_string(&note.event).unwrap_or_default();
            let mut line = String::new();
            let _ = write!(line, "{} {}", note.cursor, text::inline(&event));
            screen.line(&line);
        }
    }
}

impl Render for SubscribeAnswer {
    fn render(&self, _: &mut Screen) {}
}

/// Lines after the first of a message begin with it.
const MARGIN: &str = "       | ";
const SHORT_ACCOUNT: usize = 12;
const SHORT_BODY: usize = 60;
const GROUPS: usize = 4;
