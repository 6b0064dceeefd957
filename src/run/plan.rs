//! What a run is to do.

use std::path::Path;

use super::control::Control;
use super::questions::Asks;
use crate::journal::Known;
use crate::record::Settings;
use crate::source::SourceImage;

/// What a run is to do.
#[derive(Clone, Copy)]
pub struct Plan<'r> {
    /// The images.
    pub images: &'r [SourceImage],
    /// The folder that their names are relative to.
    pub root: &'r Path,
    /// What is asked about them.
    pub questions: &'r dyn Asks,
    /// How.
    pub settings: &'r Settings,
    /// Which of them the journal has records of: with an answer, and of the same content, they are
    /// left as they are.
    pub known: &'r Known,
    /// When to stop, and what becomes of images that failed before.
    pub control: &'r Control,
}
