//! What a Prometheus text says about one histogram or counter. Decides only.
//!
//! Invariant: series that differ only in labels that were not asked for are added up.

use std::collections::BTreeMap;
use std::fmt;

/// A histogram as it was at one moment, or what was added to it since another.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Histogram {
    /// How many were at most so large, by the bound as it is written.
    pub(super) buckets: BTreeMap<String, f64>,
    pub(super) sum: f64,
    pub(super) count: f64,
}

/// Bounds that are shown, in seconds as they are written, with their names.
const SHOWN: [(&str, &str); 3] = [("0.005", "5 ms"), ("0.025", "25 ms"), ("0.1", "100 ms")];

impl Histogram {
    /// Reads the series of this name that have these labels.
    pub(super) fn read(text: &str, name: &str, labels: &[(&str, &str)]) -> Self {
        let mut found = Self { sum: sum(text, &format!("{name}_sum"), labels), ..Self::default() };
        found.count = sum(text, &format!("{name}_count"), labels);
        for sample in samples(text, &format!("{name}_bucket"), labels) {
            if let Some((_, bound)) = sample.labels.iter().find(|(key, _)| *key == "le") {
                *found.buckets.entry((*bound).to_owned()).or_default() += sample.value;
            }
        }
        found
    }

    /// What came since.
    pub(super) fn since(&self, before: &Self) -> Self {
        let bucket = |(bound, count): (&String, &f64)| {
            (bound.clone(), count - before.buckets.get(bound).copied().unwrap_or_default())
        };
        Self {
            buckets: self.buckets.iter().map(bucket).collect(),
            sum: self.sum - before.sum,
            count: self.count - before.count,
        }
    }
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { buckets, sum, count } = self;
        if *count < 1.0 {
            return write!(f, "no calls");
        }
        write!(f, "{count:.0} calls, mean {:.1} ms", sum / count * 1e3)?;
        let shown = SHOWN.iter().filter_map(|(bound, name)| Some((buckets.get(*bound)?, name)));
        for (index, (within, name)) in shown.enumerate() {
            let begin = if index == 0 { "; at most " } else { ", " };
            write!(f, "{begin}{name}: {:.2} %", within / count * 100.0)?;
        }
        Ok(())
    }
}

/// The sum over the series of this name that have these labels; 0 if there are none.
pub(super) fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    samples(text, name, labels).map(|sample| sample.value).sum()
}

struct Sample<'a> {
    labels: Vec<(&'a str, &'a str)>,
    value: f64,
}

fn samples<'a>(text: &'a str, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = Sample<'a>> {
    text.lines()
        .filter_map(move |line| sample(line.strip_prefix(name)?))
        .filter(move |sample| labels.iter().all(|wanted| sample.labels.contains(wanted)))
}

/// The labels and the value behind a series' name; none if the name goes on.
fn sample(rest: &str) -> Option<Sample<'_>> {
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => read_labels(rest)?,
        None if rest.starts_with(' ') => (Vec::new(), rest),
        None => return None,
    };
    Some(Sample { labels, value: rest.split_whitespace().next()?.parse().ok()? })
}

/// Labels up to the closing brace, and what follows. Escapes are left as they are.
fn read_labels(mut rest: &str) -> Option<(Vec<(&str, &str)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (key, value) = rest.split_once("=\"")?;
        let mut escaped = false;
        let end = value.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        })?;
        labels.push((key, &value[..end]));
        rest = &value[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP d Durations.
# TYPE d histogram
d_bucket{name="pods",operation="CREATE",rejected="false",le="0.005"} 90
d_bucket{name="pods",operation="CREATE",rejected="false",le="0.025"} 99
d_bucket{name="pods",operation="CREATE",rejected="false",le="+Inf"} 100
d_sum{name="pods",operation="CREATE",rejected="false"} 0.25
d_count{name="pods",operation="CREATE",rejected="false"} 100
d_bucket{name="pods",operation="CREATE",rejected="true",le="0.005"} 1
d_sum{name="pods",operation="CREATE",rejected="true"} 1e-3
d_count{name="pods",operation="CREATE",rejected="true"} 1
d_count{name="jobs, \"} odd",operation="CREATE",rejected="true"} 7
d_count_other{name="pods"} 9
plain 3 1700000000
"#;

    #[test]
    fn series_are_chosen_by_their_labels_and_added_up() {
        let check = |name: &str, labels: &[(&str, &str)], expect: f64| {
            let found = sum(TEXT, name, labels);
            assert!((found - expect).abs() < 1e-9, "{name} {labels:?}: {found}");
        };
        check("d_count", &[("name", "pods")], 101.0);
        check("d_count", &[("name", "pods"), ("rejected", "true")], 1.0);
        check("d_count", &[], 108.0);
        check("d_count", &[("name", "nobody")], 0.0);
        check("d_sum", &[("rejected", "true")], 0.001);
        check("plain", &[], 3.0);
    }

    #[test]
    fn a_histogram_is_what_came_since() {
        let after = Histogram::read(TEXT, "d", &[("name", "pods")]);
        assert_eq!(after.buckets.get("0.005"), Some(&91.0));
        let before = Histogram { buckets: [("0.005".to_owned(), 41.0)].into(), sum: 0.051, count: 51.0 };
        let since = after.since(&before);
        assert_eq!(
            (since.count, since.buckets.get("0.005"), since.buckets.get("0.025")),
            (50.0, Some(&50.0), Some(&99.0))
        );
        assert_eq!(since.to_string(), "50 calls, mean 4.0 ms; at most 5 ms: 100.00 %, 25 ms: 198.00 %");
    }

    #[test]
    fn no_calls_have_no_mean() {
        let none = Histogram::read("", "d", &[]);
        assert_eq!(none.since(&Histogram::default()).to_string(), "no calls");
    }
}
