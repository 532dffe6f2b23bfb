//! `cargo xtask cluster …`: command line of the local cluster. Does nothing itself; `testbed` does.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use api::provider::Taint;
use clap::Subcommand;
use testbed::{AwsClients, Cluster, FakeNodes, NodeOptions, Release, UpOptions};

/// Arguments of `cargo xtask cluster`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the cluster; by default one that belongs to this checkout.
    #[arg(long, global = true)]
    name: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the cluster; harmless to repeat, and repairs whatever died.
    ///
    /// Needs root. The first time, missing Debian packages are installed and Kubernetes is built (minutes).
    Up {
        /// Release of Kubernetes; by default that of the cluster if it is there, else the newest.
        ///
        /// A cluster keeps its release until it is taken down.
        #[arg(long, value_name = "VERSION", value_enum)]
        kubernetes: Option<Release>,
    },
    /// Stop the cluster and remove everything of it.
    Down,
    /// Show what runs.
    Status {
        /// Print one JSON object instead of a table.
        ///
        /// Keys: name, slot, kubernetes (version), kubeconfig, kubectl, registry, provider (URL), gateway (address), logs, api (URL of the
        /// AWS Batch API, null until Bulkhead is installed), and two lists:
        /// components [{name, pid, alive}] and nodes [{name, ip, components: [{name, pid, alive}]}].
        #[arg(long)]
        json: bool,
    },
    /// Install Bulkhead from this checkout, or roll out what changed, and wait until it is available.
    ///
    /// As a user would: images into the cluster's registry, then `kubectl apply` of manifests/bulkhead.yaml.
    Install,
    /// Install the AWS CLI that the end-to-end tests use, unless it is there, and print an alias for it.
    ///
    /// Version 1 from the Python package index, in the cache beside the cluster's programs; no cluster is needed.
    Aws,
    /// Have so many fake nodes (kwok-0, kwok-1, …); 0 removes them.
    ///
    /// Pods on them run and complete without running anything. Each has the taint kwok.x-k8s.io/node=fake:NoSchedule.
    Kwok {
        /// How many.
        count: u32,
        /// CPU of each.
        #[arg(long, default_value = "32")]
        cpu: String,
        /// Memory of each.
        #[arg(long, default_value = "256Gi")]
        memory: String,
        /// Label `key=value` of new ones; may be repeated.
        #[arg(long, value_parser = parse_label)]
        label: Vec<(String, String)>,
        /// Taint `key=value:Effect` of new ones; may be repeated.
        #[arg(long, value_parser = parse_taint)]
        taint: Vec<Taint>,
    },
    /// Add or take away real nodes.
    #[command(subcommand)]
    Node(NodeCommand),
}

#[derive(Subcommand)]
enum NodeCommand {
    /// Boot a node and wait until it is Ready.
    Add(AddArgs),
    /// A node leaves: drained, switched off, Node object deleted.
    Rm {
        /// Name of the node.
        node: String,
    },
    /// A node vanishes: everything on it dies at once, the Node object stays.
    Kill {
        /// Name of the node.
        node: String,
    },
}

#[derive(clap::Args)]
struct AddArgs {
    /// Name of the node.
    node: String,
    /// CPU that pods can request, for example `500m`; by default the whole machine's.
    #[arg(long)]
    cpu: Option<String>,
    /// Memory that pods can request, for example `2Gi`; by default the whole machine's.
    #[arg(long)]
    memory: Option<String>,
    /// Label `key=value` to register with; may be repeated.
    #[arg(long, value_parser = parse_label)]
    label: Vec<(String, String)>,
    /// Taint `key=value:Effect` to register with; may be repeated.
    #[arg(long, value_parser = parse_taint)]
    taint: Vec<Taint>,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Result<()> {
    let name = args.name.unwrap_or_else(default_name);
    match args.command {
        Command::Up { kubernetes } => up(&name, kubernetes),
        Command::Down => {
            Cluster::take_down(&name)?;
            eprintln!("nothing is left of cluster {name}");
            Ok(())
        }
        Command::Status { json } => status(&name, json),
        Command::Install => crate::install::install(&Cluster::open(&name)?),
        Command::Aws => {
            println!("alias aws={}", AwsClients::ensure()?.aws.display());
            Ok(())
        }
        Command::Kwok { count, cpu, memory, label, taint } => {
            let labels = label.into_iter().collect();
            let wanted = FakeNodes { count, cpu, memory, labels, fenced: true, taints: taint };
            Cluster::open(&name)?.fake_nodes(&wanted)
        }
        Command::Node(command) => node(&Cluster::open(&name)?, command),
    }
}

/// Name of the cluster that belongs to this checkout.
pub(crate) fn default_name() -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    testbed::default_name(own.parent().unwrap_or(own))
}

fn up(name: &str, kubernetes: Option<Release>) -> Result<()> {
    let cluster = Cluster::up(name, &UpOptions { kubernetes, ..UpOptions::default() })?;
    let option = if name == default_name() { String::new() } else { format!(" --name {name}") };
    eprintln!("\nThe cluster runs. To use it:\n");
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    println!("alias kubectl={}", cluster.kubectl().display());
    eprintln!("\nThen, for example:");
    eprintln!("  cargo xtask cluster{option} node add a --cpu 1 --memory 2Gi");
    eprintln!("  cargo xtask cluster{option} status");
    eprintln!("  cargo xtask cluster{option} down");
    Ok(())
}

fn status(name: &str, json: bool) -> Result<()> {
    let cluster = Cluster::open(name)?;
    let status = cluster.status();
    if json {
        let mut shown = serde_json::to_value(&status)?;
        shown["api"] = crate::install::local::api_url(&cluster).ok().into();
        println!("{}", serde_json::to_string_pretty(&shown)?);
        return Ok(());
    }
    print!("{}", status.table());
    if !status.is_healthy() {
        bail!("not everything runs; `cargo xtask cluster up --name {name}` repairs it");
    }
    Ok(())
}

fn node(cluster: &Cluster, command: NodeCommand) -> Result<()> {
    match command {
        NodeCommand::Add(args) => {
            let labels: BTreeMap<String, String> = args.label.into_iter().collect();
            let options =
                NodeOptions { name: args.node, cpu: args.cpu, memory: args.memory, labels, taints: args.taint };
            let begin = Instant::now();
            cluster.add_node(&options)?;
            eprintln!("node {} is Ready ({:.1} s)", options.name, begin.elapsed().as_secs_f64());
            Ok(())
        }
        NodeCommand::Rm { node } => cluster.remove_node(&node),
        NodeCommand::Kill { node } => cluster.kill_node(&node),
    }
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not `key=value`")),
    }
}

fn parse_taint(text: &str) -> Result<Taint, String> {
    let wrong = || format!("`{text}` is not `key=value:Effect`, for example `team=a:NoSchedule`");
    let (pair, effect) = text.rsplit_once(':').ok_or_else(wrong)?;
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    if key.is_empty() {
        return Err(wrong());
    }
    Ok(Taint { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_are_read_as_kubectl_writes_them() {
        let check = |text: &str, expect: Option<(&str, &str, &str)>| {
            let got = parse_taint(text).ok();
            let got = got.as_ref().map(|t| (t.key.as_str(), t.value.as_str(), t.effect.as_str()));
            assert_eq!(got, expect, "{text}");
        };
        check("a=b:NoSchedule", Some(("a", "b", "NoSchedule")));
        check("a:NoExecute", Some(("a", "", "NoExecute")));
        check("a=b", None);
        check("=b:NoSchedule", None);
    }

    #[test]
    fn labels_need_a_key_and_an_equals_sign() {
        assert!(parse_label("a=").is_ok());
        assert!(parse_label("a=b=c").is_ok());
        assert!(parse_label("a").is_err());
        assert!(parse_label("=b").is_err());
    }
}
