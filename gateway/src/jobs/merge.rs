//! `eksPropertiesOverride`: a definition's pod with what a submission says.
//!
//! Invariant: pure. Containers are found by name; what is sent replaces, variables and metadata one by one.

use super::request::{ContainerOverride, PodOverride};
use crate::definitions::{Container, PodProperties, UNNAMED, UNNAMED_INIT};
use crate::failure::Invalid;

/// Applies the overrides.
pub(crate) fn merge(pod: &mut PodProperties, given: &PodOverride) -> Result<(), Invalid> {
    containers(&mut pod.containers, &given.containers, UNNAMED)?;
    containers(&mut pod.init_containers, &given.init_containers, UNNAMED_INIT)?;
    if let Some(metadata) = &given.metadata {
        let into = pod.metadata.get_or_insert_default();
        into.labels.extend(metadata.labels.clone());
        into.annotations.extend(metadata.annotations.clone());
        into.namespace = metadata.namespace.clone().or_else(|| into.namespace.take());
    }
    Ok(())
}

/// `unnamed`: what the pod calls a container without a name.
fn containers(into: &mut [Container], given: &[ContainerOverride], unnamed: &str) -> Result<(), Invalid> {
    for it in given {
        let only = into.len() == 1;
        let called = |container: &&mut Container| match (&it.name, &container.name) {
            // The only container may be left unnamed on either side, and is `default` in both lists, as AWS calls it.
            (None, _) => only,
            (Some(name), None) => name.eq_ignore_ascii_case(unnamed) || (only && name.eq_ignore_ascii_case(UNNAMED)),
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
        let mixed = json!({"containers": [{"name": "x", "image": "a"}, {"image": "b"}]});
        let expected = json!({"containers": [{"name": "x", "image": "a"}, {"image": "new"}]});
        assert_eq!(merged(mixed, image("Default")), Ok(expected));
        let init = |containers: Value| json!({"containers": [{"image": "a"}], "initContainers": containers});
        let named = |name: &str| json!({"initContainers": [{"name": name, "image": "new"}]});
        let (one, two_inits) =
            (init(json!([{"image": "b"}])), init(json!([{"name": "x", "image": "b"}, {"image": "c"}])));
        for name in ["init", "default"] {
            assert_eq!(merged(one.clone(), named(name)), Ok(init(json!([{"image": "new"}]))), "{name}");
        }
        let expected = init(json!([{"name": "x", "image": "b"}, {"image": "new"}]));
        assert_eq!(merged(two_inits.clone(), named("init")), Ok(expected));
        assert!(merged(two_inits, named("default")).is_err());
        for (pod, given, name) in
            [(&unnamed, image("z"), "z"), (&two, image("z"), "z"), (&two, json!({"containers": [{}]}), "")]
        {
            let message = format!("eksPropertiesOverride: the job definition has no container named \"{name}\".");
            assert_eq!(merged(pod.clone(), given), Err(message));
        }
    }
}
