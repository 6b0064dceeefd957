//! The images of a run, as they were when they were answered about.
//!
//! In: a record. Out: the bytes of its image, or the upright pixels. Promises: they come from the
//! very file that was answered about; whatever the number of threads, the pixels that are held at a
//! time are bounded.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};
use rayon::prelude::*;

use super::{ExportError, Exported, Format, Run};
use crate::digest;
use crate::ffmpeg::{self, Ffmpeg};
use crate::files;
use crate::gate::ByteGate;
use crate::image::{ImageError, MAX_PIXELS, read_file};
use crate::record::Record;
use crate::source::{Locator, Place, is_address, path_of};

/// Why an image on the web is not shown: a name in a run is no address that the user gave.
const ON_THE_WEB: &str = "it lies on the web, where an export by itself asks for nothing; repeat \
                          the command of the run with this format, which asks no model again";

/// Bytes of pixels that are held at a time; one image that needs more is held alone.
const HELD_BYTES: usize = 1 << 30;

pub(super) struct Images<'i> {
    folder: &'i Path,
    locator: Locator<'i>,
    apply_orientation: bool,
    gate: ByteGate,
}

impl<'i> Images<'i> {
    /// The images of a run's `records`.
    ///
    /// # Errors
    /// [`ExportError::NoImages`] if their folder is not known, [`ExportError::OutOfReach`] if they
    /// are not there.
    pub(super) fn of(run: &'i Run, records: &[Record]) -> Result<Self, ExportError> {
        let folder = run.images.as_deref().ok_or(ExportError::NoImages)?;
        let locator = Locator::new(folder).with_remote(&run.remote);
        let locator = locator.expecting(records.iter().map(|record| record.image.as_str()));
        let mut read = records.iter().filter(|record| record.sha256.is_some()).peekable();
        if read.peek().is_some() && !read.any(|record| locator.exists(&record.image)) {
            return Err(ExportError::OutOfReach {
                folder: folder.to_owned(),
                images: records.len(),
            });
        }
        let apply_orientation = run.apply_orientation;
        Ok(Self { folder, locator, apply_orientation, gate: ByteGate::new(HELD_BYTES) })
    }

    /// Applies `work` to the pixels of every record's image, on all cores. If an image is missing,
    /// or `work` fails on it, a remark is added that begins with `format`, and the image counts as
    /// missed.
    ///
    /// # Errors
    /// The first of `work`.
    pub(super) fn for_each(
        &self,
        records: &[&Record],
        format: Format,
        exported: &mut Exported,
        work: impl Fn(&Record, &RgbImage) -> Result<Result<(), String>, ExportError> + Sync,
    ) -> Result<(), ExportError> {
        let one = |record: &&Record| -> Result<Option<(String, String)>, ExportError> {
            let done = match self.with(record, |pixels| work(record, &pixels)) {
                Ok(done) => done?,
                Err(reason) => Err(reason),
            };
            Ok(done.err().map(|reason| (record.image.clone(), reason)))
        };
        let missed: Vec<_> = records.par_iter().map(one).collect::<Result<_, _>>()?;
        let missed: Vec<(String, String)> = missed.into_iter().flatten().collect();
        exported.images_missed += missed.len();
        let on_the_web = missed.iter().filter(|(_, reason)| reason == ON_THE_WEB).count();
        if on_the_web > 0 {
            exported.remarks.push(format!("{format}: {on_the_web} images: {ON_THE_WEB}"));
        }
        let others = missed.into_iter().filter(|(_, reason)| reason != ON_THE_WEB);
        exported
            .remarks
            .extend(others.map(|(image, reason)| format!("{format}: {image}: {reason}")));
        Ok(())
    }

    /// Whether the record's image is there, whatever its content is now.
    pub(super) fn is_there(&self, record: &Record) -> bool {
        self.locator.exists(&record.image)
    }

    /// The file of a record's image, unless it is a part of an archive or of a video.
    pub(super) fn file(&self, record: &Record) -> Option<PathBuf> {
        match self.place(record) {
            Ok(Place::File(path)) => Some(path),
            Ok(_) | Err(_) => None,
        }
    }

    /// The file that a record's image was read from: its own, or the archive or video that it is
    /// in.
    pub(super) fn original(&self, record: &Record) -> PathBuf {
        let path = match self.place(record) {
            Ok(Place::File(path) | Place::Clip(path)) => path,
            Ok(Place::Entry { archive, .. }) => archive.to_path_buf(),
            Ok(Place::Frame { clip, .. }) => clip.file().to_owned(),
            Ok(Place::Remote { .. }) | Err(_) => self.folder.join(path_of(&record.image)),
        };
        // The list of written files is read in other folders.
        std::path::absolute(&path).unwrap_or(path)
    }

    /// The location of a record's image. In a record without a hash, the image's name is not
    /// trusted: it is not followed through a link that leads out of the folder.
    fn place(&self, record: &Record) -> Result<Place, String> {
        let place = self.locator.place(&record.image);
        if place.is_none() && is_address(&record.image) {
            return Err(ON_THE_WEB.to_owned());
        }
        let vouched = |place: &Place| match place {
            Place::File(path) | Place::Clip(path) => {
                record.sha256.is_some() || !path.exists() || self.locator.holds(path)
            }
            Place::Frame { clip, .. } => record.sha256.is_some() || self.locator.holds(clip.file()),
            Place::Entry { .. } | Place::Remote { .. } => true,
        };
        place
            .filter(vouched)
            .ok_or_else(|| format!("{}: the name leads out of this folder", self.folder.display()))
    }

    /// The bytes of the file that was answered about; of a whole video, its first frame as a BMP
    /// file.
    ///
    /// # Errors
    /// Why they are not to be had, in words.
    pub(super) fn bytes(&self, record: &Record) -> Result<Vec<u8>, String> {
        let place = self.place(record)?;
        let named = |reason: String| {
            if is_address(&record.image) {
                return reason;
            }
            format!("{}: {reason}", self.folder.join(path_of(&record.image)).display())
        };
        let changed =
            || "the file is not the one that was answered about; run detect again".to_owned();
        if record.clip.is_some() {
            return Self::first_frame(record, &place).map_err(named);
        }
        let content = place.open().map_err(named)?;
        let read = read_file(content, self.apply_orientation, most_pixels(record));
        let bytes = read.map_err(|error| match error {
            // An image was answered about, of no more pixels than that.
            error if record.sha256.is_some() && !matches!(error, ImageError::Read(_)) => changed(),
            error => named(error.to_string()),
        })?;
        if record.sha256.as_ref().is_some_and(|sha256| *sha256 != digest::hex(&bytes)) {
            return Err(changed());
        }
        let size = crate::image::size_within(
            Cursor::new(&bytes),
            self.apply_orientation,
            most_pixels(record),
        );
        same_size(record, size.map_err(|error| error.to_string())?)?;
        Ok(bytes)
    }

    /// The first frame of the video that was answered about as a whole.
    ///
    /// # Errors
    /// Why it is not to be had, in words.
    fn first_frame(record: &Record, place: &Place) -> Result<Vec<u8>, String> {
        let (Place::File(path) | Place::Clip(path)) = place else {
            return Err("is not a file".to_owned());
        };
        let hash = files::open(path).and_then(digest::hex_of).map_err(|error| error.to_string())?;
        if record.sha256.as_ref().is_some_and(|known| *known != hash) {
            return Err("is not the video that was answered about".to_owned());
        }
        let frame = Ffmpeg::find().and_then(|ffmpeg| ffmpeg::first_frame(&ffmpeg, path));
        frame.map_err(|error| error.to_string())
    }

    /// `work` applied to the pixels of `bytes`, which are the record's image.
    ///
    /// # Errors
    /// Why they are not to be had, in words.
    pub(super) fn decoded<T>(
        &self,
        record: &Record,
        bytes: &[u8],
        work: impl FnOnce(RgbImage) -> T,
    ) -> Result<T, String> {
        // Decoded, turned, and once more for what is made of it.
        let held = record.width as usize * record.height as usize * 3 * 3;
        let _permit = self.gate.enter(held);
        let upright =
            crate::image::decode_within(bytes, self.apply_orientation, most_pixels(record))
                .map_err(|error| error.to_string())?;
        same_size(record, (upright.width, upright.height))?;
        match RgbImage::from_raw(upright.width, upright.height, upright.rgb) {
            Some(pixels) => Ok(work(pixels)),
            None => Err("the decoded image is not as large as it says".to_owned()),
        }
    }

    /// The upright pixels of `bytes`, which are the record's image, as a PNG file.
    ///
    /// # Errors
    /// Why they are not to be had, in words.
    pub(super) fn png(&self, record: &Record, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let png = |pixels: RgbImage| {
            let mut png = Vec::new();
            pixels.write_to(&mut Cursor::new(&mut png), ImageFormat::Png).map(|()| png)
        };
        self.decoded(record, bytes, png)?.map_err(|error| error.to_string())
    }

    /// `work` applied to the image's pixels.
    ///
    /// # Errors
    /// Why the image is not to be had, in words.
    pub(super) fn with<T>(
        &self,
        record: &Record,
        work: impl FnOnce(RgbImage) -> T,
    ) -> Result<T, String> {
        self.decoded(record, &self.bytes(record)?, work)
    }
}

/// An image that was answered about was within the limit of its run, whatever that was.
fn most_pixels(record: &Record) -> u64 {
    MAX_PIXELS.max(u64::from(record.width) * u64::from(record.height))
}

fn same_size(record: &Record, (width, height): (u32, u32)) -> Result<(), String> {
    if (width, height) == (record.width, record.height) {
        return Ok(());
    }
    Err(format!("is {width}x{height}, and the answer is about {}x{}", record.width, record.height))
}
