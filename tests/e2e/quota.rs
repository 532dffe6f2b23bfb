//! One namespace submits more than it may have through the API: it is refused in AWS's words, others are not, and there is room again when
//! its jobs have ended.

use std::net::TcpListener;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{Aws, Fixture, eventually, id_of};

use crate::beside::{ANYWHERE, Controller, Host};
use crate::{Company, Scenario};

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "a namespace that submits more than it may have is refused, others are not, and it is taken again when jobs have ended",
        short: "quota",
        company: Company::Nobody,
        local_only: true,
        run: |fixture| Box::pin(quota(fixture)),
    }]
}

/// What one namespace may have here.
const LIMITS: [&str; 4] = ["--namespace-api-jobs", "20", "--namespace-api-bytes", "60000"];

async fn quota(fixture: &Fixture) -> Result<()> {
    let (greedy, other) = (site(fixture, "a").await?, site(fixture, "b").await?);
    let host = Host::new(fixture).await?;
    let database = format!("sqlite://{}", host.directory().join("records.db").display());
    fixture.without_controller().await?;
    let (leader, aws) = leader(&host, &database).await?;
    let definition = aws.define(&greedy.queue, "0.25", "true", &json!({})).await?;

    let array = aws.submit(&greedy.queue, &definition, &json!({"arrayProperties": {"size": 14}})).await?;
    let long = "x".repeat(20_000);
    for _ in 0..2 {
        aws.submit(&greedy.queue, &definition, &json!({"parameters": {"long": long}})).await?;
    }
    // The unmodified AWS CLI tries again, because it may fit later, and then shows what was said.
    let submit = ["submit-job", "--job-name", "n", "--job-queue", &greedy.queue, "--job-definition", &definition];
    let said = aws.refused(&[&submit[..], &["--array-properties", "size=3"]].concat()).await?;
    ensure!(said.contains("(TooManyRequestsException) when calling the SubmitJob operation"), "the CLI said {said}");
    let used = format!("Namespace {} has 17 of at most 20 jobs that have not ended", greedy.namespace);
    ensure!(said.contains(&used) && said.contains("--namespace-api-jobs"), "the CLI said {said}");
    let refusals = Refusals { aws: &aws, site: &greedy, definition: &definition };
    refusals.all(&array, &long, &used).await?;
    // Another namespace, and what fits.
    aws.submit(&other.queue, &definition, &json!({"arrayProperties": {"size": 18}})).await?;
    let last = aws.submit(&greedy.queue, &definition, &json!({"arrayProperties": {"size": 2}})).await?;

    // Another leader knows what there is.
    drop(leader);
    let (_leader, aws) = self::leader(&host, &database).await?;
    let refusals = Refusals { aws: &aws, ..refusals };
    refusals.refuses(429, &json!({}), &format!("Namespace {} has 20 of at most 20", greedy.namespace)).await?;
    aws.call("TerminateJob", &json!({"jobId": last, "reason": "enough"})).await?;
    eventually("there is room again", || async {
        let answer = refusals.submit(&json!({"arrayProperties": {"size": 2}})).await?;
        Ok(if answer.status == 200 { Ok(()) } else { Err(answer.message()) })
    })
    .await?;
    refusals.refuses(429, &json!({}), &format!("Namespace {} has 20 of at most 20", greedy.namespace)).await?;
    for queue in [&greedy.queue, &other.queue] {
        aws.end_all(queue).await?;
    }
    id_of(&aws.run(&[&submit[..], &["--array-properties", "size=15"]].concat()).await?)?;
    aws.end_all(&greedy.queue).await
}

/// Where jobs of one namespace wait for nodes that do not come.
struct Site {
    namespace: String,
    queue: String,
}

async fn site(fixture: &Fixture, name: &str) -> Result<Site> {
    let namespace = fixture.api_namespace(&format!("ns{name}")).await?;
    let environment = fixture.unmanaged_in(&format!("ce{name}"), &namespace).await?;
    Ok(Site { queue: fixture.queue(&format!("jq{name}"), 1, &[&environment]).await?, namespace })
}

/// A controller that leads, and its API.
async fn leader(host: &Host<'_>, database: &str) -> Result<(Controller, Aws)> {
    // Free a moment ago; nothing else on this machine asks for one just now.
    let listen = TcpListener::bind(ANYWHERE)?.local_addr()?;
    let mut leader = host.start_with(None, listen, Some(database), &LIMITS)?;
    host.leads(&mut leader).await?;
    let aws = Aws::at(&format!("http://{listen}")).await?;
    eventually("the API answers", || async {
        let answer = aws.send("POST", "/v1/describejobs", json!({"jobs": []}).to_string()).await?;
        Ok(if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) })
    })
    .await?;
    Ok((leader, aws))
}

/// Submissions by plain HTTP that are not taken.
struct Refusals<'a> {
    aws: &'a Aws,
    site: &'a Site,
    definition: &'a str,
}

impl Refusals<'_> {
    async fn submit(&self, more: &Value) -> Result<tests::Answer> {
        let mut body = json!({"jobName": "n", "jobQueue": self.site.queue, "jobDefinition": self.definition});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        self.aws.send("POST", "/v1/submitjob", body.to_string()).await
    }

    async fn refuses(&self, status: u16, more: &Value, said: &str) -> Result<()> {
        let kind = if status == 429 { "TooManyRequestsException" } else { "ClientException" };
        let answer = self.submit(more).await?;
        let right = answer.status == status && answer.kind == kind && answer.message().contains(said);
        ensure!(right, "{more} was to be refused with {status} and {said:?}; the answer is {answer:?}");
        Ok(())
    }

    /// Of every kind: arrays alone and behind each other, and what is long. `used`: what is said of jobs.
    async fn all(&self, array: &str, long: &str, used: &str) -> Result<()> {
        let three = json!({"size": 3});
        let kinds = [
            json!({"arrayProperties": three}),
            json!({"arrayProperties": three, "dependsOn": [{"type": "SEQUENTIAL"}]}),
            json!({"arrayProperties": {"size": 14}, "dependsOn": [{"jobId": array, "type": "N_TO_N"}]}),
        ];
        for kind in kinds {
            self.refuses(429, &kind, used).await?;
        }
        let bytes = "of at most 60000 bytes stored for jobs that have not ended";
        self.refuses(429, &json!({"parameters": {"long": long}}), bytes).await?;
        // Never, so that clients do not try again.
        self.refuses(400, &json!({"arrayProperties": {"size": 20}}), "this one would add 21, which never fits").await
    }
}
