//! A still that ffmpeg decodes.
//!
//! In: the bytes of a file. Out: its picture as a BMP file, as it is stored. Promises: the bytes
//! lie in a temporary file, which only this user can read, for as long as ffmpeg reads them; where
//! the system allows it, that file has no name, and is gone with the two processes whatever ends
//! them; ffmpeg ends with the call.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::child::OwnedChild;
use super::listing::read_log;
use super::{Ffmpeg, FfmpegError, MAX_PIXELS, Wanted};

/// The longest that a picture may take.
const STILL_TIMEOUT: Duration = Duration::from_mins(2);
/// More bytes than a BMP file has before its pixels.
const BMP_HEADER: u64 = 1024;
/// The standard input as a file that can be opened, and read in any order, on Unix.
const STDIN: &str = "/dev/stdin";

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
        let max_bytes = BMP_HEADER + row * u64::from(height);
        let input = Input::of(bytes).map_err(|error| {
            FfmpegError::Unreadable(format!("no temporary file for it: {error}"))
        })?;
        let mut command = Command::new(&self.program);
        command.args(["-nostdin", "-hide_banner", "-nostats", "-v", "level+error"]);
        command.args(["-protocol_whitelist", "file", "-format_whitelist", "mov,mp4"]);
        command.args(["-max_pixels", &MAX_PIXELS.to_string(), "-noautorotate"]);
        // Without a map, the tiles of a picture are put together.
        command.arg("-i").arg(&input.url).args(["-an", "-sn", "-dn", "-frames:v", "1"]);
        // A filter would be at odds with tiles.
        let interpolation = if smooth { "bilinear" } else { "neighbor" };
        command.args(["-sws_flags", &format!("{interpolation}+accurate_rnd+full_chroma_int")]);
        command.args(["-c:v", "bmp", "-pix_fmt", "bgr24", "-f", "image2pipe", "-"]);
        command.stdin(input.stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = OwnedChild::spawn(&mut command, &Wanted::default()).map_err(|error| {
            FfmpegError::Unusable { program: self.program.clone(), reason: error.to_string() }
        })?;
        let (sender, receiver) = channel();
        if let Some(stdout) = process.stdout() {
            std::thread::spawn(move || {
                let mut picture = Vec::new();
                let _ = stdout.take(max_bytes).read_to_end(&mut picture);
                // Nobody receives any more after the timeout.
                let _ = sender.send(picture);
            });
        }
        let stderr = process.stderr();
        let complaints = stderr.map(|stderr| std::thread::spawn(|| read_log(stderr, |_| {})));
        let picture = receiver.recv_timeout(STILL_TIMEOUT);
        drop(process);
        let complaints = complaints.and_then(|reading| reading.join().ok()).unwrap_or_default();
        match picture {
            Ok(picture) if !picture.is_empty() => Ok(picture),
            Ok(_) => Err(FfmpegError::Unreadable(about_it(&complaints.in_words(), &input.url))),
            Err(_) => Err(FfmpegError::Unreadable(format!(
                "no picture within {} s",
                STILL_TIMEOUT.as_secs()
            ))),
        }
    }
}

/// What ffmpeg says about the file at `url`, which has another name for everybody else.
fn about_it(words: &str, url: &OsStr) -> String {
    let url = url.to_string_lossy();
    let words = words.replace(&format!("{url}: "), "");
    words.replace(&format!("file {url}"), "file").replace(&*url, "it")
}

/// A temporary file as ffmpeg's input. The format needs one that is read in any order: no pipe.
struct Input {
    url: OsString,
    stdin: Stdio,
    /// Removed when it is dropped; `None` of a file without a name.
    _named: Option<NamedTempFile>,
}

impl Input {
    fn of(bytes: &[u8]) -> io::Result<Self> {
        if cfg!(unix) && Path::new(STDIN).exists() {
            let mut file = tempfile::tempfile()?;
            file.write_all(bytes)?;
            file.rewind()?;
            let url = format!("file:{STDIN}").into();
            return Ok(Self { url, stdin: file.into(), _named: None });
        }
        let mut file = NamedTempFile::new()?;
        file.write_all(bytes)?;
        let mut url = OsString::from("file:");
        url.push(file.path());
        Ok(Self { url, stdin: Stdio::null(), _named: Some(file) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ffmpeg_says_names_no_temporary_file() {
        let url = OsStr::new("file:/tmp/.tmpX1");
        for (words, about) in [
            (
                "moov atom not found; file:/tmp/.tmpX1: Invalid data",
                "moov atom not found; Invalid data",
            ),
            ("Error opening input file file:/tmp/.tmpX1.", "Error opening input file."),
            ("Cannot open file:/tmp/.tmpX1", "Cannot open it"),
        ] {
            assert_eq!(about_it(words, url), about);
        }
    }
}
