//! Who people are.
use waxwing_client::engine::{ContactView, IdentityEvent, LogEntry, SafetyNumber, ScanError, Verification};
use waxwing_wire::id::AccountId;

use super::{Service, contacts::set_verified, wait};
use crate::api::{ApiError, Call, Code, IdentityLog, IdentityLogAnswer, IdentityLogEntry, Verify, VerifyAnswer};

impl Call for Verify {
    type Answer = VerifyAnswer;

    async fn perform(self, service: &Service) -> Result<VerifyAnswer, ApiError> {
        let view = service.contact(&self.who).await?;
        let account = view.account;
        let number = service.client.look(move |engine| engine.safety_number(&account)).await?;
        let Some(number) = number else { return Err(service.nothing_known(account).await?) };
        let same = self.compare(&number)?;
        match same {
            Some(true) => set_verified(service, account, Verification::Verified).await?,
            // A number that differs is no reason to go on trusting.
            Some(false) => set_verified(service, account, Verification::Unverified).await?,
            None if self.forget => set_verified(service, account, Verification::Unverified).await?,
            None => {}
        }
        Ok(VerifyAnswer {
            contact: service.now(&account).await?,
            number: number.to_string(),
            scannable: hex::encode(number.scannable()),
            same,
            qr: self.qr,
        })
    }
}

impl Service {
    /// Why there is no number yet, and when a server is asked again.
    async fn nothing_known(&self, account: AccountId) -> Result<ApiError, ApiError> {
        let (reason, next_try) = self.client.look(move |engine| engine.lookup(&account)).await?;
        let why = wait::words(reason);
        let error =
            ApiError::new(Code::NothingKnown, format!("nothing is known of them yet, so there is no number: {why}"));
        Ok(error.at(next_try))
    }
}

impl Verify {
    /// None if nothing was given to compare.
    fn compare(&self, number: &SafetyNumber) -> Result<Option<bool>, ApiError> {
        if let Some(read) = &self.number {
            let digits: String = read.chars().filter(|character| !character.is_whitespace()).collect();
            if digits.len() != DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(ApiError::new(Code::InvalidParams, "a safety number has 60 digits; write all of them"));
            }
            return Ok(Some(digits == number.digits()));
        }
        if let Some(scanned) = &self.scanned {
            let bytes = hex::decode(scanned)
                .map_err(|_| ApiError::new(Code::InvalidParams, "what was scanned is given as hexadecimal digits"))?;
            return match number.compare(&bytes) {
                Ok(()) => Ok(Some(true)),
                Err(ScanError::Different) => Ok(Some(false)),
                Err(error) => Err(ApiError::new(Code::InvalidParams, error.to_string())),
            };
        }
        Ok(self.same.then_some(true))
    }
}

impl Call for IdentityLog {
    type Answer = IdentityLogAnswer;

    async fn perform(self, service: &Service) -> Result<IdentityLogAnswer, ApiError> {
        let ContactView { account, log, .. } = service.contact(&self.who).await?;
        let entries = log.iter().map(|LogEntry { at, event }| {
            let (name, text) = tell(event);
            IdentityLogEntry { at: at.0, event: name.into(), text }
        });
        Ok(IdentityLogAnswer { contact: service.names().await?.who(&account), entries: entries.collect() })
    }
}

fn tell(event: &IdentityEvent) -> (&'static str, String) {
    match event {
        IdentityEvent::FirstSeen(generation) => {
            ("first_seen", format!("seen for the first time, generation {}", generation.0))
        }
        IdentityEvent::Generation { from, to } => (
            "generation",
            format!(
                "the account was begun anew, generation {} after {}: by its 24 words, with other devices",
                to.0, from.0
            ),
        ),
        IdentityEvent::GenerationAccepted(generation) => {
            ("generation_accepted", format!("you went on with generation {}", generation.0))
        }
        IdentityEvent::DeviceAdded(device) => ("device_added", format!("device {} joined", device.value())),
        IdentityEvent::DeviceRemoved(device) => ("device_removed", format!("device {} left", device.value())),
        IdentityEvent::Verified => ("verified", "you compared the safety number".into()),
        IdentityEvent::Unverified => ("unverified", "no longer verified".into()),
        IdentityEvent::Accepted => ("accepted", "you accepted them".into()),
        IdentityEvent::AcceptedUs => ("accepted_us", "they accepted you".into()),
        IdentityEvent::Fork => ("fork", "two histories were signed: the account is in two hands".into()),
        IdentityEvent::Deleted => ("deleted", "the account was deleted".into()),
        _ => ("other", "something that a newer version knows".into()),
    }
}

const DIGITS: usize = 60;
