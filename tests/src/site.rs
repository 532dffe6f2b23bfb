//! Where jobs of the API run: a namespace, an environment whose pods go there, a queue, and a way to call.
//!
//! Invariant: environment and queue are made with kubectl, so whatever works here shows that the API sees what kubectl made.

use anyhow::Result;

use crate::aws::Aws;
use crate::fixture::Fixture;

/// Where jobs of the API run.
pub struct Site {
    /// The API.
    pub aws: Aws,
    /// Name of the namespace of its pods.
    pub namespace: String,
    /// Name of the environment.
    pub environment: String,
    /// Name of the queue.
    pub queue: String,
}

impl Site {
    /// An UNMANAGED environment without a node.
    pub async fn without_node(fixture: &Fixture) -> Result<Self> {
        let namespace = fixture.api_namespace("ns").await?;
        let environment = fixture.unmanaged_in("ce", &namespace).await?;
        Self::over(fixture, namespace, environment).await
    }

    /// An UNMANAGED environment with one node of this size.
    pub async fn with_node(fixture: &Fixture, cpu: &str, memory: &str) -> Result<Self> {
        let site = Self::without_node(fixture).await?;
        fixture.label_node(&site.environment, "n", cpu, memory).await?;
        Ok(site)
    }

    /// A MANAGED environment of the local provider; `more`: further fields of its spec, as YAML flow.
    pub async fn managed(fixture: &Fixture, max_vcpus: u32, more: &str) -> Result<Self> {
        let namespace = fixture.api_namespace("ns").await?;
        let environment = fixture.managed("ce", max_vcpus, &format!("namespace: {namespace}, {more}")).await?;
        fixture.environment_valid(&environment).await?;
        Self::over(fixture, namespace, environment).await
    }

    async fn over(fixture: &Fixture, namespace: String, environment: String) -> Result<Self> {
        let queue = fixture.queue("jq", 1, &[&environment]).await?;
        fixture.ends_jobs_of(&queue);
        Ok(Self { aws: Aws::of(&fixture.world).await?, namespace, environment, queue })
    }

    /// A name for a definition: definitions are never removed, so it belongs to this run alone.
    pub fn definition(&self, what: &str) -> String {
        format!("{}-{what}", self.queue)
    }
}
