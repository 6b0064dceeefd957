//! Questions about each frame of a critique.
//!
//! In: a rubric's questions, those for boxes, and tables of generation settings. Out: the questions
//! about a frame, and its generation settings in its record. Promises: a frame with broken or
//! unknown settings is asked everything except the axes about its prompt; a frame that was asked
//! earlier is asked only what has changed since.

use std::collections::HashMap;
use std::sync::Arc;

use super::questions::QuestionSource;
use super::rubric_questions::RubricQuestions;
use crate::critique::{Axis, unanswered};
use crate::engine::{FindQuestion, ImageQuestions, Question};
use crate::files;
use crate::frame_metadata::{self, SIDECAR_EXTENSIONS};
use crate::image;
use crate::prompt::PromptError;
use crate::record::{AnimationChoice, AxisMarks, CritiqueSettings, GenerationSettings, Record};
use crate::source::{Place, SourceImage};

/// A sidecar is a page of text; a longer file is something else.
const MAX_SIDECAR_BYTES: u64 = 1 << 20;

/// The questions about frames.
pub struct FrameQuestions {
    rubric: RubricQuestions,
    /// Boxes of the axes that look for defects, by the axis.
    finds: HashMap<String, FindQuestion>,
    labels: Vec<String>,
    /// Settings by the frame's name: they take precedence over the file's.
    table: HashMap<String, GenerationSettings>,
    /// Asked about every frame whose prompt is not known, or not asked about.
    usual: Arc<ImageQuestions>,
    /// What is asked on each axis.
    marks: AxisMarks,
    animation: AnimationChoice,
}

impl FrameQuestions {
    /// The questions of `rubric`; `finds` are those for boxes, by the axis.
    ///
    /// # Errors
    /// [`PromptError`].
    pub fn new(
        rubric: RubricQuestions,
        finds: HashMap<String, FindQuestion>,
        table: HashMap<String, GenerationSettings>,
    ) -> Result<Self, PromptError> {
        let axes = &rubric.rubric.axes;
        let labels = axes
            .iter()
            .filter_map(|axis| finds.get(&axis.name))
            .flat_map(|find| find.task.labels().to_vec());
        let labels: Vec<String> = labels.collect();
        let mut made = Self {
            marks: CritiqueSettings::of(&rubric.rubric).marks(),
            rubric,
            finds,
            labels,
            table,
            usual: Arc::new(ImageQuestions { labels: Vec::new(), questions: Vec::new() }),
            animation: AnimationChoice::First,
        };
        made.usual = Arc::new(made.about(None, 1, &|_| true)?);
        Ok(made)
    }

    /// The same, with these frames of animated files.
    #[must_use]
    pub fn of_animations(self, animation: AnimationChoice) -> Self {
        Self { animation, ..self }
    }

    /// The questions about a frame whose prompt is not known.
    pub fn usual(&self) -> &Arc<ImageQuestions> {
        &self.usual
    }

    /// The questions about a frame with this record, which says its prompt and what is shown of it.
    fn of_frame(&self, record: &Record) -> Result<Arc<ImageQuestions>, PromptError> {
        let wanted = self.rubric.rubric.axes.iter().any(Axis::needs_prompt);
        match (prompt_of(record).filter(|_| wanted), images_of(record)) {
            (None, 1) => Ok(Arc::clone(&self.usual)),
            (prompt, images) => self.about(prompt, images, &|_| true).map(Arc::new),
        }
    }

    /// What is asked about a frame with this prompt, shown as so many images, on the axes that
    /// `is_asked` picks by their names, in the rubric's order. Boxes are looked for in one image.
    fn about(
        &self,
        prompt: Option<&str>,
        images: usize,
        is_asked: &dyn Fn(&str) -> bool,
    ) -> Result<ImageQuestions, PromptError> {
        let mut questions = Vec::new();
        for axis in self.rubric.rubric.axes.iter().filter(|axis| is_asked(&axis.name)) {
            if let Some(find) = self.finds.get(&axis.name) {
                questions.push(Question::Find(find.clone()));
            } else {
                questions
                    .extend(self.rubric.of(axis, prompt, images)?.into_iter().map(Question::Rate));
            }
        }
        Ok(ImageQuestions { labels: self.labels.clone(), questions })
    }

    /// A frame's generation settings: from the table, else its file, else a file beside it.
    fn settings(&self, image: &SourceImage, bytes: &[u8]) -> Option<GenerationSettings> {
        if let Some(known) = self.table.get(&image.name) {
            return Some(known.clone());
        }
        let read = frame_metadata::read(bytes);
        if read.as_ref().is_some_and(GenerationSettings::is_known) {
            return read;
        }
        sidecar(image).or(read)
    }
}

impl QuestionSource for FrameQuestions {
    fn questions_about(
        &self,
        image: &SourceImage,
        bytes: &[u8],
        record: &mut Record,
    ) -> Result<Arc<ImageQuestions>, String> {
        record.generation = self.settings(image, bytes).map(Box::new);
        record.asked = (!self.labels.is_empty()).then(|| self.labels.clone());
        record.axes.clone_from(&self.marks);
        if !self.animation.is_first() {
            let shown = image::frame_count(bytes).and_then(|total| self.animation.of(total));
            record.animation = shown.map(Box::new);
        }
        self.of_frame(record).map_err(|error| error.to_string())
    }

    fn are_answered(&self, axes: &AxisMarks) -> bool {
        unanswered(&self.marks, axes).is_empty()
    }

    fn questions_left(
        &self,
        image: &SourceImage,
        bytes: &[u8],
        earlier: &Record,
        record: &mut Record,
    ) -> Result<Option<Arc<ImageQuestions>>, String> {
        self.questions_about(image, bytes, record)?;
        // What was known of it once, from a table or a file beside it, is still true.
        if prompt_of(record).is_none() && prompt_of(earlier).is_some() {
            record.generation.clone_from(&earlier.generation);
        }
        let all = self.of_frame(record).map_err(|error| error.to_string())?;
        let mut left = unanswered(&self.marks, &earlier.axes);
        if prompt_of(record) != prompt_of(earlier) {
            let axes = self.rubric.rubric.axes.iter().filter(|axis| axis.needs_prompt());
            left.extend(axes.map(|axis| axis.name.as_str()));
        }
        // Boxes do not say which axis they are of.
        if left.iter().any(|axis| self.finds.contains_key(*axis)) {
            left.extend(self.finds.keys().map(String::as_str));
        }
        if left.is_empty() {
            return Ok(None);
        }
        record.question = Some(all.hash());
        record.axes.retain(|axis, _| left.contains(axis.as_str()));
        let asked = self.about(prompt_of(record), images_of(record), &|axis| left.contains(axis));
        asked.map(|asked| Some(Arc::new(asked))).map_err(|error| error.to_string())
    }
}

/// The prompt that the frame was made with, if it is known.
fn prompt_of(record: &Record) -> Option<&str> {
    record.generation.as_ref().and_then(|made| made.prompt.as_deref())
}

/// How many images the frame is shown as.
fn images_of(record: &Record) -> usize {
    record.animation.as_ref().map_or(1, |shown| shown.frames.len())
}

/// The settings in a file beside the frame's.
fn sidecar(image: &SourceImage) -> Option<GenerationSettings> {
    let Ok(Place::File(path)) = &image.place else { return None };
    SIDECAR_EXTENSIONS.iter().find_map(|extension| {
        let beside = path.with_extension(extension);
        let bytes = files::read(&beside, MAX_SIDECAR_BYTES).ok()?;
        frame_metadata::read_sidecar(&files::decode_text(bytes).ok()?)
    })
}
