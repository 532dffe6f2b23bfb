//! `Ref::name` in commands and arguments
//! (<https://docs.aws.amazon.com/batch/latest/userguide/job_definition_parameters.html>).
//!
//! Invariant: pure. What a parameter brings in is not looked through again.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::definitions::PodProperties;
use crate::failure::Invalid;

const MARK: &str = "Ref::";

/// Bytes that a pod may have as it is stored, as JSON: twice what a definition and a submission can say without parameters. Without a
/// limit a short command that names a long parameter a thousand times would fill the store.
const LIMIT: usize = 128 << 10;

/// Puts values in the place of references, in every container. A pod that becomes too large is given up before it has become that.
pub(crate) fn substitute(pod: &mut PodProperties, parameters: &BTreeMap<String, String>) -> Result<(), Invalid> {
    let all = written(pod);
    let texts = pod.containers.iter_mut().chain(&mut pod.init_containers);
    let texts = texts.flat_map(|container| container.command.iter_mut().chain(&mut container.args));
    let texts: Vec<&mut String> = texts.filter(|text| text.contains(MARK)).collect();
    let replaceable: usize = texts.iter().map(|text| inside(text)).sum();
    let mut room = LIMIT.saturating_sub(all.saturating_sub(replaceable));
    for text in texts {
        *text = replaced(text, parameters, &mut room)?;
    }
    Ok(())
}

fn replaced(text: &str, parameters: &BTreeMap<String, String>, room: &mut usize) -> Result<String, Invalid> {
    let (mut result, mut rest) = (String::with_capacity(text.len()), text);
    let mut add = |piece: &str| {
        *room = room.checked_sub(inside(piece)).ok_or_else(too_large)?;
        result.push_str(piece);
        Ok(())
    };
    while let Some((before, after)) = rest.split_once(MARK) {
        add(before)?;
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_')).unwrap_or(after.len());
        let (name, behind) = after.split_at(end);
        let Some(value) = parameters.get(name) else {
            return Invalid::err(format!("Unable to substitute value. No parameter found for reference {name}"));
        };
        add(value)?;
        rest = behind;
    }
    add(rest)?;
    Ok(result)
}

fn too_large() -> Invalid {
    Invalid(format!(
        "Job size with parameters substituted must be at most {} KiB: shorten the parameters or refer to them less often, and \
         keep what is long where the job can read it.",
        LIMIT >> 10
    ))
}

/// Bytes of something as JSON.
fn written(it: &impl Serialize) -> usize {
    // What cannot be written is refused where it is stored.
    serde_json::to_string(it).map_or(0, |text| text.len())
}

/// Bytes of a text as JSON, without its quotation marks.
fn inside(text: &str) -> usize {
    written(&text).saturating_sub(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::Container;

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
            assert_eq!(replaced(text, &parameters, &mut LIMIT.clone()).map_err(|it| it.0), expected, "{text}");
        }
    }

    #[test]
    fn a_pod_is_as_large_as_the_limit_and_no_larger() {
        let pod = |references: usize| PodProperties {
            containers: vec![Container {
                command: vec!["Ref::long,".repeat(references), "plain".to_owned()],
                ..Container::default()
            }],
            init_containers: vec![Container { args: vec!["Ref::last".to_owned()], ..Container::default() }],
            ..PodProperties::default()
        };
        let size = |references: usize, long: &str, last: &str| {
            let parameters = [("long", long), ("last", last)].map(|(name, value)| (name.to_owned(), value.to_owned()));
            let mut pod = pod(references);
            substitute(&mut pod, &parameters.into())
                .map(|()| serde_json::to_string(&pod).unwrap().len())
                .map_err(|it| it.0)
        };
        let check = |references: usize, long: &str, last: &str, expect: Option<usize>| {
            let expect = expect.ok_or_else(|| too_large().0);
            assert_eq!(size(references, long, last), expect, "{references} references to {} bytes", long.len());
        };
        let free = LIMIT - size(0, "", "").unwrap();
        check(0, "", &"x".repeat(free), Some(LIMIT));
        check(0, "", &"x".repeat(free + 1), None);
        check(2, &"x".repeat(free / 2 - 1), &"x".repeat(free % 2), Some(LIMIT));
        check(2, &"x".repeat(free / 2 - 1), &"x".repeat(free % 2 + 1), None);
        // A character that takes six bytes as JSON takes them here.
        check(0, "", &"\u{1}".repeat(free / 6 + 1), None);
        // What names nothing long may name it often, and what goes makes room.
        check(2000, "", "", Some(LIMIT - free + 2000));
        check(10_000, &"x".repeat(20_000), "", None);
    }
}
