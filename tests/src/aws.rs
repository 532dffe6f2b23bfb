//! The AWS Batch API of the local cluster, called as its users call it: by the unmodified AWS CLI, by boto3, or by plain HTTP where
//! starting a program for each call would take longer than what is tested.
//!
//! Invariant: nothing of this machine's own AWS configuration is used, and an error says what was called and what was answered.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use model::keys;
use serde_json::Value;
use testbed::AwsClients;
use tokio::process::Command;

use crate::world::World;

/// The controller's pod, the only one as long as records are in a file.
const POD: &str = "bulkhead-controller-0";
/// Where its API listens in a local cluster (`--insecure-listen`).
const PORT: u16 = 8070;

/// The API of the cluster under test, and programs that call it.
pub struct Aws {
    target: Target,
    clients: AwsClients,
    http: reqwest::Client,
    /// Empty at first, removed at the end.
    home: PathBuf,
    /// Variables of the programs in place of a key that nobody looks at.
    keys: Vec<(String, String)>,
}

enum Target {
    /// Wherever the controller's pod is now.
    Pod(Box<Api<Pod>>),
    /// A controller beside the cluster.
    Url(String),
}

/// What was answered to a request by plain HTTP.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header `x-amzn-errortype`, or nothing.
    pub kind: String,
    /// Header `x-amzn-requestid`, or nothing.
    pub request: String,
    /// The body, as it came.
    pub body: String,
}

impl Answer {
    /// `message` of the body; the whole body if there is none.
    pub fn message(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["message"].as_str().unwrap_or(&self.body).to_owned()
    }
}

impl Aws {
    /// The API of a local cluster's controller.
    pub async fn of(world: &World) -> Result<Self> {
        world.local()?;
        Self::new(Target::Pod(Box::new(Api::namespaced(world.client.clone(), keys::NAMESPACE)))).await
    }

    /// The API at this URL.
    pub async fn at(url: &str) -> Result<Self> {
        Self::new(Target::Url(url.to_owned())).await
    }

    async fn new(target: Target) -> Result<Self> {
        let clients = tokio::task::spawn_blocking(AwsClients::ensure).await??;
        let home = std::env::temp_dir().join(format!("bulkhead-aws-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&home).with_context(|| format!("cannot make {}", home.display()))?;
        // No connection is kept: a controller that was restarted has another address, or none.
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
        Ok(Self { target, clients, http, home, keys: Vec::new() })
    }

    /// The same for somebody with keys: with these variables, too, in the programs' environment.
    #[must_use]
    pub fn with_keys(mut self, keys: &[(&str, &str)]) -> Self {
        self.keys.extend(keys.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self
    }

    /// Empty, removed at the end.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Where the API is now.
    pub async fn url(&self) -> Result<String> {
        match &self.target {
            Target::Url(url) => Ok(url.clone()),
            Target::Pod(pods) => {
                let status = pods.get(POD).await?.status.unwrap_or_default();
                let ip = status.pod_ip.with_context(|| format!("the pod {POD} has no address ({:?})", status.phase))?;
                Ok(format!("http://{ip}:{PORT}"))
            }
        }
    }

    /// Runs `aws batch ARGS`; its answer, or an error with what it said.
    pub async fn run(&self, args: &[&str]) -> Result<Value> {
        let (succeeded, out, err) = self.cli(args).await?;
        ensure!(succeeded, "aws batch {}: {}", args.join(" "), err.trim());
        if out.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&out).with_context(|| format!("aws batch {}: no JSON: {out}", args.join(" ")))
    }

    /// Runs `aws batch OPERATION --cli-input-json file://…` with this input in the file.
    pub async fn run_json(&self, operation: &str, input: &Value) -> Result<Value> {
        let path = self.home.join(format!("{operation}-{}.json", uuid::Uuid::new_v4().simple()));
        std::fs::write(&path, serde_json::to_string_pretty(input)?)?;
        self.run(&[operation, "--cli-input-json", &format!("file://{}", path.display())]).await
    }

    /// Runs `aws batch ARGS`, which must fail; what it said.
    pub async fn refused(&self, args: &[&str]) -> Result<String> {
        let (succeeded, out, err) = self.cli(args).await?;
        ensure!(!succeeded, "aws batch {} was to be refused; it answered {out}", args.join(" "));
        Ok(err.trim().to_owned())
    }

    /// Runs `aws ARGS` of another service.
    pub async fn of_service(&self, args: &[&str]) -> Result<Value> {
        let (succeeded, out, err) = self.output(Command::new(&self.clients.aws).args(args)).await?;
        ensure!(succeeded, "aws {}: {}", args.join(" "), err.trim());
        serde_json::from_str(&out).with_context(|| format!("aws {}: no JSON: {out}", args.join(" ")))
    }

    async fn cli(&self, args: &[&str]) -> Result<(bool, String, String)> {
        self.output(Command::new(&self.clients.aws).arg("batch").args(args)).await
    }

    /// Runs a Python script that may import boto3; what it printed.
    pub async fn python(&self, script: &str, args: &[&str]) -> Result<String> {
        let (succeeded, out, err) =
            self.output(Command::new(&self.clients.python).args(["-c", script]).args(args)).await?;
        ensure!(succeeded, "the script failed: {}\nit printed: {out}", err.trim());
        Ok(out)
    }

    async fn output(&self, command: &mut Command) -> Result<(bool, String, String)> {
        let url = self.url().await?;
        command
            .env_clear()
            .envs([("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8"), ("NO_PROXY", "*")])
            .envs([("AWS_ENDPOINT_URL_BATCH", url.as_str()), ("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", url.as_str())])
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
            .envs([("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_PAGER", ""), ("AWS_DEFAULT_OUTPUT", "json")])
            .env("HOME", &self.home)
            .env("AWS_CONFIG_FILE", self.home.join("config"))
            .env("AWS_SHARED_CREDENTIALS_FILE", self.home.join("credentials"));
        if !self.keys.is_empty() {
            // It would come before all others.
            command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
            command.envs(self.keys.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        }
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
        let output = output.with_context(|| format!("cannot run {}", self.clients.aws.display()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.success(), text(&output.stdout), text(&output.stderr)))
    }

    /// Calls an operation (`SubmitJob`) by plain HTTP, once.
    pub async fn call(&self, operation: &str, body: &Value) -> Result<Value> {
        let path = format!("/v1/{}", operation.to_lowercase());
        let answer = self.send("POST", &path, body.to_string()).await?;
        ensure!(answer.status == 200, "{operation} {body}: {answer:?}");
        serde_json::from_str(&answer.body).with_context(|| format!("{operation} {body}: no JSON: {answer:?}"))
    }

    /// Sends a request; whatever is answered is no error.
    pub async fn send(&self, method: &str, path: &str, body: String) -> Result<Answer> {
        self.send_with(method, path, &[("content-type", "application/json")], body).await
    }

    /// The same with these headers.
    pub async fn send_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Result<Answer> {
        let method = reqwest::Method::from_bytes(method.as_bytes())?;
        let url = self.url().await? + path;
        let request = self.http.request(method, &url).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.with_context(|| format!("{url} does not answer"))?;
        let header = |name: &str| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let (status, kind, request) =
            (response.status().as_u16(), header("x-amzn-errortype"), header("x-amzn-requestid"));
        Ok(Answer { status, kind, request, body: response.text().await? })
    }

    /// All items of a list, over all its pages.
    pub async fn all(&self, operation: &str, member: &str, body: &Value) -> Result<Vec<Value>> {
        let (mut body, mut items) = (body.clone(), Vec::new());
        loop {
            let mut answer = self.call(operation, &body).await?;
            let Value::Array(page) = answer[member].take() else {
                bail!("{operation} {body}: no list `{member}` in {answer}");
            };
            items.extend(page);
            match answer["nextToken"].take() {
                Value::Null => return Ok(items),
                token => body["nextToken"] = token,
            }
        }
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        // What stays behind is small and in the directory for temporary files.
        let _left = std::fs::remove_dir_all(&self.home);
    }
}
