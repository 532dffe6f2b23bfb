//! Where the besieged server is, and connections to it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::server::NAME;

/// What requests are written to and answers are read from.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// The server's address. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Address {
    pub(crate) at: SocketAddr,
    pub(crate) tls: Option<TlsConnector>,
}

impl Address {
    /// A connection from this address, of which nothing was said yet. One that is `narrow` takes next to nothing before it is read from.
    pub(crate) async fn open(&self, from: Ipv4Addr, narrow: bool) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if narrow {
            socket.set_recv_buffer_size(4096)?;
        }
        socket.bind(SocketAddr::from((from, 0)))?;
        socket.connect(self.at).await
    }

    /// The same after the handshake, where there is one.
    pub(crate) async fn secured(&self, tcp: TcpStream) -> io::Result<Box<dyn Stream>> {
        match &self.tls {
            None => Ok(Box::new(tcp)),
            Some(tls) => Ok(Box::new(tls.connect(name(), tcp).await?)),
        }
    }

    /// The first words of a handshake; nothing where there is none.
    pub(crate) fn hello(&self) -> Vec<u8> {
        let mut hello = Vec::new();
        if let Some(tls) = &self.tls {
            let config: Arc<ClientConfig> = tls.config().clone();
            let mut client = ClientConnection::new(config, name()).expect("a client");
            client.write_tls(&mut hello).expect("memory takes everything");
        }
        hello
    }
}

fn name() -> ServerName<'static> {
    ServerName::try_from(NAME).expect("a name")
}
