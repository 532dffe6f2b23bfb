//! That the compiler sees every Rust file: one that no `mod` names is never compiled, tested or linted, and nobody notices.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::{checkout, report};

#[test]
fn every_file_is_a_module_of_a_target() {
    let roots = checkout::roots(checkout::metadata());
    let mut reached = BTreeSet::new();
    for root in &roots {
        reach(root, true, &mut reached);
    }
    let orphan = |path: &String| !reached.contains(&checkout::root().join(path));
    let wrong: Vec<String> = checkout::sources()
        .into_iter()
        .map(|file| file.path)
        .filter(orphan)
        .map(|path| format!("{path}: no `mod` names it, so it is not compiled"))
        .collect();
    report(&wrong);
}

/// Adds a file and the modules it names.
fn reach(file: &Path, is_root: bool, reached: &mut BTreeSet<PathBuf>) {
    let Ok(text) = std::fs::read_to_string(file) else { return };
    if !reached.insert(file.to_owned()) {
        return;
    }
    for module in modules(&text) {
        for candidate in candidates(file, is_root, &module) {
            reach(&candidate, false, reached);
        }
    }
}

#[derive(Debug, PartialEq)]
enum Module {
    Named(String),
    /// With a `#[path]`.
    At(String),
}

/// The modules that a file declares and that are files of their own.
fn modules(text: &str) -> Vec<Module> {
    let (mut found, mut path) = (Vec::new(), None);
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("#[path = \"") {
            path = rest.split('"').next().map(ToOwned::to_owned);
        } else if let Some(name) = declared(line) {
            found.push(path.take().map_or_else(|| Module::Named(name.to_owned()), Module::At));
        } else if !line.starts_with("#[") {
            path = None;
        }
    }
    found
}

/// `name` of a line `mod name;`, public or not.
fn declared(line: &str) -> Option<&str> {
    let item = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.trim_start(),
        None => line,
    };
    item.strip_prefix("mod ")?.strip_suffix(';')
}

fn candidates(file: &Path, is_root: bool, module: &Module) -> Vec<PathBuf> {
    let directory = file.parent().unwrap_or(file);
    let name = match module {
        // A path may lead into another crate.
        Module::At(path) => return std::fs::canonicalize(directory.join(path)).into_iter().collect(),
        Module::Named(name) => name,
    };
    let is_directory = is_root || file.file_name().is_some_and(|name| name == "mod.rs");
    let inside = if is_directory { directory.to_owned() } else { file.with_extension("") };
    vec![inside.join(format!("{name}.rs")), inside.join(name).join("mod.rs")]
}

#[test]
fn declarations_are_read_with_every_visibility_and_path() {
    let text =
        "mod a;\npub mod b;\npub(crate) mod c;\n#[cfg(test)]\n#[path = \"x/d.rs\"]\nmod d;\nmod e {\n}\nlet f = 1;\n";
    let named = |name: &str| Module::Named(name.to_owned());
    assert_eq!(modules(text), [named("a"), named("b"), named("c"), Module::At("x/d.rs".to_owned())]);
}
