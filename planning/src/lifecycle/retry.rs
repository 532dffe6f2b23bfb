//! Whether a failed attempt is followed by another (<https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html>).
//!
//! Invariant: never more attempts than were asked for. Knows nothing about why an attempt failed but the texts it is given.

use model::job::{ContainerState, EvaluateOnExit, Placed, PodFacts, RetryAction, Spec};

use super::{texts, trouble};

/// What the patterns of a retry strategy are held against. What is not known is an empty text, which only `*` matches.
pub(super) struct Failure {
    exit_code: String,
    reasons: Vec<String>,
    status_reasons: Vec<String>,
}

impl Failure {
    /// From the text of the attempt and what was last seen of its pod.
    pub(super) fn new(status_reason: &str, placed: &Placed, facts: Option<&PodFacts>, ran: bool) -> Self {
        let mut status_reasons = vec![status_reason.to_owned()];
        let (exit_code, mut reasons) = facts.and_then(culprit).unwrap_or_default();
        reasons.extend(facts.and_then(|facts| facts.reason.clone()));
        if !ran {
            status_reasons.push(texts::FAILED_TO_START.to_owned());
            reasons.extend(placed.trouble.clone());
        }
        if reasons.is_empty() {
            reasons.push(String::new());
        }
        Self { exit_code, reasons, status_reasons }
    }
}

/// Exit code of the first container that ended badly, and the words for it that users know; or why the first one did not start.
fn culprit(facts: &PodFacts) -> Option<(String, Vec<String>)> {
    let all = || facts.init_containers.iter().chain(&facts.containers);
    let ended = all().find_map(|container| match &container.state {
        ContainerState::Ended { exit_code, reason, .. } if *exit_code != 0 => {
            let second = (reason.as_deref() == Some("OOMKilled")).then(|| texts::OUT_OF_MEMORY.to_owned());
            let code = container.state.exit_code().map(|code| code.to_string()).unwrap_or_default();
            Some((code, reason.clone().into_iter().chain(second).collect()))
        }
        _ => None,
    });
    let stuck = || all().find_map(|container| trouble::of(&container.state));
    ended.or_else(|| stuck().map(|trouble| (String::new(), vec![trouble])))
}

/// Whether attempt `number` is followed by another. The first entry of which all patterns match decides; none: it is.
pub(super) fn again(spec: &Spec, number: u32, failure: &Failure) -> bool {
    let entries = spec.retry.as_ref().map_or(&[][..], |retry| &retry.evaluate_on_exit);
    let decides = entries.iter().find(|entry| applies(entry, failure));
    number < spec.attempts() && decides.is_none_or(|entry| entry.action == RetryAction::Retry)
}

fn applies(entry: &EvaluateOnExit, failure: &Failure) -> bool {
    let any = |pattern: &Option<String>, texts: &[String]| {
        pattern.as_ref().is_none_or(|pattern| texts.iter().any(|text| matches(pattern, text)))
    };
    any(&entry.on_exit_code, std::slice::from_ref(&failure.exit_code))
        && any(&entry.on_reason, &failure.reasons)
        && any(&entry.on_status_reason, &failure.status_reasons)
}

fn matches(pattern: &str, text: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == text, |start| text.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_at_the_end_stands_for_anything() {
        for (pattern, text, expected) in [
            ("137", "137", true),
            ("13*", "137", true),
            ("13", "137", false),
            ("*", "", true),
            ("*", "x", true),
            ("Host EC2*", "Host EC2 (instance i-1) terminated.", true),
            ("host*", "Host", false),
            ("x", "", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
