//! How a run went, from its journal alone: statuses, speed, slow images, retried images.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Serialize;

use super::json_log::{DamagedLine, JournalError};
use super::records::each_record;
use crate::record::{AnswerStatus, Record, Stages};

/// The number of buckets that a run's time is divided into.
const BUCKETS: usize = 12;

/// How a run went.
#[derive(Debug, Clone, Serialize)]
pub struct History {
    /// Images with a record.
    pub images: usize,
    /// Records, those of earlier tries too.
    pub records: usize,
    /// How many images ended with each status.
    pub statuses: BTreeMap<AnswerStatus, usize>,
    /// From the first record to the last, in seconds; `None` if no record has a time.
    pub seconds: Option<f64>,
    /// When how many images were done. Empty as `seconds`.
    pub throughput: Vec<TimeBucket>,
    /// Mean seconds of an image, by stage.
    pub mean: Option<Stages>,
    /// Images that took longest, the slowest first.
    pub slowest: Vec<SlowImage>,
    /// Images with several records, sorted by name.
    pub retried: Vec<RetriedImage>,
    /// Lines of the journal that are no records.
    pub damaged: Vec<DamagedLine>,
}

/// A part of the time of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TimeBucket {
    /// Its beginning, in seconds from the first record.
    pub from: f64,
    /// Its length in seconds.
    pub seconds: f64,
    /// Records made in it.
    pub images: usize,
}

/// An image, and its time by stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SlowImage {
    /// Its name.
    pub image: String,
    /// How it ended.
    pub status: AnswerStatus,
    /// Seconds by stage.
    #[serde(flatten)]
    pub stages: Stages,
}

/// An image with several records.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetriedImage {
    /// Its name.
    pub image: String,
    /// How each try ended, the first first.
    pub statuses: Vec<AnswerStatus>,
}

impl History {
    /// Images a second while there was work: pauses of a run that was stopped count only as far as
    /// a bucket with images reaches. `None` if the records are too few to say.
    pub fn speed(&self) -> Option<f64> {
        let busy = self.throughput.iter().filter(|bucket| bucket.images > 0);
        let (images, seconds) = busy.fold((0, 0.0), |(images, seconds), bucket| {
            (images + bucket.images, seconds + bucket.seconds)
        });
        // The first record ends the time before it.
        let images = images.saturating_sub(1);
        (images > 0 && seconds > 0.0).then(|| images as f64 / seconds)
    }

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
    timed: Vec<(SlowImage, f64)>,
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
            let slow =
                SlowImage { image: record.image, status: record.status, stages: timings.stages };
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
        let mut retried: Vec<RetriedImage> =
            again.map(|(image, statuses)| RetriedImage { image, statuses }).collect();
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
fn throughput(finished: &[f64]) -> (Option<f64>, Vec<TimeBucket>) {
    let first = finished.iter().copied().min_by(f64::total_cmp);
    let last = finished.iter().copied().max_by(f64::total_cmp);
    let (Some(first), Some(last)) = (first, last) else { return (None, Vec::new()) };
    let length = (last - first) / BUCKETS as f64;
    if length.is_nan() || length <= 0.0 {
        return (Some(0.0), vec![TimeBucket { from: 0.0, seconds: 0.0, images: finished.len() }]);
    }
    let mut buckets: Vec<TimeBucket> = (0..BUCKETS)
        .map(|index| TimeBucket { from: index as f64 * length, seconds: length, images: 0 })
        .collect();
    for time in finished {
        let index = ((time - first) / length) as usize;
        buckets[index.min(BUCKETS - 1)].images += 1;
    }
    (Some(last - first), buckets)
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
            [RetriedImage {
                image: "b".into(),
                statuses: vec![AnswerStatus::Failed, AnswerStatus::Ok]
            }]
        );
        assert_eq!(
            history.slowest.iter().map(|slow| slow.image.as_str()).collect::<Vec<_>>(),
            ["b", "c"]
        );
        assert_eq!(
            history.throughput.iter().map(|bucket| bucket.images).collect::<Vec<_>>(),
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
