//! Whether answers are right, and whether what was answered is what is stored. Decides only.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use model::job::JobId;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    job_name: String,
    job_id: JobId,
}

#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<Job>,
}

/// The id that a submission of this name was answered.
pub(super) fn submitted(answer: &[u8], name: &str) -> Result<JobId> {
    let job: Job = serde_json::from_slice(answer).context("a submission is answered without a job")?;
    ensure!(job.job_name == name, "the submission of {name} is answered with {}", job.job_name);
    Ok(job.job_id)
}

/// That a question about these jobs was answered with them and no others.
pub(super) fn described(answer: &[u8], wanted: &[JobId]) -> Result<()> {
    let answer: Jobs = serde_json::from_slice(answer).context("a question is answered without jobs")?;
    let shown: BTreeSet<JobId> = answer.jobs.iter().map(|job| job.job_id).collect();
    let right = shown.len() == answer.jobs.len() && shown == wanted.iter().copied().collect();
    ensure!(right, "a question about {} jobs is answered with {}, or with others", wanted.len(), answer.jobs.len());
    Ok(())
}

/// What is wrong with what is stored, given what was answered: names of submissions, each with its id.
pub(super) fn compared(answered: &[(String, JobId)], stored: &[(String, JobId)]) -> Vec<String> {
    let mut by_name = BTreeMap::<&str, Vec<JobId>>::new();
    for (name, id) in stored {
        by_name.entry(name).or_default().push(*id);
    }
    let (mut lost, mut twice) = (Vec::new(), Vec::new());
    for (name, id) in answered {
        match by_name.remove(name.as_str()).unwrap_or_default()[..] {
            [only] if only == *id => {}
            [] | [_] => lost.push(name.as_str()),
            _ => twice.push(name.as_str()),
        }
    }
    let never = by_name.into_keys().collect();
    let complaints = [
        ("were answered and are not stored", lost),
        ("are stored twice", twice),
        ("are stored and were never answered", never),
    ];
    let wrong = complaints.into_iter().filter(|(_, names)| !names.is_empty());
    wrong.map(|(what, names)| format!("{} jobs {what}; the first: {}", names.len(), names[0])).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::id;
    use super::*;

    #[test]
    fn answers_are_read_and_must_be_about_what_was_asked() {
        let answer = format!(r#"{{"jobArn": "a", "jobName": "n", "jobId": "{}"}}"#, id(1));
        assert_eq!(submitted(answer.as_bytes(), "n").unwrap(), id(1));
        assert!(submitted(answer.as_bytes(), "m").is_err());
        assert!(submitted(b"{}", "n").is_err());
        let answer = |ids: &[usize]| {
            let jobs: Vec<String> =
                ids.iter().map(|it| format!(r#"{{"jobName": "n", "jobId": "{}"}}"#, id(*it))).collect();
            format!(r#"{{"jobs": [{}]}}"#, jobs.join(", "))
        };
        let wanted = [id(1), id(2)];
        assert!(described(answer(&[2, 1]).as_bytes(), &wanted).is_ok());
        for wrong in [&[1][..], &[1, 3], &[1, 2, 2], &[1, 2, 3]] {
            assert!(described(answer(wrong).as_bytes(), &wanted).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_lost_doubled_or_unknown_is_told() {
        let jobs =
            |all: &[(&str, usize)]| all.iter().map(|(name, it)| ((*name).to_owned(), id(*it))).collect::<Vec<_>>();
        let check = |stored: &[(&str, usize)], expect: &[&str]| {
            assert_eq!(compared(&jobs(&[("a", 1), ("b", 2)]), &jobs(stored)), expect, "{stored:?}");
        };
        check(&[("b", 2), ("a", 1)], &[]);
        check(&[("a", 1)], &["1 jobs were answered and are not stored; the first: b"]);
        check(&[("a", 1), ("b", 3)], &["1 jobs were answered and are not stored; the first: b"]);
        check(&[("a", 1), ("b", 2), ("b", 3)], &["1 jobs are stored twice; the first: b"]);
        check(&[("a", 1), ("b", 2), ("c", 3)], &["1 jobs are stored and were never answered; the first: c"]);
    }
}
