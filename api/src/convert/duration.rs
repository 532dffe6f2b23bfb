//! Durations, as Kubernetes objects and command lines have them.
//!
//! Invariant: none is negative. Knows nothing about what is timed.

use jiff::SignedDuration;

/// Reads `90s`, `1m`, `1h30m`, `500ms`, `1.5h`: what Go writes, and what people do; `None` if it is none or is negative.
pub fn duration(text: &str) -> Option<SignedDuration> {
    text.parse().ok().filter(|duration: &SignedDuration| !duration.is_negative())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, millis) in [
            ("0s", Some(0)),
            ("90s", Some(90_000)),
            ("1m", Some(60_000)),
            ("1h30m", Some(5_400_000)),
            ("2160h0m0s", Some(7_776_000_000)),
            ("1.5h", Some(5_400_000)),
            ("500ms", Some(500)),
            ("2m1.5s", Some(121_500)),
            ("", None),
            ("10", None),
            ("-1s", None),
            ("1s ago", None),
            ("1d", None),
            ("s", None),
            ("1..2s", None),
            ("99999999999999999999h", None),
        ] {
            assert_eq!(duration(text), millis.map(SignedDuration::from_millis), "{text:?}");
        }
    }
}
