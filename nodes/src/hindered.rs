//! What hinders the marks on nodes of UNMANAGED environments, and when each node is looked at again.
//!
//! Invariant: a refusal makes the next pause longer and is told when it, or why, is news; a node that has its marks is forgotten. Does not
//! know what is written.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use model::clock::Moment;
use planning::refusal::{Answer, Pauses};
use planning::stuck;

/// Whoever wrote in between wins, and the node is looked at again after this time.
const CONFLICT: Duration = Duration::from_secs(2);
/// A node that cannot be closed yet is looked at again after this time.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// It is written.
    Written,
    /// It would harm something: left as it is for now.
    Harms(String),
    /// Somebody has written in between.
    Conflict,
}

/// UUID of an environment and name of a node.
type Key = (String, String);

/// Nodes that do not have their marks.
#[derive(Debug, Default)]
pub(crate) struct Hindered {
    /// Those that are not looked at again before a time, by name.
    looked: HashMap<String, Moment>,
    /// Those that pods which name them can still use, and why.
    open: BTreeMap<Key, String>,
    refused: Pauses<Key>,
}

impl Hindered {
    /// Forgets nodes that have their marks, and what was in the way of closing nodes that are not to be closed any more.
    pub(crate) fn keep(&mut self, changes: impl Fn(&str) -> bool, closes: impl Fn(&str) -> bool) {
        self.looked.retain(|name, _| changes(name));
        self.refused.keep(|(_, name)| changes(name));
        self.open.retain(|(_, name), _| closes(name));
    }

    /// Whether a node of an environment is not to be looked at now.
    pub(crate) fn rests(&self, environment: &str, node: &str, now: Moment) -> bool {
        self.refused.rests(&(environment.to_owned(), node.to_owned()), now)
            || self.looked.get(node).is_some_and(|until| *until > now)
    }

    /// When the next of them is looked at again.
    pub(crate) fn next(&self, now: Moment) -> Option<Moment> {
        self.looked.values().copied().filter(|until| *until > now).chain(self.refused.next(now)).min()
    }

    /// Takes in what came of a change. Returns what is to be told.
    pub(crate) fn settle(
        &mut self,
        environment: &str,
        node: &str,
        came: Result<Came, Answer>,
        now: Moment,
    ) -> Option<String> {
        let key = (environment.to_owned(), node.to_owned());
        self.looked.remove(node);
        let came = match came {
            Err(answer) => {
                let answer = answer.to("cannot change its taints");
                return self.refused.add(key, &answer, now).then(|| answer.message().to_owned());
            }
            Ok(came) => came,
        };
        self.refused.clear(&key);
        match came {
            Came::Written => drop(self.open.remove(&key)),
            Came::Conflict => drop(self.looked.insert(node.to_owned(), now.plus(CONFLICT))),
            Came::Harms(why) => {
                self.looked.insert(node.to_owned(), now.plus(LOOK_AGAIN));
                self.open.insert(key, why);
            }
        }
        None
    }

    /// What environments say, by UUID.
    pub(crate) fn notices(&self) -> BTreeMap<String, String> {
        let refused = self.refused.iter().map(|((environment, node), why)| (environment.as_str(), node.as_str(), why));
        let mut all = stuck::notices("nodes", refused);
        let mut open = BTreeMap::<&str, Vec<String>>::new();
        for ((environment, node), why) in &self.open {
            open.entry(environment).or_default().push(format!("{node}: {why}"));
        }
        for (environment, nodes) in open {
            let others = if nodes.len() > 1 { format!(", and {} more", nodes.len() - 1) } else { String::new() };
            let first = nodes.first().map(String::as_str).unwrap_or_default();
            let text = format!("pods that name a node are not evicted everywhere yet ({first}{others})");
            all.entry(environment.to_owned()).and_modify(|said| *said = format!("{said}; {text}")).or_insert(text);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after(Duration::from_secs(seconds))
    }

    fn no(words: &str) -> Result<Came, Answer> {
        Err(Answer::Refused(words.to_owned()))
    }

    #[test]
    fn a_node_that_cannot_be_written_is_told_once_and_tried_less_and_less_often() {
        let (mut hindered, mut due) = (Hindered::default(), 0);
        for (times, pause) in [2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            let told = (times == 0).then(|| "cannot change its taints: no".to_owned());
            assert_eq!(hindered.settle("u", "n", no("no"), at(due)), told);
            assert!(hindered.rests("u", "n", at(due + pause - 1)) && !hindered.rests("u", "n", at(due + pause)));
            assert!(!hindered.rests("u", "m", at(due)), "others go on");
            assert_eq!(hindered.next(at(due)), Some(at(due + pause)));
            due += pause;
        }
        assert!(hindered.notices()["u"].ends_with("1 of its nodes; n: cannot change its taints: no"));
        assert_eq!(hindered.settle("u", "n", Ok(Came::Written), at(due)), None);
        assert!(hindered.notices().is_empty() && !hindered.rests("u", "n", at(due)));
    }

    #[test]
    fn what_would_be_harmed_and_what_is_refused_are_told_together() {
        let mut hindered = Hindered::default();
        hindered.settle("u", "a", Ok(Came::Harms("pod p".to_owned())), at(0));
        hindered.settle("u", "b", Ok(Came::Harms("pod q".to_owned())), at(0));
        assert_eq!(hindered.next(at(0)), Some(at(10)));
        let open = "pods that name a node are not evicted everywhere yet (a: pod p, and 1 more)";
        assert_eq!(hindered.notices()["u"], open);
        hindered.settle("u", "c", no("no"), at(0));
        let said = &hindered.notices()["u"];
        assert!(said.contains("1 of its nodes; c: ") && said.ends_with(&format!("; {open}")), "{said}");
        hindered.keep(|_| true, |name| name == "b");
        assert!(hindered.notices()["u"].ends_with("(b: pod q)"));
        hindered.keep(|name| name == "a", |_| false);
        assert!(hindered.notices().is_empty());
    }
}
