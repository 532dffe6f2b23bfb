//! Jobs as text.
//!
//! Invariant: pure; what the API left out is shown as `-`.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

/// Longest reason in a table; `show` has all of it.
const REASON: usize = 80;

/// Summaries of jobs, one a line.
pub(super) fn table(jobs: &[Value], now: Timestamp) -> String {
    if jobs.is_empty() {
        return "no jobs\n".to_owned();
    }
    let mut rows = vec![["JOB", "NAME", "QUEUE", "STATUS", "AGE", "REASON"].map(str::to_owned)];
    for job in jobs {
        let size = job["arrayProperties"]["size"].as_u64().map_or_else(String::new, |size| format!(" [{size}]"));
        rows.push([
            text(&job["jobId"]),
            text(&job["jobName"]) + &size,
            text(&job["jobQueue"]),
            text(&job["status"]),
            job["createdAt"].as_i64().map_or_else(|| "-".to_owned(), |created| age(created, now)),
            shortened(&text(&job["statusReason"])),
        ]);
    }
    aligned(&rows)
}

/// Everything that people want to know of one job.
pub(super) fn job(job: &Value) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| {
        let _never_fails = writeln!(out, "{:<12}{value}", format!("{name}:"));
    };
    for (name, member) in [
        ("Job", "jobId"),
        ("Name", "jobName"),
        ("Queue", "jobQueue"),
        ("Definition", "jobDefinition"),
        ("Status", "status"),
    ] {
        line(name, text(&job[member]));
    }
    line("Reason", text(&job["statusReason"]));
    for (name, member) in [("Created", "createdAt"), ("Started", "startedAt"), ("Stopped", "stoppedAt")] {
        line(name, time(&job[member]));
    }
    let pod = &job["eksProperties"]["podProperties"];
    if pod["podName"].is_string() {
        let namespace = text(&pod["metadata"]["namespace"]);
        line("Pod", format!("{} on {}, namespace {namespace}", text(&pod["podName"]), text(&pod["nodeName"])));
    }
    if let Some(stream) = job["container"]["logStreamName"].as_str() {
        line("Log", stream.to_owned());
    }
    if let Some(counts) = job["arrayProperties"]["statusSummary"].as_object().filter(|counts| !counts.is_empty()) {
        let some = counts.iter().filter(|(_, count)| count.as_u64() != Some(0));
        line("Children", some.map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", "));
    }
    for (number, attempt) in job["eksAttempts"].as_array().into_iter().flatten().enumerate() {
        line(&format!("Attempt {}", number + 1), attempt_line(attempt));
    }
    for (number, attempt) in job["attempts"].as_array().into_iter().flatten().enumerate() {
        line(&format!("Attempt {}", number + 1), container_line(attempt));
    }
    out
}

/// An attempt of a job of one container, of which the API does not say where it was.
fn container_line(attempt: &Value) -> String {
    let container = &attempt["container"];
    let reasons = [&attempt["statusReason"], &container["reason"]].into_iter().filter_map(Value::as_str);
    format!("{}: {}", exit(container), reasons.collect::<Vec<_>>().join(": "))
}

fn exit(container: &Value) -> String {
    container["exitCode"].as_i64().map_or_else(|| "did not run".to_owned(), |code| format!("exit code {code}"))
}

fn attempt_line(attempt: &Value) -> String {
    let codes: Vec<String> = attempt["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|container| format!("{} {}", text(&container["name"]), exit(container)))
        .collect();
    let reason = attempt["statusReason"].as_str().map_or_else(String::new, |reason| format!(": {reason}"));
    format!("{} on {}, {}{reason}", text(&attempt["podName"]), text(&attempt["nodeName"]), codes.join(", "))
}

fn text(value: &Value) -> String {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

fn time(value: &Value) -> String {
    let time = value.as_i64().and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok());
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.0}"))
}

/// As kubectl shows it: the two largest units at most.
fn age(created: i64, now: Timestamp) -> String {
    let seconds = (now.as_millisecond() - created).max(0) / 1000;
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn shortened(reason: &str) -> String {
    if reason.chars().count() <= REASON {
        return reason.to_owned();
    }
    reason.chars().take(REASON - 1).chain(['…']).collect()
}

fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-01T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_table_has_a_line_per_job_and_columns_that_stand_below_each_other() {
        let created = now().as_millisecond() - 90_000;
        let jobs = [
            json!({"jobId": "a", "jobName": "n", "jobQueue": "q", "status": "RUNNABLE", "createdAt": created, "statusReason": "r"}),
            json!({"jobId": "bb", "jobName": "array", "jobQueue": "q", "status": "PENDING", "createdAt": created, "arrayProperties": {"size": 3}}),
        ];
        assert_eq!(
            table(&jobs, now()),
            "JOB  NAME       QUEUE  STATUS    AGE  REASON\n\
             a    n          q      RUNNABLE  90s  r\n\
             bb   array [3]  q      PENDING   90s  -\n"
        );
        assert_eq!(table(&[], now()), "no jobs\n");
    }

    #[test]
    fn ages_have_one_unit() {
        for (seconds, expect) in [(0, "0s"), (119, "119s"), (120, "2m"), (7200, "2h"), (172_800, "2d"), (-5, "0s")] {
            assert_eq!(age(now().as_millisecond() - seconds * 1000, now()), expect);
        }
    }

    #[test]
    fn a_long_reason_is_cut_in_a_table() {
        assert_eq!(shortened(&"x".repeat(80)).chars().count(), 80);
        assert!(shortened(&"x".repeat(81)).ends_with("x…"));
    }

    #[test]
    fn one_job_shows_its_pod_its_children_and_its_attempts() {
        let shown = job(&json!({
            "jobId": "a", "jobName": "n", "status": "FAILED", "createdAt": 1_793_534_400_000_i64,
            "eksProperties": {"podProperties": {"podName": "aws-batch.x", "nodeName": "n1", "metadata": {"namespace": "ns"}}},
            "arrayProperties": {"statusSummary": {"FAILED": 1, "PENDING": 0}},
            "eksAttempts": [{
                "podName": "aws-batch.w", "nodeName": "n0", "statusReason": "why",
                "containers": [{"name": "default", "exitCode": 3}, {"name": "other"}],
            }],
        }));
        assert_eq!(
            shown,
            "Job:        a\n\
             Name:       n\n\
             Queue:      -\n\
             Definition: -\n\
             Status:     FAILED\n\
             Reason:     -\n\
             Created:    2026-11-01T12:00:00Z\n\
             Started:    -\n\
             Stopped:    -\n\
             Pod:        aws-batch.x on n1, namespace ns\n\
             Children:   1 FAILED\n\
             Attempt 1:  aws-batch.w on n0, default exit code 3, other did not run: why\n"
        );
    }

    #[test]
    fn a_job_of_one_container_shows_where_its_log_is() {
        let shown = job(&json!({
            "jobId": "a", "container": {"logStreamName": "d/default/a-2"}, "eksAttempts": [],
            "attempts": [
                {"container": {"exitCode": 137, "reason": "OutOfMemoryError: x", "logStreamName": "d/default/a-1"}, "statusReason": "why"},
                {"container": {}, "statusReason": "no"},
            ],
        }));
        let lines: Vec<&str> = shown.lines().skip(9).collect();
        assert_eq!(
            lines,
            [
                "Log:        d/default/a-2",
                "Attempt 1:  exit code 137: why: OutOfMemoryError: x",
                "Attempt 2:  did not run: no",
            ]
        );
    }
}
