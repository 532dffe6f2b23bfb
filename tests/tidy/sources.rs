//! Rules for single source files: size, opening, and words that may not be there.

use crate::checkout::{self, File};
use crate::report;

/// A file longer than this has more than one concept.
const MOST_LINES: usize = 500;
/// Half of all files are no longer than this.
const MEDIAN_LINES: usize = 150;

/// Words with what to do instead. Put together here, so that this file does not contain them.
const WORDS: [(&str, &str); 5] = [
    (concat!("#[ig", "nore"), "a test runs or goes"),
    (concat!("to", "do!("), "write it or leave it out"),
    (concat!("unim", "plemented!("), "write it or leave it out"),
    (concat!("uns", "afe {"), "there is a safe way"),
    (concat!("uns", "afe fn"), "there is a safe way"),
];

/// Words that the pure crates may not contain: they read a clock or roll dice, which is the caller's to do.
const IMPURE: [&str; 8] =
    ["SystemTime::now", "Timestamp::now", "Zoned::now", "Instant::now", ".elapsed()", "new_v4", "rand::", "std::env::"];
const PURE: [&str; 2] = ["model/", "planning/"];

#[test]
fn no_file_is_longer_than_its_budget_and_half_are_short() {
    let files = checkout::sources();
    let mut lines: Vec<usize> = files.iter().map(|file| file.text.lines().count()).collect();
    let long = files.iter().zip(&lines).filter(|(_, lines)| **lines > MOST_LINES);
    let mut wrong: Vec<String> =
        long.map(|(file, lines)| format!("{}: {lines} lines, at most {MOST_LINES}: split it", file.path)).collect();
    lines.sort_unstable();
    let median = lines[lines.len() / 2];
    println!("{} files, {} lines, median {median}", lines.len(), lines.iter().sum::<usize>());
    if median > MEDIAN_LINES {
        wrong.push(format!("the median file has {median} lines, more than {MEDIAN_LINES}"));
    }
    report(&wrong);
}

#[test]
fn every_file_opens_by_saying_what_it_is() {
    let opens = |file: &File| file.text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 12);
    let wrong: Vec<String> = checkout::sources()
        .iter()
        .filter(|file| !opens(file))
        .map(|file| format!("{}: its first line is not `//! What it is …`", file.path))
        .collect();
    report(&wrong);
}

#[test]
fn words_that_put_something_off_are_nowhere() {
    report(&found(&checkout::sources(), &WORDS));
}

#[test]
fn the_pure_crates_read_no_clock_no_dice_and_no_environment() {
    let pure: Vec<File> = checkout::sources()
        .into_iter()
        .filter(|file| PURE.iter().any(|crate_| file.path.starts_with(crate_)))
        .collect();
    assert!(!pure.is_empty(), "no file of {PURE:?} was found");
    report(&found(&pure, &IMPURE.map(|word| (word, "let it be an argument"))));
}

fn found(files: &[File], words: &[(&str, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for file in files {
        for (number, line) in (1..).zip(file.text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            let hits = words.iter().filter(|(word, _)| code.contains(word));
            wrong.extend(hits.map(|(word, instead)| format!("{}:{number}: `{word}`: {instead}", file.path)));
        }
    }
    wrong
}
