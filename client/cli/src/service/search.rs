//! Finding.
use waxwing_client::store::Search as Query;

use super::{Service, messages::usize_of};
use crate::{
    api::{ApiError, Call, Code, Hit, Search, SearchAnswer},
    length,
};

impl Call for Search {
    type Answer = SearchAnswer;

    async fn perform(self, service: &Service) -> Result<SearchAnswer, ApiError> {
        let conversation = match &self.chat {
            Some(chat) => Some(service.contact(chat).await?.account),
            None => None,
        };
        let from = match &self.from {
            Some(author) => Some(service.author(author).await?),
            None => None,
        };
        let since = self.since.as_deref().map(|date| {
            length::date(date)
                .ok_or_else(|| ApiError::new(Code::InvalidParams, "a date is like 2026-11-27 or 2026-11-27T09:30"))
        });
        let query = Query {
            query: &self.query,
            conversation,
            from,
            since: since.transpose()?,
            before: None,
            limit: usize_of(self.limit.unwrap_or(USUAL)),
        };
        let (found, names) = (service.client.reader().search(query).await?, service.names().await?);
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let hits = found.into_iter().map(|hit| Hit {
            message: names.message(&hit.message),
            found: hit.snippet.found.iter().map(|range| (number(range.start), number(range.end))).collect(),
            snippet: hit.snippet.text,
        });
        Ok(SearchAnswer { hits: hits.collect() })
    }
}

const USUAL: u32 = 20;
