//! License expressions (<https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/>): whether a list of allowed
//! licenses satisfies one. Decides only.
//!
//! Reads `OR`, `AND`, `WITH`, parentheses, and the slash that Cargo had for `OR` before.

/// Whether the allowed licenses satisfy the expression; an error if it cannot be read. `WITH` and what follows only widens
/// what a license permits, so the license alone decides.
pub(super) fn satisfied(expression: &str, allowed: &[&str]) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { words: &words, allowed };
    let result = parser.any()?;
    match parser.words.first() {
        None => Ok(result),
        Some(word) => Err(format!("`{word}` was not expected")),
    }
}

struct Parser<'a> {
    words: &'a [&'a str],
    allowed: &'a [&'a str],
}

impl<'a> Parser<'a> {
    fn take(&mut self, expect: &str) -> bool {
        let found = self.words.first() == Some(&expect);
        if found {
            self.words = &self.words[1..];
        }
        found
    }

    fn next(&mut self) -> Result<&'a str, String> {
        let (first, rest) = self.words.split_first().ok_or("it ends too early")?;
        self.words = rest;
        Ok(first)
    }

    fn any(&mut self) -> Result<bool, String> {
        let mut result = self.all()?;
        while self.take("OR") {
            // Read before the operator decides: the right side must be readable too.
            let right = self.all()?;
            result |= right;
        }
        Ok(result)
    }

    fn all(&mut self) -> Result<bool, String> {
        let mut result = self.one()?;
        while self.take("AND") {
            let right = self.one()?;
            result &= right;
        }
        Ok(result)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let result = self.any()?;
            return if self.take(")") { Ok(result) } else { Err("a `)` is missing".to_owned()) };
        }
        let license = self.next()?;
        if ["OR", "AND", "WITH", ")"].contains(&license) {
            return Err(format!("`{license}` stands where a license should"));
        }
        if self.take("WITH") {
            self.next()?;
        }
        Ok(self.allowed.contains(&license))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_satisfied_by_the_licenses_that_are_allowed() {
        let check = |text: &str, expect: Option<bool>| {
            assert_eq!(satisfied(text, &["MIT", "Apache-2.0", "BSD-3-Clause"]).ok(), expect, "{text}");
        };
        check("MIT", Some(true));
        check("GPL-3.0-only", Some(false));
        check("MIT OR GPL-3.0-only", Some(true));
        check("GPL-3.0-only OR LGPL-2.1-only", Some(false));
        check("MIT AND GPL-3.0-only", Some(false));
        check("(MIT OR GPL-3.0-only) AND BSD-3-Clause", Some(true));
        check("GPL-3.0-only AND MIT OR Apache-2.0", Some(true));
        check("GPL-3.0-only AND (MIT OR Apache-2.0)", Some(false));
        check("Apache-2.0 WITH LLVM-exception", Some(true));
        check("MIT/Apache-2.0", Some(true));
        check("GPL-3.0-only / LGPL-2.1-only", Some(false));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for text in ["", "MIT OR", "(MIT", "MIT)", "OR MIT", "MIT Apache-2.0", "MIT WITH"] {
            assert!(satisfied(text, &["MIT"]).is_err(), "{text}");
        }
    }
}
