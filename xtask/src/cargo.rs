//! `cargo` as if nobody had run it from another cargo.

use std::process::Command;

use crate::image::root;

/// What `cargo run` and `cargo test` say about the package they run. Build scripts that look at it (ring's) would run again,
/// and half of the dependencies with them, each time the caller is another one.
const ABOUT_CALLER: [&str; 5] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];

/// The cargo of the toolchain that built this, in the checkout's root.
pub(crate) fn command() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| ABOUT_CALLER.iter().any(|prefix| name.starts_with(prefix))) {
        cargo.env_remove(name);
    }
    cargo.current_dir(root());
    cargo
}
