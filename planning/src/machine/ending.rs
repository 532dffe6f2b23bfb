//! When a machine that was told to end is gone.
//!
//! Invariant: no single answer makes a machine gone, unless its provider had said before that it takes it down, or that it never made it. One
//! that is still being made, or that lost books do not know, costs for ever once it is forgotten. Knows nothing about how providers are asked.

use std::time::Duration;

use super::JOIN;

/// Answers that agree for so long, and a node that is not Ready for so long, show that a machine is gone.
const AGREED: Duration = Duration::from_mins(1);

/// A launch that was never confirmed is in its provider's books by then, or it is not carried out any more: what stands in between gives up
/// after a minute.
const SENT: Duration = Duration::from_mins(2);

/// What a provider says when it is told to end a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It takes it down.
    Ending,
    /// It knows no such machine.
    Unknown,
    /// A success that does not say of which machine.
    Unclear,
    /// Nothing, or an error.
    None,
}

/// What is known about a machine that was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// A provider has said before that it takes it down, or that it did not make it.
    pub expected: bool,
    /// A provider had confirmed its launch.
    pub confirmed: bool,
    /// Over what time all answers have been that it is unknown.
    pub unknown: Duration,
    /// Its Node object is there.
    pub has_node: bool,
    /// For how long that has not been Ready, or not been there; `None`: it may be Ready.
    pub quiet: Option<Duration>,
    /// How long ago its launch was last asked for.
    pub asked: Duration,
}

/// What is to be done about a machine that was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is being taken down: ask again.
    Ending,
    /// It is gone.
    Gone,
    /// Ask again later, and say why.
    Doubted(&'static str),
    /// Somebody has to be asked who does not answer.
    Unanswered,
}

/// Judges what all providers answered that may have the machine.
pub fn judge(answers: &[Answer], ending: &Ending) -> Verdict {
    let says = |answer| answers.contains(&answer);
    if says(Answer::Ending) {
        Verdict::Ending
    } else if says(Answer::Unclear) {
        Verdict::Doubted(
            "its provider's answer to DELETE does not name the machine: it is asked until it says that there is none",
        )
    } else if ending.expected && (answers.is_empty() || says(Answer::Unknown)) {
        Verdict::Gone
    } else if says(Answer::None) {
        Verdict::Unanswered
    } else {
        doubt(ending).map_or(Verdict::Gone, Verdict::Doubted)
    }
}

/// Why a machine that nobody knows may be there all the same.
fn doubt(ending: &Ending) -> Option<&'static str> {
    let Some(quiet) = ending.quiet else {
        return Some(
            "its provider does not know the machine, but its node is Ready: it may still run, and cost; this goes on when the provider \
             knows it again or the node is not Ready any more",
        );
    };
    let (made, why) = if ending.confirmed {
        (
            JOIN,
            "its provider does not know the machine, but said that it makes it: it counts as gone if that is so 10 minutes after it was asked",
        )
    } else {
        (
            SENT,
            "its provider does not know the machine, but may still be asked to make it: it counts as gone if that is so after 2 minutes",
        )
    };
    if !ending.has_node && ending.asked < made {
        return Some(why);
    }
    (quiet < AGREED || ending.unknown < AGREED).then_some(
        "its provider does not know the machine: it counts as gone when that has been so for a minute, and its node not Ready for as long",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    const READY: Ending =
        Ending { expected: false, confirmed: true, unknown: S_MAX, has_node: true, quiet: None, asked: S_MAX };
    const QUIET: Ending = Ending { quiet: Some(S_MAX), ..READY };
    const NO_NODE: Ending = Ending { has_node: false, ..QUIET };
    const S_MAX: Duration = Duration::from_hours(1);

    #[track_caller]
    fn check(answers: &[Answer], ending: Ending, expected: &str) {
        let verdict = judge(answers, &ending);
        let said = match verdict {
            Verdict::Doubted(why) => why.to_owned(),
            other => format!("{other:?}"),
        };
        assert!(said.contains(expected), "{answers:?} {ending:?}: {said}");
    }

    #[test]
    fn a_machine_is_gone_when_that_was_to_be_expected() {
        for ending in [READY, QUIET, NO_NODE, Ending { asked: S(0), unknown: S(0), quiet: Some(S(0)), ..NO_NODE }] {
            let ending = Ending { expected: true, ..ending };
            check(&[Answer::Unknown], ending, "Gone");
            // It moved: the other one never had it, or is not there any more.
            check(&[Answer::Unknown, Answer::Unknown], ending, "Gone");
            check(&[Answer::None, Answer::Unknown], ending, "Gone");
            check(&[Answer::Unknown, Answer::Ending], ending, "Ending");
            check(&[Answer::None], ending, "Unanswered");
            check(&[], ending, "Gone");
        }
    }

    #[test]
    fn one_that_nobody_expected_to_be_unknown_is_gone_only_if_time_agrees() {
        for (ending, expected) in [
            // Lost books.
            (READY, "its node is Ready"),
            // The kubelet is restarted, and an ingress answers for the provider.
            (Ending { quiet: Some(S(59)), ..QUIET }, "for a minute"),
            (Ending { unknown: S(59), ..QUIET }, "for a minute"),
            (QUIET, "Gone"),
            (Ending { asked: S(0), ..QUIET }, "Gone"),
            // The launch is slower than its time-out, or the list forgets a machine that boots.
            (Ending { asked: S(599), ..NO_NODE }, "said that it makes it"),
            (Ending { asked: S(119), confirmed: false, ..NO_NODE }, "may still be asked to make it"),
            (Ending { asked: S(120), confirmed: false, ..NO_NODE }, "Gone"),
            (NO_NODE, "Gone"),
            (Ending { unknown: S(0), ..NO_NODE }, "for a minute"),
            // Somebody deleted the Node of a machine that runs.
            (Ending { quiet: Some(S(0)), ..NO_NODE }, "for a minute"),
        ] {
            check(&[Answer::Unknown], ending, expected);
            check(&[Answer::Unknown, Answer::Unknown], ending, expected);
            check(&[Answer::Unknown, Answer::None], ending, "Unanswered");
            check(&[Answer::Unknown, Answer::Ending], ending, "Ending");
            check(&[Answer::Unknown, Answer::Unclear], ending, "does not name the machine");
            check(&[Answer::Unclear], Ending { expected: true, ..ending }, "does not name the machine");
        }
    }
}
