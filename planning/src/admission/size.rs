//! How large a pod template may be that goes through a queue.
//!
//! Everything that waits is looked at again and again, and one tenant's arguments by the megabyte are everybody's memory. What is large
//! belongs into a ConfigMap or a volume.
//!
//! Invariant: a Job that was taken is never refused later for its size, nor are its pods, whatever is added to them.

use super::Refusal;
use super::edit::at;
use serde_json::Value;

/// Bytes that a template may have where the installation does not say.
pub const MOST_TEMPLATE_BYTES: usize = 64 << 10;

/// Why a Job's template is too large, if so. One that is changed may be as large as it was before.
pub(super) fn of_job(job: &Value, old: Option<&Value>, most: usize) -> Option<Refusal> {
    let size = |job| at(job, &["spec", "template"]).map_or(0, bytes);
    refusal("spec.template", size(job), most.max(old.map_or(0, size)))
}

/// Why a pod is too large that is not made from a Job which was taken: one that nobody owns, or of a Job that the Job hook missed.
pub fn of_pod(pod: &Value, missed: Option<&Value>, most: usize) -> Option<Refusal> {
    match missed {
        Some(job) => of_job(job, None, most),
        None => {
            refusal("the pod", ["metadata", "spec"].iter().filter_map(|part| at(pod, &[part])).map(bytes).sum(), most)
        }
    }
}

fn refusal(place: &str, size: usize, most: usize) -> Option<Refusal> {
    (size > most).then(|| Refusal {
        code: 422,
        message: format!(
            "{place} has {size} bytes; in a queue it has at most {most} (--max-template-bytes of Bulkhead's webhook): put long scripts, \
             arguments and data into a ConfigMap or a volume"
        ),
    })
}

/// Its length as JSON without spaces.
fn bytes(value: &Value) -> usize {
    value.to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(length: usize) -> Value {
        json!({"metadata": {"annotations": {"last": "x".repeat(9_000)}}, "spec": {"template": {"a": "x".repeat(length)}}})
    }

    #[track_caller]
    fn check(found: Option<Refusal>, expected: Option<&str>) {
        let words = expected.map(|words| format!("{words}; in a queue it has at most 1000 (--max-template-bytes"));
        match (found, words) {
            (Some(refusal), Some(words)) => assert!(refusal.message.starts_with(&words), "{refusal:?}"),
            (found, words) => assert_eq!((found, words), (None, None)),
        }
    }

    #[test]
    fn a_template_has_at_most_so_many_bytes_and_what_is_around_it_does_not_count() {
        check(of_job(&job(992), None, 1_000), None);
        check(of_job(&job(993), None, 1_000), Some("spec.template has 1001 bytes"));
        check(of_job(&json!({}), None, 1_000), None);
    }

    #[test]
    fn a_template_that_was_taken_stays_and_does_not_grow() {
        check(of_job(&job(2_000), Some(&job(2_000)), 1_000), None);
        check(of_job(&job(1_500), Some(&job(2_000)), 1_000), None);
        assert!(of_job(&job(2_001), Some(&job(2_000)), 1_000).is_some());
        check(of_job(&job(2_000), Some(&job(10)), 1_000), Some("spec.template has 2008 bytes"));
    }

    #[test]
    fn a_pod_is_judged_by_itself_or_by_the_job_that_was_missed() {
        let pod = json!({"metadata": {"a": "x".repeat(500)}, "spec": {"a": "x".repeat(500)}});
        check(of_pod(&pod, None, 1_000), Some("the pod has 1016 bytes"));
        check(of_pod(&pod, Some(&job(10)), 1_000), None);
        check(of_pod(&pod, Some(&job(1_000)), 1_000), Some("spec.template has 1008 bytes"));
    }
}
