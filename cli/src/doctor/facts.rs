//! What `semring doctor` looks at, as it is found.

use std::fs;
use std::path::Path;

use nix::unistd::{Uid, User};
use semring::{Kind, Options, WakeMode, segment, sem};

/// Everything that is judged.
pub(super) struct Facts {
    /// Bytes of the segment that is to fit.
    pub(super) size: u64,
    pub(super) shmmax: Option<u64>,
    /// Pages.
    pub(super) shmall: Option<u64>,
    pub(super) shmmni: Option<u64>,
    /// SEMMSL, SEMMNS, SEMOPM, SEMMNI.
    pub(super) sem: Option<[u64; 4]>,
    pub(super) segments: u64,
    pub(super) segments_pages: u64,
    pub(super) sets: u64,
    pub(super) semaphores: u64,
    pub(super) logind: bool,
    pub(super) remove_ipc: bool,
    pub(super) ordinary_user: bool,
    pub(super) lingers: bool,
    /// Ours, and that of process 1 if we may know.
    pub(super) namespace: Option<(String, Option<String>)>,
    /// Does a private channel work, from creation to removal?
    pub(super) channel: Result<(), String>,
    pub(super) membarrier: Result<(), String>,
}

impl Facts {
    pub(super) fn gather(capacity: u64, message_size: u64) -> Self {
        let segments = segment::list().unwrap_or_default();
        let sets = sem::list().unwrap_or_default();
        let pages = segments.iter().map(|segment| segment.size.div_ceil(4096) as u64);
        let uid = Uid::effective();
        Facts {
            size: estimate(capacity, message_size),
            shmmax: number("/proc/sys/kernel/shmmax"),
            shmall: number("/proc/sys/kernel/shmall"),
            shmmni: number("/proc/sys/kernel/shmmni"),
            sem: numbers("/proc/sys/kernel/sem").and_then(|numbers| numbers.try_into().ok()),
            segments: segments.len() as u64,
            segments_pages: pages.sum(),
            sets: sets.len() as u64,
            semaphores: sets.iter().map(|set| set.semaphores as u64).sum(),
            logind: Path::new("/run/systemd/seats").exists() || Path::new("/run/systemd/sessions").exists(),
            remove_ipc: remove_ipc(&logind_configuration()),
            ordinary_user: uid.as_raw() >= 1000,
            lingers: lingers(uid),
            namespace: link("/proc/self/ns/ipc").map(|ours| (ours, link("/proc/1/ns/ipc"))),
            channel: try_channel().map_err(|error| error.to_string()),
            membarrier: try_membarrier().map_err(|error| error.to_string()),
        }
    }

    /// A system where nothing is wrong.
    #[cfg(test)]
    pub(super) fn healthy() -> Self {
        Facts {
            size: estimate(1024, 4096),
            shmmax: Some(u64::MAX),
            shmall: Some(u64::MAX),
            shmmni: Some(4096),
            sem: Some([32_000, 1_024_000_000, 500, 32_000]),
            segments: 3,
            segments_pages: 300,
            sets: 3,
            semaphores: 30,
            logind: false,
            remove_ipc: true,
            ordinary_user: false,
            lingers: false,
            namespace: Some(("ipc:[1]".into(), None)),
            channel: Ok(()),
            membarrier: Ok(()),
        }
    }
}

/// Bytes of a channel's segment, to a page or so: slots of 16 bytes more than the message, in multiples of 64.
fn estimate(capacity: u64, message_size: u64) -> u64 {
    let slot = message_size.saturating_add(16).checked_next_multiple_of(64).unwrap_or(u64::MAX);
    let slots = capacity.checked_next_power_of_two().unwrap_or(u64::MAX);
    slots.saturating_mul(slot).saturating_add(2048 + 64 * 256)
}

fn numbers(path: &str) -> Option<Vec<u64>> {
    fs::read_to_string(path).ok()?.split_whitespace().map(|number| number.parse().ok()).collect()
}

fn number(path: &str) -> Option<u64> {
    numbers(path)?.first().copied()
}

fn link(path: &str) -> Option<String> {
    fs::read_link(path).ok().map(|target| target.display().to_string())
}

/// All that configures logind, in the order in which it counts: the last one wins.
fn logind_configuration() -> String {
    let roots = ["/usr/lib/systemd", "/usr/local/lib/systemd", "/run/systemd", "/etc/systemd"];
    let main = roots.iter().map(|root| format!("{root}/logind.conf"));
    let mut pieces: Vec<_> = roots
        .iter()
        .filter_map(|root| fs::read_dir(format!("{root}/logind.conf.d")).ok())
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    pieces.sort_by_key(|path| path.file_name().map(|name| name.to_owned()));
    let main = main.map(fs::read_to_string);
    main.chain(pieces.iter().map(fs::read_to_string)).flatten().map(|text| text + "\n").collect()
}

/// Whether logind removes IPC objects: yes, unless it says otherwise.
fn remove_ipc(configuration: &str) -> bool {
    let values = configuration
        .lines()
        .filter_map(|line| line.trim().strip_prefix("RemoveIPC")?.trim_start().strip_prefix('='));
    let last = values.map(|value| value.trim().to_ascii_lowercase()).next_back();
    !matches!(last.as_deref(), Some("no" | "false" | "off" | "0" | "n" | "f"))
}

fn lingers(uid: Uid) -> bool {
    let user = User::from_uid(uid).ok().flatten();
    user.is_some_and(|user| Path::new("/var/lib/systemd/linger").join(user.name).exists())
}

/// One message through a channel that nobody else can find.
fn try_channel() -> semring::Result<()> {
    try_private(Options::new().wake_mode(WakeMode::Fence))
}

fn try_membarrier() -> semring::Result<()> {
    try_private(Options::new().wake_mode(WakeMode::Membarrier))
}

fn try_private(options: Options) -> semring::Result<()> {
    let options = options.kind(Kind::Spsc).capacity(1).message_size(8).participants(2);
    let channel = options.create(segment::Key::Private)?;
    let joined = channel.producer().and(channel.consumer()).map(drop);
    channel.remove()?;
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_remove_ipc_counts() {
        assert!(remove_ipc("") && remove_ipc("#RemoveIPC=no\n[Login]\nRemoveIPC=yes\n"));
        assert!(!remove_ipc("[Login]\nRemoveIPC=yes\nRemoveIPC = no\n"));
    }

    #[test]
    fn the_estimate_is_what_a_channel_takes() {
        let real = 1024 * (4096 + 64) + 2048 + 64 * 256;
        assert_eq!(estimate(1000, 4096), real);
        assert_eq!(estimate(u64::MAX, u64::MAX), u64::MAX);
    }
}
