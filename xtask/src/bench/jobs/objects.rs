//! The custom resources that the gateway sees: one valid compute environment, one queue. Nothing changes them.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use gateway::{Kind, ObjectError, Objects};
use outputs::{Extent, Lines, NoOutput, Outputs, Whose};
use serde_json::{Value, json};

use super::sample::NAME;

/// Objects in memory.
#[derive(Clone)]
pub(super) struct Fixed(Arc<[Value; 2]>);

impl Fixed {
    /// Both.
    pub(super) fn new() -> Self {
        let api = "bulkhead.dev/v1alpha1";
        Self(Arc::new([
            json!({
                "apiVersion": api,
                "kind": "ComputeEnvironment",
                "metadata": {"name": NAME, "resourceVersion": "1"},
                "spec": {"type": "UNMANAGED"},
                "status": {"status": "VALID", "statusReason": "Healthy"},
            }),
            json!({
                "apiVersion": api,
                "kind": "JobQueue",
                "metadata": {"name": NAME, "resourceVersion": "1"},
                "spec": {"computeEnvironments": [NAME]},
                "status": {"status": "VALID", "statusReason": "Healthy"},
            }),
        ]))
    }
}

impl Outputs for Fixed {
    fn open(&self, _: Whose, _: Extent) -> BoxFuture<'_, Result<Lines, NoOutput>> {
        async { Err(NoOutput::Gone) }.boxed()
    }
}

fn fixed<T>() -> Result<T, ObjectError> {
    Err(ObjectError::Invalid("nothing changes here".to_owned()))
}

impl Objects for Fixed {
    async fn list<K: Kind>(&self) -> Result<Vec<K>, ObjectError> {
        let of_kind = self.0.iter().filter(|it| it["kind"] == *K::kind(&()));
        let read = |it: &Value| serde_json::from_value(it.clone());
        of_kind.map(read).collect::<Result<_, _>>().map_err(|error| ObjectError::Unavailable(Box::new(error)))
    }

    async fn create<K: Kind>(&self, _: K) -> Result<K, ObjectError> {
        fixed()
    }

    async fn replace<K: Kind>(&self, _: K) -> Result<K, ObjectError> {
        fixed()
    }

    async fn delete<K: Kind>(&self, _: &K) -> Result<(), ObjectError> {
        fixed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_objects_are_as_the_types_have_them() {
        let objects = Fixed::new();
        let environments = objects.list::<api::ComputeEnvironment>().await.unwrap();
        let queues = objects.list::<api::JobQueue>().await.unwrap();
        assert_eq!((environments.len(), environments[0].aws_name()), (1, NAME));
        assert_eq!((queues.len(), queues[0].aws_name()), (1, NAME));
    }
}
