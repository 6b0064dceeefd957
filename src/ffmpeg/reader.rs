//! One process that gives frames of a video.
//!
//! In: a video file, and times of frames in it, in order. Out: these frames as BMP files, one after
//! the other. Promises: nothing is decoded ahead of what is taken but what fits into a pipe and
//! into ffmpeg's own queues; a frame is turned as the video says; the process ends when the reader
//! is dropped.

use std::fmt::Write as _;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::child::OwnedChild;
use super::listing::{Shown, read_log};
use super::{Complaints, Ffmpeg, FfmpegError, Origin, Wanted};

/// The longest wait for the time of a frame whose pixels are there.
const TIME_TIMEOUT: Duration = Duration::from_secs(30);
/// Seconds before the first frame from which on a video is read.
const SECONDS_BEFORE: f64 = 0.2;
/// Seconds behind the last frame up to which it is read.
const SECONDS_BEHIND: f64 = 10.0;
/// The head of a BMP file, up to its length.
const HEAD: usize = 6;

/// A process on its way through a part of a video.
pub(super) struct Reader {
    process: OwnedChild,
    pixels: BufReader<ChildStdout>,
    shown: Receiver<Shown>,
    complaints: Option<JoinHandle<Complaints>>,
}

impl Reader {
    /// Begins with the frames at `times` (milliseconds, sorted) of `file`; with `seek` the part
    /// before them is skipped, and not decoded.
    pub(super) fn begin(
        ffmpeg: &Ffmpeg,
        file: &Path,
        times: &[u64],
        seek: bool,
    ) -> Result<Self, FfmpegError> {
        let seconds = |time: Option<&u64>| time.map_or(0.0, |time| *time as f64 / 1000.0);
        let (first, last) = (seconds(times.first()), seconds(times.last()));
        let from = if seek { (first - SECONDS_BEFORE).max(0.0) } else { 0.0 };
        let mut command = ffmpeg.reading(file, from, Origin::Beginning);
        command.args(["-t", &format!("{:.3}", last - from + SECONDS_BEHIND)]);
        Self::run(ffmpeg, command, &any_of(times), times.len(), &Wanted::default())
    }

    /// Runs `command`, and takes from it the first `count` frames for which `expression` of the
    /// filter `select` is true, as long as they are `wanted`.
    pub(super) fn run(
        ffmpeg: &Ffmpeg,
        mut command: Command,
        expression: &str,
        count: usize,
        wanted: &Wanted,
    ) -> Result<Self, FfmpegError> {
        let filter = format!("select='{expression}',showinfo=checksum=0");
        command.args(["-vf", &filter, "-fps_mode", "passthrough"]);
        command.args(["-frames:v", &count.to_string()]);
        command.args(["-c:v", "bmp", "-pix_fmt", "bgr24", "-f", "image2pipe", "-"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let unusable =
            |reason: String| FfmpegError::Unusable { program: ffmpeg.program.clone(), reason };
        let process = OwnedChild::spawn(&mut command, wanted);
        let process = process.map_err(|error| unusable(error.to_string()))?;
        let (Some(stdout), Some(stderr)) = (process.stdout(), process.stderr()) else {
            return Err(unusable("no pipes".to_owned()));
        };
        let (sender, shown) = channel();
        let read = move || {
            read_log(stderr, |frame| {
                // Nobody receives any more if the reader is dropped.
                let _ = sender.send(frame);
            })
        };
        let complaints = Some(std::thread::spawn(read));
        Ok(Self { process, pixels: BufReader::new(stdout), shown, complaints })
    }

    /// The next frame: its time, and a BMP file; `None` at the end.
    ///
    /// # Errors
    /// [`FfmpegError::NoFrame`] if it breaks off.
    pub(super) fn next(&mut self) -> Result<Option<(Shown, Vec<u8>)>, FfmpegError> {
        let mut head = [0; HEAD];
        match self.pixels.read_exact(&mut head) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read.map_err(|error| FfmpegError::NoFrame(error.to_string()))?,
        }
        let [b'B', b'M', length @ ..] = head else {
            return Err(FfmpegError::NoFrame("its pixels are no BMP".to_owned()));
        };
        let length = u32::from_le_bytes(length) as usize;
        let rest = length.saturating_sub(HEAD);
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&head);
        let read = self.pixels.by_ref().take(rest as u64).read_to_end(&mut bytes);
        if read.ok() != Some(rest) {
            return Err(FfmpegError::NoFrame("its pixels break off".to_owned()));
        }
        match self.shown.recv_timeout(TIME_TIMEOUT) {
            Ok(shown) => Ok(Some((shown, bytes))),
            Err(_) => Err(FfmpegError::NoFrame("it does not say which frame it is".to_owned())),
        }
    }

    /// Ends the process; its complaints.
    pub(super) fn end(mut self) -> String {
        self.process.kill();
        let complaints = self.complaints.take().and_then(|reading| reading.join().ok());
        complaints.unwrap_or_default().in_words()
    }
}

/// The expression of `select` that is true for frames whose times are rounded to `times`.
fn any_of(times: &[u64]) -> String {
    let mut expression = String::new();
    for time in times {
        let time = *time as f64 / 1000.0;
        let plus = if expression.is_empty() { "" } else { "+" };
        // A String takes every write.
        let _ = write!(expression, "{plus}between(t,{:.5},{:.5})", time - 0.00051, time + 0.00051);
    }
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_selected_by_their_times() {
        assert_eq!(any_of(&[0, 1001]), "between(t,-0.00051,0.00051)+between(t,1.00049,1.00151)");
    }
}
