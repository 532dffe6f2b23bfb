//! Nobody owns `suspend`: however and by whomever the same manifest is applied again, nothing conflicts and nothing changes.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tests::{Fixture, eventually};

use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "the same manifest, applied again by anybody before and after the release, conflicts with nobody and changes nothing",
        short: "own",
        company: Company::Others,
        local_only: false,
        run: |fixture| Box::pin(applied_again(fixture)),
    }]
}

/// A way in which a manifest is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// As Helm 3 does it, and any program.
    Post(&'static str),
    KubectlCreate,
    /// On the client's side.
    KubectlApply,
    KubectlServerSide,
    /// On the server's side, without force, as Flux, Argo CD and Helm 4 do it.
    Apply(&'static str),
}

const CREATE: [Way; 5] =
    [Way::Post("helm"), Way::KubectlCreate, Way::KubectlApply, Way::KubectlServerSide, Way::Apply("argocd-controller")];
/// kubectl's client side last: it is not asked for conflicts, and takes fields over.
const AGAIN: [Way; 5] = [
    Way::Apply("helm"),
    Way::Apply("argocd-controller"),
    Way::Apply("kustomize-controller"),
    Way::KubectlServerSide,
    Way::KubectlApply,
];

struct Case {
    name: String,
    create: Way,
    manifest: Value,
    /// The manifest asks for suspension.
    held: bool,
}

fn cases(namespace: &str) -> Vec<Case> {
    let suspends = [("absent", None), ("false", Some(false)), ("true", Some(true))];
    let all = CREATE.into_iter().enumerate().flat_map(|(number, create)| suspends.map(|it| (number, create, it)));
    let case = |(number, create, (word, suspend)): (usize, Way, (&str, Option<bool>))| {
        let name = format!("{word}-{number}");
        let container = json!({"name": "main", "image": "docker.io/library/busybox", "command": ["sleep", "600"],
            "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}}});
        let mut manifest = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": namespace},
            "spec": {"completions": 2, "parallelism": 1, "template": {"spec": {
                "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}}}});
        if let Some(suspend) = suspend {
            manifest["spec"]["suspend"] = json!(suspend);
        }
        Case { name, create, manifest, held: suspend == Some(true) }
    };
    all.map(case).collect()
}

async fn applied_again(fixture: &Fixture) -> Result<()> {
    let environment = fixture.unmanaged("ce").await?;
    let queue = fixture.queue("jq", 1, &[&environment]).await?;
    let namespace = fixture.namespace("ns", Some(&queue)).await?;
    let (jobs, cases) = (fixture.jobs(&namespace), cases(&namespace));
    for case in &cases {
        write(fixture, &jobs, case, case.create).await?;
    }
    for case in &cases {
        again(fixture, &jobs, case, true).await?;
    }
    fixture.label_node(&environment, "n", "1", "1Gi").await?;
    for case in cases.iter().filter(|case| !case.held) {
        suspended(&jobs, &case.name, false).await?;
        again(fixture, &jobs, case, false).await?;
    }
    // A hold ends in anybody's name, too.
    for case in cases.iter().filter(|case| case.held) {
        again(fixture, &jobs, case, true).await?;
        let mut goes = case.manifest.clone();
        goes["spec"]["suspend"] = json!(false);
        let lets_go = Case { name: case.name.clone(), create: case.create, manifest: goes, held: false };
        write(fixture, &jobs, &lets_go, Way::Apply("somebody-else")).await?;
        suspended(&jobs, &case.name, false).await?;
        again(fixture, &jobs, &lets_go, false).await?;
    }
    Ok(())
}

/// Applies the manifest again in every way, and looks at what is stored after each.
async fn again(fixture: &Fixture, jobs: &Api<Job>, case: &Case, suspended: bool) -> Result<()> {
    let before = jobs.get(&case.name).await?;
    for way in AGAIN {
        write(fixture, jobs, case, way).await?;
        let after = jobs.get(&case.name).await?;
        let about = format!("{} made with {:?}, applied with {way:?}", case.name, case.create);
        ensure!(after.spec == before.spec, "{about}: {:?} is now {:?}", before.spec, after.spec);
        let suspend = after.spec.as_ref().and_then(|spec| spec.suspend);
        ensure!(suspend == Some(suspended), "{about}: suspend is {suspend:?}");
        let hold = |job: &Job| job.annotations().get(model::keys::SUSPEND).cloned();
        ensure!(hold(&after) == hold(&before), "{about}: hold {:?} is now {:?}", hold(&before), hold(&after));
        ensure!(after.metadata.generation == before.metadata.generation, "{about}: a new generation");
        let owners: Vec<_> = after.managed_fields().iter().filter(|entry| owns_suspend(&json!(entry))).collect();
        ensure!(owners.is_empty(), "{about}: suspend is owned by {owners:?}");
    }
    Ok(())
}

fn owns_suspend(entry: &Value) -> bool {
    entry["fieldsV1"]["f:spec"].get("f:suspend").is_some()
}

async fn write(fixture: &Fixture, jobs: &Api<Job>, case: &Case, way: Way) -> Result<()> {
    let (text, about) = (case.manifest.to_string(), || format!("{} with {way:?}", case.name));
    match way {
        Way::Post(manager) => {
            let params = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
            let job: Job = serde_json::from_value(case.manifest.clone())?;
            jobs.create(&params, &job).await.map(drop).with_context(about)
        }
        Way::Apply(manager) => {
            let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
            jobs.patch(&case.name, &params, &Patch::Apply(&case.manifest)).await.map(drop).with_context(about)
        }
        Way::KubectlCreate => {
            fixture.world.kubectl_with(&["create", "-f", "-"], &text).await.map(drop).with_context(about)
        }
        Way::KubectlApply => {
            fixture.world.kubectl_with(&["apply", "-f", "-"], &text).await.map(drop).with_context(about)
        }
        Way::KubectlServerSide => {
            let args = ["apply", "--server-side", "-f", "-"];
            fixture.world.kubectl_with(&args, &text).await.map(drop).with_context(about)
        }
    }
}

async fn suspended(jobs: &Api<Job>, name: &str, expect: bool) -> Result<()> {
    eventually(&format!("{name} has suspend: {expect}"), || async {
        let suspend = jobs.get(name).await?.spec.and_then(|spec| spec.suspend);
        Ok(if suspend == Some(expect) { Ok(()) } else { Err(format!("suspend is {suspend:?}")) })
    })
    .await
}
