//! What it means that a write did not go through.
//!
//! Invariant: an answer counts as a refusal only if it will be the same again. Does not know what was written.

use planning::refusal::Answer;

use crate::telemetry::chain;

/// Most characters of an answer that are remembered.
const LONGEST: usize = 512;

/// What an error means of an object that is there (`gone` says whether it is): a refusal, or that nobody knows.
pub fn of(error: &kube::Error) -> Answer {
    match error {
        // 429 and what is the server's own fault may be over in a moment; 401 is about us, not about the object.
        kube::Error::Api(answer) if matches!(answer.code, 400 | 403 | 404 | 405 | 409 | 413 | 422) => {
            Answer::Refused(clip(&answer.message))
        }
        error => Answer::Unclear(clip(&chain(error))),
    }
}

fn clip(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn an_answer_is_a_refusal_if_it_will_be_the_same_again() {
        let of = |code: u16| of(&kube::Error::Api(Status::failure("no", "x").with_code(code).boxed()));
        for code in [400, 403, 404, 405, 409, 413, 422] {
            assert_eq!(of(code), Answer::Refused("no".to_owned()), "{code}");
        }
        for code in [401, 429, 500, 503, 504] {
            assert!(matches!(of(code), Answer::Unclear(_)), "{code}");
        }
    }
}
