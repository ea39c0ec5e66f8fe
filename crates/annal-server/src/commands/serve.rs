//! `annal serve`: a store behind HTTP and the native protocol.
//!
//! 1. Take the HTTP address and answer there: `/health` is alive, all else 503.
//! 2. Open the store, which recovers it; `LOCK` says who holds it and where it serves.
//! 3. Take the TCP address, let requests in.
//! 4. At SIGTERM or SIGINT: take nothing more, finish what is in flight, seal, end with 0. When
//!    storage fails: answer 503 for a while, so that senders go elsewhere, and end with 5.
//!
//! A taken address is reported like an unreachable server (exit code 3): something else is there.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use annal::ingest::{Ingest, IngestOptions};
use annal::net::{Server, ServerOptions};
use annal::{OpenReport, Options, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};

use super::target::{HTTP_DEFAULT, TCP_DEFAULT};
use crate::config::Settings;
use crate::descriptors;
use crate::exit::{self, Failure, Outcome};
use crate::http::{self, App, HttpOptions};
use crate::terminal::{Align, Paint, Table, bytes, count, duration};

/// How long a server with a poisoned store goes on answering 503.
const POISONED_LINGER: Duration = Duration::from_secs(5);
/// How often is looked whether something went wrong in the background.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The whole of an orderly end; who runs us may kill us after 30 s.
const STOP_MAX: Duration = Duration::from_secs(28);

/// Serves a store over HTTP and TCP.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    settings: Settings,
    /// Settings that are not given here are read from this file (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show every limit with its reason, and end.
    #[arg(long)]
    print_limits: bool,
}

pub(crate) fn run(args: Args) -> Outcome {
    if args.print_limits {
        return print_limits();
    }
    run_with(&args.settings.or_from(args.config.as_deref())?)
}

/// Serves until a signal comes.
pub(super) fn run_with(settings: &Settings) -> Outcome {
    let options = settings.options()?;
    let plan = Plan {
        http: address(settings.http.as_deref().unwrap_or(HTTP_DEFAULT), settings.insecure_listen)?,
        tcp: address(settings.tcp.as_deref().unwrap_or(TCP_DEFAULT), settings.insecure_listen)?,
        options,
    };
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|e| Failure::new(exit::STORAGE, format!("starting threads: {e}")))?;
    let outcome = runtime.block_on(serve(plan));
    // Queries that still run hold nothing that matters.
    runtime.shutdown_background();
    outcome
}

fn print_limits() -> Outcome {
    let mut table =
        Table::new(&[("limit", Align::Left), ("value", Align::Right), ("reason", Align::Left)]);
    for &(name, value, reason) in annal::limits::ALL {
        table.row(vec![name.to_lowercase(), value.to_string(), reason.trim().to_owned()]);
    }
    table.write(&mut io::stdout().lock(), Paint::stdout())?;
    Ok(exit::DONE)
}

/// Where to listen. Nothing is encrypted: beyond loopback only if that is said.
fn address(text: &str, insecure: bool) -> Outcome<SocketAddr> {
    let mut found = text
        .to_socket_addrs()
        .map_err(|e| Failure::usage(format!("{text} is no address: {e}; write HOST:PORT")))?;
    let address = found.next().ok_or_else(|| Failure::usage(format!("{text} has no address")))?;
    if !address.ip().is_loopback() && !insecure {
        return Err(Failure::usage(format!(
            "{address} can be reached from other machines, in plain text and without a password: \
             add --insecure-listen if that is meant"
        )));
    }
    Ok(address)
}

struct Plan {
    http: SocketAddr,
    tcp: SocketAddr,
    options: Options,
}

/// What ends a server in good order.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn watch() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn serve(plan: Plan) -> Outcome {
    let mut signals = Signals::watch()
        .map_err(|e| Failure::new(exit::STORAGE, format!("watching for signals: {e}")))?;
    let http = listen(plan.http).await?;
    let tcp = listen(plan.tcp).await?;
    let (http_url, tcp_url) = (format!("http://{}", bound(&http)?), bound(&tcp)?);
    let mut options = plan.options;
    options.lock_note = format!("process {}, {http_url}, tcp://{tcp_url}", std::process::id());
    eprintln!("annal: http on {http_url}");

    let connections = Arc::new(Semaphore::new(descriptors::for_connections()));
    let http_options = HttpOptions { connections: connections.clone(), ..HttpOptions::default() };
    let app = App::with(http_options);
    let (stop, stopping) = watch::channel(false);
    let http = tokio::spawn(http::serve(http, app.clone(), told(stopping)));

    let data = options.directory.display().to_string();
    let in_flight_bytes_max = options.in_flight_bytes_max;
    let opening = tokio::task::spawn_blocking(move || Store::open(options));
    let opened = tokio::select! {
        opened = opening => opened,
        () = signals.received() => {
            eprintln!("annal: stopped before {data} was open");
            return Ok(exit::DONE);
        }
    };
    let (store, report) = joined(opened)??;
    say_opened(&data, &report);

    let ingest = Ingest::new(store, IngestOptions { in_flight_bytes_max, ..Default::default() });
    let tcp_options = ServerOptions { connections, ..ServerOptions::default() };
    let server = Server::serve(tcp, ingest.clone(), tcp_options)?;
    app.set_ready(ingest.clone());
    eprintln!("annal: tcp on tcp://{tcp_url}");
    eprintln!("annal: ready");

    let poisoned = tokio::select! {
        () = signals.received() => None,
        cause = ingest.poisoned() => Some(cause),
        never = say_errors(ingest.store()) => match never {},
    };
    if let Some(cause) = poisoned {
        eprintln!("annal: {cause}");
        eprintln!("annal: nothing more is taken, ending with 503");
        tokio::time::sleep(POISONED_LINGER).await;
        return Err(Failure::new(exit::STORAGE, "ended, since storage failed"));
    }
    eprintln!("annal: stopping");
    stop.send_replace(true);
    let ended = tokio::time::timeout(STOP_MAX, async {
        let (_, http) = tokio::join!(server.shutdown(), http);
        joined(http)??;
        ingest.close().await.map_err(Failure::from)
    });
    match ended.await {
        Ok(closed) => closed?,
        Err(_) => return Err(Failure::new(exit::STORAGE, "the store did not close in time")),
    }
    eprintln!("annal: stopped");
    Ok(exit::DONE)
}

async fn listen(address: SocketAddr) -> Outcome<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => ": another program listens there; give another address",
            _ => "",
        };
        Failure::new(exit::UNREACHABLE, format!("cannot listen on {address}: {error}{hint}"))
    })
}

fn bound(listener: &TcpListener) -> Outcome<SocketAddr> {
    let address = listener.local_addr();
    address.map_err(|e| Failure::new(exit::UNREACHABLE, format!("learning the address: {e}")))
}

async fn told(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopping.wait_for(|&stop| stop).await;
}

/// A panic of a task goes on here.
fn joined<T>(outcome: Result<T, tokio::task::JoinError>) -> Outcome<T> {
    outcome.map_err(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Failure::new(exit::STORAGE, format!("a task ended: {error}")),
    })
}

/// Says what goes wrong in the background, each thing once as long as nothing else does.
async fn say_errors(store: &Store) -> std::convert::Infallible {
    let mut said = [None, None];
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let found = [("compaction", store.compaction_error()), ("scrub", store.scrub_error())];
        for ((what, error), said) in found.into_iter().zip(&mut said) {
            let text = error.map(|error| error.to_string());
            if let Some(text) = text.as_ref().filter(|_| text != *said) {
                eprintln!("annal: {what}: {text}");
            }
            *said = text;
        }
    }
}

fn say_opened(data: &str, report: &OpenReport) {
    let took = duration(i64::try_from(report.elapsed_ns).unwrap_or(i64::MAX));
    let (frames, events) = (count(report.frames_recovered), count(report.events_recovered));
    match report.clean {
        true => eprintln!("annal: opened {data} in {took}"),
        false => eprintln!(
            "annal: opened {data} in {took}: recovered {frames} frames, {events} events after an \
             unclean stop"
        ),
    }
    if report.torn_bytes > 0 {
        let torn = bytes(report.torn_bytes);
        eprintln!("annal: dropped a torn tail of {torn} that nobody was acknowledged for");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_beyond_loopback_has_to_be_asked_for() {
        assert_eq!(address("0.0.0.0:7070", false).unwrap_err().code, exit::USAGE);
        assert!(address("0.0.0.0:7070", true).is_ok());
        assert!(address("127.0.0.1:0", false).is_ok());
        assert!(address("[::1]:7070", false).is_ok());
        assert_eq!(address("nonsense", false).unwrap_err().code, exit::USAGE);
    }
}
