//! A process of ffmpeg that ends with the object that stands for it.
//!
//! In: a command, and for how long it is wanted. Out: its process. Promises: a signal that the
//! terminal sends to this process does not end it, since an image that is being read when a run is
//! stopped would be a failed one; it ends when it is wanted no more, and when its object is
//! dropped; what still runs when this process leaves without dropping anything is ended by
//! [`end_children`].

use std::io;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus};
#[cfg(unix)]
use std::sync::atomic::AtomicI32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most processes that [`end_children`] knows of; more than ever run.
#[cfg(unix)]
const MAX_CHILDREN: usize = 256;
/// How soon a process is ended that is wanted no more.
const OVER_CHECK: Duration = Duration::from_millis(50);
/// How soon the end of a process is noticed whose output has ended.
const END_CHECK: Duration = Duration::from_millis(1);

/// Ids of processes that run, which are those of their groups; 0 is a free place.
#[cfg(unix)]
static RUNNING: [AtomicI32; MAX_CHILDREN] = [const { AtomicI32::new(0) }; MAX_CHILDREN];

/// For how long a process is wanted. By default, until it is done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    stop: Option<Arc<AtomicBool>>,
    until: Option<Instant>,
}

impl Wanted {
    /// Until `stop` is raised.
    pub(crate) fn unless(stop: Option<Arc<AtomicBool>>) -> Self {
        Self { stop, until: None }
    }

    /// The same, and no longer than `longest` from now on.
    #[must_use]
    pub(crate) fn within(self, longest: Duration) -> Self {
        Self { until: Instant::now().checked_add(longest), ..self }
    }

    /// Whether it took too long.
    pub(crate) fn is_late(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Whether it is wanted no more.
    pub(crate) fn is_over(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) || self.is_late()
    }

    fn may_end(&self) -> bool {
        self.stop.is_some() || self.until.is_some()
    }
}

/// A process in a group of its own.
pub(super) struct OwnedChild {
    running: Arc<Mutex<Running>>,
}

struct Running {
    child: Child,
    #[cfg(unix)]
    place: Option<&'static AtomicI32>,
}

impl OwnedChild {
    /// Begins a process, which ends when it is not `wanted` any more: its output does, too.
    ///
    /// # Errors
    /// The system's reason.
    pub(super) fn spawn(command: &mut Command, wanted: &Wanted) -> io::Result<Self> {
        in_own_group(command);
        let child = command.spawn()?;
        #[cfg(unix)]
        let place = RUNNING.iter().find(|place| {
            let id = i32::try_from(child.id()).unwrap_or(0);
            place.compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        });
        let running = Arc::new(Mutex::new(Running {
            child,
            #[cfg(unix)]
            place,
        }));
        if wanted.may_end() {
            let (wanted, running) = (wanted.clone(), Arc::downgrade(&running));
            std::thread::spawn(move || {
                while let Some(running) = running.upgrade() {
                    let mut running = lock(&running);
                    if wanted.is_over() {
                        running.kill();
                    }
                    if !matches!(running.ended(), Ok(None)) {
                        break;
                    }
                    drop(running);
                    std::thread::sleep(OVER_CHECK);
                }
            });
        }
        Ok(Self { running })
    }

    /// Its standard output, once, if that is a pipe.
    pub(super) fn stdout(&self) -> Option<ChildStdout> {
        lock(&self.running).child.stdout.take()
    }

    /// Its standard error, once, if that is a pipe.
    pub(super) fn stderr(&self) -> Option<ChildStderr> {
        lock(&self.running).child.stderr.take()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The system's reason.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = lock(&self.running).ended()? {
                return Ok(status);
            }
            std::thread::sleep(END_CHECK);
        }
    }

    /// Ends it, and what it began.
    pub(super) fn kill(&mut self) {
        lock(&self.running).kill();
    }
}

impl Drop for OwnedChild {
    fn drop(&mut self) {
        self.kill();
        let _ = self.wait();
    }
}

/// A child stays what it is whatever panics.
fn lock(running: &Mutex<Running>) -> MutexGuard<'_, Running> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Running {
    /// How it ended; `None` as long as it runs.
    fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        let ended = self.child.try_wait();
        #[cfg(unix)]
        if !matches!(ended, Ok(None))
            && let Some(place) = self.place.take()
        {
            // Its id may be another's from now on.
            place.store(0, Ordering::Relaxed);
        }
        ended
    }

    fn kill(&mut self) {
        #[cfg(unix)]
        if let Some(place) = self.place.take() {
            // It was not waited for yet: after that, its id may be another's.
            end_group(place.swap(0, Ordering::Relaxed));
        }
        let _ = self.child.kill();
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

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    /// A process that waits for another one, both for minutes, and whether both have ended.
    fn waiting(dir: &std::path::Path, wanted: &Wanted) -> (OwnedChild, impl Fn() -> bool + use<>) {
        let file = dir.join("ids");
        let script =
            format!("sleep 600 & echo $! $$ > {0}.tmp; mv {0}.tmp {0}; wait", file.display());
        let child = OwnedChild::spawn(Command::new("sh").args(["-c", &script]), wanted).unwrap();
        within_seconds(|| file.exists());
        let ids = std::fs::read_to_string(&file).unwrap();
        let ids: Vec<String> = ids.split_whitespace().map(str::to_owned).collect();
        let runs = |id: &String| {
            let state = Command::new("ps").args(["-o", "stat=", "-p", id]).output().unwrap();
            let state = String::from_utf8(state.stdout).unwrap();
            !state.trim().is_empty() && !state.starts_with('Z')
        };
        assert!(ids.len() == 2 && ids.iter().all(runs), "{ids:?}");
        (child, move || !ids.iter().any(runs))
    }

    fn within_seconds(is_so: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(Instant::now() < until, "not within seconds");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_process_ends_with_its_object_and_takes_along_what_it_began() {
        let dir = tempfile::tempdir().unwrap();
        let (child, have_ended) = waiting(dir.path(), &Wanted::default());
        drop(child);
        within_seconds(have_ended);
    }

    #[test]
    fn a_process_that_is_wanted_no_more_ends_while_it_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let stop = Arc::<AtomicBool>::default();
        let (mut child, have_ended) = waiting(dir.path(), &Wanted::unless(Some(Arc::clone(&stop))));
        stop.store(true, Ordering::Relaxed);
        assert_eq!(child.wait().unwrap().code(), None, "a signal ended it");
        within_seconds(have_ended);
        let dir = tempfile::tempdir().unwrap();
        let wanted = Wanted::default().within(Duration::from_secs(2));
        let (mut child, have_ended) = waiting(dir.path(), &wanted);
        child.wait().unwrap();
        assert!(wanted.is_late() && wanted.is_over());
        within_seconds(have_ended);
    }
}
