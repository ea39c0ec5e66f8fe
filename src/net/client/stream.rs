//! An answer as it comes: events batch by batch, then what it cost.

use crate::column::BatchView;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::net::client::ClientOptions;
use crate::net::client::link::{Link, Out, message};
use crate::net::message::{Message, QueryData, QueryEnd, QueryText, split_frame};
use crate::net::reader::Reader;
use crate::query::Query;

/// The request of the one query of its connection.
const REQUEST: u64 = 1;

/// The events of a query in their order. It has a connection of its own: reading slowly slows only
/// this query down, and dropping it cancels it.
pub struct QueryStream {
    reader: Reader,
    /// Kept open: the server takes its end for the client's.
    _out: Out,
    end: Option<QueryEnd>,
}

impl QueryStream {
    pub(super) async fn ask(
        address: &str,
        options: &ClientOptions,
        query: &Query,
    ) -> Result<QueryStream> {
        let text = QueryText::of(query)?;
        let (reader, out) = Link::connect(address, options, None).await?.split();
        if !out.message(REQUEST, &Message::Query(text)) {
            return Err(Error::closed("the connection was lost before the query was sent"));
        }
        Ok(QueryStream { reader, _out: out, end: None })
    }

    /// The next events; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<Event>>> {
        while self.end.is_none() {
            match message(&mut self.reader).await? {
                Some((REQUEST, Message::QueryData(data))) => return events(&data).map(Some),
                Some((REQUEST, Message::QueryEnd(end))) => self.end = Some(end),
                Some((_, Message::Error(failure))) => return Err(failure.to_error()),
                Some((_, Message::Goodbye(goodbye))) => {
                    let error = Error::closed(goodbye.message);
                    return Err(error.retry_after_ms(u64::from(goodbye.retry_after_ms)));
                }
                Some(_) => {}
                None => return Err(Error::closed("the connection was lost during the answer")),
            }
        }
        Ok(None)
    }

    /// What it cost and whether there is more, once [`QueryStream::next`] has given `None`.
    #[must_use]
    pub fn end(&self) -> Option<&QueryEnd> {
        self.end.as_ref()
    }

    /// All events that are left.
    pub async fn collect(mut self) -> Result<(Vec<Event>, QueryEnd)> {
        let mut all = Vec::new();
        while let Some(mut events) = self.next().await? {
            all.append(&mut events);
        }
        Ok((all, self.end.unwrap_or_default()))
    }
}

fn events(data: &QueryData) -> Result<Vec<Event>> {
    let (header, payload) = split_frame(&data.frame)?;
    let view = BatchView::open(&header, &payload)?;
    if view.events() != data.sequences.len() {
        let (rows, told) = (view.events(), data.sequences.len());
        return Err(Error::invalid(format!("{rows} events came with {told} sequences")));
    }
    let rows: Vec<u32> = (0..view.events() as u32).collect();
    let mut events = view.materialise(&header, &rows)?;
    for ((event, sequence), received) in events.iter_mut().zip(&data.sequences).zip(&data.received)
    {
        (event.sequence, event.received) = (*sequence, *received);
    }
    Ok(events)
}
