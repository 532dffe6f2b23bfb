//! Which end-to-end tests run: several filters over a list of names. Decides only.
//!
//! The test program itself takes one filter; naming the others as skipped expresses several.

/// Name of the demo among the end-to-end tests.
pub(super) const DEMO: &str = "demo";

/// Names in what the test program prints for `--list`: lines `name: test`, other lines are about something else.
pub(super) fn listed(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_suffix(": test")).map(ToOwned::to_owned).collect()
}

/// Whether a test of this name runs.
pub(super) fn wants(name: &str, filters: &[String]) -> bool {
    filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
}

/// Arguments for the test program; an error if no test is left of it.
pub(super) fn arguments(names: &[String], filters: &[String]) -> Result<Vec<String>, String> {
    let skipped: Vec<&String> = names.iter().filter(|name| !wants(name, filters)).collect();
    if skipped.len() == names.len() {
        return Err(format!(
            "no end-to-end test has {} in its name; there are:\n  {DEMO}\n  {}",
            filters.iter().map(|filter| format!("`{filter}`")).collect::<Vec<_>>().join(" or "),
            names.join("\n  "),
        ));
    }
    if skipped.is_empty() {
        return Ok(Vec::new());
    }
    let skip = skipped.into_iter().flat_map(|name| ["--skip".to_owned(), name.clone()]);
    Ok(std::iter::once("--exact".to_owned()).chain(skip).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn tests_are_listed_and_other_lines_are_not() {
        let text =
            "left out, needs the local cluster: x\nform 1: it runs: test\nform 2: test\n\n2 tests, 0 benchmarks\n";
        assert_eq!(listed(text), ["form 1: it runs", "form 2"]);
    }

    #[test]
    fn several_filters_run_what_any_of_them_matches() {
        let names = owned(&["form 1", "form 2", "leader"]);
        let check = |filters: &[&str], expect: &[&str]| {
            assert_eq!(arguments(&names, &owned(filters)).unwrap(), owned(expect), "{filters:?}");
        };
        check(&[], &[]);
        check(&["form", "leader"], &[]);
        check(&["form"], &["--exact", "--skip", "leader"]);
        check(&["2", "lead"], &["--exact", "--skip", "form 1"]);
        assert!(arguments(&names, &owned(&["from"])).unwrap_err().starts_with("no end-to-end test has `from`"));
    }
}
