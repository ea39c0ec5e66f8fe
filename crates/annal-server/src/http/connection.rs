//! Connections: accepted up to a cap, with time-outs against those that say nothing, ended in good
//! order.

use std::future::Future;
use std::io;
use std::time::Duration;

use annal::Result;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::patient::Patient;
use super::{App, routes};

/// From the end of one request to the end of the next one's head: keep-alive of at least 60 s, as
/// OTLP exporters that send every minute want, and the most that a slow head may take.
const IDLE_MAX: Duration = Duration::from_secs(75);
/// What a stopping server gives its requests to finish.
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// After an accept failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A request's head is parsed in one piece of at most this size; bodies are read in such pieces.
const BUFFER_BYTES_MAX: usize = 256 << 10;

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\n\
    content-length: 0\r\n\r\n";

/// Serves until `shutdown` completes, then takes no new connections, lets requests that have begun
/// finish (for 20 s at most) and returns. The store is not closed here.
pub async fn serve(
    listener: TcpListener,
    app: App,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let (stop, stopping) = watch::channel(false);
    // Each connection holds a sender: the last one gone closes the channel.
    let (alive, mut all_ended) = mpsc::channel::<()>(1);
    let service = routes::router(app.clone());
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                if !is_the_peers(&error) {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        let Ok(permit) = app.shared.options.connections.clone().try_acquire_owned() else {
            app.shared.counters.refused_connection();
            tokio::spawn(refuse(stream));
            continue;
        };
        let open = app.shared.connections.raise();
        let (service, stopping, alive) = (service.clone(), stopping.clone(), alive.clone());
        // Answers are small and complete: nothing is gained by holding them back.
        let _ = stream.set_nodelay(true);
        let cut = app.shared.counters.cut_connections.clone();
        let stream = Patient::new(stream, app.shared.options.write_timeout, cut);
        tokio::spawn(async move {
            connection(stream, service, stopping).await;
            drop((open, permit, alive));
        });
    }
    drop((listener, alive));
    stop.send_replace(true);
    // Those that are not done by then are cut off.
    let _ = tokio::time::timeout(DRAIN_MAX, all_ended.recv()).await;
    Ok(())
}

async fn connection(
    stream: Patient<TcpStream>,
    service: axum::Router,
    mut stopping: watch::Receiver<bool>,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    // Errors are the peer's: it went away or does not speak HTTP, and hyper has answered that.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = told(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// A sender that is gone means the same.
async fn told(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|&stop| stop).await;
}

async fn refuse(mut stream: TcpStream) {
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(FULL)).await;
}

/// Whether a failed accept says something of one connection only.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
