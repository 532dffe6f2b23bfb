//! What the other tests look at: the files of the checkout and what cargo knows about the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// A file of the checkout.
pub(crate) struct File {
    /// Its path from the root.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("the crate is a directory of the checkout")
}

/// All text files that git knows or would add.
pub(crate) fn files() -> Vec<File> {
    let list = run("git", &["ls-files", "--cached", "--others", "--exclude-standard", "-z"]);
    let mut paths: Vec<&str> = list.split('\0').filter(|path| !path.is_empty()).collect();
    paths.sort_unstable();
    paths.dedup();
    // A file that is deleted but not yet committed, or is no text, has nothing to check.
    let read =
        |path: &str| Some(File { path: path.to_owned(), text: std::fs::read_to_string(root().join(path)).ok()? });
    paths.into_iter().filter_map(read).collect()
}

/// All Rust files.
pub(crate) fn sources() -> Vec<File> {
    files().into_iter().filter(|file| Path::new(&file.path).extension().is_some_and(|it| it == "rs")).collect()
}

/// What `cargo metadata` says.
pub(crate) fn metadata() -> &'static Value {
    static METADATA: LazyLock<Value> = LazyLock::new(|| {
        serde_json::from_str(&run(env!("CARGO"), &["metadata", "--format-version", "1", "--locked", "--offline"]))
            .expect("cargo metadata prints JSON")
    });
    &METADATA
}

/// Packages of the workspace.
pub(crate) fn own_packages(metadata: &Value) -> Vec<&Value> {
    let own = |package: &&Value| package["source"].is_null();
    metadata["packages"].as_array().into_iter().flatten().filter(own).collect()
}

/// Files that cargo compiles first, one per target.
pub(crate) fn roots(metadata: &Value) -> Vec<PathBuf> {
    let targets = own_packages(metadata).into_iter().flat_map(|it| it["targets"].as_array().into_iter().flatten());
    targets.filter_map(|target| target["src_path"].as_str()).map(PathBuf::from).collect()
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(root()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {}", args.join(" "), said.trim());
    String::from_utf8(output.stdout).expect("it prints text")
}
