//! What was refused of a request, and why: the material of OTLP's partial success.

/// Events of a request that were refused by name while the others were stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    /// How many events.
    pub events: u64,
    /// How many for which reason; the reason is a word for metrics.
    pub reasons: Vec<(&'static str, u64)>,
    /// The first refusal of each reason in full, for the sender.
    pub messages: Vec<String>,
}

impl Rejections {
    /// Counts a refusal.
    pub fn add(&mut self, reason: &'static str, events: u64, message: impl FnOnce() -> String) {
        self.events += events;
        match self.reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += events,
            None => {
                self.reasons.push((reason, events));
                self.messages.push(message());
            }
        }
    }

    /// Whether nothing was refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events == 0
    }
}
