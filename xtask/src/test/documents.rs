//! That the commands which documents tell people to type exist, with their options.

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::image::root;

const DOCUMENTS: [&str; 3] = ["README.md", "ARCHITECTURE.md", "docs"];

#[test]
fn commands_in_documents_are_accepted() {
    let mut wrong = Vec::new();
    for (name, text) in documents() {
        for (number, line) in commands(&text) {
            match crate::Args::try_parse_from(std::iter::once("cargo xtask").chain(line.split_whitespace().skip(2))) {
                Err(error) if error.kind() != ErrorKind::DisplayHelp => {
                    let error = error.to_string();
                    wrong.push(format!("{name}:{number}: `{line}`: {}", error.lines().next().unwrap_or_default()));
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Names and texts of the documents that are there.
fn documents() -> Vec<(String, String)> {
    let mut paths: Vec<_> = DOCUMENTS.iter().map(|name| root().join(name)).collect();
    let pages = std::fs::read_dir(root().join("docs")).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.extend(pages);
    let read = |path: std::path::PathBuf| Some((path.display().to_string(), std::fs::read_to_string(&path).ok()?));
    paths.into_iter().filter_map(read).collect()
}

/// `cargo xtask …` lines of a document's code blocks, each up to a comment or the next command, with its line number.
fn commands(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut inside) = (Vec::new(), false);
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.starts_with("```") {
            inside = !inside;
            continue;
        }
        let line = line.strip_prefix("$ ").unwrap_or(line).trim_start_matches("sudo ");
        if inside && line.starts_with("cargo xtask") {
            let end = [" #", " &&", " |", " >", ";"].iter().filter_map(|it| line.find(it)).min().unwrap_or(line.len());
            found.push((number, line[..end].trim_end().to_owned()));
        }
    }
    found
}

#[test]
fn commands_are_found_in_code_blocks_alone() {
    let text = "run `cargo xtask x`\ncargo xtask y\n```sh\n$ cargo xtask demo   # shows it\nls\ncargo xtask test a | less\n```\n";
    let expect = [(4, "cargo xtask demo".to_owned()), (6, "cargo xtask test a".to_owned())];
    assert_eq!(commands(text), expect);
}
