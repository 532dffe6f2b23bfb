//! When each step of a Job's start was seen, on the client's clock, counted from its create call. Decides only.

use std::collections::BTreeMap;
use std::time::Duration;

/// A step of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The create call has returned: admission is over, the Job is stored.
    Created,
    /// The Job's `spec.suspend` has become false.
    Released,
    /// The BatchNode exists.
    MachineMade,
    /// The machine's Node is Ready.
    NodeReady,
    /// The Job's pod exists.
    PodMade,
    /// The pod has a node.
    Bound,
    /// The pod's container has started.
    Started,
}

impl Step {
    /// What it says in a table.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Created => "create call returned",
            Self::Released => "Job released",
            Self::MachineMade => "BatchNode created",
            Self::NodeReady => "node Ready",
            Self::PodMade => "pod created",
            Self::Bound => "pod bound",
            Self::Started => "container started",
        }
    }
}

/// What a watch has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A Job and whether it is suspended.
    Job { name: String, suspended: bool },
    /// A pod, the Job it is of, and how far it is.
    Pod { job: String, bound: bool, started: bool },
    /// A BatchNode.
    Machine { name: String, environment: String },
    /// A Ready node.
    NodeReady { name: String },
}

/// One Job's start.
#[derive(Clone, Debug, Default)]
pub(super) struct Timeline {
    job: String,
    /// The environment that has no machine, if one is to come.
    environment: Option<String>,
    /// The machine that came.
    machine: Option<String>,
    /// It was seen suspended; otherwise there is nothing to release.
    held: bool,
    steps: BTreeMap<Step, Duration>,
}

impl Timeline {
    /// Of a Job of this name; a machine of the environment belongs to it.
    pub(super) fn new(job: &str, environment: Option<&str>) -> Self {
        Self { job: job.to_owned(), environment: environment.map(ToOwned::to_owned), ..Self::default() }
    }

    /// Notes a step, the first time it is seen.
    pub(super) fn note(&mut self, step: Step, at: Duration) {
        self.steps.entry(step).or_insert(at);
    }

    /// Notes what a watch has shown, as far as it is about this Job.
    pub(super) fn saw(&mut self, at: Duration, seen: Seen) {
        match seen {
            Seen::Job { name, suspended: true } if name == self.job => self.held = true,
            Seen::Job { name, suspended: false } if name == self.job && self.held => self.note(Step::Released, at),
            Seen::Pod { job, bound, started } if job == self.job => {
                self.note(Step::PodMade, at);
                if bound {
                    self.note(Step::Bound, at);
                }
                if started {
                    self.note(Step::Started, at);
                }
            }
            Seen::Machine { name, environment } if Some(&environment) == self.environment.as_ref() => {
                self.note(Step::MachineMade, at);
                self.machine.get_or_insert(name);
            }
            Seen::NodeReady { name } if Some(&name) == self.machine.as_ref() => self.note(Step::NodeReady, at),
            _ => {}
        }
    }

    /// Whether it is over.
    pub(super) fn is_started(&self) -> bool {
        self.steps.contains_key(&Step::Started) && self.steps.contains_key(&Step::Created)
    }

    /// Steps and when they were seen.
    pub(super) fn steps(&self) -> &BTreeMap<Step, Duration> {
        &self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn each_step_counts_when_it_is_first_seen() {
        let mut it = Timeline::new("j", None);
        it.saw(ms(1), Seen::Job { name: "j".into(), suspended: true });
        it.saw(ms(2), Seen::Job { name: "j".into(), suspended: false });
        it.saw(ms(3), Seen::Job { name: "j".into(), suspended: false });
        it.saw(ms(4), Seen::Pod { job: "other".into(), bound: true, started: true });
        it.saw(ms(5), Seen::Pod { job: "j".into(), bound: true, started: false });
        it.saw(ms(6), Seen::Pod { job: "j".into(), bound: true, started: true });
        assert!(!it.is_started(), "the call has not returned");
        it.note(Step::Created, ms(7));
        assert!(it.is_started());
        let expect =
            [(Step::Created, 7), (Step::Released, 2), (Step::PodMade, 5), (Step::Bound, 5), (Step::Started, 6)];
        assert_eq!(it.steps(), &expect.map(|(step, at)| (step, ms(at))).into());
    }

    #[test]
    fn a_job_that_was_never_held_is_not_released() {
        let mut it = Timeline::new("j", None);
        it.saw(ms(1), Seen::Job { name: "j".into(), suspended: false });
        assert_eq!(it.steps().len(), 0);
    }

    #[test]
    fn only_a_machine_of_the_environment_counts_and_only_its_node() {
        let mut it = Timeline::new("j", Some("cold"));
        it.saw(ms(1), Seen::Machine { name: "a".into(), environment: "other".into() });
        it.saw(ms(2), Seen::NodeReady { name: "a".into() });
        it.saw(ms(3), Seen::Machine { name: "b".into(), environment: "cold".into() });
        it.saw(ms(4), Seen::NodeReady { name: "b".into() });
        assert_eq!(it.steps(), &[(Step::MachineMade, ms(3)), (Step::NodeReady, ms(4))].into());
    }
}
