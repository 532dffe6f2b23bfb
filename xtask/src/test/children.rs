//! Child processes of a test run. Invariant: each runs in a process group of its own, so that stopping it stops what it
//! started too; after SIGINT, SIGTERM or SIGHUP the groups are stopped by id and nothing new starts but cleaning up.
//!
//! Programs that are meant to outlive a command (the local cluster) leave their group; `cluster down` stops those.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::signal::unix::{SignalKind, signal};

/// Exit code of a run that was told twice to stop.
const INTERRUPTED: i32 = 130;

struct Running {
    groups: Vec<Pid>,
    stopping: bool,
}

static RUNNING: Mutex<Running> = Mutex::new(Running { groups: Vec::new(), stopping: false });

fn running() -> std::sync::MutexGuard<'static, Running> {
    RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Stops the children at the first signal; at the second also those that clean up, and this process.
pub(super) fn stop_them_when_told() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut int, mut term, mut hup) = {
        let _entered = runtime.enter();
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [int, term, hup] = kinds.map(|kind| signal(kind).context("cannot listen to signals"));
        (int?, term?, hup?)
    };
    let mut wait = move || {
        runtime.block_on(async {
            tokio::select! { _ = int.recv() => {}, _ = term.recv() => {}, _ = hup.recv() => {} }
        });
    };
    std::thread::spawn(move || {
        wait();
        eprintln!("\nstopping, then cleaning up; once more to leave at once");
        stop(Signal::TERM);
        wait();
        stop(Signal::KILL);
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}

fn stop(signal: Signal) {
    let mut running = running();
    running.stopping = true;
    for group in &running.groups {
        // It may have ended on its own by now.
        let _ended = kill_process_group(*group, signal);
    }
}

/// Whether the run was told to stop.
pub(super) fn stopping() -> bool {
    running().stopping
}

/// A running child; stopped when dropped.
pub(super) struct Handle {
    child: Child,
    group: Pid,
}

impl Handle {
    fn wait(mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    /// Its standard output, if it was asked for.
    pub(super) fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        running().groups.retain(|group| *group != self.group);
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ended = kill_process_group(self.group, Signal::KILL);
            let _reaped = self.child.wait();
        }
    }
}

fn spawn(command: &mut Command, cleaning: bool) -> Result<Handle> {
    // Held until the child is known, so that a signal in between finds it.
    let mut running = running();
    if running.stopping && !cleaning {
        bail!("interrupted");
    }
    let line = describe(command);
    let child =
        command.process_group(0).stdin(Stdio::null()).spawn().with_context(|| format!("cannot run `{line}`"))?;
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process has a positive id")?;
    running.groups.push(id);
    Ok(Handle { child, group: id })
}

/// Starts a command that runs beside the others until it is dropped.
pub(super) fn start(command: &mut Command) -> Result<Handle> {
    spawn(command, false)
}

/// Runs a command to its end; its output goes where ours goes.
pub(super) fn run(command: &mut Command) -> Result<()> {
    let status = spawn(command, false)?.wait()?;
    judge(command, status, false)
}

/// As [`run`], also after the run was told to stop.
pub(super) fn clean_up(command: &mut Command) -> Result<()> {
    let status = spawn(command, true)?.wait()?;
    judge(command, status, true)
}

fn judge(command: &Command, status: ExitStatus, cleaning: bool) -> Result<()> {
    if stopping() && !cleaning {
        bail!("interrupted");
    }
    if !status.success() {
        bail!("`{}` failed ({status}); what it said is above", describe(command));
    }
    Ok(())
}

/// Runs a command to its end and answers its standard output.
pub(super) fn output(command: &mut Command) -> Result<String> {
    read(command, false)
}

/// As [`output`], also after the run was told to stop.
pub(super) fn clean_up_output(command: &mut Command) -> Result<String> {
    read(command, true)
}

fn read(command: &mut Command, cleaning: bool) -> Result<String> {
    let mut child = spawn(command.stdout(Stdio::piped()), cleaning)?;
    let pipe = child.take_stdout().context("standard output was asked for")?;
    let text = std::io::read_to_string(pipe)?;
    judge(command, child.wait()?, cleaning)?;
    Ok(text)
}

/// A command as one would type it, shortened.
fn describe(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let program = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let line = command.get_args().fold(program, |line, word| line + " " + &word.to_string_lossy());
    if line.chars().count() > 200 { line.chars().take(200).chain("…".chars()).collect() } else { line }
}
