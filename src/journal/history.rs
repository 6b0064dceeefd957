//! How a run went, from its journal alone: statuses, speed, what was slow, what was tried again.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Serialize;

use super::json_log::{DamagedLine, JournalError};
use super::records::each_record;
use crate::record::{AnswerStatus, Record, Stages};

/// So many stretches of time is a run cut into.
const STRETCHES: usize = 12;

/// How a run went.
#[derive(Debug, Clone, Serialize)]
pub struct History {
    /// Images with a record.
    pub images: usize,
    /// Records, those of earlier tries too.
    pub records: usize,
    /// How many images ended with each status.
    pub statuses: BTreeMap<AnswerStatus, usize>,
    /// From the first record to the last, in seconds; nothing where no record says when it was
    /// made.
    pub seconds: Option<f64>,
    /// When how many images were done. Empty as `seconds`.
    pub throughput: Vec<Stretch>,
    /// What an image took on average, by stage.
    pub mean: Option<Stages>,
    /// Images that took longest, the slowest first.
    pub slowest: Vec<Slow>,
    /// Images with several records, sorted by name.
    pub retried: Vec<Retried>,
    /// Lines of the journal that are no records.
    pub damaged: Vec<DamagedLine>,
}

/// A part of the time of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Stretch {
    /// Its beginning, in seconds from the first record.
    pub from: f64,
    /// Its length in seconds.
    pub seconds: f64,
    /// Records made in it.
    pub images: usize,
}

/// An image, and what it took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slow {
    /// Its name.
    pub image: String,
    /// How it ended.
    pub status: AnswerStatus,
    /// Where the time went.
    #[serde(flatten)]
    pub stages: Stages,
}

/// An image with several records.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Retried {
    /// Its name.
    pub image: String,
    /// How each try ended, the first first.
    pub statuses: Vec<AnswerStatus>,
}

impl History {
    /// The history of the run in `directory`, with the `slowest` images.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn read(directory: &Path, slowest: usize) -> Result<Self, JournalError> {
        let mut collected = Collected::default();
        let damaged = each_record(directory, |record| collected.add(record))?;
        Ok(collected.history(slowest, damaged))
    }
}

#[derive(Default)]
struct Collected {
    tries: HashMap<String, Vec<AnswerStatus>>,
    timed: Vec<(Slow, f64)>,
}

impl Collected {
    fn add(&mut self, record: Record) {
        if let Some(earlier) = record.moved_from {
            // No new try, and no time of it: the name is another one.
            let tries = self.tries.remove(&earlier).unwrap_or_else(|| vec![record.status]);
            self.tries.insert(record.image, tries);
            return;
        }
        self.tries.entry(record.image.clone()).or_default().push(record.status);
        if let Some(timings) = record.timings {
            let slow = Slow { image: record.image, status: record.status, stages: timings.stages };
            self.timed.push((slow, timings.finished));
        }
    }

    fn history(self, slowest: usize, damaged: Vec<DamagedLine>) -> History {
        let Self { tries, mut timed } = self;
        let mut statuses = BTreeMap::new();
        for last in tries.values().filter_map(|tries| tries.last()) {
            *statuses.entry(*last).or_default() += 1;
        }
        let (images, records) = (tries.len(), tries.values().map(Vec::len).sum());
        let again = tries.into_iter().filter(|(_, statuses)| statuses.len() > 1);
        let mut retried: Vec<Retried> =
            again.map(|(image, statuses)| Retried { image, statuses }).collect();
        retried.sort_by(|a, b| a.image.cmp(&b.image));
        let finished: Vec<f64> = timed.iter().map(|(_, finished)| *finished).collect();
        let mean = (!timed.is_empty()).then(|| {
            let mean = |stage: fn(&Stages) -> f64| {
                timed.iter().map(|(slow, _)| stage(&slow.stages)).sum::<f64>() / timed.len() as f64
            };
            Stages {
                read: mean(|stages| stages.read),
                prepare: mean(|stages| stages.prepare),
                answer: mean(|stages| stages.answer),
            }
        });
        timed.sort_by(|(a, _), (b, _)| {
            b.stages.total().total_cmp(&a.stages.total()).then_with(|| a.image.cmp(&b.image))
        });
        timed.truncate(slowest);
        let (seconds, throughput) = throughput(&finished);
        let slowest = timed.into_iter().map(|(slow, _)| slow).collect();
        History { images, records, statuses, seconds, throughput, mean, slowest, retried, damaged }
    }
}

/// The time from the first to the last of `finished`, and how they lie in it.
fn throughput(finished: &[f64]) -> (Option<f64>, Vec<Stretch>) {
    let first = finished.iter().copied().min_by(f64::total_cmp);
    let last = finished.iter().copied().max_by(f64::total_cmp);
    let (Some(first), Some(last)) = (first, last) else { return (None, Vec::new()) };
    let length = (last - first) / STRETCHES as f64;
    if length.is_nan() || length <= 0.0 {
        return (Some(0.0), vec![Stretch { from: 0.0, seconds: 0.0, images: finished.len() }]);
    }
    let mut stretches: Vec<Stretch> = (0..STRETCHES)
        .map(|index| Stretch { from: index as f64 * length, seconds: length, images: 0 })
        .collect();
    for time in finished {
        let index = ((time - first) / length) as usize;
        stretches[index.min(STRETCHES - 1)].images += 1;
    }
    (Some(last - first), stretches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Timings;

    fn record(image: &str, status: AnswerStatus, finished: f64, answer: f64) -> Record {
        let timings =
            Some(Timings { finished, stages: Stages { read: 0.25, prepare: 0.25, answer } });
        Record { status, timings, ..Record::failed(image.into(), String::new()) }
    }

    #[test]
    fn a_history_counts_images_once_and_tries_each() {
        let mut collected = Collected::default();
        for (index, image) in ["a", "b", "c", "b"].into_iter().enumerate() {
            let status = if index == 1 { AnswerStatus::Failed } else { AnswerStatus::Ok };
            collected.add(record(image, status, 100.0 + index as f64 * 4.0, index as f64));
        }
        let history = collected.history(2, Vec::new());
        assert_eq!((history.images, history.records, history.seconds), (3, 4, Some(12.0)));
        assert_eq!(history.statuses, BTreeMap::from([(AnswerStatus::Ok, 3)]));
        assert_eq!(
            history.retried,
            [Retried { image: "b".into(), statuses: vec![AnswerStatus::Failed, AnswerStatus::Ok] }]
        );
        assert_eq!(
            history.slowest.iter().map(|slow| slow.image.as_str()).collect::<Vec<_>>(),
            ["b", "c"]
        );
        assert_eq!(
            history.throughput.iter().map(|stretch| stretch.images).collect::<Vec<_>>(),
            [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1]
        );
        assert!((history.mean.unwrap().total() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn an_image_with_another_name_is_one_image() {
        let mut collected = Collected::default();
        collected.add(record("a", AnswerStatus::Ok, 100.0, 1.0));
        collected.add(Record {
            moved_from: Some("a".into()),
            ..record("b", AnswerStatus::Ok, 100.0, 1.0)
        });
        let history = collected.history(10, Vec::new());
        assert_eq!(
            (history.images, history.records, history.retried.len(), history.slowest.len()),
            (1, 1, 0, 1)
        );
    }

    #[test]
    fn answers_from_elsewhere_have_no_times() {
        let mut collected = Collected::default();
        collected.add(Record::failed("a".into(), "b".into()));
        let history = collected.history(10, Vec::new());
        assert!(
            history.seconds.is_none()
                && history.throughput.is_empty()
                && history.slowest.is_empty()
        );
    }
}
