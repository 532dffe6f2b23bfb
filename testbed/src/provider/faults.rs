//! Ways to make the provider misbehave, for tests. Kept in memory: a restarted provider behaves.

use serde::{Deserialize, Serialize};

/// Body of `PUT /testing/faults`; replaces all faults at once, so `{}` ends them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Faults {
    /// Offers that cannot be had: a new launch of one answers `InsufficientCapacity`.
    pub insufficient_capacity: Vec<String>,
    /// Every request gets this answer.
    pub fail: Option<Fail>,
    /// A launched machine stays `pending` this long before it is switched on.
    pub boot_delay_ms: u64,
    /// A launch gets into the books only after so long, whether or not whoever asked for it still waits.
    pub launch_delay_ms: u64,
    /// The list has entries that nobody understands, too.
    pub odd_entries: bool,
    /// Requests are accepted and not answered as long as this is set.
    pub hang: bool,
    /// As if its books were lost: no instance is listed, and none is known that is to be ended. The machines run on.
    pub empty_books: bool,
}

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// HTTP status.
    pub status: u16,
    /// Message of the error.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_documented_and_misspelled_ones_are_refused() {
        let text = r#"{"insufficientCapacity": ["m5.large"], "fail": {"status": 500, "message": "x"}, "bootDelayMs": 5, "launchDelayMs": 6, "oddEntries": true, "hang": true, "emptyBooks": true}"#;
        let faults: Faults = serde_json::from_str(text).unwrap();
        assert_eq!(faults.insufficient_capacity, ["m5.large"]);
        assert_eq!((faults.boot_delay_ms, faults.launch_delay_ms), (5, 6));
        assert_eq!((faults.odd_entries, faults.hang, faults.empty_books), (true, true, true));
        assert_eq!(serde_json::from_str::<Faults>("{}").unwrap(), Faults::default());
        assert_eq!(serde_json::from_str::<Faults>(r#"{"fail": null}"#).unwrap(), Faults::default());
        assert!(serde_json::from_str::<Faults>(r#"{"bootDelay": 5}"#).is_err());
    }
}
