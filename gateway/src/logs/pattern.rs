//! Filter patterns of `FilterLogEvents`: those of plain text
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>).
//!
//! Invariant: pure. What is not understood is refused, never taken for something else.

use crate::failure::Invalid;

/// From AWS's model.
const LONGEST: usize = 1024;

/// Which lines are wanted; the default: all.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pattern {
    all: Vec<String>,
    none: Vec<String>,
    any: Vec<String>,
}

impl Pattern {
    /// Reads terms: `word`, `"a phrase"`, `-not`, `?or`.
    pub(crate) fn read(text: &str) -> Result<Self, Invalid> {
        if text.chars().count() > LONGEST {
            return Invalid::err(format!("filterPattern must have at most {LONGEST} characters"));
        }
        let mut rest = text.trim();
        if rest.starts_with(['{', '[', '%']) {
            return Invalid::err(
                "Invalid filter pattern: Bulkhead knows patterns of words and quoted phrases, with - and ?; not those of JSON ({…}), of columns ([…]) and regular expressions (%…%)",
            );
        }
        let mut pattern = Self::default();
        while !rest.is_empty() {
            let (list, term) = match rest.as_bytes()[0] {
                b'-' => (&mut pattern.none, &rest[1..]),
                b'?' => (&mut pattern.any, &rest[1..]),
                _ => (&mut pattern.all, rest),
            };
            let (term, behind) = if let Some(quoted) = term.strip_prefix('"') {
                phrase(quoted)?
            } else {
                let (word, behind) = term.split_at(term.find(char::is_whitespace).unwrap_or(term.len()));
                (word.to_owned(), behind)
            };
            if term.is_empty() {
                return Invalid::err("Invalid filter pattern: a term is empty");
            }
            list.push(term);
            rest = behind.trim_start();
        }
        Ok(pattern)
    }

    /// Whether a line is wanted. What only may be there says nothing if something must be.
    pub(crate) fn has(&self, line: &str) -> bool {
        let is_there = |term: &String| line.contains(term.as_str());
        let any = self.any.is_empty() || !self.all.is_empty() || self.any.iter().any(is_there);
        any && self.all.iter().all(is_there) && !self.none.iter().any(is_there)
    }
}

/// Text up to the quote that ends it, and what comes then.
fn phrase(text: &str) -> Result<(String, &str), Invalid> {
    let (mut phrase, mut escaped) = (String::new(), false);
    for (at, c) in text.char_indices() {
        match c {
            '"' if !escaped => return Ok((phrase, &text[at + 1..])),
            '\\' if !escaped => escaped = true,
            _ => {
                phrase.push(c);
                escaped = false;
            }
        }
    }
    Invalid::err("Invalid filter pattern: a quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_phrases_are_looked_for() {
        for (pattern, line, expect) in [
            ("", "anything", true),
            ("  ", "", true),
            ("ERROR", "an ERROR here", true),
            ("ERROR", "an error here", false),
            ("ERROR code", "ERROR of code 3", true),
            ("ERROR code", "ERROR", false),
            ("\"ERROR code\"", "ERROR code", true),
            ("\"ERROR code\"", "code ERROR", false),
            ("\"say \\\"hi\\\"\"", "they say \"hi\"", true),
            ("ERROR -known", "ERROR known", false),
            ("ERROR -\"well known\"", "ERROR known", true),
            ("-ERROR", "fine", true),
            ("?a ?b", "b", true),
            ("?a ?b", "c", false),
            ("x ?a", "x", true),
            ("\"-1\"", "exit -1", true),
        ] {
            assert_eq!(Pattern::read(pattern).unwrap().has(line), expect, "{pattern} in {line}");
        }
        for wrong in ["\"open", "- x", "?", "\"\"", "{ $.a = 1 }", "[a, b]", "%x%", &"x".repeat(1025)] {
            assert!(Pattern::read(wrong).is_err(), "{wrong}");
        }
    }
}
