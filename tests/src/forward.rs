//! `kubectl port-forward`, as people use it.
//!
//! Invariant: it listens on loopback, on a port that is free, and ends with its value.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::world::World;

/// A forwarded port.
pub struct Forward {
    /// Port on this machine's loopback.
    pub port: u16,
    _child: Child,
}

impl Forward {
    /// Forwards a port of something in a namespace, for example of `service/bulkhead-api`.
    pub async fn to(world: &World, namespace: &str, what: &str, port: u16) -> Result<Self> {
        let mut command = world.kubectl_command();
        command.args(["port-forward", "--namespace", namespace, what, &format!(":{port}")]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = child.context("cannot run kubectl port-forward")?;
        let mut lines = BufReader::new(child.stdout.take().context("kubectl has no output")?).lines();
        // "Forwarding from 127.0.0.1:40001 -> 8443"
        let line = lines.next_line().await?.context("kubectl port-forward has ended")?;
        let port = line.split(" -> ").next().and_then(|from| from.rsplit(':').next()?.parse().ok());
        let port = port.with_context(|| format!("kubectl port-forward says {line:?}"))?;
        // It says more for each connection, and would stop if nobody read it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { port, _child: child })
    }
}
