//! Which frames are in a video, and when.
//!
//! In: a video file. Out: the time of every frame, in milliseconds from the beginning of the file,
//! in order, and which of them stand by themselves. Promises: ffprobe is not needed; of the common
//! codecs, whose packets are frames, nothing is decoded; the file is read once, and only times stay
//! in memory.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use super::{Complaints, Ffmpeg, FfmpegError};

/// How the frames of a video are found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Listing {
    /// All of them.
    All,
    /// The first one, and those that differ by more than this, 0 to 1, from the one before:
    /// ffmpeg's `scene` score.
    Scenes(f64),
}

/// A frame of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    /// Milliseconds from the beginning of the file, rounded.
    pub(crate) milliseconds: u64,
    /// Whether it stands by itself.
    pub(crate) is_key: bool,
}

/// Codecs of which one packet is one frame. Those of others may hold none, or two.
const FRAME_A_PACKET: [&str; 9] =
    ["h264", "hevc", "av1", "vp9", "mjpeg", "prores", "ffv1", "png", "rawvideo"];

/// The frames of the video `file`, sorted by time, none twice.
///
/// # Errors
/// [`FfmpegError`] if it is no video that can be read. Of one that breaks off, the frames before
/// that are listed.
pub(crate) fn list(
    ffmpeg: &Ffmpeg,
    file: &Path,
    listing: Listing,
) -> Result<Vec<Listed>, FfmpegError> {
    let found = match listing {
        Listing::All => match packets(ffmpeg, file)? {
            Some(found) => found,
            None => decoded(ffmpeg, file, "showinfo=checksum=0")?,
        },
        Listing::Scenes(least) => {
            let filter = format!("select='eq(n,0)+gt(scene,{least})',showinfo=checksum=0");
            decoded(ffmpeg, file, &filter)?
        }
    };
    Ok(in_order(found))
}

fn in_order(mut found: Vec<Listed>) -> Vec<Listed> {
    // Of two at one time, the one that stands by itself comes first.
    found.sort_by_key(|frame| (frame.milliseconds, !frame.is_key));
    found.dedup_by_key(|frame| frame.milliseconds);
    found
}

/// The frames of the packets; `None` if these do not say it.
fn packets(ffmpeg: &Ffmpeg, file: &Path) -> Result<Option<Vec<Listed>>, FfmpegError> {
    let mut command = ffmpeg.reading(file, 0.0);
    command.args(["-c", "copy", "-f", "framecrc", "-"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_run(ffmpeg, &error))?;
    let complaints =
        child.stderr.take().map(|stderr| std::thread::spawn(|| read_log(stderr, |_| {})));
    let mut found = Some(Vec::new());
    if let Some(stdout) = child.stdout.take() {
        let mut time_base = None;
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(base) = line.strip_prefix("#tb 0: ") {
                time_base = TimeBase::read(base);
            } else if let Some(codec) = line.strip_prefix("#codec_id 0: ") {
                if !FRAME_A_PACKET.contains(&codec.trim()) {
                    found = None;
                }
            } else if !line.starts_with('#') {
                match (packet(&line, time_base), &mut found) {
                    (Some(Packet::Frame(frame)), Some(found)) => found.push(frame),
                    (Some(Packet::Hidden), _) => {}
                    _ => found = None,
                }
            }
            if found.is_none() {
                // The rest would say no more.
                let _ = child.kill();
                break;
            }
        }
    }
    let _ = child.wait();
    let complaints = complaints.and_then(|complaints| complaints.join().ok()).unwrap_or_default();
    if found.as_ref().is_some_and(Vec::is_empty) {
        return Err(without_frames(&complaints));
    }
    Ok(found)
}

/// A line of `framecrc` (`libavformat/framecrcenc.c`).
enum Packet {
    Frame(Listed),
    /// One that an edit of the file cuts away, or that stands before the beginning.
    Hidden,
    /// One that does not say its time.
    Untimed,
}

/// `0, dts, pts, duration, size, crc[, F=flags]`: flags that are those of a key frame are left out.
fn packet(line: &str, time_base: Option<TimeBase>) -> Option<Packet> {
    const KEY: u32 = 1;
    const DISCARD: u32 = 4;
    let mut parts = line.split(',').map(str::trim);
    let stamp: i64 = parts.nth(2)?.parse().ok()?;
    let flags = parts.find_map(|part| part.strip_prefix("F=0x"));
    let flags = flags.map_or(Some(KEY), |flags| u32::from_str_radix(flags, 16).ok())?;
    if stamp == i64::MIN {
        return Some(Packet::Untimed);
    }
    match time_base?.milliseconds(stamp) {
        Some(milliseconds) if flags & DISCARD == 0 => {
            Some(Packet::Frame(Listed { milliseconds, is_key: flags & KEY != 0 }))
        }
        _ => Some(Packet::Hidden),
    }
}

/// The frames that come out of `filter`, which ends in `showinfo`.
fn decoded(ffmpeg: &Ffmpeg, file: &Path, filter: &str) -> Result<Vec<Listed>, FfmpegError> {
    let mut command = ffmpeg.reading(file, 0.0);
    command.args(["-vf", filter, "-fps_mode", "passthrough", "-f", "null", "-"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot_run(ffmpeg, &error))?;
    let mut found = Vec::new();
    let complaints = child.stderr.take().map(|stderr| read_log(stderr, |frame| found.push(frame)));
    let _ = child.wait();
    if found.is_empty() { Err(without_frames(&complaints.unwrap_or_default())) } else { Ok(found) }
}

fn cannot_run(ffmpeg: &Ffmpeg, error: &std::io::Error) -> FfmpegError {
    FfmpegError::Unusable { program: ffmpeg.program.clone(), reason: error.to_string() }
}

fn without_frames(complaints: &Complaints) -> FfmpegError {
    let words = complaints.in_words();
    // Its words about a stream that is not there.
    if words.contains("matches no streams") || complaints.0.is_empty() {
        FfmpegError::NoVideo
    } else {
        FfmpegError::Unreadable(words)
    }
}

/// Reads ffmpeg's log to its end: `on_frame` is called with every frame that `showinfo` reports.
pub(super) fn read_log(stderr: impl Read, mut on_frame: impl FnMut(Listed)) -> Complaints {
    let (mut complaints, mut time_base) = (Complaints::default(), None);
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        if line.starts_with("[Parsed_showinfo") {
            if let Some((_, base)) = line.split_once("config in time_base: ") {
                time_base = TimeBase::read(base.split(',').next().unwrap_or_default());
            } else if let Some(frame) = frame_shown(&line, time_base) {
                on_frame(frame);
            }
        }
        complaints.read(&line);
    }
    complaints
}

/// A frame in a line of `showinfo` (`libavfilter/vf_showinfo.c`).
fn frame_shown(line: &str, time_base: Option<TimeBase>) -> Option<Listed> {
    let (_, rest) = line.split_once(" pts:")?;
    let stamp: i64 = rest.trim_start().split(' ').next()?.parse().ok()?;
    let milliseconds = time_base?.milliseconds(stamp)?;
    Some(Listed { milliseconds, is_key: line.contains(" iskey:1 ") })
}

/// Seconds in a unit of a time stamp, as a fraction.
#[derive(Debug, Clone, Copy)]
struct TimeBase {
    numerator: i128,
    denominator: i128,
}

impl TimeBase {
    /// `1/15360`.
    fn read(text: &str) -> Option<Self> {
        let (numerator, denominator) = text.trim().split_once('/')?;
        let positive = |text: &str| text.parse().ok().filter(|number: &i128| *number > 0);
        Some(Self { numerator: positive(numerator)?, denominator: positive(denominator)? })
    }

    /// A time stamp in milliseconds, rounded; `None` before the beginning.
    fn milliseconds(self, stamp: i64) -> Option<u64> {
        let thousandths = i128::from(stamp) * self.numerator * 1000;
        let rounded = (2 * thousandths + self.denominator).div_euclid(2 * self.denominator);
        u64::try_from(rounded).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_packets_are_read() {
        let base = TimeBase::read("1/15360");
        let read = |line: &str| match packet(line, base) {
            Some(Packet::Frame(frame)) => Some((frame.milliseconds, frame.is_key)),
            _ => None,
        };
        assert_eq!(
            read("0,      -1024,      15360,      512,     4391, 0xf0cb2a16"),
            Some((1000, true))
        );
        assert_eq!(read("0, 0, 512, 512, 4391, 0xf0cb2a16, F=0x0"), Some((33, false)));
        assert_eq!(read("0, 0, -1, 512, 4391, 0xf0cb2a16, F=0x1"), Some((0, true)));
        // Before the beginning; cut away by an edit list; without a time; nonsense.
        assert_eq!(read("0, 0, -512, 512, 4391, 0xf0cb2a16, F=0x0"), None);
        assert_eq!(read("0, 0, 512, 512, 4391, 0xf0cb2a16, F=0x5"), None);
        let unknown = packet("0, 0, -9223372036854775808, 1, 4391, 0xf0cb2a16", base);
        assert!(matches!(unknown, Some(Packet::Untimed)));
        assert!(packet("what", base).is_none());
    }

    #[test]
    fn lines_of_the_log_are_read() {
        let log = "[Parsed_showinfo_1 @ 0x7f] [info] config in time_base: 1/30000, frame_rate: 1/1\n\
            [Parsed_showinfo_1 @ 0x7f] [info] n:   0 pts:  30030 pts_time:1.001   fmt:yuv420p iskey:1 type:I \n\
            [Parsed_showinfo_1 @ 0x7f] [info] color_range:unknown\n\
            [Parsed_showinfo_1 @ 0x7f] [info] n:   1 pts:  NOPTS pts_time:NOPTS\n\
            [h264 @ 0x7f] [error] concealing 3 errors\n";
        let mut frames = Vec::new();
        let complaints = read_log(log.as_bytes(), |frame| frames.push(frame));
        assert_eq!(frames, [Listed { milliseconds: 1001, is_key: true }]);
        assert_eq!(complaints.in_words(), "concealing 3 errors");
    }

    #[test]
    fn frames_are_in_order_and_none_is_there_twice() {
        let frame = |milliseconds, is_key| Listed { milliseconds, is_key };
        let found =
            in_order(vec![frame(2, false), frame(0, true), frame(2, true), frame(1, false)]);
        assert_eq!(found, [frame(0, true), frame(1, false), frame(2, true)]);
    }
}
