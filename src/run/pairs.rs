//! Pairs of images, one question about both.
//!
//! In: two images of each pair, a question. Out: a line of `pairs.jsonl` each. Promises: each pair is asked about in both orders; a line is on disk before
//! the next pairs are begun; pairs whose files have not changed since are not asked again.

use std::collections::HashMap;

use rayon::prelude::*;

use super::control::Control;
use super::engine::{Engine, is_near_rounding};
use super::pipeline::RunError;
use crate::digest;
use crate::generate::{Batch, NextToken, Reply, Words};
use crate::image::{decode_within, read_file};
use crate::journal::PairJournal;
use crate::model::Features;
use crate::preprocess::{PreparedView, prepare};
use crate::prompt::Query;
use crate::record::{BudgetChoice, PairRecord, Preference};
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

/// What is asked about each pair, and how.
pub struct PairQuestion {
    /// The prompt, about two images.
    pub query: Query,
    /// Two words: the first is better, the second is.
    pub words: Words,
    /// Below this mass the answer is not read.
    pub min_mass: f64,
    /// Soft tokens of each image.
    pub budget: BudgetChoice,
    /// Whether EXIF orientation is applied.
    pub apply_orientation: bool,
}

/// One image of a pair.
struct Side {
    sha256: Option<String>,
    view: Result<PreparedView, String>,
}

/// Asks about every pair that `journal` has no answer of, and gives all records, in the order of `pairs`; fewer if the run was stopped.
///
/// # Errors
/// [`RunError`], with the lines that were written before on disk.
pub fn compare_pairs(
    engine: &mut Engine,
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
        let patch_side = engine.model.patch_side();
        let load =
            |pair: &Pair| [&pair.images[0], &pair.images[1]].map(|image| side(image, question, patch_side, control));
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

fn side(image: &SourceImage, question: &PairQuestion, patch_side: u32, control: &Control) -> Side {
    let read = image.open().and_then(|content| {
        read_file(content, question.apply_orientation, control.max_pixels).map_err(|error| error.to_string())
    });
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(reason) => return Side { sha256: None, view: Err(reason) },
    };
    let view = decode_within(&bytes, question.apply_orientation, control.max_pixels)
        .map_err(|error| error.to_string())
        .and_then(|upright| control.check_rows(upright.rows_there).map(|()| upright))
        .and_then(|upright| prepare(&upright, question.budget, patch_side).map_err(|error| error.to_string()));
    Side { sha256: Some(digest::hex(&bytes)), view }
}

/// Asks about pairs in both orders; `place` is that of their record.
fn ask(
    engine: &mut Engine,
    question: &PairQuestion,
    pairs: Vec<(usize, [PreparedView; 2])>,
    records: &mut [PairRecord],
) -> Result<(), RunError> {
    let Engine { prompter, model, limits } = engine;
    let mut batch = Batch::new(model, &prompter.tokenizer, *limits, is_near_rounding);
    for (place, views) in pairs {
        let soft_tokens = [&views[0], &views[1]].map(|view| view.size.soft_tokens());
        let mut features = Vec::with_capacity(2);
        for (view, soft_tokens) in views.into_iter().zip(soft_tokens) {
            match model.encode(vec![(view.patches, soft_tokens as usize)]) {
                Ok(encoded) => features.extend(encoded),
                Err(error) => records[place].reason = Some(error.to_string()),
            }
        }
        let [first, second] = features.as_slice() else { continue };
        let orders: [[(&Features, u32); 2]; 2] =
            [[(first, soft_tokens[0]), (second, soft_tokens[1])], [(second, soft_tokens[1]), (first, soft_tokens[0])]];
        for (order, [one, other]) in orders.into_iter().enumerate() {
            let prompt_ids = question.query.token_ids_of(&[one.1, other.1]);
            let features = Features::joined(&[one.0, other.0]);
            batch.submit(2 * place + order, features, question.words.requests(&prompt_ids));
        }
    }
    let mut replies: HashMap<usize, Vec<Option<NextToken>>> = HashMap::new();
    while !batch.is_idle() {
        let advanced = batch.advance(model);
        for finished in advanced.map_err(|error| RunError::Model { image: String::new(), error: error.into() })? {
            let places = replies.entry(finished.view).or_insert_with(|| vec![None; question.words.places()]);
            match finished.reply {
                Ok(Reply::Next(next)) => places[finished.query] = Some(next),
                Ok(Reply::Answer(_)) => {}
                Err(error) => records[finished.view / 2].reason = Some(error.to_string()),
            }
        }
    }
    for (place, record) in records.iter_mut().enumerate() {
        let distribution = |order: usize| {
            let places: Vec<&NextToken> =
                replies.get(&(2 * place + order))?.iter().map(Option::as_ref).collect::<Option<_>>()?;
            question.words.distribution(&places)
        };
        let (Some(one), Some(other)) = (distribution(0), distribution(1)) else { continue };
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
    Ok(())
}
