//! `bulkhead explain`: why something waits, as a tree of checks, and what would let it start.
//!
//! Invariant: reads only; explains the plan that the leader makes of what it sees now, or that of a dump. Decides nothing by itself.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, ValueEnum};
use model::dump::Dump;
use model::keys;
use planning::why::{self, Asked, Check, Explained, What};

use crate::dump::{self, DumpArgs};
use crate::simulate;

/// Says why a job or pod waits, and what would let it start; or what a queue does.
///
/// Prints what has to be so for it to start, each with whether it is: queue, what comes before it, environments, their nodes and what may be
/// launched. Then the changes that would let it start, each of which was tried on a copy of what the planner sees. Asks the controller that leads,
/// through a port-forward, as `bulkhead dump` does, or takes what that wrote.
#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// Job or pod as NAMESPACE/NAME, or NAME if there is only one; id of a job of the API; queue.
    name: String,
    /// Only what is of this kind; default: a job, else a pod, else a queue of this name.
    #[arg(long)]
    kind: Option<Kind>,
    /// What `bulkhead dump` wrote, instead of asking; `-` is standard input.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Namespace of the installation.
    #[arg(long, default_value = keys::NAMESPACE)]
    namespace: String,
    /// Where the controller listens for it (its `--dump-listen`).
    #[arg(long, default_value_t = dump::LISTEN.port())]
    port: u16,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Job,
    Pod,
    Queue,
}

/// Asks and prints.
pub(crate) async fn run(args: ExplainArgs, kubeconfig: Option<&Path>) -> anyhow::Result<()> {
    let seen: Dump = if let Some(file) = &args.file {
        simulate::read(file)?
    } else {
        let from = DumpArgs { namespace: args.namespace, port: args.port };
        simulate::parse(&dump::take(&from, kubeconfig).await?[..], "what the controller gave")?
    };
    let what = args.kind.map(|kind| match kind {
        Kind::Job => What::Job,
        Kind::Pod => What::Pod,
        Kind::Queue => What::Queue,
    });
    let (namespace, name) = args.name.split_once('/').map_or((None, args.name.as_str()), |(of, name)| (Some(of), name));
    let asked = Asked { what, namespace, name };
    let found = why::explain(&seen.snapshot, seen.now, &asked).map_err(|error| anyhow!(error))?;
    print!("{}", told(&found));
    Ok(())
}

fn told(found: &Explained) -> String {
    let mut out = String::new();
    // Writing to a text does not fail.
    let _ = writeln!(out, "{}", found.title);
    if let Some(reason) = &found.reason {
        let _ = writeln!(out, "  {}: {}", reason.code.as_str(), reason.message);
    }
    if !found.checks.is_empty() {
        out.push('\n');
        tree(&mut out, 1, &found.checks);
    }
    if !found.changes.is_empty() {
        let _ = writeln!(
            out,
            "\nIt would start if {}:",
            if found.changes.len() > 1 { "one of these were so" } else { "this were so" }
        );
        for change in &found.changes {
            let _ = writeln!(out, "  - {change}");
        }
    }
    out
}

fn tree(out: &mut String, depth: usize, checks: &[Check]) {
    for check in checks {
        let mark = match check.holds {
            Some(true) => '✓',
            Some(false) => '✗',
            None => '·',
        };
        let _ = writeln!(out, "{}{mark} {}", "  ".repeat(depth), check.text);
        tree(out, depth + 1, &check.below);
    }
}

#[cfg(test)]
mod tests {
    use model::status::{Code, Reason};

    use super::*;

    #[test]
    fn an_explanation_is_a_tree_and_a_list() {
        let check = |holds, text: &str, below| Check { holds, text: text.to_owned(), below };
        let found = Explained {
            title: "job team-a/train in queue gpu: RUNNABLE".to_owned(),
            reason: Some(Reason { code: Code::NoRoom, message: "full".to_owned() }),
            checks: vec![
                check(Some(true), "job queue gpu is ENABLED", vec![]),
                check(None, "compute environment a:", vec![check(Some(false), "1 node (n): full", vec![])]),
            ],
            changes: vec!["what runs in a has ended".to_owned()],
        };
        let expected = "job team-a/train in queue gpu: RUNNABLE
  CAPACITY:NO_ROOM: full

  ✓ job queue gpu is ENABLED
  · compute environment a:
    ✗ 1 node (n): full

It would start if this were so:
  - what runs in a has ended
";
        assert_eq!(told(&found), expected);
        let short = Explained {
            title: "pod a/b in queue q: runs on n".to_owned(),
            reason: None,
            checks: vec![],
            changes: vec![],
        };
        assert_eq!(told(&short), "pod a/b in queue q: runs on n\n");
    }
}
