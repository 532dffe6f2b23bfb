//! A hostile tenant: an ordinary user with role `edit` in namespaces of their own tries to get at batch nodes, at others' queues and
//! at others' work, while that runs.
//!
//! Invariant: the user acts by the token of a service account, so rights are what the API server makes of them. Each attempt says what must
//! come of it; that nothing came of all of them together is looked at in the end.

mod attempts;
mod names;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use model::keys;
use serde_json::{Value, json};
use tests::{Fixture, PodLog, World, eventually, eventually_for, job, together};
use tokio::task::JoinHandle;

use crate::{Company, Scenario};
use attempts::{Attempt, Expect, attempts, bare, pod};

/// How long an attempt is asked again that was not answered.
const ANSWERED: Duration = Duration::from_mins(5);
/// What kubectl says when the API server, on a machine with other work, has run out of the minute that it gives a request.
const NO_ANSWER: [&str; 2] = ["Error from server (Timeout)", "Client.Timeout exceeded"];
/// An attempt that takes longer is said.
const SLOW: Duration = Duration::from_secs(5);

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "a hostile tenant gets nowhere near others' work, and the API server answers throughout",
        short: "host",
        company: Company::Nobody,
        local_only: true,
        run: |fixture| Box::pin(hostile(fixture)),
    }]
}

/// Others' work, and the nodes it runs on.
struct Theirs {
    namespace: String,
    queue: String,
    environment: String,
    /// The MANAGED and the UNMANAGED node.
    nodes: [String; 2],
    pods: Vec<Running>,
    job_id: String,
    job_uid: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Running {
    name: String,
    uid: String,
    node: String,
    restarts: i32,
}

/// What the tenant may use.
struct Tenant {
    world: World,
    /// Without a queue, and with one that has no nodes.
    plain: String,
    queued: String,
    own_job: String,
}

async fn hostile(fixture: &Fixture) -> Result<()> {
    let theirs = theirs(fixture).await?;
    let tenant = tenant(fixture).await?;
    let binding = ["patch", "validatingadmissionpolicybinding", "bulkhead-tolerates-everything", "--type=merge", "-p"];
    fixture.on_clean(&[&binding[..], &[r#"{"spec":{"validationActions":["Audit"]}}"#]].concat(), "");
    fixture.world.kubectl(&[&binding[..], &[r#"{"spec":{"validationActions":["Deny"]}}"#]].concat()).await?;
    let everything = pod("everything", json!({}), json!({"tolerations": [{"operator": "Exists"}]}));
    eventually("pods that tolerate everything are refused", || async {
        let create = ["create", "--dry-run=server", "-n", &tenant.plain, "-f", "-"];
        let answer = tenant.world.kubectl_with(&create, &everything.to_string()).await;
        Ok(if answer.is_err() { Ok(()) } else { Err("let in".to_owned()) })
    })
    .await?;
    let (probe, before) = (Probe::start(&fixture.world), restarts(fixture).await?);
    let logs = [PodLog::of(&fixture.world, &tenant.plain), PodLog::of(&fixture.world, &tenant.queued)];
    let mut wrong = Vec::new();
    for attempt in attempts(&theirs, &tenant) {
        if let Err(said) = carry_out(&tenant, &attempt).await {
            wrong.push(format!("{}: {said}", attempt.what));
        }
    }
    ensure!(wrong.is_empty(), "{} attempts went otherwise than they should:\n{}", wrong.len(), wrong.join("\n"));
    harmless_by_what_it_became(fixture, &theirs, &tenant).await?;
    // Whoever names a node is evicted or never starts.
    for node in &theirs.nodes {
        eventually(&format!("none of the tenant's pods is on {node}"), || async {
            let mut there = Vec::new();
            for namespace in [&tenant.plain, &tenant.queued] {
                let on = ListParams::default().fields(&format!("spec.nodeName={node},status.phase!=Failed"));
                there.extend(fixture.pods(namespace).list(&on).await?.iter().map(ResourceExt::name_any));
            }
            Ok(if there.is_empty() { Ok(()) } else { Err(format!("{there:?}")) })
        })
        .await?;
    }
    for pod in logs.iter().flat_map(|log| log.pods().into_values()) {
        let on_batch = pod.node.as_ref().is_some_and(|node| theirs.nodes.contains(node));
        ensure!(!(pod.ran && on_batch), "pod {} ran on batch node {:?}", pod.name, pod.node);
    }
    untouched(fixture, &theirs).await?;
    let after = restarts(fixture).await?;
    ensure!(after == before, "restarts of Bulkhead's containers before: {before:?}, after: {after:?}");
    probe.answered_throughout()
}

/// How often each container of Bulkhead was started again. What the stock kube-scheduler keeps of others' pods is its own affair.
async fn restarts(fixture: &Fixture) -> Result<BTreeMap<String, i32>> {
    let pods = fixture.pods(keys::NAMESPACE).list(&ListParams::default()).await?;
    let of_pod = |pod: Pod| {
        let name = pod.name_any();
        let all = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        all.into_iter().map(move |one| (format!("{name}/{}", one.name), one.restart_count))
    };
    Ok(pods.into_iter().flat_map(of_pod).filter(|(name, _)| !name.ends_with("/kube-scheduler")).collect())
}

/// A Job on a machine of a MANAGED environment, and one on a node that its user labelled.
async fn theirs(fixture: &Fixture) -> Result<Theirs> {
    let environment = fixture.managed("ce", 1, "minvCpus: 1, instanceTypes: [local.medium]").await?;
    let labelled = fixture.unmanaged("own").await?;
    let queue = fixture.queue("theirs", 1, &[&environment]).await?;
    let other = fixture.queue("theirs-too", 1, &[&labelled]).await?;
    let namespace = fixture.namespace("theirs", Some(&queue)).await?;
    let node = fixture.label_node(&labelled, "n", "1", "1Gi").await?;
    let mut second: Value = serde_saphyr::from_str(&job("labelled", 1, "100m", "32Mi", "sleep 3600"))?;
    second["metadata"]["labels"] = json!({keys::QUEUE: other});
    fixture.apply(&namespace, &job("managed", 1, "100m", "32Mi", "sleep 3600")).await?;
    fixture.apply(&namespace, &second.to_string()).await?;
    let pods = eventually("others' work runs", || async {
        let running = running(fixture, &namespace).await?;
        Ok(if running.len() == 2 { Ok(running) } else { Err(format!("{running:?}")) })
    })
    .await?;
    eventually("the labelled node is closed to pods that name it", || async {
        let found = fixture.nodes().get(&node).await?;
        let mut taints = found.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        let closed = taints.any(|taint| taint.key == keys::BATCH_TAINT && taint.effect == "NoExecute");
        Ok(if closed { Ok(()) } else { Err(format!("{:?}", found.spec.and_then(|spec| spec.taints))) })
    })
    .await?;
    let managed = pods.iter().find(|pod| pod.node != node).context("both are on one node")?.node.clone();
    let job = fixture.jobs(&namespace).get("managed").await?;
    let job_id = job.labels().get(keys::JOB_ID).context("the Job has no id")?.clone();
    Ok(Theirs {
        namespace,
        queue,
        environment,
        nodes: [managed, node],
        pods,
        job_id,
        job_uid: job.uid().unwrap_or_default(),
    })
}

async fn running(fixture: &Fixture, namespace: &str) -> Result<Vec<Running>> {
    let all = fixture.pods(namespace).list(&ListParams::default().fields("status.phase=Running")).await?;
    let mut running: Vec<Running> = all
        .iter()
        .map(|pod| Running {
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
            restarts: pod
                .status
                .iter()
                .flat_map(|status| status.container_statuses.iter().flatten())
                .map(|container| container.restart_count)
                .sum(),
        })
        .collect();
    running.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(running)
}

/// A service account with role `edit` in two namespaces, and its token.
async fn tenant(fixture: &Fixture) -> Result<Tenant> {
    let nowhere = fixture.unmanaged("nowhere").await?;
    let mine = fixture.queue("mine", 1, &[&nowhere]).await?;
    let plain = fixture.namespace("plain", None).await?;
    let queued = fixture.namespace("queued", Some(&mine)).await?;
    fixture.world.kubectl(&["create", "serviceaccount", "tenant", "-n", &plain]).await?;
    let account = format!("--serviceaccount={plain}:tenant");
    for namespace in [&plain, &queued] {
        let grant = ["create", "rolebinding", "tenant", "-n", namespace, "--clusterrole=edit", &account];
        fixture.world.kubectl(&grant).await?;
    }
    let token = fixture.world.kubectl(&["create", "token", "tenant", "-n", &plain, "--duration=1h"]).await?;
    let world = fixture.world.with_token(token.trim()).await?;
    let own = job("own", 1, "100m", "32Mi", "true");
    let own_job = eventually("the tenant may work in a namespace of their own", || async {
        let applied = world.kubectl_with(&["apply", "-n", &queued, "-f", "-"], &own).await;
        Ok(match applied {
            Ok(_) => Ok(fixture.jobs(&queued).get("own").await?.uid().unwrap_or_default()),
            Err(error) => Err(format!("{error:#}")),
        })
    })
    .await?;
    let waits = pod("waits", json!({"labels": {keys::QUEUE: mine}}), json!({}));
    for (namespace, pod) in [(&plain, bare("mine")), (&queued, waits)] {
        world.kubectl_with(&["create", "-n", namespace, "-f", "-"], &pod.to_string()).await?;
    }
    // It waits for itself, so that more can be made of it.
    let gated = pod("gated", json!({}), json!({"schedulingGates": [{"name": "example.com/mine"}]}));
    world.kubectl_with(&["create", "-n", &plain, "-f", "-"], &gated.to_string()).await?;
    Ok(Tenant { world, plain, queued, own_job })
}

/// `Err`: it went otherwise than it must.
async fn carry_out(tenant: &Tenant, attempt: &Attempt) -> Result<(), String> {
    let short = |said: &str| said.chars().take(400).collect::<String>();
    let answer = answered(tenant, attempt).await?;
    match (answer, attempt.expect) {
        (_, Expect::Harmless | Expect::Answered) | (Ok(_), Expect::LetIn) => Ok(()),
        (Err(said), Expect::LetIn) => Err(format!("not let in: {}", short(&said))),
        (Err(said), Expect::Refused(words)) if said.contains(words) => Ok(()),
        (Err(said), Expect::Refused(words)) => Err(format!("refused, but not with {words:?}: {}", short(&said))),
        (Ok(_), Expect::Refused(words)) => Err(format!("let in; should be refused with {words:?}")),
    }
}

/// What the API server says to it; asked again as long as it says that it had no time, as it may where the machine is slow.
async fn answered(tenant: &Tenant, attempt: &Attempt) -> Result<Result<String, String>, String> {
    let args: Vec<&str> = attempt.args.iter().map(String::as_str).collect();
    let input = attempt.object.as_ref().map(Value::to_string).unwrap_or_default();
    let tries = AtomicU32::new(0);
    let answer = eventually_for(ANSWERED, "the API server answers", || async {
        let begun = Instant::now();
        let answer = tenant.world.kubectl_with(&args, &input).await.map_err(|error| format!("{error:#}"));
        let is_again = tries.fetch_add(1, Ordering::Relaxed) > 0;
        if begun.elapsed() > SLOW {
            eprintln!("{}: {} s", attempt.what, begun.elapsed().as_secs());
        }
        Ok(match answer {
            Err(said) if NO_ANSWER.iter().any(|words| said.contains(words)) => Err(said.chars().take(400).collect()),
            // What was not answered may have been done.
            Err(said) if is_again && said.contains("AlreadyExists") => Ok(Ok(said)),
            answer => Ok(answer),
        })
    });
    answer.await.map_err(|error| format!("{error:#}"))
}

/// What was let in got nothing of others: no id, no rank.
async fn harmless_by_what_it_became(fixture: &Fixture, theirs: &Theirs, tenant: &Tenant) -> Result<()> {
    for namespace in [&tenant.plain, &tenant.queued] {
        for pod in fixture.pods(namespace).list(&ListParams::default()).await? {
            let id = pod.labels().get(keys::JOB_ID);
            ensure!(id.is_none_or(|id| !id.starts_with(&theirs.job_id)), "pod {} has others' job id", pod.name_any());
        }
        for job in fixture.jobs(namespace).list(&ListParams::default()).await? {
            let id = job.labels().get(keys::JOB_ID);
            ensure!(id.is_none_or(|id| *id != theirs.job_id), "Job {} has others' job id", job.name_any());
            ensure!(!job.annotations().contains_key(keys::RELEASED), "Job {} was released", job.name_any());
            let queue = job.labels().get(keys::QUEUE);
            ensure!(queue.is_none_or(|queue| *queue != theirs.queue), "Job {} is in others' queue", job.name_any());
        }
    }
    Ok(())
}

/// Others' work is as it was, and Bulkhead counts on their machine what is theirs.
async fn untouched(fixture: &Fixture, theirs: &Theirs) -> Result<()> {
    let now = running(fixture, &theirs.namespace).await?;
    ensure!(now == theirs.pods, "before: {:?}\nafter: {now:?}", theirs.pods);
    for name in ["managed", "labelled"] {
        let status = fixture.status(&theirs.namespace, name).await?.context("a Job without status")?;
        ensure!(status.reason.is_none(), "Job {name}: {status:?}");
    }
    together(vec![(
        "the machine has one unit",
        async {
            eventually("the machine has one unit", || async {
                let units: Vec<_> = fixture
                    .machines(&theirs.environment)
                    .await?
                    .into_iter()
                    .map(|one| one.status.and_then(|status| status.units))
                    .collect();
                Ok(if units == [Some(1)] { Ok(()) } else { Err(format!("{units:?}")) })
            })
            .await
        }
        .boxed(),
    )])
    .await
}

/// Asks the API server something small again and again.
struct Probe {
    failed: Arc<AtomicU32>,
    slowest: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Probe {
    const PATIENCE: Duration = Duration::from_secs(5);

    fn start(world: &World) -> Self {
        let (failed, slowest) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let api: Api<Namespace> = Api::all(world.client.clone());
        let shared = (Arc::clone(&failed), Arc::clone(&slowest));
        let task = tokio::spawn(async move {
            loop {
                let begun = Instant::now();
                let answer = tokio::time::timeout(Self::PATIENCE, api.get_metadata("default")).await;
                if !matches!(answer, Ok(Ok(_))) {
                    shared.0.fetch_add(1, Ordering::Relaxed);
                }
                let took = u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX);
                shared.1.fetch_max(took, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        Self { failed, slowest, task }
    }

    fn answered_throughout(self) -> Result<()> {
        ensure!(!self.task.is_finished(), "nobody has asked the API server to the end");
        self.task.abort();
        let (failed, slowest) = (self.failed.load(Ordering::Relaxed), self.slowest.load(Ordering::Relaxed));
        eprintln!("slowest answer of the API server meanwhile: {slowest} ms");
        if failed > 0 {
            bail!(
                "{failed} small requests were not answered within {:?}; the slowest took {slowest} ms",
                Self::PATIENCE
            );
        }
        Ok(())
    }
}
