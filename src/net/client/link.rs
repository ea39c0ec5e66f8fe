//! A connection of a client: connect, hello, welcome; messages in, bytes out.

use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::event::ProducerId;
use crate::net::PROTOCOL_VERSION;
use crate::net::client::ClientOptions;
use crate::net::client::outbox::Outgoing;
use crate::net::envelope::NO_REQUEST;
use crate::net::message::{Hello, Message, Welcome};
use crate::net::reader::{Reader, within};

/// A message must be complete so long after it began; its beginning may wait for ever.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(60);
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

pub(super) struct Link {
    pub(super) welcome: Welcome,
    pub(super) reader: Reader,
    half: OwnedWriteHalf,
}

impl Link {
    pub(super) async fn connect(
        address: &str,
        options: &ClientOptions,
        producer: Option<(ProducerId, u32)>,
    ) -> Result<Link> {
        let timeout = options.connect_timeout;
        let connect = async {
            let stream = TcpStream::connect(address).await;
            stream.map_err(|e| Error::io(format!("connect to {address}"), e))
        };
        let stream = within(timeout, "the server could not be reached", connect).await?;
        // Without it small appends wait for delayed acknowledgements; slower, not wrong.
        let _ = stream.set_nodelay(true);
        let (read, half) = stream.into_split();
        let hello = Hello {
            version_oldest: PROTOCOL_VERSION,
            version_newest: PROTOCOL_VERSION,
            producer,
            name: options.name.clone(),
        };
        within(timeout, "the server did not answer the hello", greet(read, half, hello)).await
    }

    /// The ways in and out.
    pub(super) fn split(self) -> (Reader, Out) {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(write(self.half, receiver));
        (self.reader, Out { sender })
    }
}

async fn greet(
    read: tokio::net::tcp::OwnedReadHalf,
    mut half: OwnedWriteHalf,
    hello: Hello,
) -> Result<Link> {
    let mut out = Vec::new();
    Message::Hello(hello).encode(NO_REQUEST, &mut out);
    half.write_all(&out).await.map_err(|e| Error::io("send the hello", e))?;
    let mut reader = Reader::new(read);
    match message(&mut reader).await? {
        Some((_, Message::Welcome(welcome))) if welcome.version == PROTOCOL_VERSION => {
            Ok(Link { welcome, reader, half })
        }
        Some((_, Message::Welcome(welcome))) => {
            let what = format!("the server speaks version {} of the protocol", welcome.version);
            Err(Error::unsupported(what).in_field("version"))
        }
        Some((_, Message::Error(failure))) => Err(failure.to_error()),
        Some((_, other)) => {
            Err(Error::invalid(format!("the server began with {:?}", other.kind())))
        }
        None => Err(Error::closed("the server ended the connection without a welcome")),
    }
}

/// The next message; `None` if the server has ended between messages. May be dropped while it
/// waits: what was read stays with the reader.
pub(super) async fn message(reader: &mut Reader) -> Result<Option<(u64, Message)>> {
    loop {
        let Some(head) = reader.head(FOREVER, MESSAGE_TIMEOUT).await? else { return Ok(None) };
        let body = reader.body(&head, MESSAGE_TIMEOUT).await?;
        if let Some(kind) = head.known_kind() {
            return Ok(Some((head.request, Message::decode(kind, &body)?)));
        }
    }
}

/// What is to be written. Writing waits elsewhere, so that reading never waits for it; credits
/// bound how much waits. Dropped, it ends the connection's outgoing side once all is written.
pub(super) struct Out {
    sender: mpsc::UnboundedSender<Outgoing>,
}

impl Out {
    /// False if nothing can be written any more.
    pub(super) fn send(&self, outgoing: Outgoing) -> bool {
        self.sender.send(outgoing).is_ok()
    }

    pub(super) fn message(&self, request: u64, message: &Message) -> bool {
        let mut head = Vec::new();
        message.encode(request, &mut head);
        self.send(Outgoing { head, payload: Bytes::new() })
    }
}

async fn write(mut half: OwnedWriteHalf, mut receiver: mpsc::UnboundedReceiver<Outgoing>) {
    while let Some(Outgoing { head, payload }) = receiver.recv().await {
        let mut bytes = Bytes::from(head).chain(payload);
        if half.write_all_buf(&mut bytes).await.is_err() {
            // Whoever reads learns of the lost connection, and sends again elsewhere.
            return;
        }
    }
    // A server that is gone need not be told the end.
    let _ = half.shutdown().await;
}
