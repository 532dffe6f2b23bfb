//! How long the server's threads had something to do and got no processor: what is late because of that says nothing about the server.

use std::fs;
use std::time::Duration;

use crate::server::THREAD;

/// How long they have waited together so far.
pub(crate) fn waited() -> Duration {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten().map(|entry| entry.path());
    let read = |path: &std::path::Path, file: &str| fs::read_to_string(path.join(file)).unwrap_or_default();
    let serving = threads.filter(|path| read(path, "comm").trim() == THREAD);
    serving.filter_map(|path| of_schedstat(&read(&path, "schedstat"))).sum()
}

/// The second of three numbers: nanoseconds on a run queue.
fn of_schedstat(text: &str) -> Option<Duration> {
    text.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_has_waited_is_the_second_number() {
        assert_eq!(of_schedstat("2500000 1500000000 12\n"), Some(Duration::from_millis(1500)));
        assert_eq!(of_schedstat(""), None);
    }
}
