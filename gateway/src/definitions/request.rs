//! Requests about job definitions.
//!
//! Invariant: kinds of definition that are not supported yet are kept as they are, so that they can be refused by name.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::pod::EksProperties;
use crate::decode::not_empty;

/// `RegisterJobDefinition`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Register {
    pub(crate) job_definition_name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) scheduling_priority: Option<i64>,
    pub(crate) container_properties: Option<Value>,
    pub(crate) node_properties: Option<Value>,
    pub(crate) ecs_properties: Option<Value>,
    pub(crate) eks_properties: Option<EksProperties>,
    pub(crate) retry_strategy: Option<Retry>,
    pub(crate) propagate_tags: Option<bool>,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) platform_capabilities: Vec<String>,
    pub(crate) consumable_resource_properties: Option<Consumables>,
}

/// `retryStrategy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Retry {
    pub(crate) attempts: Option<i64>,
    pub(crate) evaluate_on_exit: Vec<Condition>,
}

/// `retryStrategy.evaluateOnExit[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Condition {
    #[serde(deserialize_with = "not_empty")]
    pub(crate) on_status_reason: Option<String>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) on_reason: Option<String>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) on_exit_code: Option<String>,
    pub(crate) action: String,
}

/// `timeout`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Timeout {
    pub(crate) attempt_duration_seconds: Option<i64>,
}

/// `consumableResourceProperties`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Consumables {
    pub(crate) consumable_resource_list: Vec<Consumable>,
}

/// `consumableResourceProperties.consumableResourceList[]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Consumable {
    pub(crate) consumable_resource: String,
}

/// `DescribeJobDefinitions`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Describe {
    pub(crate) job_definitions: Vec<String>,
    pub(crate) max_results: Option<i64>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) job_definition_name: Option<String>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) status: Option<String>,
    #[serde(deserialize_with = "not_empty")]
    pub(crate) next_token: Option<String>,
}

/// `DeregisterJobDefinition`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deregister {
    pub(crate) job_definition: String,
}
