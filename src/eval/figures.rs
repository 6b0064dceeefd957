//! COCO's twelve figures.
//!
//! In: a truth and predictions. Out: AP and AR over IoU 0.50:0.95, by area and by the number of
//! detections, and of every label. Promises: the numbers of pycocotools' `COCOeval` for boxes; what
//! nothing can be said of is absent, not 0.

use serde::Serialize;

use super::evaluator::{evaluator, place};
use super::{Best, EvalError, Predictions, Truth};

/// COCO's twelve figures, in their order and by their names; absent (`null`) if the truth has no
/// such box.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs)] // each is what cocodataset.org/#detection-eval says
#[allow(non_snake_case)] // COCO's names
pub struct Figures {
    pub AP: Option<f64>,
    pub AP50: Option<f64>,
    pub AP75: Option<f64>,
    pub APs: Option<f64>,
    pub APm: Option<f64>,
    pub APl: Option<f64>,
    pub AR1: Option<f64>,
    pub AR10: Option<f64>,
    pub AR100: Option<f64>,
    pub ARs: Option<f64>,
    pub ARm: Option<f64>,
    pub ARl: Option<f64>,
}

/// The names of the figures, in COCO's order.
pub const FIGURES: [&str; 12] =
    ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"];

impl Figures {
    /// Names and values, in COCO's order.
    pub fn named(&self) -> [(&'static str, Option<f64>); 12] {
        [
            ("AP", self.AP),
            ("AP50", self.AP50),
            ("AP75", self.AP75),
            ("APs", self.APs),
            ("APm", self.APm),
            ("APl", self.APl),
            ("AR1", self.AR1),
            ("AR10", self.AR10),
            ("AR100", self.AR100),
            ("ARs", self.ARs),
            ("ARm", self.ARm),
            ("ARl", self.ARl),
        ]
    }
}

/// The figures of one label.
#[derive(Debug, Serialize)]
#[allow(non_snake_case)] // COCO's names
pub struct LabelFigures {
    /// Its name.
    pub label: String,
    /// Its place among the truth's categories.
    #[serde(skip)]
    pub category: usize,
    /// Boxes of it that are to be found.
    pub truths: usize,
    /// Detections of it.
    pub detections: usize,
    /// Mean over IoU 0.50:0.95.
    pub AP: Option<f64>,
    /// At IoU 0.50.
    pub AP50: Option<f64>,
    /// At IoU 0.75.
    pub AP75: Option<f64>,
    /// Mean over IoU 0.50:0.95, with 100 detections an image.
    pub AR100: Option<f64>,
    /// The threshold with its best F1.
    pub best_f1: Option<Best>,
    /// Its precision at recalls 0, 0.01, ... 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub precision: Vec<f64>,
}

/// The twelve figures, and those of every label that the truth has boxes of.
pub(super) fn figures(
    truth: &Truth,
    predictions: &Predictions,
) -> Result<(Figures, Vec<LabelFigures>), EvalError> {
    let mut evaluator = evaluator(truth, predictions)?;
    evaluator.evaluate().map_err(|error| EvalError::Hotcoco(error.to_string()))?;
    evaluator.accumulate();
    // Sets the figures; the lines it makes are for a terminal.
    let _lines = evaluator.summarize_lines();
    let stats = evaluator.stats().unwrap_or_default();
    // hotcoco, like pycocotools, says -1 for a figure without data.
    let stat = |place: usize| stats.get(place).copied().filter(|value| *value >= 0.0);
    let figures = Figures {
        AP: stat(0),
        AP50: stat(1),
        AP75: stat(2),
        APs: stat(3),
        APm: stat(4),
        APl: stat(5),
        AR1: stat(6),
        AR10: stat(7),
        AR100: stat(8),
        ARs: stat(9),
        ARm: stat(10),
        ARl: stat(11),
    };
    let mut labels = Vec::new();
    let Some(accumulated) = evaluator.accumulated() else {
        return Err(EvalError::Hotcoco("nothing was accumulated".into()));
    };
    let (area, most) = (evaluator.params.all_area_idx(), evaluator.params.max_det_idx());
    let thresholds = 0..accumulated.shape.t;
    for (k, id) in accumulated.cat_ids.iter().enumerate() {
        let category = place(*id);
        let of_label =
            |annotation: &&crate::dataset::coco::Annotation| annotation.category == category;
        let precision = |t: usize| {
            let at = (0..accumulated.shape.r)
                .map(|r| accumulated.precision[accumulated.precision_idx(t, r, k, area, most)]);
            mean(at)
        };
        let recall = |t: usize| accumulated.recall[accumulated.recall_idx(t, k, area, most)];
        if truth.evaluated().filter(of_label).count() == 0 {
            continue;
        }
        let at = |iou: f64| evaluator.params.iou_thr_idx(iou).and_then(precision);
        labels.push(LabelFigures {
            label: truth.label(category).to_owned(),
            category,
            truths: truth
                .evaluated()
                .filter(of_label)
                .filter(|annotation| !annotation.crowd)
                .count(),
            detections: predictions
                .detections
                .iter()
                .filter(|detection| detection.category == category)
                .count(),
            AP: thresholds
                .clone()
                .map(precision)
                .collect::<Option<Vec<_>>>()
                .and_then(|all| mean(all.into_iter())),
            AP50: at(0.5),
            AP75: at(0.75),
            AR100: mean(thresholds.clone().map(recall)),
            best_f1: None,
            precision: Vec::new(),
        });
    }
    Ok((figures, labels))
}

/// The mean; `None` of an empty list, and of hotcoco's -1 for "no data".
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values
        .filter(|value| *value >= 0.0)
        .fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}
