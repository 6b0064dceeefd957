//! Ctrl-C, being told to end, and a terminal that closes.
//!
//! The first signal asks the run to stop: images in flight are finished and written. The second
//! ends the process at once; records that were appended to the journal are kept all the same. A
//! terminal that closes sends SIGHUP twice (its shell does, and then the system), so SIGHUP only
//! ever asks. Under `nohup`, which ignores SIGHUP before the process begins, it stays ignored.
//! Before a run has begun, and in commands without one, a signal ends the process as it always
//! does, and what ffmpeg does with it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gemscope::ffmpeg;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use super::messages;

/// The exit code of a run that was stopped: 128 and the number of SIGINT, as shells have it.
pub(crate) const STOPPED: u8 = 130;

/// A flag that the first signal raises, for a run.
///
/// # Errors
/// On systems where signals cannot be caught.
pub(crate) fn stop_flag() -> io::Result<Arc<AtomicBool>> {
    raised_by_signals(
        "Stopping: what is in flight is finished and written. Once more leaves at once.",
    )
}

/// A flag that the first signal raises; `says` is what the user is then told.
///
/// # Errors
/// On systems where signals cannot be caught.
pub(crate) fn raised_by_signals(says: &'static str) -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the second signal finds the flag raised, and leaves from within the
        // handler, whatever hangs.
        leave_if(signal, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    #[cfg(unix)]
    if !is_ignored(signal_hook::consts::SIGHUP)? {
        flag::register(signal_hook::consts::SIGHUP, Arc::clone(&stop))?;
    }
    IS_HEEDED.store(true, Ordering::SeqCst);
    let raised = Arc::clone(&stop);
    std::thread::spawn(move || {
        // A handler may not print.
        while !raised.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
        messages::say(says);
    });
    Ok(stop)
}

/// Signals that end a process of the command line.
#[cfg(unix)]
const ENDING: [i32; 3] = [SIGINT, SIGTERM, signal_hook::consts::SIGHUP];
#[cfg(not(unix))]
const ENDING: [i32; 2] = [SIGINT, SIGTERM];

/// Set once signals stop a run, which ends what ffmpeg does itself.
static IS_HEEDED: AtomicBool = AtomicBool::new(false);

/// Lets signals end this process as they always do, and what ffmpeg does with it, until a run heeds
/// them. One that was ignored when this process began stays ignored.
///
/// # Errors
/// On systems where signals cannot be caught.
#[allow(unsafe_code)] // the crate's own handlers end nothing else
pub(crate) fn end_ffmpeg_too() -> io::Result<()> {
    for signal in ENDING {
        let leave = move || {
            if !IS_HEEDED.load(Ordering::SeqCst) {
                ffmpeg::end_children();
                let _ = low_level::emulate_default_handler(signal);
            }
        };
        if !is_ignored(signal)? {
            // SAFETY: the handler reads atomics, sends signals and ends the process, all of which a
            // handler may do; it takes no lock and no memory.
            unsafe { low_level::register(signal, leave) }?;
        }
    }
    Ok(())
}

/// Leaves at once when `signal` comes and the flag is raised; what ffmpeg does ends with it.
///
/// # Errors
/// On systems where signals cannot be caught.
#[allow(unsafe_code)] // the crate's own shutdown ends nothing else
fn leave_if(signal: i32, raised: Arc<AtomicBool>) -> io::Result<()> {
    let leave = move || {
        if raised.load(Ordering::SeqCst) {
            ffmpeg::end_children();
            low_level::exit(i32::from(STOPPED));
        }
    };
    // SAFETY: the handler reads atomics, sends signals and leaves by `_exit`, all of which a
    // handler may do; it takes no lock and no memory.
    unsafe { low_level::register(signal, leave) }?;
    Ok(())
}

/// Whether `signal` is ignored, as it was when this process began if no handler was set.
///
/// # Errors
/// If the system does not say.
#[cfg(unix)]
#[allow(unsafe_code)] // the system's own call; no crate asks for a handler without setting one
fn is_ignored(signal: i32) -> io::Result<bool> {
    let mut now = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new handler the call changes nothing, and only writes the present one to
    // `now`, which is as large as it must be.
    if unsafe { libc::sigaction(signal, std::ptr::null(), now.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded, so `now` is written.
    Ok(unsafe { now.assume_init() }.sa_sigaction == libc::SIG_IGN)
}

#[cfg(not(unix))]
fn is_ignored(_: i32) -> io::Result<bool> {
    Ok(false)
}
