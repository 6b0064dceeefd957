//! A process of ffmpeg that ends with the object that stands for it.
//!
//! In: a command. Out: its process. Promises: a signal that the terminal sends to this process does
//! not end it, since an image that is being read when a run is stopped would be a failed one; it
//! ends when its object is dropped; what still runs when this process leaves without dropping
//! anything is ended by [`end_children`].

use std::io;
use std::process::{Child, Command, ExitStatus};
#[cfg(unix)]
use std::sync::atomic::{AtomicI32, Ordering};

/// The most processes that [`end_children`] knows of; more than ever run.
#[cfg(unix)]
const MAX_CHILDREN: usize = 256;

/// Ids of processes that run, which are those of their groups; 0 is a free place.
#[cfg(unix)]
static RUNNING: [AtomicI32; MAX_CHILDREN] = [const { AtomicI32::new(0) }; MAX_CHILDREN];

/// A process in a group of its own.
pub(super) struct OwnedChild {
    pub(super) child: Child,
    #[cfg(unix)]
    place: Option<&'static AtomicI32>,
}

impl OwnedChild {
    /// Begins a process.
    ///
    /// # Errors
    /// The system's reason.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        in_own_group(command);
        let child = command.spawn()?;
        #[cfg(unix)]
        let place = RUNNING.iter().find(|place| {
            let id = i32::try_from(child.id()).unwrap_or(0);
            place.compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        });
        Ok(Self {
            child,
            #[cfg(unix)]
            place,
        })
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The system's reason.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        let ended = self.child.wait();
        #[cfg(unix)]
        if let Some(place) = self.place.take() {
            // Its id may be another's from now on.
            place.store(0, Ordering::Relaxed);
        }
        ended
    }

    /// Ends it, and what it began.
    pub(super) fn kill(&mut self) {
        #[cfg(unix)]
        if let Some(place) = self.place.take() {
            // Before the process is waited for: after that, its id may be another's.
            end_group(place.swap(0, Ordering::Relaxed));
        }
        let _ = self.child.kill();
    }
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

/// Ends all processes of ffmpeg that this one runs: for a process that leaves at once. It may be
/// called in a signal handler. On Windows they end when they write to a reader that is gone.
pub fn end_children() {
    #[cfg(unix)]
    for place in &RUNNING {
        end_group(place.swap(0, Ordering::Relaxed));
    }
}

#[cfg(unix)]
#[allow(unsafe_code)] // the standard library ends single processes only
fn end_group(id: i32) {
    if id > 1 {
        // SAFETY: the call touches no memory. The id is that of a child that was not waited for.
        unsafe { libc::kill(-id, libc::SIGKILL) };
    }
}

#[cfg(unix)]
fn in_own_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(windows)]
fn in_own_group(command: &mut Command) {
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
    std::os::windows::process::CommandExt::creation_flags(command, CREATE_NEW_PROCESS_GROUP);
}

#[cfg(not(any(unix, windows)))]
fn in_own_group(_: &mut Command) {}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_process_ends_with_its_object_and_takes_along_what_it_began() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ids");
        let script =
            format!("sleep 600 & echo $! $$ > {0}.tmp; mv {0}.tmp {0}; wait", file.display());
        let child = OwnedChild::spawn(Command::new("sh").args(["-c", &script])).unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !file.exists() && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let ids = std::fs::read_to_string(&file).unwrap();
        let ids: Vec<&str> = ids.split_whitespace().collect();
        let runs = |id: &str| {
            let state = Command::new("ps").args(["-o", "stat=", "-p", id]).output().unwrap();
            let state = String::from_utf8(state.stdout).unwrap();
            !state.trim().is_empty() && !state.starts_with('Z')
        };
        assert!(ids.len() == 2 && ids.iter().all(|id| runs(id)), "{ids:?}");
        drop(child);
        while ids.iter().any(|id| runs(id)) && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(!ids.iter().any(|id| runs(id)), "{ids:?}");
    }
}
