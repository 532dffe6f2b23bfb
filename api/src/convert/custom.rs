//! The custom resources as the planner sees them.
//!
//! Invariant: an object that is being deleted takes no work. Does not judge whether names in them exist.

use jiff::{SignedDuration, Timestamp};
use model::job::TimeLimit;
use model::names::ArnBase;
use model::resources::Resources;
use model::snapshot::{Environment, Machine, Offer, Queue, Scaling, Setback, Stage};

use super::requests::from_texts;
use super::{Problems, duration};
use crate::crd::{BatchNode, ComputeEnvironment, EnvironmentType, JobQueue, JobStateTimeLimitAction, Phase, State};

/// Stands in for a `scaleDownDelay` that is no duration: the default of the field.
const SCALE_DOWN_DELAY: SignedDuration = SignedDuration::from_mins(1);

/// Instance types that stand for whatever there is.
const ANY: [&str; 2] = ["optimal", "default_x86_64"];

/// Why a MANAGED environment without provider launches nothing.
const NO_PROVIDER: &str = "no node provider is named: set spec.provider, for example {external: {url: \"http://…\"}}; compute \
    environments made through the AWS API get the one that the controller's --default-provider names";

/// UUID that the nodes of a compute environment carry: the one in its status, else that of its ARN.
pub fn environment_uuid(object: &ComputeEnvironment, arn: &ArnBase) -> String {
    let stored = object.status.as_ref().and_then(|status| status.uuid.clone()).filter(|uuid| !uuid.is_empty());
    stored.unwrap_or_else(|| arn.compute_environment_uuid(object.aws_name()))
}

/// What is known of the provider of an environment.
#[derive(Debug)]
pub struct Known {
    /// What it offers, or why that is not known.
    pub offers: Result<Vec<Offer>, String>,
    /// Until when it may offer more.
    pub unsettled_until: Option<Timestamp>,
    /// Which launches are not to be repeated yet.
    pub setbacks: Vec<Setback>,
    /// How many machines it has delivered since it last failed.
    pub delivered: u32,
}

/// A compute environment, with what is known of its provider.
pub fn environment(object: &ComputeEnvironment, arn: &ArnBase, known: Known, problems: &mut Problems) -> Environment {
    let Known { offers, unsettled_until, setbacks, delivered } = known;
    let spec = &object.spec;
    let any = spec.instance_types.iter().any(|name| ANY.contains(&name.as_str()));
    let delay = duration(&spec.scale_down_delay).unwrap_or_else(|| {
        problems.push(format!(
            "scaleDownDelay {:?} is no duration such as 90s or 1h30m; 1m is used",
            spec.scale_down_delay
        ));
        SCALE_DOWN_DELAY
    });
    let scaling = || Scaling {
        min_milli: i64::from(spec.minv_cpus) * 1000,
        max_milli: i64::from(spec.maxv_cpus) * 1000,
        instance_types: if any { Vec::new() } else { spec.instance_types.clone() },
        spot: spec.allocation_strategy.is_spot(),
        scale_down_delay: delay,
        offers: if spec.provider.is_some() { offers } else { Err(NO_PROVIDER.to_owned()) },
        setbacks,
        learned: std::collections::BTreeMap::new(),
        unsettled_until: unsettled_until.filter(|_| spec.provider.is_some()),
        delivered,
    };
    Environment {
        name: object.metadata.name.clone().unwrap_or_default(),
        aws_name: object.aws_name().to_owned(),
        uuid: environment_uuid(object, arn),
        namespace: spec.namespace.clone(),
        enabled: spec.state == State::Enabled && object.metadata.deletion_timestamp.is_none(),
        scaling: (spec.type_ == EnvironmentType::Managed).then(scaling),
    }
}

/// A job queue.
pub fn queue(object: &JobQueue) -> Queue {
    Queue {
        name: object.metadata.name.clone().unwrap_or_default(),
        aws_name: object.aws_name().to_owned(),
        priority: object.spec.priority,
        enabled: object.spec.state == State::Enabled && object.metadata.deletion_timestamp.is_none(),
        environments: object.spec.compute_environments.clone(),
        strict_fifo: object.spec.strict_fifo,
    }
}

/// How long jobs of a queue may wait, by its AWS name; `None`: as long as they like.
pub fn time_limits(object: &JobQueue) -> Option<(String, Vec<TimeLimit>)> {
    let limit = |action: &JobStateTimeLimitAction| TimeLimit {
        reason: action.reason.clone(),
        max_seconds: action.max_time_seconds,
    };
    let limits: Vec<TimeLimit> = object.spec.job_state_time_limit_actions.iter().map(limit).collect();
    (!limits.is_empty()).then(|| (object.aws_name().to_owned(), limits))
}

/// Requests that a queue gives to pods in which no container states requests or limits.
pub fn default_requests(object: &JobQueue, problems: &mut Problems) -> Resources {
    let texts = object.spec.default_requests.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    from_texts(texts, "defaultRequests", problems)
}

/// The machine that a `BatchNode` stands for.
pub fn machine(object: &BatchNode, problems: &mut Problems) -> Machine {
    let spec = &object.spec;
    let stage = match object.phase() {
        _ if object.metadata.deletion_timestamp.is_some() => Stage::Going,
        Phase::Pending | Phase::Launching => Stage::Coming,
        Phase::Ready => Stage::Serving,
        Phase::Retiring | Phase::Terminating => Stage::Going,
    };
    let texts = spec.allocatable.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    Machine {
        name: object.metadata.name.clone().unwrap_or_default(),
        environment: spec.compute_environment.clone(),
        offer: spec.offer.clone(),
        milli_vcpus: i64::try_from(spec.milli_vcpus).unwrap_or(i64::MAX),
        allocatable: from_texts(texts, "allocatable", problems),
        labels: spec.labels.clone(),
        stage,
    }
}

#[cfg(test)]
#[path = "custom_tests.rs"]
mod tests;
