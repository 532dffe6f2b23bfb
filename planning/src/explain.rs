//! Why something waits: one note per environment, made into one reason.
//!
//! Invariant: a text depends only on what it names, so it does not change (and is not written) while nothing changes.

use jiff::Timestamp;
use model::keys;
use model::placement::{Effect, Shape, Taint};
use model::quantity::format_milli;
use model::resources::{Resources, describe};
use model::snapshot::{Closed, Offer, Scaling, Setback, Write};
use model::status::{Code, Reason};

use crate::labels;

/// Why one environment does not take a unit now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) code: Code,
    pub(crate) text: String,
    /// A longer wait on this environment is pointless: others may be asked.
    pub(crate) is_final: bool,
    /// Nothing was reserved: the next unit of the same shape fares no better in this cycle.
    pub(crate) is_last: bool,
}

impl Note {
    fn new(code: Code, text: String) -> Self {
        let is_final = !matches!(code, Code::Launching);
        Self { code, text, is_final, is_last: is_final }
    }

    pub(crate) fn not_found(name: &str) -> Self {
        Self::new(Code::EnvironmentNotFound, format!("compute environment {name} does not exist"))
    }

    pub(crate) fn disabled(environment: &str) -> Self {
        Self::new(Code::EnvironmentDisabled, format!("compute environment {environment} is DISABLED"))
    }

    pub(crate) fn invalid(environment: &str, problem: &str) -> Self {
        Self::new(Code::EnvironmentInvalid, format!("compute environment {environment} is INVALID: {problem}"))
    }

    /// The namespace that a job itself names takes no pods of the API.
    pub(crate) fn closed(namespace: &str, why: &Closed) -> Self {
        Self::new(Code::ServiceRolePermissions, crate::rights::closed(namespace, why))
    }

    pub(crate) fn provider(environment: &str, message: &str) -> Self {
        Self::new(Code::ProviderError, format!("compute environment {environment}: {message}"))
    }

    pub(crate) fn no_offer(environment: &str, scaling: &Scaling, offers: &[Offer]) -> Self {
        let names: Vec<&str> = offers.iter().map(|offer| offer.name.as_str()).collect();
        let spot = if scaling.spot { "spot " } else { "" };
        let what = match scaling.instance_types.as_slice() {
            _ if names.is_empty() => "its provider offers nothing".to_owned(),
            [] => format!("no {spot}offer of its provider; it offers [{}]", names.join(", ")),
            types => format!(
                "no {spot}offer of its provider matches instanceTypes [{}]; it offers [{}]",
                types.join(", "),
                names.join(", ")
            ),
        };
        let text = format!("compute environment {environment}: {what}");
        Self::new(Code::ResourceRequirement, text)
    }

    /// `taint`: the one that keeps it away where its requests would fit.
    pub(crate) fn too_large(environment: &str, shape: &Shape, largest: &Resources, taint: Option<&Taint>) -> Self {
        let short: Vec<String> = shape
            .requests
            .shortages(largest)
            .map(|(name, wanted, there)| {
                format!("{} requested, {} on its largest node", describe(name, wanted), describe(name, there))
            })
            .collect();
        let what = match taint {
            _ if !short.is_empty() => short.join("; "),
            Some(taint) => format!("its nodes have the taint {}, which the pod does not tolerate", taint_text(taint)),
            None => labels::missing(shape),
        };
        Self::new(Code::ResourceRequirement, format!("compute environment {environment} can never run it: {what}"))
    }

    pub(crate) fn max_resource(environment: &str, least: i64, max: i64) -> Self {
        let text = format!(
            "compute environment {environment}: the smallest machine that fits has {} vCPUs, maxvCpus is {}",
            format_milli(least),
            format_milli(max)
        );
        Self::new(Code::MaxResource, text)
    }

    pub(crate) fn limit(environment: &str, used: i64, max: i64, least: i64) -> Self {
        let text = format!(
            "compute environment {environment} is at its limit: its machines have {} of {} vCPUs (maxvCpus), another one needs {}",
            format_milli(used),
            format_milli(max),
            format_milli(least)
        );
        Self::new(Code::MaxVcpus, text)
    }

    pub(crate) fn setback(environment: &str, offer: Option<&str>, setback: &Setback) -> Self {
        let code = if setback.capacity { Code::InsufficientCapacity } else { Code::ProviderError };
        let offer = offer.map_or_else(String::new, |offer| format!(" {offer}"));
        Self::new(code, format!("compute environment {environment}:{offer} {}", setback.message))
    }

    pub(crate) fn in_flight(environment: &str, coming: usize) -> Self {
        let text = format!(
            "compute environment {environment} is launching {coming} machines; its provider has to deliver these before more follow"
        );
        Self { is_last: true, ..Self::new(Code::Launching, text) }
    }

    /// Its vCPUs are kept for something that came before and needs a larger machine.
    pub(crate) fn making_way(environment: &str) -> Self {
        let text =
            format!("compute environment {environment} keeps its vCPUs for work ahead that needs a larger machine");
        Self::new(Code::Behind, text)
    }

    pub(crate) fn launching(environment: &str) -> Self {
        Self::new(Code::Launching, format!("compute environment {environment} is launching a machine for it"))
    }

    /// `requests`: in words.
    pub(crate) fn no_room(environment: &str, requests: &str, nodes: usize) -> Self {
        let text = if nodes == 0 {
            let label = keys::CE_UUID;
            format!(
                "compute environment {environment} has no node that is Ready; label one with {label}, the value is its status.uuid"
            )
        } else {
            format!("compute environment {environment}: none of its {nodes} nodes has room for {requests} now")
        };
        Self::new(Code::NoRoom, text)
    }
}

/// One reason from the notes of all environments, in their order.
pub(crate) fn reason(notes: &[Note]) -> Reason {
    let settled = |note: &&Note| {
        matches!(
            note.code,
            Code::EnvironmentNotFound | Code::EnvironmentDisabled | Code::MaxResource | Code::ResourceRequirement
        )
    };
    let code = notes
        .iter()
        .find(|note| note.code == Code::Launching)
        .or_else(|| notes.iter().find(|note| !settled(note)))
        .or_else(|| notes.first())
        .map_or(Code::EnvironmentNotFound, |note| note.code);
    let texts: Vec<&str> = notes.iter().map(|note| note.text.as_str()).collect();
    Reason { code, message: texts.join("; ") }
}

/// The reason of something that has no queue.
pub(crate) fn queue_not_found(name: &str) -> Reason {
    let message = format!(
        "job queue {name} does not exist; create it, or end the job and submit it to another queue (a Job: with another label \
         bulkhead.dev/queue)"
    );
    Reason { code: Code::QueueNotFound, message }
}

/// The reason of something whose queue is disabled.
pub(crate) fn queue_disabled(name: &str) -> Reason {
    Reason { code: Code::QueueDisabled, message: format!("job queue {name} is DISABLED") }
}

/// The reason of a Job that its user holds.
pub(crate) fn held() -> Reason {
    let message = "held by its user (suspend: true); set spec.suspend to false to let it go".to_owned();
    Reason { code: Code::Held, message }
}

/// The reason of a Job whose deadline would start before all the units can that will ever run together: about `most`, if not all. Where
/// it waits for others to leave it does so `until` then.
pub(crate) fn not_together(
    fit: u32,
    wanted: u32,
    most: Option<i64>,
    until: Option<Timestamp>,
    blocked: &Reason,
) -> Reason {
    let start = most.map_or_else(
        || "a Job starts with all of them".to_owned(),
        |most| {
            let most = most.max(i64::from(fit) + 1);
            format!("a Job starts with as many as can ever run together, here about {most}")
        },
    );
    let fewer = until.map_or_else(String::new, |until| format!(", or at {until} with those that fit"));
    let message = format!(
        "{fit} of {wanted} units would fit; with activeDeadlineSeconds {start}{fewer}, because its clock starts then: {}",
        blocked.message
    );
    Reason { code: blocked.code, message }
}

/// The same reason, of a Job whose clock runs while some of its units wait.
pub(crate) fn clock_runs(mut reason: Reason) -> Reason {
    reason.message.push_str("; its activeDeadlineSeconds go on while it waits");
    reason
}

/// The reason of a Job that may not be released, because its pods would run outside of the queue.
pub(crate) fn hooks_missing() -> Reason {
    let message =
        "the API server does not call Bulkhead: its MutatingWebhookConfiguration `bulkhead` is missing or lacks \
                   pods.bulkhead.dev, or `zz-bulkhead` is or lacks late-pods.bulkhead.dev; apply Bulkhead's manifest again"
            .to_owned();
    Reason { code: Code::HooksMissing, message }
}

/// What Pod Security, policy engines and the API server itself call the host network, without case and what joins words. A host port
/// alone is the user's own, and nothing here would help; but with the host network each port is one, and the same twice is refused.
fn is_about_host_network(refusal: &str) -> bool {
    let words: String = refusal.chars().filter(|c| !c.is_whitespace() && !"-_'`\"".contains(*c)).collect();
    let words = words.to_lowercase();
    ["hostnetwork", "hostnamespace"].iter().any(|word| words.contains(word))
        || words.contains(".hostport:duplicatevalue")
}

/// The reason of a Job whose pods the cluster refuses.
pub(crate) fn pods_refused(refusal: &str) -> Reason {
    let help = if is_about_host_network(refusal) {
        "; for pods without the host network, create the Job with annotation bulkhead.dev/host-network: \"false\", or set \
         hostNetwork: false on its JobQueue"
    } else {
        ""
    };
    Reason { code: Code::PodsRefused, message: format!("the cluster refuses its pods: {refusal}{help}") }
}

/// The reason of a Job or unit to which the cluster does not let happen what was planned.
pub(crate) fn write_refused(write: Write, message: &str) -> Reason {
    let what = match write {
        Write::Release => "the Job cannot be released",
        Write::Status => "state and reason cannot be written on the Job",
        Write::Bind => "the pod cannot be put on a node",
        Write::Hold => "the pod cannot be handed to kube-scheduler",
    };
    let message = format!("{what}: {message}; it is tried again and again, and others pass it meanwhile");
    Reason { code: Code::WriteRefused, message }
}

/// What a queue says of the jobs to which that happens.
pub(crate) fn refused_in_queue(count: usize, first: &str, message: &str) -> String {
    format!("the cluster does not take what Bulkhead writes to {count} of its jobs; {first}: {message}")
}

/// The reason of a Job that runs nothing.
pub(crate) fn nothing_to_run() -> Reason {
    Reason { code: Code::Held, message: "its parallelism is 0; raise it to let it go".to_owned() }
}

/// The reason of something behind a job that waits.
pub(crate) fn behind(what: &str) -> Reason {
    Reason { code: Code::Behind, message: format!("waits behind {what}, which waits itself (strictFifo)") }
}

/// The reason of a unit that kube-scheduler is placing.
pub(crate) fn with_scheduler(refused: bool) -> Reason {
    let message = if refused {
        "kube-scheduler finds no node for it among those with room (see the pod's PodScheduled condition)".to_owned()
    } else {
        "room is held; kube-scheduler is choosing the node".to_owned()
    };
    Reason { code: Code::KubeScheduler, message }
}

/// The reason of a Job of which a pod does not start, although it was dispatched, or may not be.
pub(crate) fn pods_wait(why: &str) -> Reason {
    Reason { code: Code::PodsWait, message: format!("a pod of it does not start: {why}") }
}

/// The reason of a Job that was released and has no pods yet.
pub(crate) fn creating_pods() -> Reason {
    Reason { code: Code::CreatingPods, message: "released; the Job controller is creating its pods".to_owned() }
}

/// As `kubectl taint` writes it.
pub(crate) fn taint_text(taint: &Taint) -> String {
    let effect = match taint.effect {
        Effect::NoSchedule => "NoSchedule",
        Effect::PreferNoSchedule => "PreferNoSchedule",
        Effect::NoExecute => "NoExecute",
    };
    let value = if taint.value.is_empty() { String::new() } else { format!("={}", taint.value) };
    format!("{}{value}:{effect}", taint.key)
}
