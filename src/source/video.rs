//! Videos: frames of them as images, or each as a whole.
//!
//! In: videos, and which of their frames are wanted. Out: an image for each frame, under the name
//! `clip.mp4#t=00:01:23.456`: the video's, and the frame's time from its beginning; or one entry for
//! each video, under its own name. Promises: the same frames on every machine; a frame has one time,
//! whichever way it was chosen; a video that cannot be read is in the list, with the reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rayon::prelude::*;

use super::{Listed, Place, SourceError};
use crate::ffmpeg::{self, Clip, Ffmpeg, Listing, Readers, Wanted};

/// Extensions of videos.
pub(super) const EXTENSIONS: [&str; 6] = ["mp4", "mov", "mkv", "webm", "avi", "m4v"];

/// Which frames of a video are wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Frames {
    /// The first frame at or after every so many milliseconds.
    EveryTime(u64),
    /// The first of every so many frames.
    EveryNth(usize),
    /// So many, evenly: of `n` frames those at `i * n / count`, rounded down. All, if there are
    /// fewer.
    Count(usize),
    /// Those that stand by themselves, which encoders put at cuts and every few seconds.
    Keys,
    /// The first one, and those that differ from the one before by more than this, 0 to 1.
    Scenes(f64),
}

/// Which frames of a video are wanted, and of which part of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VideoFrames {
    /// Which.
    pub frames: Frames,
    /// Milliseconds from the beginning of the video; no frame before is wanted.
    pub start: u64,
    /// No frame at or after this time is wanted.
    pub end: Option<u64>,
}

/// What videos among the inputs are taken for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VideoUse {
    /// These frames of them are images, beside the other images.
    Frames(VideoFrames),
    /// Each is asked about as a whole, and images are passed over.
    Whole,
}

impl FromStr for Frames {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "must be every:1s (a time), every:30 (frames), 32 (so many), keyframes or scene:0.3"
                .to_owned()
        };
        let count = |text: &str| text.parse().ok().filter(|count: &usize| *count > 0);
        match text.split_once(':') {
            None if text == "keyframes" => Some(Self::Keys),
            None => count(text).map(Self::Count),
            Some(("every", every)) => match count(every) {
                Some(frames) => Some(Self::EveryNth(frames)),
                None => milliseconds(every).ok().filter(|time| *time > 0).map(Self::EveryTime),
            },
            Some(("scene", least)) => {
                least.parse().ok().filter(|least| (0.0..=1.0).contains(least)).map(Self::Scenes)
            }
            Some(_) => None,
        }
        .ok_or_else(wrong)
    }
}

/// A time in a video: `90`, `1.5s`, `250ms`, `2m`, `1:30`, `01:02:03.456`; in milliseconds.
///
/// # Errors
/// In words.
fn milliseconds(text: &str) -> Result<u64, String> {
    /// A thousand hours.
    const LONGEST: f64 = 3.6e9;
    let number = |text: &str| {
        let digits = text.starts_with(|first: char| first.is_ascii_digit());
        text.parse::<f64>().ok().filter(|number| digits && number.is_finite())
    };
    let of_parts = |text: &str| {
        let parts: Option<Vec<f64>> = text.split(':').map(number).collect();
        parts
            .filter(|parts| parts.len() <= 3)
            .map(|parts| parts.into_iter().fold(0.0, |sum, part| sum * 60.0 + part) * 1000.0)
    };
    let units = [("ms", 1.0), ("s", 1000.0), ("m", 60_000.0), ("h", 3_600_000.0)];
    let with_unit =
        units.iter().find_map(|(unit, factor)| Some(number(text.strip_suffix(unit)?)? * factor));
    with_unit
        .or_else(|| of_parts(text))
        .filter(|time| (0.0..=LONGEST).contains(time))
        .map(|time| time.round() as u64)
        .ok_or_else(|| format!("{text:?} is no time: 90, 1.5s, 2m, 1:30 or 01:02:03.456"))
}

/// The mark between the name of a video and the time of its frame.
const MARK: &str = "#t=";

/// The name of the frame at `time` (milliseconds) of the video called `clip`.
fn frame_name(clip: &str, time: u64) -> String {
    let (seconds, thousandths) = (time / 1000, time % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{clip}{MARK}{hours:02}:{minutes:02}:{:02}.{thousandths:03}", seconds % 60)
}

/// The video that a frame of this name is of, and the frame's time in milliseconds; `None` if it is
/// no frame of a video.
pub fn clip_of(image: &str) -> Option<(&str, u64)> {
    let (clip, stamp) = image.rsplit_once(MARK)?;
    let time = milliseconds(stamp).ok()?;
    (has_video_extension(Path::new(clip)) && frame_name(clip, time) == image)
        .then_some((clip, time))
}

/// The name of a frame of a video as that of a file, without extension:
/// `clip.mp4_00-01-23.456`. `None` if `image` is no frame of a video.
pub fn frame_file_name(image: &str) -> Option<String> {
    let (clip, _) = clip_of(image)?;
    Some(format!("{clip}_{}", image[clip.len() + MARK.len()..].replace(':', "-")))
}

/// Whether a file of this name is a video that can be read.
pub(super) fn has_video_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
    })
}

/// A time in a video, in milliseconds, as a setting says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub u64);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        milliseconds(text).map(Self)
    }
}

/// The videos of a list of images.
pub(super) struct Videos {
    /// How many there are of which frames are images.
    pub(super) count: usize,
    /// What read them.
    pub(super) ffmpeg: Ffmpeg,
}

/// Makes whole videos of the files in `images`, whatever they are called: a video's own codec says
/// what it is.
///
/// # Errors
/// [`SourceError::Videos`] if there is no ffmpeg.
pub(super) fn whole(images: &mut BTreeMap<String, Listed>) -> Result<Option<Videos>, SourceError> {
    if images.is_empty() {
        return Ok(None);
    }
    let ffmpeg =
        Ffmpeg::find().map_err(|error| SourceError::Videos { videos: images.len(), error })?;
    for listed in images.values_mut() {
        listed.place = match &listed.place {
            Ok(Place::File(path)) => Ok(Place::Clip(path.clone())),
            Ok(_) => Err("a whole clip is a file on this machine: fetch it first".to_owned()),
            Err(reason) => Err(reason.clone()),
        };
    }
    // None of them is there as frames.
    Ok(Some(Videos { count: 0, ffmpeg }))
}

/// Puts frames in place of the videos among `images`; `None` if there are none.
///
/// # Errors
/// [`SourceError::Videos`] if there are videos and no ffmpeg.
pub(super) fn expand(
    images: &mut BTreeMap<String, Listed>,
    wanted: VideoFrames,
    say: Option<fn(&str)>,
    stop: Option<&Arc<AtomicBool>>,
) -> Result<Option<Videos>, SourceError> {
    let video = |listed: &Listed| match &listed.place {
        Ok(Place::File(path)) if has_video_extension(path) => Some(path.clone()),
        _ => None,
    };
    let clips: Vec<(String, PathBuf)> =
        images.iter().filter_map(|(name, listed)| Some((name.clone(), video(listed)?))).collect();
    if clips.is_empty() {
        return Ok(None);
    }
    let ffmpeg =
        Ffmpeg::find().map_err(|error| SourceError::Videos { videos: clips.len(), error })?;
    let readers = Arc::new(Readers::default());
    let progress = Progress::of(clips.len(), say);
    let found: Vec<Result<Vec<u64>, String>> = clips
        .par_iter()
        .map(|(_, path)| {
            let until = Wanted::unless(stop.cloned()).within(LONGEST_LISTING);
            let listed = wanted.of(&ffmpeg, path, &until);
            progress.done.fetch_add(1, Ordering::Relaxed);
            listed
        })
        .collect();
    for ((name, path), times) in clips.iter().zip(found) {
        images.remove(name);
        let listed = |place| Listed { place, link: None };
        match times {
            Ok(times) => {
                let clip = Arc::new(Clip::new(path, times.clone(), Arc::clone(&readers)));
                for (index, time) in times.into_iter().enumerate() {
                    let place = Place::Frame { clip: Arc::clone(&clip), index };
                    images.insert(frame_name(name, time), listed(Ok(place)));
                }
            }
            Err(reason) => {
                images.insert(name.clone(), listed(Err(reason)));
            }
        }
    }
    Ok(Some(Videos { count: clips.len(), ffmpeg }))
}

/// The longest that the frames of one video are listed: ten hours of video are decoded in less.
const LONGEST_LISTING: Duration = Duration::from_hours(1);
/// How often it is said how far the listing is.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Says from time to time how many videos are listed, until it is dropped.
struct Progress {
    done: Arc<AtomicUsize>,
    /// Dropped with it, which ends its thread.
    #[allow(dead_code)]
    ends: mpsc::Sender<()>,
}

impl Progress {
    fn of(videos: usize, say: Option<fn(&str)>) -> Self {
        let done = Arc::<AtomicUsize>::default();
        let (ends, ended) = mpsc::channel();
        if let Some(say) = say {
            let done = Arc::clone(&done);
            std::thread::spawn(move || {
                while ended.recv_timeout(SAY_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                    let done = done.load(Ordering::Relaxed);
                    say(&format!("the frames of {done} of {videos} videos are listed"));
                }
            });
        }
        Self { done, ends }
    }
}

impl VideoFrames {
    /// The times of the frames of `file` that are wanted, in milliseconds.
    fn of(self, ffmpeg: &Ffmpeg, file: &Path, until: &Wanted) -> Result<Vec<u64>, String> {
        let listing = match self.frames {
            Frames::Scenes(least) => Listing::Scenes(least),
            _ => Listing::All,
        };
        let mut listed = ffmpeg::list(ffmpeg, file, listing, until).map_err(|error| {
            if until.is_late() {
                let minutes = LONGEST_LISTING.as_secs() / 60;
                return format!(
                    "a video: its frames were not listed within {minutes} minutes; cut it into \
                     shorter ones"
                );
            }
            format!("a video: {error}")
        })?;
        let range = self.start..self.end.unwrap_or(u64::MAX);
        let all = listed.len();
        listed.retain(|frame| range.contains(&frame.milliseconds));
        if self.frames == Frames::Keys {
            listed.retain(|frame| frame.is_key);
        }
        let times: Vec<u64> = listed.into_iter().map(|frame| frame.milliseconds).collect();
        let chosen = self.among(&times);
        if chosen.is_empty() {
            return Err(format!("a video: none of its {all} frames is among those asked for"));
        }
        Ok(chosen)
    }

    /// Those of `times`, which are sorted, that are wanted.
    fn among(self, times: &[u64]) -> Vec<u64> {
        match self.frames {
            Frames::EveryTime(every) => {
                let mut next = self.start;
                let mut chosen = Vec::new();
                for time in times {
                    if *time >= next {
                        chosen.push(*time);
                        // The first multiple that lies behind it.
                        next = self.start + ((time - self.start) / every + 1) * every;
                    }
                }
                chosen
            }
            Frames::EveryNth(every) => times.iter().step_by(every).copied().collect(),
            Frames::Count(count) if count < times.len() => {
                (0..count).map(|index| times[index * times.len() / count]).collect()
            }
            Frames::Count(_) | Frames::Keys | Frames::Scenes(_) => times.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_asked_for_in_five_ways() {
        let read = |text: &str| text.parse::<Frames>();
        assert_eq!(read("every:1s"), Ok(Frames::EveryTime(1000)));
        assert_eq!(read("every:0:30"), Ok(Frames::EveryTime(30_000)));
        assert_eq!(read("every:30"), Ok(Frames::EveryNth(30)));
        assert_eq!(read("32"), Ok(Frames::Count(32)));
        assert_eq!(read("keyframes"), Ok(Frames::Keys));
        assert_eq!(read("scene:0.3"), Ok(Frames::Scenes(0.3)));
        for wrong in
            ["", "0", "every:0", "every:0s", "every:-1s", "every:", "scene:2", "scene", "all:1"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_read_in_the_forms_that_people_write() {
        for (text, time) in [
            ("90", 90_000),
            ("1.5s", 1500),
            ("250ms", 250),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1:30", 90_000),
            ("01:02:03.456", 3_723_456),
        ] {
            assert_eq!(milliseconds(text), Ok(time), "{text}");
        }
        for wrong in ["", "-1", "1:2:3:4", "inf", "nan", "1e99", "s", ":", "1,5"] {
            assert!(milliseconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_that_of_one_frame() {
        let name = frame_name("a/b.mp4", 3_723_456);
        assert_eq!(name, "a/b.mp4#t=01:02:03.456");
        assert_eq!(clip_of(&name), Some(("a/b.mp4", 3_723_456)));
        assert_eq!(frame_file_name(&name).unwrap(), "a/b.mp4_01-02-03.456");
        assert_eq!(frame_name("a", 360_000_000), "a#t=100:00:00.000");
        for other in ["a.png", "a.png#t=00:00:01.000", "a.mp4#t=1", "a.mp4#t=00:00:61.000", "a.mp4"]
        {
            assert_eq!(clip_of(other), None, "{other}");
        }
        // A video may be called like a frame.
        let odd = frame_name("a.mp4#t=00:00:01.000.mp4", 0);
        assert_eq!(clip_of(&odd), Some(("a.mp4#t=00:00:01.000.mp4", 0)));
    }

    #[cfg(unix)]
    #[test]
    fn a_listing_that_takes_too_long_is_given_up_with_its_process() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().unwrap();
        let (program, id) = (dir.path().join("ffmpeg"), dir.path().join("id"));
        std::fs::write(
            &program,
            format!("#!/bin/sh\necho $$ > {}\nexec sleep 600\n", id.display()),
        )
        .unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let ffmpeg = Ffmpeg { program, version: "7".to_owned(), licence: "" };
        let frames = VideoFrames { frames: Frames::Keys, start: 0, end: None };
        let wanted = Wanted::default().within(Duration::from_secs(3));
        let why = frames.of(&ffmpeg, Path::new("a.mp4"), &wanted).unwrap_err();
        assert!(why.contains("were not listed within"), "{why}");
        let id = std::fs::read_to_string(id).unwrap();
        let runs = std::process::Command::new("ps").args(["-p", id.trim()]).output().unwrap();
        assert!(!runs.status.success(), "{}", String::from_utf8_lossy(&runs.stdout));
    }

    #[test]
    fn frames_are_chosen_by_time_and_by_number() {
        let chosen = |frames: &str, start, end, times: &[u64]| {
            let wanted = VideoFrames { frames: frames.parse().unwrap(), start, end };
            let range = start..end.unwrap_or(u64::MAX);
            let within: Vec<u64> =
                times.iter().copied().filter(|time| range.contains(time)).collect();
            wanted.among(&within)
        };
        let ntsc: Vec<u64> = (0..90_u64).map(|frame| (frame * 1001 * 2 + 30) / 60).collect();
        assert_eq!(chosen("every:1s", 0, None, &ntsc), [0, 1001, 2002]);
        assert_eq!(chosen("every:1s", 1500, Some(2600), &ntsc), [1502, 2503]);
        assert_eq!(chosen("every:40", 0, None, &ntsc), [0, 1335, 2669]);
        // Several moments that pass without a frame are one frame.
        assert_eq!(
            chosen("every:1s", 0, None, &[0, 100, 4700, 5100, 5900, 6000]),
            [0, 4700, 5100, 6000]
        );
        assert_eq!(chosen("3", 0, None, &[0, 10, 20, 30, 40, 50, 60]), [0, 20, 40]);
        assert_eq!(chosen("9", 0, None, &[0, 10]), [0, 10]);
    }
}
