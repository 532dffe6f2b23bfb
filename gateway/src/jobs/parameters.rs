//! `Ref::name` in commands and arguments
//! (<https://docs.aws.amazon.com/batch/latest/userguide/job_definition_parameters.html>).
//!
//! Invariant: pure. What a parameter brings in is not looked through again.

use std::collections::BTreeMap;

use crate::definitions::PodProperties;
use crate::failure::Invalid;

const MARK: &str = "Ref::";

/// Puts values in the place of references, in every container.
pub(crate) fn substitute(pod: &mut PodProperties, parameters: &BTreeMap<String, String>) -> Result<(), Invalid> {
    for container in pod.containers.iter_mut().chain(&mut pod.init_containers) {
        for text in container.command.iter_mut().chain(&mut container.args) {
            if text.contains(MARK) {
                *text = replaced(text, parameters)?;
            }
        }
    }
    Ok(())
}

fn replaced(text: &str, parameters: &BTreeMap<String, String>) -> Result<String, Invalid> {
    let (mut result, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once(MARK) {
        result.push_str(before);
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).unwrap_or(after.len());
        let (name, behind) = after.split_at(end);
        let Some(value) = parameters.get(name) else {
            return Invalid::err(format!("Unable to substitute value. No parameter found for reference {name}"));
        };
        result.push_str(value);
        rest = behind;
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_become_values_once() {
        let parameters = [("in", "s3://a"), ("n_1", "7"), ("loop", "Ref::in")];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let missing = |name: &str| Err(format!("Unable to substitute value. No parameter found for reference {name}"));
        for (text, expected) in [
            ("Ref::in", Ok("s3://a".to_owned())),
            ("--in=Ref::in,Ref::n_1.txt", Ok("--in=s3://a,7.txt".to_owned())),
            ("Ref::loop", Ok("Ref::in".to_owned())),
            ("plain", Ok("plain".to_owned())),
            ("Ref::inn", missing("inn")),
            ("Ref::", missing("")),
        ] {
            assert_eq!(replaced(text, &parameters).map_err(|it| it.0), expected, "{text}");
        }
    }
}
