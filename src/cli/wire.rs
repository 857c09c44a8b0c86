//! A wire between two nodes on this machine that can be cut, for the demo and to measure what comes after
//! an outage.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Failure;

/// Passes bytes on between the village and the hub, until it is cut.
#[derive(Debug)]
pub(super) struct Wire {
    listener: std::net::TcpListener,
    to: SocketAddr,
    running: JoinSet<()>,
}

impl Wire {
    /// Not connected yet; where the near side dials.
    pub(super) fn new(to: SocketAddr) -> Result<(Self, SocketAddr), Failure> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((Self { listener, to, running: JoinSet::new() }, address))
    }

    /// Connects, and goes on after a cut.
    pub(super) fn join(&mut self) -> Result<(), Failure> {
        let listener = TcpListener::from_std(self.listener.try_clone()?)?;
        let to = self.to;
        self.running.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                lines.spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(to).await {
                        // A line that ends is what a cut looks like.
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Ok(())
    }

    /// Cuts it, and all lines through it.
    pub(super) async fn cut(&mut self) {
        self.running.shutdown().await;
    }
}
