//! A still that ffmpeg decodes.
//!
//! In: the bytes of a file. Out: its picture as a BMP file, as it is stored. Promises: the bytes
//! lie in a temporary file, which only this user can read, for as long as ffmpeg reads them.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::listing::hear;
use super::{Ffmpeg, FfmpegError, MOST_PIXELS, in_own_group};

/// The longest that a picture may take.
const LONGEST: Duration = Duration::from_mins(2);
/// More than a BMP file has before its pixels.
const BMP_HEADER: u64 = 1024;

impl Ffmpeg {
    /// The picture of an HEIC or AVIF file, not turned, as a BMP file; `smooth` if colours between
    /// the samples of chroma are mixed. Of a picture that is larger than the `width` and `height`
    /// that its file says, no more than that is read.
    ///
    /// # Errors
    /// [`FfmpegError`] if it cannot be decoded, or takes minutes.
    pub(crate) fn still(
        &self,
        bytes: &[u8],
        (width, height): (u32, u32),
        smooth: bool,
    ) -> Result<Vec<u8>, FfmpegError> {
        // Rows of a BMP file end at multiples of four bytes.
        let row = (3 * u64::from(width)).next_multiple_of(4);
        let most = BMP_HEADER + row * u64::from(height);
        let unwritten = |error: std::io::Error| {
            FfmpegError::Unreadable(format!("no temporary file for it: {error}"))
        };
        let mut file = tempfile::NamedTempFile::new().map_err(unwritten)?;
        file.write_all(bytes).map_err(unwritten)?;
        let mut command = Command::new(&self.program);
        command.args(["-nostdin", "-hide_banner", "-nostats", "-v", "level+error"]);
        command.args(["-protocol_whitelist", "file", "-format_whitelist", "mov,mp4"]);
        command.args(["-max_pixels", &MOST_PIXELS.to_string(), "-noautorotate"]);
        let mut input = std::ffi::OsString::from("file:");
        input.push(file.path());
        // Without a map, the tiles of a picture are put together.
        command.arg("-i").arg(input).args(["-an", "-sn", "-dn", "-frames:v", "1"]);
        // A filter would be at odds with tiles.
        let interpolation = if smooth { "bilinear" } else { "neighbor" };
        command.args(["-sws_flags", &format!("{interpolation}+accurate_rnd+full_chroma_int")]);
        command.args(["-c:v", "bmp", "-pix_fmt", "bgr24", "-f", "image2pipe", "-"]);
        in_own_group(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let unusable = |error: std::io::Error| FfmpegError::Unusable {
            program: self.program.clone(),
            reason: error.to_string(),
        };
        let mut child = command.spawn().map_err(unusable)?;
        let (done, waiting) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                let mut picture = Vec::new();
                let _ = stdout.take(most).read_to_end(&mut picture);
                // One that waits no longer wants none.
                let _ = done.send(picture);
            });
        }
        let stderr = child.stderr.take();
        let complaints = stderr.map(|stderr| std::thread::spawn(|| hear(stderr, |_| {})));
        let picture = waiting.recv_timeout(LONGEST);
        let _ = child.kill();
        let _ = child.wait();
        let complaints = complaints.and_then(|heard| heard.join().ok()).unwrap_or_default();
        match picture {
            Ok(picture) if !picture.is_empty() => Ok(picture),
            Ok(_) => Err(FfmpegError::Unreadable(complaints.in_words())),
            Err(_) => {
                Err(FfmpegError::Unreadable(format!("no picture within {} s", LONGEST.as_secs())))
            }
        }
    }
}
