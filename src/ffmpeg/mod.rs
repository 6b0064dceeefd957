//! The user's `ffmpeg`, which reads what this crate does not: videos, and stills in their formats.
//!
//! In: files, and which frames of them. Out: times of frames, frames as BMP files. Promises: ffmpeg
//! is a program that is run, never a library; it reads the one file that it is given, as one of a
//! few known formats, and nothing else: no network, no playlists; it is never run through a shell;
//! what it makes comes through a pipe, as fast as it is taken; it ends with its reader.

mod child;
mod clip;
mod listing;
mod reader;
mod still;
mod whole;

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use thiserror::Error;

use child::OwnedChild;
pub(crate) use child::Wanted;
pub use child::end_children;
pub use clip::Clip;
pub(crate) use clip::Readers;
pub(crate) use listing::{Listing, list};
pub(crate) use whole::{CountedFrames, first_frame};

/// Names a program that is taken before all others.
pub const VARIABLE: &str = "GEMSCOPE_FFMPEG";

/// The oldest version that is taken, major and minor.
pub const OLDEST: (u32, u32) = (5, 1);

/// Formats of files that ffmpeg may take a file for. Playlists are none of them, since they lead to
/// other files.
const FORMATS: &str = "mov,mp4,matroska,webm,avi,mpegts,mpeg,asf,flv,av1,hevc,h264,ivf";

/// The longest that a program may take to say its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(30);
/// More bytes than it takes to say it.
const MOST_OF_VERSION: u64 = 1 << 20;

/// The most pixels that a frame may have: Pillow's limit of a still, too.
const MAX_PIXELS: u64 = 178_956_970;

/// Why ffmpeg did not give what it was asked for.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum FfmpegError {
    /// None was found.
    #[error(
        "no ffmpeg: install it (apt install ffmpeg, brew install ffmpeg, winget install ffmpeg), \
         or name one with `ffmpeg` or GEMSCOPE_FFMPEG"
    )]
    Missing,
    /// One was named, and cannot be run.
    #[error("{}: cannot be run as ffmpeg: {reason}", program.display())]
    Unusable {
        /// The program.
        program: PathBuf,
        /// Why.
        reason: String,
    },
    /// One that lacks what is needed.
    #[error("{} is ffmpeg {version}; {}.{} or later is needed", program.display(), OLDEST.0, OLDEST.1)]
    TooOld {
        /// The program.
        program: PathBuf,
        /// Its version.
        version: String,
    },
    /// It cannot read the file.
    #[error("ffmpeg cannot read it: {0}")]
    Unreadable(String),
    /// The file is read, and there is no video in it.
    #[error("no video is in it")]
    NoVideo,
    /// A still of tiles, which this version leaves apart.
    #[error(
        "it consists of tiles, which ffmpeg {version} does not put together; {major}.{minor} does"
    )]
    NoTiles {
        /// Its version.
        version: String,
        /// The first version that does: major.
        major: u32,
        /// And minor.
        minor: u32,
    },
    /// A still that this version does not read, as it says, and a later one may.
    #[error("ffmpeg {version} cannot read it ({reason}); {major}.{minor} reads HEIC")]
    OldForHeic {
        /// Its version.
        version: String,
        /// What it says.
        reason: String,
        /// The first version that surely does: major.
        major: u32,
        /// And minor.
        minor: u32,
    },
    /// A frame that should be there is not.
    #[error("ffmpeg gives no frame at that time: {0}")]
    NoFrame(String),
}

/// A usable ffmpeg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ffmpeg {
    /// The program.
    pub program: PathBuf,
    /// Its version, as it says it: `7.1.1`, `n9.0.2`, `N-120000-gabcdef`.
    pub version: String,
    /// The licence that its build is under.
    pub licence: &'static str,
}

/// The program that the user named, for the whole process.
static NAMED: OnceLock<PathBuf> = OnceLock::new();

/// Takes `program` before all others, in this whole process. Only the first call counts.
pub fn use_program(program: PathBuf) {
    let _ = NAMED.set(program);
}

impl Ffmpeg {
    /// The one that was named ([`use_program`], [`VARIABLE`]), else the first one on the search
    /// path. It is looked for once in a process.
    ///
    /// # Errors
    /// [`FfmpegError`] if there is none, or the one that was named is not usable.
    pub fn find() -> Result<Self, FfmpegError> {
        static FOUND: OnceLock<Result<Ffmpeg, FfmpegError>> = OnceLock::new();
        FOUND.get_or_init(Self::look).clone()
    }

    fn look() -> Result<Self, FfmpegError> {
        let from_environment = || std::env::var_os(VARIABLE).filter(|value| !value.is_empty());
        match NAMED.get().cloned().or_else(|| from_environment().map(PathBuf::from)) {
            Some(program) => Self::of(&program),
            None => Self::of(Path::new("ffmpeg")).map_err(|error| match error {
                FfmpegError::Unusable { .. } => FfmpegError::Missing,
                other => other,
            }),
        }
    }

    /// The ffmpeg at `program`.
    ///
    /// # Errors
    /// [`FfmpegError::Unusable`], [`FfmpegError::TooOld`].
    pub fn of(program: &Path) -> Result<Self, FfmpegError> {
        let unusable =
            |reason: String| FfmpegError::Unusable { program: program.to_owned(), reason };
        let wanted = Wanted::default().within(VERSION_TIMEOUT);
        let mut command = Command::new(program);
        command.arg("-version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let process = OwnedChild::spawn(&mut command, &wanted);
        let process = process.map_err(|error| unusable(error.to_string()))?;
        let mut said = Vec::new();
        if let Some(stdout) = process.stdout() {
            let read = stdout.take(MOST_OF_VERSION).read_to_end(&mut said);
            read.map_err(|error| unusable(error.to_string()))?;
        }
        drop(process);
        let text = String::from_utf8_lossy(&said);
        let version = text.strip_prefix("ffmpeg version ").and_then(|rest| rest.split(' ').next());
        let Some(version) = version else {
            return Err(unusable("it does not say which version it is".to_owned()));
        };
        let configuration = text.lines().find(|line| line.starts_with("configuration:"));
        let found = Self {
            program: program.to_owned(),
            version: version.to_owned(),
            licence: licence(configuration.unwrap_or_default()),
        };
        match found.release() {
            Some(release) if release < OLDEST => {
                let program = found.program;
                Err(FfmpegError::TooOld { program, version: found.version })
            }
            _ => Ok(found),
        }
    }

    /// Major and minor version; `None` of a build from between releases.
    pub fn release(&self) -> Option<(u32, u32)> {
        let digits = self.version.strip_prefix(['n', 'v']).unwrap_or(&self.version);
        let mut parts = digits.split(|character: char| !character.is_ascii_digit());
        let major = parts.next()?.parse().ok()?;
        Some((major, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
    }

    /// The beginning of a command that reads `file` from `seconds` on.
    fn reading(&self, file: &Path, seconds: f64, origin: Origin) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-nostdin", "-hide_banner", "-nostats", "-v", "level+info"]);
        command.args(["-protocol_whitelist", "file", "-format_whitelist", FORMATS]);
        command.args(["-max_pixels", &MAX_PIXELS.to_string(), "-copyts"]);
        if origin == Origin::Beginning {
            command.arg("-start_at_zero");
        }
        if seconds > 0.0 {
            command.args(["-ss", &format!("{seconds:.3}")]);
        }
        // With the scheme, no name is an option or an address.
        let mut input = std::ffi::OsString::from("file:");
        input.push(file);
        command.arg("-i").arg(input).args(["-map", "0:v:0", "-an", "-sn", "-dn"]);
        command.stdin(Stdio::null());
        command
    }
}

impl fmt::Display for Ffmpeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ffmpeg {} ({})", self.version, self.licence)
    }
}

/// What the time stamps of frames count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The beginning of the file, whatever time stamp that has: as players show times.
    Beginning,
    /// Zero: the time stamps are those that stand in the file.
    Zero,
}

/// The licence of a build, from the switches that it was configured with (ffmpeg's `configure`).
fn licence(configuration: &str) -> &'static str {
    let has = |switch: &str| configuration.split(' ').any(|word| word == switch);
    match (has("--enable-nonfree"), has("--enable-gpl"), has("--enable-version3")) {
        (true, ..) => "nonfree, not to be passed on",
        (false, true, true) => "GPL version 3 or later",
        (false, true, false) => "GPL version 2 or later",
        (false, false, true) => "LGPL version 3 or later",
        (false, false, false) => "LGPL version 2.1 or later",
    }
}

/// The first lines that report an error, as one.
#[derive(Default)]
struct Complaints(Vec<String>);

impl Complaints {
    const MAX_LINES: usize = 3;

    /// Keeps a line of ffmpeg's log, if it reports an error.
    fn read(&mut self, line: &str) {
        let reported = ["[error] ", "[fatal] "].iter().find_map(|mark| line.split_once(mark));
        if let Some((_, words)) = reported
            && self.0.len() < Self::MAX_LINES
            && !self.0.iter().any(|known| known == words)
        {
            self.0.push(words.chars().take(200).collect());
        }
    }

    fn in_words(&self) -> String {
        if self.0.is_empty() { "it does not say why".to_owned() } else { self.0.join("; ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_release() {
        let of = |version: &str| {
            let version = version.to_owned();
            Ffmpeg { program: PathBuf::new(), version, licence: "" }.release()
        };
        assert_eq!(of("5.1.9-0+deb12u1"), Some((5, 1)));
        assert_eq!(of("n9.0.2-17-g2a571b6068"), Some((9, 0)));
        assert_eq!(of("7"), Some((7, 0)));
        assert_eq!(of("N-120000-gabcdef"), None);
        assert!(Some((4, 4)) < Some(OLDEST) && Some((10, 0)) > Some(OLDEST));
    }

    #[test]
    fn what_is_no_ffmpeg_is_refused() {
        assert!(matches!(Ffmpeg::of(Path::new("/no/such")), Err(FfmpegError::Unusable { .. })));
        #[cfg(unix)]
        assert!(matches!(Ffmpeg::of(Path::new("/bin/echo")), Err(FfmpegError::Unusable { .. })));
    }

    #[test]
    fn a_licence_is_that_of_the_build() {
        assert_eq!(
            licence("configuration: --enable-gpl --enable-version3"),
            "GPL version 3 or later"
        );
        assert_eq!(licence("configuration: --enable-gplx"), "LGPL version 2.1 or later");
    }

    #[test]
    fn only_errors_are_complaints() {
        let mut complaints = Complaints::default();
        for line in ["[mov @ 0x1] [info] a", "[mov @ 0x1] [error] moov atom not found", "x"] {
            complaints.read(line);
        }
        assert_eq!(complaints.in_words(), "moov atom not found");
    }
}
