//! The AWS Batch API with keys: unmodified AWS CLIs of two service accounts, over TLS, each with no more than their roles give them.
//!
//! Invariant: keys come from tokens that the API server made, and rights from roles in it: nothing is made up.

use anyhow::{Context as _, Result, ensure};
use futures::FutureExt as _;
use model::keys;
use serde_json::{Value, json};
use tests::{Aws, Fixture, Forward, eventually, id_of, together};

use crate::{Company, Scenario};

const AUDIENCE: &str = "batch.bulkhead.dev";

pub(crate) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "accounts with keys get through the API what their roles give them, see nothing of others', and what ends is taken back",
        short: "keys",
        company: Company::Others,
        local_only: true,
        run: |fixture| Box::pin(keys_and_rights(fixture)),
    }]
}

/// Two teams that share a queue.
struct Teams<'a> {
    fixture: &'a Fixture,
    /// The API without keys, of an administrator.
    admin: Aws,
    url: String,
    environment: String,
    queue: String,
    red: String,
    blue: String,
    _forward: Forward,
}

async fn keys_and_rights(fixture: &Fixture) -> Result<()> {
    let teams = Teams::new(fixture).await?;
    let red = teams.by_token(&teams.red, "robot").await?;
    let id = teams.works(&red).await?;
    together(vec![
        ("others see and do nothing", teams.others(&red, &id).boxed()),
        ("keys for people", teams.people().boxed()),
        ("what is no key", teams.strangers().boxed()),
        ("an account that is gone", teams.gone().boxed()),
    ])
    .await?;
    teams.rights_end().await
}

impl<'a> Teams<'a> {
    async fn new(fixture: &'a Fixture) -> Result<Self> {
        let world = &fixture.world;
        let (red, blue) = (fixture.api_namespace("red").await?, fixture.api_namespace("blue").await?);
        let environment = fixture.unmanaged_in("ce", &red).await?;
        fixture.label_node(&environment, "n", "2", "2Gi").await?;
        let queue = fixture.queue("jq", 1, &[&environment]).await?;
        fixture.ends_jobs_of(&queue);
        let role = fixture.named("use");
        for what in ["clusterrole", "clusterrolebinding"] {
            fixture.on_clean(&["delete", what, &role, "--ignore-not-found"], "");
        }
        let allowed = json!({"apiGroups": ["bulkhead.dev"], "resources": ["jobqueues"], "resourceNames": [queue], "verbs": ["use", "get"]});
        let of_queue = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": role}, "rules": [allowed]});
        world.apply(&of_queue.to_string()).await?;
        let groups = [&red, &blue].map(|namespace| format!("--group=system:serviceaccounts:{namespace}"));
        let role_of = format!("--clusterrole={role}");
        world.kubectl(&["create", "clusterrolebinding", &role, &role_of, &groups[0], &groups[1]]).await?;
        for namespace in [&red, &blue] {
            world.kubectl(&["create", "serviceaccount", "robot", "-n", namespace]).await?;
            let account = format!("--serviceaccount={namespace}:robot");
            // What Bulkhead's roles give, it gives to editors.
            world.kubectl(&["create", "rolebinding", "robot", "-n", namespace, "--clusterrole=edit", &account]).await?;
        }
        let forward = Forward::to(world, keys::NAMESPACE, "service/bulkhead-api", 443).await?;
        let url = format!("https://localhost:{}", forward.port);
        let admin = Aws::of(world).await?;
        Ok(Self { fixture, admin, url, environment, queue, red, blue, _forward: forward })
    }

    /// The AWS CLI with variables, and the file of whom to trust.
    async fn client(&self, keys: &[(&str, &str)]) -> Result<Aws> {
        let aws = Aws::at(&self.url).await?;
        let bundle = ["get", "configmap", "bulkhead-api-ca", "-n", keys::NAMESPACE, "-o", r"jsonpath={.data.ca\.crt}"];
        let trusted = aws.home().join("ca.crt");
        std::fs::write(&trusted, self.fixture.world.kubectl(&bundle).await?)?;
        let trusted = trusted.display().to_string();
        let all = [&[("AWS_CA_BUNDLE", trusted.as_str()), ("AWS_ENDPOINT_URL_STS", &self.url)], keys].concat();
        Ok(aws.with_keys(&all))
    }

    /// As in a pod: a token in a file, and any role.
    async fn by_token(&self, namespace: &str, account: &str) -> Result<Aws> {
        let token = ["create", "token", account, "-n", namespace, "--audience", AUDIENCE];
        let token = self.fixture.world.kubectl(&token).await?;
        self.with_token(&token).await
    }

    async fn with_token(&self, token: &str) -> Result<Aws> {
        let aws = self.client(&[]).await?;
        let file = aws.home().join("token");
        std::fs::write(&file, token.trim())?;
        let file = file.display().to_string();
        Ok(aws.with_keys(&[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", &file),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/any"),
        ]))
    }

    fn definition(&self, team: &str) -> String {
        format!("{}-{team}", self.queue)
    }

    /// Registers a definition of a team, whose pods go to its namespace.
    async fn register(&self, aws: &Aws, team: &str, namespace: &str) -> Result<()> {
        let container = json!({"image": "docker.io/library/busybox", "command": ["true"],
            "resources": {"limits": {"cpu": "0.25", "memory": "16Mi"}}});
        let pod = json!({"hostNetwork": false, "metadata": {"namespace": namespace}, "containers": [container]});
        let name = self.definition(team);
        let body = json!({"jobDefinitionName": name, "type": "container", "eksProperties": {"podProperties": pod}});
        aws.run_json("register-job-definition", &body).await.map(drop)
    }

    fn submission<'s>(&'s self, definition: &'s str) -> [&'s str; 7] {
        ["submit-job", "--job-name", "job", "--job-queue", &self.queue, "--job-definition", definition]
    }

    /// A team's job runs to its end.
    async fn works(&self, red: &Aws) -> Result<String> {
        let who = red.of_service(&["sts", "get-caller-identity"]).await?;
        let arn = format!("arn:aws:iam::123456789012:user/system/serviceaccount/{}/robot", self.red);
        ensure!(who["Arn"] == arn && who["Account"] == "123456789012", "it is {who:#}");
        self.register(red, "red", &self.red).await?;
        let id = id_of(&red.run(&self.submission(&self.definition("red"))).await?)?;
        self.admin.reaches(&id, "SUCCEEDED").await?;
        let seen = red.run(&["describe-jobs", "--jobs", &id]).await?;
        ensure!(seen["jobs"][0]["status"] == "SUCCEEDED", "it is {seen:#}");
        let listed = red.run(&["list-jobs", "--job-queue", &self.queue, "--job-status", "SUCCEEDED"]).await?;
        ensure!(listed["jobSummaryList"][0]["jobId"] == id, "it is {listed:#}");
        Ok(id)
    }

    async fn others(&self, red: &Aws, id: &str) -> Result<()> {
        let blue = self.by_token(&self.blue, "robot").await?;
        let seen = blue.run(&["describe-jobs", "--jobs", id]).await?;
        ensure!(seen["jobs"] == json!([]), "it is {seen:#}");
        let listed = blue.run(&["list-jobs", "--job-queue", &self.queue, "--job-status", "SUCCEEDED"]).await?;
        ensure!(listed["jobSummaryList"] == json!([]), "it is {listed:#}");
        let theirs = self.definition("red");
        let seen = blue.run(&["describe-job-definitions", "--job-definition-name", &theirs]).await?;
        ensure!(seen["jobDefinitions"] == json!([]), "it is {seen:#}");
        let of_red = format!("in namespace {}", self.red);
        let queue = self.queue.as_str();
        for (args, right) in [
            (vec!["terminate-job", "--job-id", id, "--reason", "x"], format!("delete batchjobs.bulkhead.dev {of_red}")),
            (self.submission(&theirs).to_vec(), format!("get jobdefinitions.bulkhead.dev {of_red}")),
            (
                vec!["deregister-job-definition", "--job-definition", &format!("{theirs}:1")],
                format!("delete jobdefinitions.bulkhead.dev {of_red}"),
            ),
            (
                vec!["update-job-queue", "--job-queue", queue, "--state", "DISABLED"],
                format!("update jobqueues.bulkhead.dev {queue}"),
            ),
        ] {
            let said = blue.refused(&args).await?;
            ensure!(said.contains("(AccessDeniedException)") && said.contains(&right), "{args:?}: {said}");
        }
        // A definition of one's own does not reach into another's namespace.
        self.register(&blue, "into-red", &self.red).await?;
        let said = blue.refused(&self.submission(&self.definition("into-red"))).await?;
        ensure!(said.contains(&format!("create batchjobs.bulkhead.dev {of_red}")), "{said}");
        let seen = red.run(&["describe-jobs", "--jobs", id]).await?;
        ensure!(seen["jobs"][0]["status"] == "SUCCEEDED", "it is {seen:#}");
        Ok(())
    }

    /// What `bulkhead keys create` prints is what AWS's clients take.
    async fn people(&self) -> Result<()> {
        let account = format!("serviceaccount/{}/robot", self.blue);
        let printed =
            self.fixture.world.bulkhead(&["keys", "create", "--for", &account, "--output", "process"]).await?;
        let key: Value = serde_json::from_str(&printed)?;
        let text = |name: &str| key[name].as_str().map(str::to_owned).with_context(|| format!("no {name}"));
        let (id, secret, token) = (text("AccessKeyId")?, text("SecretAccessKey")?, text("SessionToken")?);
        let keys =
            [("AWS_ACCESS_KEY_ID", id.as_str()), ("AWS_SECRET_ACCESS_KEY", &secret), ("AWS_SESSION_TOKEN", &token)];
        let seen = self.client(&keys).await?.run(&["describe-job-queues", "--job-queues", &self.queue]).await?;
        ensure!(seen["jobQueues"][0]["jobQueueName"] == self.queue, "it is {seen:#}");
        let altered = [keys[0], ("AWS_SECRET_ACCESS_KEY", "altered"), keys[2]];
        let said = self.client(&altered).await?.refused(&["describe-job-queues"]).await?;
        ensure!(said.contains("(InvalidSignatureException)"), "{said}");
        Ok(())
    }

    async fn strangers(&self) -> Result<()> {
        let unsigned = self.client(&[]).await?.refused(&["describe-job-queues", "--no-sign-request"]).await?;
        ensure!(unsigned.contains("(MissingAuthenticationTokenException)"), "{unsigned}");
        let made_up = [("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "x")];
        let said = self.client(&made_up).await?.refused(&["describe-job-queues"]).await?;
        ensure!(said.contains("(UnrecognizedClientException)"), "{said}");
        // A token for the API server is not one for us.
        let token = self.fixture.world.kubectl(&["create", "token", "robot", "-n", &self.red]).await?;
        let said = self.with_token(&token).await?.refused(&["describe-job-queues"]).await?;
        ensure!(said.contains("(InvalidIdentityToken)"), "{said}");
        // Somebody whom the cluster knows, without a role.
        self.fixture.world.kubectl(&["create", "serviceaccount", "nobody", "-n", &self.red]).await?;
        let nobody = self.by_token(&self.red, "nobody").await?;
        let said = nobody.refused(&self.submission(&self.definition("red"))).await?;
        ensure!(said.contains(&format!("get jobdefinitions.bulkhead.dev in namespace {}", self.red)), "{said}");
        Ok(())
    }

    async fn gone(&self) -> Result<()> {
        let world = &self.fixture.world;
        world.kubectl(&["create", "serviceaccount", "short", "-n", &self.red]).await?;
        let account = format!("serviceaccount/{}/short", self.red);
        let printed = world
            .bulkhead(&["keys", "create", "--for", &account, "--endpoint", &self.url, "--output", "process"])
            .await?;
        let key: Value = serde_json::from_str(&printed)?;
        let text = |name: &str| key[name].as_str().unwrap_or_default();
        let keys = [
            ("AWS_ACCESS_KEY_ID", text("AccessKeyId")),
            ("AWS_SECRET_ACCESS_KEY", text("SecretAccessKey")),
            ("AWS_SESSION_TOKEN", text("SessionToken")),
        ];
        let client = self.client(&keys).await?;
        let account = ["serviceaccount", "short", "-n", &self.red];
        for what in ["delete", "create"] {
            // Another one of its name is somebody else.
            world.kubectl(&[&[what][..], &account].concat()).await?;
            let said = client.refused(&["describe-job-queues"]).await?;
            ensure!(said.contains("(UnrecognizedClientException)"), "{what}: {said}");
        }
        Ok(())
    }

    /// What the API server says. `kubectl auth can-i` does not know what is no object, and says no.
    async fn may_submit(&self, account: &str) -> Result<bool> {
        let attributes =
            json!({"verb": "create", "group": "bulkhead.dev", "resource": "batchjobs", "namespace": self.blue});
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {"user": account, "resourceAttributes": attributes}});
        let asked = ["create", "-f", "-", "-o", "jsonpath={.status.allowed}"];
        Ok(self.fixture.world.kubectl_with(&asked, &review.to_string()).await?.trim() == "true")
    }

    /// Who has lost a right before his job starts gets no pod.
    async fn rights_end(&self) -> Result<()> {
        let world = &self.fixture.world;
        let state = |state: &str| {
            let patch = json!({"spec": {"state": state}}).to_string();
            let args =
                ["patch", "computeenvironment", &self.environment, "--type=merge", "-p", &patch].map(str::to_owned);
            async move { world.kubectl(&args.each_ref().map(String::as_str)).await }
        };
        state("DISABLED").await?;
        let blue = self.by_token(&self.blue, "robot").await?;
        self.register(&blue, "blue", &self.blue).await?;
        let id = id_of(&blue.run(&self.submission(&self.definition("blue"))).await?)?;
        self.admin.says(&id, "RUNNABLE", "").await?;
        let account = format!("system:serviceaccount:{}:robot", self.blue);
        ensure!(self.may_submit(&account).await?, "{account} may not submit from the beginning");
        world.kubectl(&["delete", "rolebinding", "robot", "-n", &self.blue]).await?;
        eventually("the API server denies it", || async {
            Ok(if self.may_submit(&account).await? { Err("it is allowed".to_owned()) } else { Ok(()) })
        })
        .await?;
        state("ENABLED").await?;
        let job = self.admin.reaches(&id, "FAILED").await?;
        let said = job["statusReason"].as_str().unwrap_or_default();
        let expect = format!(
            "no role of Kubernetes lets {account}, who submitted it, create batchjobs.bulkhead.dev in namespace {}",
            self.blue
        );
        ensure!(said.contains(&expect), "it says {said:?}");
        let pods = self.fixture.pods(&self.blue).list(&kube::api::ListParams::default()).await?.items;
        ensure!(pods.is_empty(), "there are pods");
        Ok(())
    }
}
