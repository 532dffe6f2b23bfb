//! Go durations, as Kubernetes objects write them.
//!
//! Invariant: integers only; a text that is none, is negative or too long is `None`. Knows nothing about what is timed.

use jiff::SignedDuration;

/// Reads `90s`, `1m`, `1h30m`, `500ms`, `1.5h` as Go's `time.ParseDuration` does; `None` if it is none or is negative.
pub fn go_duration(text: &str) -> Option<SignedDuration> {
    if text == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        nanos = nanos.checked_add(amount(number, unit_nanos(unit)?)?)?;
        rest = after;
    }
    let seconds = i64::try_from(nanos / 1_000_000_000).ok()?;
    let part = i32::try_from(nanos % 1_000_000_000).ok()?;
    Some(SignedDuration::new(seconds, part))
}

fn amount(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 20 {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    Some(digits.checked_mul(unit)? / 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?)
}

fn unit_nanos(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("90s", Some(90_000)),
            ("1m", Some(60_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            ("500ms", Some(500)),
            (".5s", Some(500)),
            ("+2s", Some(2000)),
            ("", None),
            ("10", None),
            ("-1s", None),
            ("1d", None),
            ("s", None),
            ("1..2s", None),
            ("1 m", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(go_duration(text), millis.map(SignedDuration::from_millis), "{text:?}");
        }
    }
}
