//! Pairs of images, one question about both.
//!
//! In: two images of each pair, a question. Out: a line of `pairs.jsonl` each. Promises: each pair
//! is asked about in both orders; a line is on disk before the next pairs are begun; pairs whose
//! files have not changed since are not asked again.

use std::sync::Arc;

use rayon::prelude::*;

use super::control::Control;
use super::error::RunError;
use crate::digest;
use crate::engine::{
    AnswerOptions, Answered, Engine, ImageQuestions, Question, RateQuestion, Shown, ShownView,
    ViewForm, WAIT,
};
use crate::generate::Words;
use crate::image::{decode_within, read_file};
use crate::journal::PairJournal;
use crate::preprocess::{PlannedView, Region};
use crate::prompt::Query;
use crate::record::{BudgetChoice, PairRecord, Preference, Sampling};
use crate::source::SourceImage;

/// Pairs that are loaded and asked about together.
const TOGETHER: usize = 8;

/// Two images of one name.
pub struct Pair {
    /// The name.
    pub name: String,
    /// The images.
    pub images: [SourceImage; 2],
}

/// The question about each pair, and its settings.
pub struct PairQuestion {
    /// The prompt, about two images.
    pub query: Query,
    /// Two words: the first is better, the second is.
    pub words: Arc<[String]>,
    /// The same as the model's tokenizer writes them.
    pub tokens: Option<Arc<Words>>,
    /// Below this mass the answer is not read.
    pub min_mass: f64,
    /// Soft tokens of each image.
    pub budget: BudgetChoice,
    /// Whether EXIF orientation is applied.
    pub apply_orientation: bool,
}

impl PairQuestion {
    /// The question about both orders of a pair.
    fn asked(&self) -> ImageQuestions {
        let in_order = |views: [usize; 2]| {
            Question::Rate(RateQuestion {
                axis: String::new(),
                clause: None,
                query: self.query.clone(),
                views: views.into(),
                words: Arc::clone(&self.words),
                tokens: self.tokens.clone(),
                reasons: Vec::new(),
            })
        };
        ImageQuestions { labels: Vec::new(), questions: vec![in_order([0, 1]), in_order([1, 0])] }
    }
}

/// One image of a pair.
struct Side {
    sha256: Option<String>,
    view: Result<ShownView, String>,
}

/// Asks about every pair that `journal` has no answer of, and gives all records, in the order of
/// `pairs`; fewer if the run was stopped.
///
/// # Errors
/// [`RunError`], with the lines that were written before on disk.
pub fn compare_pairs(
    engine: &mut dyn Engine,
    pairs: &[Pair],
    question: &PairQuestion,
    mut journal: PairJournal,
    control: &Control,
) -> Result<Vec<PairRecord>, RunError> {
    let mut records = Vec::with_capacity(pairs.len());
    for pairs in pairs.chunks(TOGETHER) {
        if control.is_stopped() {
            break;
        }
        let form = engine.view_form();
        let load = |pair: &Pair| {
            [&pair.images[0], &pair.images[1]].map(|image| side(image, question, form, control))
        };
        let sides: Vec<[Side; 2]> = pairs.par_iter().map(load).collect();
        let mut asked: Vec<PairRecord> = Vec::with_capacity(pairs.len());
        let (mut views, mut fresh) = (Vec::new(), Vec::new());
        for (place, (pair, [first, second])) in pairs.iter().zip(sides).enumerate() {
            let sha256 = [first.sha256, second.sha256];
            if let Some(answered) = journal.take_answer(&pair.name, &sha256) {
                asked.push(answered);
                continue;
            }
            fresh.push(place);
            let reason = match (first.view, second.view) {
                (Ok(first), Ok(second)) => {
                    views.push((place, [first, second]));
                    None
                }
                (Err(reason), _) => Some(format!("first: {reason}")),
                (_, Err(reason)) => Some(format!("second: {reason}")),
            };
            let name = pair.name.clone();
            asked.push(PairRecord {
                name,
                sha256,
                preference: Preference::Unread,
                first_better: None,
                mass: None,
                reason,
            });
        }
        ask(engine, question, views, &mut asked)?;
        for place in fresh {
            journal.append(&asked[place])?;
        }
        journal.sync()?;
        records.extend(asked);
    }
    Ok(records)
}

fn side(image: &SourceImage, question: &PairQuestion, form: ViewForm, control: &Control) -> Side {
    let read = image.open().and_then(|content| {
        read_file(content, question.apply_orientation, control.max_pixels)
            .map_err(|error| error.to_string())
    });
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(reason) => return Side { sha256: None, view: Err(reason) },
    };
    let view = decode_within(&bytes, question.apply_orientation, control.max_pixels)
        .map_err(|error| error.to_string())
        .and_then(|upright| control.check_rows(upright.rows_there).map(|()| upright))
        .and_then(|upright| {
            let whole =
                PlannedView::of(Region::whole(upright.width, upright.height), question.budget);
            let whole = whole.map_err(|error| error.to_string())?;
            ShownView::of(&upright, &whole, form).map_err(|error| error.to_string())
        });
    Side { sha256: Some(digest::hex(&bytes)), view }
}

/// Asks about pairs in both orders; `place` is that of their record.
fn ask(
    engine: &mut dyn Engine,
    question: &PairQuestion,
    pairs: Vec<(usize, [ShownView; 2])>,
    records: &mut [PairRecord],
) -> Result<(), RunError> {
    let asked = Arc::new(question.asked());
    // A word is looked for, and none is written.
    let options = AnswerOptions { max_new_tokens: 0, sampling: Sampling::Greedy };
    for (place, views) in pairs {
        let (image, asked) = (records[place].name.clone(), Arc::clone(&asked));
        engine.submit(Shown { id: place, image, index: 0, views: views.into(), asked, options });
    }
    while !engine.is_idle() {
        let answered = engine.advance(WAIT);
        for Answered { id, learned } in
            answered.map_err(|error| RunError::Engine { image: String::new(), error })?
        {
            let record = &mut records[id];
            let ratings = match learned {
                Ok(learned) => learned.ratings,
                Err(error) => {
                    record.reason = Some(error.to_string());
                    continue;
                }
            };
            let [one, other] = ratings.as_slice() else { continue };
            // Shown second, it is the second word that says that the first frame is better.
            let first_better = [one.probabilities[0], other.probabilities[1]];
            let mass = [one.mass, other.mass];
            (record.first_better, record.mass) = (Some(first_better), Some(mass));
            if mass.iter().any(|&mass| mass < question.min_mass) {
                record.reason = Some("the model wanted to say something else".to_owned());
            } else {
                record.preference = Preference::of(first_better[0], first_better[1]);
            }
        }
    }
    Ok(())
}
