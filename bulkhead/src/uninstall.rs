//! `bulkhead uninstall`: takes Bulkhead out of a cluster, from a workstation, with or without a running controller.
//!
//! Invariant: every step finds its work in the cluster alone and may be repeated, so a removal that was interrupted at any
//! point goes on when the command is given again. The order matters: first nothing calls Bulkhead, then nothing of Bulkhead
//! acts, then what it held is let go, and its own records go last. What becomes of a thing is decided in `planning::removal`.

mod access;
mod attempts;
mod jobs;
mod machines;
mod nodes;
mod objects;
mod say;
mod survey;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use planning::removal::Choice;

use access::Access;

/// Removes Bulkhead from the cluster: webhooks, waiting work, machines, custom resources, and its namespace.
///
/// Needs no running controller, and the rights of a cluster administrator. It may be interrupted and given again.
#[derive(Args, Clone, Debug)]
pub(crate) struct UninstallArgs {
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// What becomes of the Jobs that are in a queue and have not ended.
    #[arg(long, value_enum, default_value_t = Jobs::Handback)]
    jobs: Jobs,
    /// Go on although machines cannot be taken down; they are named, and are then yours to take down.
    #[arg(long)]
    abandon_machines: bool,
    /// How long each step may wait, for example 90s, 5m or 1h.
    #[arg(long, value_parser = crate::duration, default_value = "5m")]
    timeout: Duration,
}

/// What becomes of Jobs in a queue.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Jobs {
    /// They become plain Jobs: those that only Bulkhead held back start at once, those that their users suspended stay suspended.
    Handback,
    /// They are deleted, with their pods.
    Cancel,
}

/// Removes Bulkhead.
pub(crate) async fn run(args: UninstallArgs, kubeconfig: Option<&Path>) -> anyhow::Result<()> {
    let UninstallArgs { yes, jobs, abandon_machines, timeout } = args;
    let choice = match jobs {
        Jobs::Handback => Choice::HandBack,
        Jobs::Cancel => Choice::Cancel,
    };
    let clients = cluster::client::connect(kubeconfig).await?;
    let access = Access::new(clients.retrying, timeout);
    let found = survey::survey(&access).await.context("cannot see what is installed")?;
    found.show(choice, kubeconfig);
    if !yes && !say::confirm("Remove Bulkhead from this cluster?")? {
        bail!("nothing was changed");
    }
    remove(&access, &found, choice, abandon_machines)
        .await
        .context("not everything is removed; what was done stays done: give the same command again to go on")?;
    say::end(&found.queue_namespaces);
    Ok(())
}

async fn remove(access: &Access, found: &survey::Found, choice: Choice, abandon_machines: bool) -> anyhow::Result<()> {
    say::step(1, "Webhooks and policies: from now on nothing calls Bulkhead");
    objects::admission(access).await?;
    say::step(2, "Workloads: from now on nothing of Bulkhead acts");
    objects::workloads(access).await?;
    say::step(3, "Jobs");
    machines::close(access).await?;
    jobs::settle(access, choice, &found.machine_nodes).await?;
    attempts::remove(access).await?;
    say::step(4, "Machines");
    machines::terminate(access, &found.machine_nodes, abandon_machines).await?;
    say::step(5, "Nodes that stay");
    nodes::clean(access, &found.environment_uuids).await?;
    say::step(6, "Compute environments, job queues, and their definitions");
    objects::custom_resources(access).await?;
    say::step(7, "Permissions and the namespace");
    objects::permissions(access).await?;
    objects::namespace(access).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: UninstallArgs,
    }

    fn parse(args: &[&str]) -> Result<UninstallArgs, clap::Error> {
        Cli::try_parse_from([&["uninstall"], args].concat()).map(|cli| cli.args)
    }

    #[test]
    fn by_default_it_asks_hands_jobs_back_and_abandons_nothing() {
        let args = parse(&[]).unwrap();
        assert!(!args.yes && !args.abandon_machines && matches!(args.jobs, Jobs::Handback));
        assert_eq!(args.timeout, Duration::from_mins(5));
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        assert_eq!(parse(&["--timeout", "90s"]).unwrap().timeout, Duration::from_secs(90));
        assert_eq!(parse(&["--timeout", "1h30m"]).unwrap().timeout, Duration::from_mins(90));
        for wrong in ["soon", "-5m", "5"] {
            assert!(parse(&[&format!("--timeout={wrong}")]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_choice_for_jobs_is_refused_with_the_possible_ones() {
        let error = parse(&["--jobs", "keep"]).unwrap_err().to_string();
        assert!(error.contains("handback") && error.contains("cancel"), "{error}");
    }
}
