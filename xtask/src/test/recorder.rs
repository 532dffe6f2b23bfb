//! Records what happens in a cluster while tests run in it: events, and the logs of every container of Bulkhead, also of
//! those that tests kill and of objects that tests remove. Kept only if the tests fail.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result};

use super::children::{self, Handle};
use super::kubectl::Kubectl;
use crate::image::root;

const NAMESPACE: &str = "bulkhead-system";
/// One line per change of a pod: its name, then `container=` and since when it runs, of every container.
const RUNNING: &str = "go-template={{.metadata.name}}{{range .status.containerStatuses}} {{.name}}=\
                       {{if .state.running}}{{.state.running.startedAt}}{{end}}{{end}}{{\"\\n\"}}";
/// What one event is in the record.
const EVENT: &str = "custom-columns=TIME:.metadata.creationTimestamp,NAMESPACE:.involvedObject.namespace,\
                     KIND:.involvedObject.kind,NAME:.involvedObject.name,REASON:.reason,MESSAGE:.message";

/// A recording.
pub(super) struct Recorder {
    files: Files,
    /// Logs of the cluster's own components, if they are on this machine.
    components: Option<PathBuf>,
    watches: Vec<Handle>,
    follower: Option<JoinHandle<()>>,
}

/// kubectl commands whose output goes to files.
#[derive(Clone)]
struct Files {
    kubectl: Kubectl,
    into: PathBuf,
}

impl Files {
    fn command(&self, args: &[&str], into: &str) -> Result<Command> {
        let path = self.into.join(into);
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut command = self.kubectl.command(args);
        command.stderr(file.try_clone()?).stdout(file);
        Ok(command)
    }
}

impl Recorder {
    /// Begins to record into `target/e2e-logs/<name>`; the record of the run before goes.
    pub(super) fn start(kubectl: Kubectl, name: &str, components: Option<PathBuf>) -> Result<Self> {
        let into = root().join("target/e2e-logs").join(name);
        if into.exists() {
            fs::remove_dir_all(&into).with_context(|| format!("cannot remove {}", into.display()))?;
        }
        fs::create_dir_all(&into).with_context(|| format!("cannot make {}", into.display()))?;
        let files = Files { kubectl, into };
        let events = ["get", "events", "--all-namespaces", "--watch", "-o", EVENT];
        let events = children::start(&mut files.command(&events, "events.txt")?)?;
        let pods = ["get", "pods", "-n", NAMESPACE, "--watch", "-o", RUNNING];
        let mut pods = children::start(files.command(&pods, "pods.err")?.stdout(Stdio::piped()))?;
        let lines = pods.take_stdout().context("standard output was asked for")?;
        let follow = files.clone();
        let follower = Some(std::thread::spawn(move || follow_all(lines, &follow)));
        Ok(Self { files, components, watches: vec![events, pods], follower })
    }

    /// Ends the recording: keeps it and says where it is if the tests failed.
    pub(super) fn finish(self, result: Result<()>) -> Result<()> {
        let into = self.files.into.clone();
        let Err(error) = result else {
            drop(self);
            // The record of a run that passed is of no use; what cannot be removed now is removed by the next run.
            let _next_time = fs::remove_dir_all(&into);
            return Ok(());
        };
        if children::stopping() {
            return Err(error);
        }
        self.snapshot();
        Err(error.context(format!("end-to-end tests failed; logs and events are in {}", into.display())))
    }

    /// Adds how things are now; what cannot be asked for is left out, because the tests' failure is what counts.
    fn snapshot(&self) {
        let questions: [(&[&str], &str); 4] = [
            (&["describe", "pods", "-n", NAMESPACE], "bulkhead-pods.txt"),
            (&["describe", "nodes"], "nodes.txt"),
            (&["get", "ce,jq,bn", "-o", "yaml"], "bulkhead-objects.yaml"),
            (&["get", "pods,jobs", "--all-namespaces", "-o", "wide"], "pods-and-jobs.txt"),
        ];
        for (args, into) in questions {
            let _left_out = self.files.command(args, into).and_then(|mut command| children::run(&mut command));
        }
        if let Some(Err(error)) = self.components.as_ref().map(|from| copy_logs(from, &self.files.into)) {
            eprintln!("the logs of the cluster's components could not be copied: {error:#}");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Its watch is at an end; so it stops what it follows, and ends.
        self.watches.clear();
        let _panicked = self.follower.take().map(JoinHandle::join);
    }
}

/// Follows the log of every container as soon as it runs, until the watch ends.
fn follow_all(lines: ChildStdout, files: &Files) {
    let mut followers = Vec::new();
    let mut seen = BTreeSet::new();
    for line in BufReader::new(lines).lines().map_while(Result::ok) {
        for (pod, container, started) in containers(&line) {
            if !seen.insert((pod.clone(), container.clone(), started)) {
                continue;
            }
            let into = format!("{pod}.{container}.{}.log", seen.len());
            let args = ["logs", "--follow", "-n", NAMESPACE, &pod, "-c", &container];
            // Told to stop, or the disk is full: the tests say so better than a log that is missing.
            if let Ok(follower) = files.command(&args, &into).and_then(|mut command| children::start(&mut command)) {
                followers.push(follower);
            }
        }
    }
}

/// Containers that run, in a line of the watch: pod, container, and since when.
fn containers(line: &str) -> Vec<(String, String, String)> {
    let mut words = line.split_whitespace();
    let Some(pod) = words.next() else { return Vec::new() };
    let running = words.filter_map(|word| word.split_once('=')).filter(|(_, started)| !started.is_empty());
    running.map(|(name, started)| (pod.to_owned(), name.to_owned(), started.to_owned())).collect()
}

fn copy_logs(from: &Path, into: &Path) -> Result<()> {
    let into = into.join("cluster");
    fs::create_dir_all(&into)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), into.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_that_run_are_read_from_a_line_of_the_watch() {
        let check = |line: &str, expect: &[(&str, &str)]| {
            let got = containers(line);
            let got: Vec<_> =
                got.iter().map(|(_, container, started)| (container.as_str(), started.as_str())).collect();
            assert_eq!(got, expect, "{line}");
        };
        check("webhook-1", &[]);
        check("webhook-1 webhook=", &[]);
        check("sched-1 sched=2026-01-01T00:00:00Z extender=", &[("sched", "2026-01-01T00:00:00Z")]);
        check("", &[]);
    }
}
