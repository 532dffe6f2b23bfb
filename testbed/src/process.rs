//! Processes that outlive the command that started them: each in a session of its own, with a pid file and a log.
//! Invariant: a pid counts only together with its start time, so a reused pid is never mistaken or killed. Every process
//! carries [`MARKER`] in its environment, so that even one whose pid file was never written is found again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::command;
use crate::files;

/// Environment variable that says whose process it is: `<cluster>/<part>`.
pub(crate) const MARKER: &str = "BULKHEAD_TESTBED";

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
    /// Environment variables on top of ours.
    pub(crate) env: BTreeMap<String, String>,
    /// Network namespace to enter.
    pub(crate) namespace: Option<String>,
    /// Value of [`MARKER`].
    pub(crate) marker: String,
    /// Where its output goes; appended.
    pub(crate) log: PathBuf,
    /// Where its pid is stored.
    pub(crate) pid_file: PathBuf,
}

/// A process as stored in its pid file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    pid: i32,
    /// Start time in clock ticks since boot.
    start: u64,
}

/// What is known about a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// Last known pid.
    pub(crate) pid: Option<i32>,
    /// True if exactly that process runs.
    pub(crate) alive: bool,
}

/// Starts a process unless it already runs; true if it was started.
pub(crate) fn start(what: &Start) -> Result<bool> {
    if state(&what.pid_file).alive {
        return Ok(false);
    }
    fs::create_dir_all(what.log.parent().context("a log has a directory")?)?;
    // The shell ends at once, so the process belongs to init and is reaped there. A background job of a shell without
    // job control leads no process group, so setsid does not fork and the pid stays; nsenter replaces itself too.
    let script = r#"log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!"#;
    let mut line = vec!["-c".to_owned(), script.to_owned(), "sh".to_owned(), what.log.display().to_string()];
    line.extend(["setsid".to_owned(), "env".to_owned(), format!("{MARKER}={}", what.marker)]);
    line.extend(what.env.iter().map(|(name, value)| format!("{name}={value}")));
    if let Some(namespace) = &what.namespace {
        // Not `ip netns exec`: it remounts /sys and hides the control groups.
        line.extend(["nsenter".to_owned(), format!("--net=/run/netns/{namespace}")]);
    }
    line.push(what.program.display().to_string());
    line.extend(what.args.iter().cloned());
    let pid: i32 = command::run("sh", &line)?.trim().parse().context("the shell prints the pid of what it started")?;
    let Some((_, start)) = stat(pid) else {
        bail!("{} ended at once: {}", what.program.display(), last_lines(&what.log));
    };
    files::write_json(&what.pid_file, &Stored { pid, start })?;
    Ok(true)
}

/// Looks a process up by its pid file.
pub(crate) fn state(pid_file: &Path) -> State {
    let Ok(Some(stored)) = files::read_json::<Stored>(pid_file) else { return State { pid: None, alive: false } };
    let alive = stat(stored.pid).is_some_and(|(state, start)| start == stored.start && !matches!(state, 'Z' | 'X'));
    State { pid: Some(stored.pid), alive }
}

/// Kills the process of a pid file and waits until it is gone.
pub(crate) fn kill(pid_file: &Path) {
    if let State { pid: Some(pid), alive: true } = state(pid_file) {
        signal(pid, Signal::KILL);
        wait_until_gone(pid_file, Duration::from_secs(5));
    }
    let _ = fs::remove_file(pid_file);
}

/// Asks the process of a pid file to end, and kills it if it does not within `patience`.
pub(crate) fn stop(pid_file: &Path, patience: Duration) {
    if let State { pid: Some(pid), alive: true } = state(pid_file) {
        signal(pid, Signal::TERM);
        wait_until_gone(pid_file, patience);
    }
    kill(pid_file);
}

fn wait_until_gone(pid_file: &Path, patience: Duration) {
    let end = Instant::now() + patience;
    while state(pid_file).alive && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Kills every process that `ours` says yes to, again and again until none is left.
pub(crate) fn sweep(ours: impl Fn(&Found) -> bool) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let left: Vec<i32> = list().into_iter().filter(&ours).map(|found| found.pid).collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > end {
            bail!("processes {left:?} were killed and do not go away");
        }
        for pid in left {
            signal(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A running process that is not this one.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its id.
    pub(crate) pid: i32,
    /// Its [`MARKER`], if it has one.
    pub(crate) marker: Option<String>,
    /// Its `/proc/<pid>/cgroup`.
    pub(crate) cgroups: String,
}

/// Every process in a group of processes, or below it, that was started with these words first.
pub(crate) fn started_as(group: &str, words: &[&str]) -> Vec<u32> {
    let is_in = |found: &Found| found.cgroups.lines().any(|line| crate::cgroup::is_member(line, group));
    let begins = |found: &Found| {
        let line = fs::read(format!("/proc/{}/cmdline", found.pid)).unwrap_or_default();
        line.split(|byte| *byte == 0).take(words.len()).eq(words.iter().map(|word| word.as_bytes()))
    };
    let found = list().into_iter().filter(|found| is_in(found) && begins(found));
    found.filter_map(|found| u32::try_from(found.pid).ok()).collect()
}

fn list() -> Vec<Found> {
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid != me && stat(*pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X')))
        .map(|pid| Found {
            pid,
            marker: fs::read(format!("/proc/{pid}/environ")).ok().and_then(|bytes| marker(&bytes)),
            cgroups: fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default(),
        })
        .collect()
}

fn marker(environ: &[u8]) -> Option<String> {
    let key = format!("{MARKER}=");
    let entry = environ.split(|byte| *byte == 0).find(|entry| entry.starts_with(key.as_bytes()))?;
    Some(String::from_utf8_lossy(&entry[key.len()..]).into_owned())
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended by itself in the meantime.
        let _ = kill_process(pid, signal);
    }
}

fn stat(pid: i32) -> Option<(char, u64)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// State letter and start time from `/proc/<pid>/stat`; the name in parentheses may hold anything.
fn parse_stat(text: &str) -> Option<(char, u64)> {
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    Some((fields.first()?.chars().next()?, fields.get(19)?.parse().ok()?))
}

/// The end of a log, for an error message.
pub(crate) fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let tail = lines[lines.len().saturating_sub(5)..].join("\n");
    format!("the end of {}:\n{tail}", log.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_past_a_name_with_spaces_and_parentheses() {
        let tail = "S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        let check = |text: String, expect: Option<(char, u64)>| assert_eq!(parse_stat(&text), expect, "{text}");
        check(format!("12 (sh) {tail}"), Some(('S', 4711)));
        check(format!("12 (a) b (c) {tail}"), Some(('S', 4711)));
        check("12 (sh) S 1".to_owned(), None);
        check(String::new(), None);
    }

    #[test]
    fn the_marker_is_found_among_other_variables() {
        let check = |environ: &str, expect: Option<&str>| assert_eq!(marker(environ.as_bytes()).as_deref(), expect);
        check("A=b\0BULKHEAD_TESTBED=main/etcd\0C=d\0", Some("main/etcd"));
        check("XBULKHEAD_TESTBED=main/etcd\0", None);
        check("", None);
    }
}
