//! `eksPropertiesOverride`: a definition's pod with what a submission says.
//!
//! Invariant: pure. Containers are found by name; what is sent replaces, variables and metadata one by one.

use super::request::{ContainerOverride, PodOverride};
use crate::definitions::{Container, PodProperties};
use crate::failure::Invalid;

/// Applies the overrides.
pub(crate) fn merge(pod: &mut PodProperties, given: &PodOverride) -> Result<(), Invalid> {
    containers(&mut pod.containers, &given.containers)?;
    containers(&mut pod.init_containers, &given.init_containers)?;
    if let Some(metadata) = &given.metadata {
        let into = pod.metadata.get_or_insert_default();
        into.labels.extend(metadata.labels.clone());
        into.annotations.extend(metadata.annotations.clone());
        into.namespace = metadata.namespace.clone().or_else(|| into.namespace.take());
    }
    Ok(())
}

fn containers(into: &mut [Container], given: &[ContainerOverride]) -> Result<(), Invalid> {
    for it in given {
        let only = into.len() == 1;
        let called = |container: &&mut Container| match (&it.name, &container.name) {
            // The only container may be left unnamed on either side.
            (None, _) => only,
            (Some(name), None) => only && name.eq_ignore_ascii_case("default"),
            (Some(name), Some(there)) => name == there,
        };
        let Some(container) = into.iter_mut().find(called) else {
            let name = it.name.as_deref().unwrap_or_default();
            return Invalid::err(format!(
                "eksPropertiesOverride: the job definition has no container named \"{name}\"."
            ));
        };
        apply(container, it);
    }
    Ok(())
}

fn apply(container: &mut Container, given: &ContainerOverride) {
    let ContainerOverride { name: _, image, command, args, env, resources } = given;
    if let Some(image) = image {
        container.image.clone_from(image);
    }
    if let Some(command) = command {
        container.command.clone_from(command);
    }
    if let Some(args) = args {
        container.args.clone_from(args);
    }
    if let Some(resources) = resources {
        container.resources = Some(resources.clone());
    }
    for variable in env {
        match container.env.iter_mut().find(|there| there.name == variable.name) {
            Some(there) => *there = variable.clone(),
            None => container.env.push(variable.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn merged(pod: Value, given: Value) -> Result<Value, String> {
        let mut pod: PodProperties = serde_json::from_value(pod).unwrap();
        merge(&mut pod, &serde_json::from_value(given).unwrap()).map_err(|it| it.0)?;
        Ok(serde_json::to_value(pod).unwrap())
    }

    #[test]
    fn what_is_sent_replaces_and_variables_go_by_name() {
        let pod = json!({"containers": [{"image": "a", "command": ["x"], "args": ["y"],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}], "resources": {"limits": {"cpu": "1"}}}],
            "metadata": {"labels": {"a": "1"}, "namespace": "n"}});
        let given = json!({"containers": [{"command": ["/bin/sh"], "args": [],
            "env": [{"name": "B", "value": "3"}, {"name": "C"}], "resources": {"limits": {"cpu": "2"}}}],
            "metadata": {"labels": {"b": "2"}, "annotations": {"c": "3"}}});
        let expected = json!({"containers": [{"image": "a", "command": ["/bin/sh"],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "3"}, {"name": "C"}],
            "resources": {"limits": {"cpu": "2"}}}],
            "metadata": {"labels": {"a": "1", "b": "2"}, "annotations": {"c": "3"}, "namespace": "n"}});
        assert_eq!(merged(pod.clone(), given), Ok(expected));
        assert_eq!(merged(pod.clone(), json!({})), Ok(pod));
    }

    #[test]
    fn containers_are_found_by_name() {
        let unnamed = json!({"containers": [{"image": "a"}]});
        let two = json!({"containers": [{"name": "x", "image": "a"}, {"name": "y", "image": "b"}]});
        let image = |name: &str| json!({"containers": [{"name": name, "image": "new"}]});
        assert_eq!(merged(unnamed.clone(), image("default")), Ok(json!({"containers": [{"image": "new"}]})));
        let expected = json!({"containers": [{"name": "x", "image": "a"}, {"name": "y", "image": "new"}]});
        assert_eq!(merged(two.clone(), image("y")), Ok(expected));
        for (pod, given, name) in
            [(&unnamed, image("z"), "z"), (&two, image("z"), "z"), (&two, json!({"containers": [{}]}), "")]
        {
            let message = format!("eksPropertiesOverride: the job definition has no container named \"{name}\".");
            assert_eq!(merged(pod.clone(), given), Err(message));
        }
    }
}
