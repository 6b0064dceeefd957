//! The input of a run.

use std::path::Path;

use super::control::Control;
use super::questions::QuestionSource;
use crate::journal::ResumeIndex;
use crate::record::Settings;
use crate::source::SourceImage;

/// The input of a run.
#[derive(Clone, Copy)]
pub struct Plan<'r> {
    /// The images.
    pub images: &'r [SourceImage],
    /// The folder that their names are relative to.
    pub root: &'r Path,
    /// The questions about them.
    pub questions: &'r dyn QuestionSource,
    /// How.
    pub settings: &'r Settings,
    /// Which of them the journal has records of: with an answer, and of the same content, they are
    /// left as they are.
    pub known: &'r ResumeIndex,
    /// When to stop, and whether failed images are tried again.
    pub control: &'r Control,
}
