//! Records to files that other tools read.
//!
//! In: the records of a run, sorted by image, its manifest, and for crops and pictures the images. Out: files in the run's directory.
//! Promises: each format is a pure function of these: the same bytes whatever the threads, the order of the run or how often it was
//! resumed.

mod coco;
mod counts;
mod crops;
mod draw;
mod folder;
mod html;
mod jsonl;
mod overlay;
mod upright;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use crate::files;
use crate::record::Record;
use crate::run::Manifest;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// `detections.jsonl`: one line an image.
    Jsonl,
    /// `instances.json` and `results.json`.
    Coco,
    /// `counts.csv`: a row an image, a column a label.
    Counts,
    /// `crops/`: one PNG a detection.
    Crops,
    /// `overlays/`: every image with its boxes drawn.
    Overlay,
    /// `report/`: a page for a browser, with thumbnails.
    Html,
}

impl Format {
    /// Every format, in the order in which they are written.
    pub const ALL: [Self; 6] = [Self::Jsonl, Self::Coco, Self::Counts, Self::Crops, Self::Overlay, Self::Html];

    /// The format's name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Coco => "coco",
            Self::Counts => "counts",
            Self::Crops => "crops",
            Self::Overlay => "overlay",
            Self::Html => "html",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = ExportError;

    fn from_str(name: &str) -> Result<Self, ExportError> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == name)
            .ok_or_else(|| ExportError::UnknownFormat { name: name.to_owned() })
    }
}

/// Why an export could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Not one of [`Format::ALL`].
    #[error("unknown format {name:?}; there are: {}", Format::ALL.map(Format::as_str).join(", "))]
    UnknownFormat {
        /// What was asked for.
        name: String,
    },
    /// A file that cannot be written.
    #[error("{}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
    /// Some formats need the images, and nothing says where they are.
    #[error("crops and overlays need the images: say where they are with --images DIR")]
    NoImages,
}

/// What all formats are made from.
pub struct Input<'r> {
    /// Sorted by image.
    pub records: &'r [Record],
    /// What the run was asked to do.
    pub manifest: &'r Manifest,
    /// The labels that were asked for; they come first among the categories.
    pub asked: &'r [String],
    /// The folder that the images' names are relative to, where it is known.
    pub images: Option<&'r Path>,
    /// Whether EXIF orientation is applied to the images.
    pub apply_orientation: bool,
}

/// What was written, and what could not be.
#[derive(Debug, Default)]
pub struct Exported {
    /// Files and folders.
    pub written: Vec<PathBuf>,
    /// Things a user should know, one a line.
    pub remarks: Vec<String>,
    /// Images that could not be read any more, for crops and pictures.
    pub images_missed: usize,
}

/// Everything that exports write into a directory.
pub(crate) const FILES: [&str; 7] =
    ["detections.jsonl", "instances.json", "results.json", "counts.csv", "crops", "overlays", "report"];

/// Writes `formats` into `out`. What an earlier export left there under the same names is replaced.
///
/// # Errors
/// [`ExportError`]; an image that can no longer be read is a remark instead.
pub fn export(input: &Input<'_>, formats: &[Format], out: &Path) -> Result<Exported, ExportError> {
    std::fs::create_dir_all(out).map_err(|error| ExportError::Write { path: out.to_owned(), error })?;
    let mut exported = Exported::default();
    for format in formats {
        match format {
            Format::Jsonl => jsonl::write(input, out, &mut exported)?,
            Format::Coco => coco::write(input, out, &mut exported)?,
            Format::Counts => counts::write(input, out, &mut exported)?,
            Format::Crops => crops::write(input, out, &mut exported)?,
            Format::Overlay => overlay::write(input, out, &mut exported)?,
            Format::Html => html::write(input, out, &mut exported)?,
        }
    }
    Ok(exported)
}

/// The labels of a run: those that were asked for, in that order, then the others by name.
fn labels(input: &Input<'_>) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for label in input.asked {
        if !labels.contains(label) {
            labels.push(label.clone());
        }
    }
    let found = input.records.iter().flat_map(|record| &record.detections).map(|detection| &detection.label);
    let others: std::collections::BTreeSet<&String> = found.filter(|label| !input.asked.contains(label)).collect();
    labels.extend(others.into_iter().cloned());
    labels
}

/// Writes `bytes` to `out/name`.
fn write_file(out: &Path, name: &str, bytes: &[u8], exported: &mut Exported) -> Result<(), ExportError> {
    let path = out.join(name);
    files::replace(&path, bytes).map_err(|error| ExportError::Write { path: path.clone(), error })?;
    exported.written.push(path);
    Ok(())
}
