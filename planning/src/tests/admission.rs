//! Cases of Jobs whose pods the cluster refuses, or would not put into the queue.

use model::snapshot::Place;
use model::status::{JobState, Status};

use super::build::{before, bound, check, waiting, world};

fn placed(refusal: &str, places: &[Place]) -> super::build::World {
    let refusal = refusal.to_owned();
    world()
        .unmanaged("ce")
        .queue("q", 1, &["ce"])
        .node("ce", "n", 4000)
        .job("q", "j", 2, 500, 100)
        .pods(places)
        .that_job(|job| job.refusal = Some(refusal))
}

#[test]
fn a_refusal_is_the_reason_as_long_as_pods_are_missing() {
    check(
        &placed("pods is forbidden: exceeded quota: q", &[]),
        "j Starting ADMISSION:PODS_REFUSED: the cluster refuses its pods: pods is forbidden: exceeded quota: q",
    );
    check(&placed("no", &[bound("n")]), "j Running ADMISSION:PODS_REFUSED: the cluster refuses its pods: no");
    check(&placed("no", &[bound("n"), bound("n")]), "j Running");
}

#[test]
fn a_refusal_of_the_host_network_names_what_helps() {
    let message = "pods is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)";
    check(
        &placed(message, &[]),
        &format!(
            "j Starting ADMISSION:PODS_REFUSED: the cluster refuses its pods: {message}; for pods without the host network, \
             create the Job with annotation bulkhead.dev/host-network: \"false\", or set hostNetwork: false on its JobQueue"
        ),
    );
}

#[test]
fn whoever_refuses_the_host_network_calls_it_something_else() {
    let check = |message: &str, expected: bool| {
        let said = crate::explain::pods_refused(message).message;
        assert_eq!(said.contains("annotation bulkhead.dev/host-network: \"false\""), expected, "{said}");
    };
    check("Sharing the host namespaces is disallowed. The fields spec.hostNetwork, spec.hostIPC must be unset", true);
    check(
        "provider restricted-v2: .spec.securityContext.hostNetwork: Invalid value: true: Host network is not allowed",
        true,
    );
    check("The specified hostNetwork and hostPort are not allowed, pod: x", true);
    check("host-network pods need approval", true);
    check("Host Networking is off limits", true);
    check(
        "Pod \"x\" is invalid: spec.containers[0].ports[0].hostPort: Invalid value: 80: must match `containerPort` when `hostNetwork` is true",
        true,
    );
    check("Pod \"x\" is invalid: spec.containers[1].ports[0].hostPort: Duplicate value: \"80\"", true);
    check("violates PodSecurity \"baseline:latest\": hostPort (container \"main\" uses hostPort 80)", false);
    check("exceeded quota: q", false);
}

#[test]
fn a_refusal_is_not_written_again() {
    let written = Status { state: JobState::Starting, reason: Some(crate::explain::pods_refused("no")) };
    check(&placed("no", &[]).that_job(|job| job.status = Some(written)), "");
}

#[test]
fn without_the_hook_for_pods_nothing_is_released_and_what_is_there_goes_on() {
    let base =
        world().unmanaged("ce").queue("q", 1, &["ce"]).node("ce", "n", 4000).with(|world| world.hooks_missing = true);
    check(
        &base.clone().job("q", "j", 2, 500, 10),
        "j Runnable ADMISSION:HOOKS_MISSING: the API server does not call Bulkhead: its MutatingWebhookConfiguration `bulkhead` \
         is missing or lacks pods.bulkhead.dev, or `zz-bulkhead` is or lacks late-pods.bulkhead.dev; apply Bulkhead's manifest again",
    );
    let released = base.job("q", "j", 1, 500, 10).pods(&[waiting()]).that_job(|job| job.started = Some(before(1)));
    check(&released, "dispatch j-0 to n of CE\nj Starting");
}

#[test]
fn without_the_hook_for_pods_no_machine_is_launched() {
    let base = world().managed("ce", 4).queue("q", 1, &["ce"]).with(|world| world.hooks_missing = true);
    assert!(crate::plan(&base.job("q", "j", 2, 500, 10).0, super::build::noon()).launch.is_empty());
}
