//! That the repository speaks of no place outside of it: no path of the machine it was written on.

use std::collections::BTreeSet;
use std::path::Path;

use crate::checkout::{files, root};
use crate::report;

#[test]
fn no_file_names_this_checkout_or_what_lies_beside_it() {
    let files = files();
    let inside: BTreeSet<&str> = files.iter().flat_map(|file| file.path.split('/')).collect();
    let places = places(root(), &inside);
    let mut wrong = Vec::new();
    for file in &files {
        for (number, line) in (1..).zip(file.text.lines()) {
            let hits = places.iter().filter(|place| names(line, place));
            wrong.extend(hits.map(|place| format!("{}:{number}: names {place}", file.path)));
        }
    }
    report(&wrong);
}

/// Paths that must not occur: the checkout's own and those of its neighbours. A neighbour called like something inside is
/// left out as a relative path, because that may mean the inside.
fn places(root: &Path, inside: &BTreeSet<&str>) -> Vec<String> {
    let mut places = vec![root.display().to_string()];
    let Some(parent) = root.parent().filter(|parent| parent.parent().is_some()) else { return places };
    for neighbour in std::fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.file_name()) {
        let neighbour = neighbour.to_string_lossy().into_owned();
        places.push(parent.join(&neighbour).display().to_string());
        if !inside.contains(neighbour.as_str()) {
            places.push(format!("../{neighbour}"));
        }
    }
    places.sort();
    places.dedup();
    places
}

/// Whether a line contains this path as a path of its own, not as a part of a longer word.
fn names(line: &str, place: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + place.len()..].chars().next();
        !before.is_some_and(|c| word(c) || c == '/') && !after.is_some_and(word)
    })
}

#[test]
fn a_path_is_found_as_a_whole() {
    let check = |line: &str, expect: bool| assert_eq!(names(line, "/src/a"), expect, "{line}");
    check("see /src/a", true);
    check("see `/src/a/b`", true);
    check("see /src/ab", false);
    check("see x/src/a", false);
    check("see /src/a.d", false);
}
