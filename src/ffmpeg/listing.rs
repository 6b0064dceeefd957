//! Which frames are in a video, and when.
//!
//! In: a video file. Out: the time of every frame, in milliseconds from the beginning of the file,
//! in order, and which of them stand by themselves. Promises: ffprobe is not needed; of the common
//! codecs, whose packets are frames, nothing is decoded; the file is read once, and only times stay
//! in memory.

use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use super::child::OwnedChild;
use super::{Complaints, Ffmpeg, FfmpegError, Origin, Wanted};

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

/// The frames of a video as they are stored or decoded, in the units of its time stamps.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// By their time stamps.
    pub(crate) frames: Vec<Stamped>,
    /// The unit of the time stamps.
    pub(crate) time_base: TimeBase,
    /// Width and height in pixels, not turned.
    pub(crate) size: (u32, u32),
}

/// A frame with its time stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamped {
    /// When it is shown, from the [`Origin`] that was asked for.
    pub(crate) stamp: i64,
    /// How long it is shown; 0 if that is not known.
    pub(crate) duration: i64,
    /// Whether it stands by itself.
    is_key: bool,
}

#[cfg(test)]
impl Stamped {
    /// One that stands by itself.
    pub(super) fn at(stamp: i64, duration: i64) -> Self {
        Self { stamp, duration, is_key: true }
    }
}

/// The frames of the video `file`, sorted by time, none twice.
///
/// # Errors
/// [`FfmpegError`] if it is no video that can be read, or is wanted no more. Of one that breaks off, the frames before
/// that are listed.
pub(crate) fn list(
    ffmpeg: &Ffmpeg,
    file: &Path,
    listing: Listing,
    wanted: &Wanted,
) -> Result<Vec<Listed>, FfmpegError> {
    let stored = match listing {
        Listing::All => stored(ffmpeg, file, Origin::Beginning, wanted)?,
        Listing::Scenes(least) => {
            let filter = format!("select='eq(n,0)+gt(scene,{least})',showinfo=checksum=0");
            decoded(ffmpeg, file, Origin::Beginning, &filter, wanted)?
        }
    };
    let listed = |frame: &Stamped| {
        let milliseconds = stored.time_base.milliseconds(frame.stamp)?;
        Some(Listed { milliseconds, is_key: frame.is_key })
    };
    let found: Vec<Listed> = stored.frames.iter().filter_map(listed).collect();
    if found.is_empty() { Err(FfmpegError::NoVideo) } else { Ok(in_order(found)) }
}

/// All frames of the video `file`, by their time stamps: those of its packets if a packet of its
/// codec is a frame, else those that are decoded.
///
/// # Errors
/// As [`list`].
pub(crate) fn stored(
    ffmpeg: &Ffmpeg,
    file: &Path,
    origin: Origin,
    wanted: &Wanted,
) -> Result<Stored, FfmpegError> {
    match packets(ffmpeg, file, origin, wanted)? {
        Some(found) => Ok(found),
        None => all_decoded(ffmpeg, file, origin, wanted),
    }
}

/// All frames of the video `file` that are decoded, by their time stamps.
///
/// # Errors
/// As [`list`].
pub(crate) fn all_decoded(
    ffmpeg: &Ffmpeg,
    file: &Path,
    origin: Origin,
    wanted: &Wanted,
) -> Result<Stored, FfmpegError> {
    decoded(ffmpeg, file, origin, "showinfo=checksum=0", wanted)
}

fn in_order(mut found: Vec<Listed>) -> Vec<Listed> {
    // Of two at one time, the one that stands by itself comes first.
    found.sort_by_key(|frame| (frame.milliseconds, !frame.is_key));
    found.dedup_by_key(|frame| frame.milliseconds);
    found
}

/// The frames of the packets; `None` if these do not say it.
fn packets(
    ffmpeg: &Ffmpeg,
    file: &Path,
    origin: Origin,
    wanted: &Wanted,
) -> Result<Option<Stored>, FfmpegError> {
    let mut command = ffmpeg.reading(file, 0.0, origin);
    command.args(["-c", "copy", "-f", "framecrc", "-"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process =
        OwnedChild::spawn(&mut command, wanted).map_err(|error| cannot_run(ffmpeg, &error))?;
    let complaints = process.stderr().map(|stderr| std::thread::spawn(|| read_log(stderr, |_| {})));
    let mut found = Some(Vec::new());
    let (mut time_base, mut size) = (None, (0, 0));
    if let Some(stdout) = process.stdout() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(base) = line.strip_prefix("#tb 0: ") {
                time_base = TimeBase::read(base);
            } else if let Some(dimensions) = line.strip_prefix("#dimensions 0: ") {
                size = sides(dimensions).unwrap_or(size);
            } else if let Some(codec) = line.strip_prefix("#codec_id 0: ") {
                if !FRAME_A_PACKET.contains(&codec.trim()) {
                    found = None;
                }
            } else if !line.starts_with('#') {
                match (packet(&line), &mut found) {
                    (Some(Packet::Frame(frame)), Some(found)) => found.push(frame),
                    (Some(Packet::Hidden), _) => {}
                    _ => found = None,
                }
            }
            if found.is_none() {
                // The rest would say no more.
                process.kill();
                break;
            }
        }
    }
    let status = process.wait();
    if found.is_some() {
        check_end(status)?;
    }
    let complaints = complaints.and_then(|complaints| complaints.join().ok()).unwrap_or_default();
    match (found, time_base) {
        (Some(frames), _) if frames.is_empty() => Err(without_frames(&complaints)),
        (Some(mut frames), Some(time_base)) => {
            frames.sort_unstable();
            Ok(Some(Stored { frames, time_base, size }))
        }
        _ => Ok(None),
    }
}

/// A line of `framecrc` (`libavformat/framecrcenc.c`).
enum Packet {
    Frame(Stamped),
    /// One that an edit of the file cuts away.
    Hidden,
    /// One that does not say its time.
    Untimed,
}

/// `0, dts, pts, duration, size, crc[, F=flags]`: flags that are those of a key frame are left out.
fn packet(line: &str) -> Option<Packet> {
    const KEY: u32 = 1;
    const DISCARD: u32 = 4;
    let mut parts = line.split(',').map(str::trim);
    let stamp: i64 = parts.nth(2)?.parse().ok()?;
    let duration = parts.next()?.parse().ok()?;
    let flags = parts.find_map(|part| part.strip_prefix("F=0x"));
    let flags = flags.map_or(Some(KEY), |flags| u32::from_str_radix(flags, 16).ok())?;
    Some(match stamp {
        i64::MIN => Packet::Untimed,
        _ if flags & DISCARD != 0 => Packet::Hidden,
        _ => Packet::Frame(Stamped { stamp, duration, is_key: flags & KEY != 0 }),
    })
}

/// The frames that come out of `filter`, which ends in `showinfo`.
fn decoded(
    ffmpeg: &Ffmpeg,
    file: &Path,
    origin: Origin,
    filter: &str,
    wanted: &Wanted,
) -> Result<Stored, FfmpegError> {
    let mut command = ffmpeg.reading(file, 0.0, origin);
    command.args(["-vf", filter, "-fps_mode", "passthrough", "-f", "null", "-"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process =
        OwnedChild::spawn(&mut command, wanted).map_err(|error| cannot_run(ffmpeg, &error))?;
    let (mut frames, mut first) = (Vec::new(), None);
    let complaints = process.stderr().map(|stderr| {
        read_log(stderr, |shown| {
            first.get_or_insert(shown);
            frames.push(shown.frame);
        })
    });
    check_end(process.wait())?;
    let Some(Shown { time_base, size, .. }) = first else {
        return Err(without_frames(&complaints.unwrap_or_default()));
    };
    frames.sort_unstable();
    Ok(Stored { frames, time_base, size })
}

/// A process that was stopped has not seen the whole file.
///
/// # Errors
/// [`FfmpegError::Unreadable`] of one that a signal ended: by the system, or orderly, with 255.
fn check_end(ended: io::Result<ExitStatus>) -> Result<(), FfmpegError> {
    let code = ended.map(|status| status.code());
    match code {
        Ok(Some(code)) if code != 255 => Ok(()),
        _ => Err(FfmpegError::Unreadable("ffmpeg was stopped".to_owned())),
    }
}

fn cannot_run(ffmpeg: &Ffmpeg, error: &io::Error) -> FfmpegError {
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

/// A frame that `showinfo` reports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) frame: Stamped,
    pub(super) time_base: TimeBase,
    /// Width and height in pixels.
    size: (u32, u32),
}

impl Shown {
    /// Milliseconds from the beginning of the file, rounded; `None` before the beginning.
    pub(super) fn milliseconds(self) -> Option<u64> {
        self.time_base.milliseconds(self.frame.stamp)
    }
}

/// Reads ffmpeg's log to its end: `on_frame` is called with every frame that `showinfo` reports.
pub(super) fn read_log(stderr: impl Read, mut on_frame: impl FnMut(Shown)) -> Complaints {
    let (mut complaints, mut time_base) = (Complaints::default(), None);
    for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        if line.starts_with("[Parsed_showinfo") {
            if let Some((_, base)) = line.split_once("config in time_base: ") {
                time_base = TimeBase::read(base.split(',').next().unwrap_or_default());
            } else if let (Some(frame), Some(time_base)) = (frame_shown(&line), time_base) {
                let mut words = line.split(' ');
                let size = words.find_map(|word| sides(word.strip_prefix("s:")?));
                on_frame(Shown { frame, time_base, size: size.unwrap_or_default() });
            }
        }
        complaints.read(&line);
    }
    complaints
}

/// `640x360`.
fn sides(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.trim().split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

/// A frame in a line of `showinfo` (`libavfilter/vf_showinfo.c`).
fn frame_shown(line: &str) -> Option<Stamped> {
    let (_, rest) = line.split_once(" pts:")?;
    let stamp: i64 = rest.trim_start().split(' ').next()?.parse().ok()?;
    Some(Stamped { stamp, duration: 0, is_key: line.contains(" iskey:1 ") })
}

/// Seconds in a unit of a time stamp, as a fraction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeBase {
    pub(crate) numerator: i128,
    pub(crate) denominator: i128,
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
        let base = TimeBase::read("1/15360").unwrap();
        let read = |line: &str| match packet(line) {
            Some(Packet::Frame(frame)) => {
                Some((base.milliseconds(frame.stamp), frame.duration, frame.is_key))
            }
            _ => None,
        };
        assert_eq!(
            read("0,      -1024,      15360,      512,     4391, 0xf0cb2a16"),
            Some((Some(1000), 512, true))
        );
        let second = read("0, 0, 512, 512, 4391, 0xf0cb2a16, F=0x0");
        assert_eq!(second, Some((Some(33), 512, false)));
        let rounded = read("0, 0, -1, 512, 4391, 0xf0cb2a16, F=0x1");
        assert_eq!(rounded, Some((Some(0), 512, true)));
        // Before the beginning; cut away by an edit list; without a time; nonsense.
        let early = read("0, 0, -512, 512, 4391, 0xf0cb2a16, F=0x0");
        assert_eq!(early, Some((None, 512, false)));
        assert_eq!(read("0, 0, 512, 512, 4391, 0xf0cb2a16, F=0x5"), None);
        let unknown = packet("0, 0, -9223372036854775808, 1, 4391, 0xf0cb2a16");
        assert!(matches!(unknown, Some(Packet::Untimed)));
        assert!(packet("what").is_none());
    }

    #[test]
    fn lines_of_the_log_are_read() {
        let log = "[Parsed_showinfo_1 @ 0x7f] [info] config in time_base: 1/30000, frame_rate: 1/1\n\
            [Parsed_showinfo_1 @ 0x7f] [info] n:   0 pts:  30030 pts_time:1.001   fmt:yuv420p iskey:1 type:I \n\
            [Parsed_showinfo_1 @ 0x7f] [info] color_range:unknown\n\
            [Parsed_showinfo_1 @ 0x7f] [info] n:   1 pts:  NOPTS pts_time:NOPTS\n\
            [h264 @ 0x7f] [error] concealing 3 errors\n";
        let mut frames = Vec::new();
        let complaints = read_log(log.as_bytes(), |shown| {
            frames.push((shown.frame.stamp, shown.milliseconds(), shown.frame.is_key));
        });
        assert_eq!(frames, [(30030, Some(1001), true)]);
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
