//! `retryStrategy` and `timeout`, of definitions and submissions.
//!
//! Invariant: pure; AWS's words where they are recorded. An action is kept in lower case, as AWS echoes it.

use model::job::{EvaluateOnExit, RetryAction, RetryStrategy};

use super::request::{Condition, Retry, Timeout};
use crate::failure::Invalid;

/// The API reference says 5, the user guide 6 (<https://docs.aws.amazon.com/batch/latest/userguide/job_retries.html>).
const MOST_CONDITIONS: usize = 6;

/// Reads `retryStrategy`; an empty one says nothing.
pub(crate) fn retry_strategy(given: &Retry) -> Result<Option<RetryStrategy>, Invalid> {
    let Some(attempts) = given.attempts else {
        if given.evaluate_on_exit.is_empty() {
            return Ok(None);
        }
        return Invalid::err("RetryAttempts must be provided with retry strategy.");
    };
    let attempts = u32::try_from(attempts).ok().filter(|attempts| (1..=10).contains(attempts));
    let Some(attempts) = attempts else { return Invalid::err("RetryAttempts must be between 1 and 10.") };
    if given.evaluate_on_exit.len() > MOST_CONDITIONS {
        return Invalid::err(format!("EvaluateOnExit can have at most {MOST_CONDITIONS} conditions"));
    }
    let evaluate_on_exit = given.evaluate_on_exit.iter().map(condition).collect::<Result<_, _>>()?;
    Ok(Some(RetryStrategy { attempts, evaluate_on_exit }))
}

fn condition(given: &Condition) -> Result<EvaluateOnExit, Invalid> {
    let Condition { on_status_reason, on_reason, on_exit_code, action } = given;
    if on_status_reason.is_none() && on_reason.is_none() && on_exit_code.is_none() {
        return Invalid::err("EvaluateOnExit should contain at least one of onExitCode, onReason or onStatusReason");
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == ':' || c.is_ascii_whitespace();
    pattern(on_status_reason.as_deref(), word)?;
    pattern(on_reason.as_deref(), word)?;
    pattern(on_exit_code.as_deref(), |c| c.is_ascii_digit())?;
    let action = match action.to_ascii_uppercase().as_str() {
        "RETRY" => RetryAction::Retry,
        "EXIT" => RetryAction::Exit,
        _ => return Invalid::err(format!("EvaluateOnExit action must be one of [RETRY, EXIT], got {action}.")),
    };
    Ok(EvaluateOnExit {
        on_status_reason: on_status_reason.clone(),
        on_reason: on_reason.clone(),
        on_exit_code: on_exit_code.clone(),
        action,
    })
}

fn pattern(given: Option<&str>, allowed: impl Fn(char) -> bool) -> Result<(), Invalid> {
    let Some(given) = given else { return Ok(()) };
    if given.chars().count() > 512 {
        return Invalid::err("Evaluate on exit condition cannot exceed 512 characters.");
    }
    if !given.strip_suffix('*').unwrap_or(given).chars().all(allowed) {
        return Invalid::err("Evaluate on exit condition contains restricted characters.");
    }
    Ok(())
}

/// Reads `timeout`: seconds that an attempt may run.
pub(crate) fn timeout_seconds(given: &Timeout) -> Result<Option<u32>, Invalid> {
    match given.attempt_duration_seconds {
        None => Ok(None),
        Some(seconds) if seconds < 60 => Invalid::err("AttemptDurationSeconds in Timeout must be at least 60 seconds."),
        // There is no maximum; 136 years are as good as none.
        Some(seconds) => Ok(Some(u32::try_from(seconds).unwrap_or(u32::MAX))),
    }
}
