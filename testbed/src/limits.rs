//! Limits of the kernel that a few nodes exceed. Invariant: a limit is only ever raised, and never above what is needed:
//! it belongs to the whole machine.

use std::fs;

use crate::say::say;

/// Watches of files that root's processes may have: each node's kubelet and containerd need about ten, the default of 128 is used
/// up by a dozen nodes, and a kubelet that gets none ends at its start (`inotify_init: too many open files`).
const INOTIFY_INSTANCES: (&str, u64) = ("/proc/sys/fs/inotify/max_user_instances", 4096);

/// Raises what is too low; where that is not allowed, says so and goes on, because a small cluster runs all the same.
pub(crate) fn raise() {
    let (path, wanted) = INOTIFY_INSTANCES;
    let Ok(text) = fs::read_to_string(path) else { return };
    let Some(value) = higher(&text, wanted) else { return };
    match fs::write(path, value.to_string()) {
        Ok(()) => say(&format!("raised {path} from {} to {value}", text.trim())),
        Err(error) => say(&format!(
            "{path} is {} and cannot be raised ({error}); about a dozen nodes will run, more need {wanted}",
            text.trim()
        )),
    }
}

/// The value to write, if what is there is too low.
fn higher(there: &str, wanted: u64) -> Option<u64> {
    let there: u64 = there.trim().parse().ok()?;
    (there < wanted).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_and_never_lowered() {
        for (there, expected) in [("128\n", Some(4096)), ("4096\n", None), ("8192", None), ("what", None)] {
            assert_eq!(higher(there, 4096), expected, "{there:?}");
        }
    }
}
