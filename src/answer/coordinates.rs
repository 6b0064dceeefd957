//! The unit and order of the numbers of a box.
//!
//! In: boxes as written, and the size of the view that they are about. Out: which of them fit the
//! scale that was named ([`fitting`]); of all answers of an input, the one scale that they agree
//! with ([`ScaleEvidence`]). Promises: a scale is named by the user, or decided once for a whole
//! input; no answer is read by a scale of its own, and a box that does not fit the scale is left
//! out, never mapped.
//!
//! # What fits
//!
//! A box may run over the edge by up to a quarter of the scale (models do, and such boxes are
//! clamped). It does not fit if one of its numbers lies farther out, if the whole box lies outside,
//! or if it is written in shares of 1 under another scale: no number above 1 by more than a slip,
//! and one that is not whole. An answer with a box that does not fit loses that box. It loses all
//! its boxes if they all fit another scale without running over its edge, or if no number of it is
//! above 1 (`[0, 0, 1, 1]` is the whole image in shares): then the others were written in that
//! scale too, and would lie somewhere else.

use super::ParsedBox;
use super::march::Place;
use crate::record::{CoordinateOrder, CoordinateScale};

/// Numbers may run over the edge by this share of the scale.
const OVERSHOOT: f64 = 0.25;

impl CoordinateScale {
    /// The numbers of the lower right corner of a view: height, then width.
    pub(super) fn extent(self, height: f64, width: f64) -> [f64; 2] {
        match self {
            Self::Thousand => [1000.0; 2],
            Self::One => [1.0; 2],
            Self::Pixels => [height, width],
        }
    }
}

/// A box's numbers in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Corners {
    pub(super) y0: f64,
    pub(super) x0: f64,
    pub(super) y1: f64,
    pub(super) x1: f64,
    /// They were written the other way round.
    pub(super) swapped: bool,
}

impl Corners {
    pub(super) fn of(parsed_box: &ParsedBox, order: CoordinateOrder) -> Self {
        // `+ 0.0` makes one zero of the two.
        let [a, b, c, d] = parsed_box.box_2d.map(|value| value + 0.0);
        let order = if parsed_box.named { CoordinateOrder::Yxyx } else { order };
        let [ya, xa, yb, xb] = match order {
            CoordinateOrder::Yxyx => [a, b, c, d],
            CoordinateOrder::Xyxy => [b, a, d, c],
        };
        let swapped = ya > yb || xa > xb;
        Self { y0: ya.min(yb), x0: xa.min(xb), y1: ya.max(yb), x1: xa.max(xb), swapped }
    }

    /// In thousandths of an extent of `high` times `wide`.
    pub(super) fn place(&self, high: f64, wide: f64) -> Place {
        let (down, right) = (1000.0 / high, 1000.0 / wide);
        let (height, width) = ((self.y1 - self.y0) * down, (self.x1 - self.x0) * right);
        Place { y: self.y0 * down, x: self.x0 * right, height, width }
    }

    /// `[[ymin, ymax], [xmin, xmax]]`.
    fn sides(&self) -> [[f64; 2]; 2] {
        [[self.y0, self.y1], [self.x0, self.x1]]
    }

    fn lies_within(&self, extent: [f64; 2]) -> bool {
        self.sides().iter().zip(extent).all(|([from, to], most)| 0.0 <= *from && *to <= most)
    }

    /// No number is above 1 by more than a slip over the edge.
    fn is_near_one(&self) -> bool {
        self.sides()
            .as_flattened()
            .iter()
            .all(|value| (-OVERSHOOT..=1.0 + OVERSHOOT).contains(value))
    }

    /// No number above 1 by more than a slip, and one that is not whole.
    fn is_shares(&self) -> bool {
        self.is_near_one() && self.sides().as_flattened().iter().any(|value| value.fract() != 0.0)
    }

    /// Wholly outside, with an area to lose, or farther over the edge than models slip.
    fn strays(&self, extent: [f64; 2]) -> bool {
        let has_area = self.sides().iter().all(|[from, to]| from < to);
        self.sides().iter().zip(extent).any(|(&[from, to], most)| {
            let outside = from >= most || to <= 0.0;
            (has_area && outside) || from < -OVERSHOOT * most || to > (1.0 + OVERSHOOT) * most
        })
    }

    fn fits(&self, scale: CoordinateScale, extent: [f64; 2]) -> bool {
        !self.strays(extent) && (scale == CoordinateScale::One || !self.is_shares())
    }
}

/// For each box of one answer about a view of `height` times `width` pixels, whether it fits
/// `scale`. [The module](self) defines a fit.
pub(super) fn fitting(
    boxes: &[Corners],
    scale: CoordinateScale,
    height: f64,
    width: f64,
) -> Vec<bool> {
    let extent = scale.extent(height, width);
    let unit = |corners: &Corners| corners.lies_within([1.0; 2]);
    let has_area = |corners: &Corners| corners.sides().iter().all(|[from, to]| from < to);
    if scale == CoordinateScale::Thousand && boxes.iter().all(unit) && boxes.iter().any(has_area) {
        return vec![false; boxes.len()];
    }
    let fits: Vec<bool> = boxes.iter().map(|corners| corners.fits(scale, extent)).collect();
    if fits.iter().all(|fits| *fits) {
        return fits;
    }
    let of_another =
        CoordinateScale::ALL.into_iter().filter(|other| *other != scale).any(|other| {
            let extent = other.extent(height, width);
            boxes.iter().all(|corners| corners.lies_within(extent) && corners.fits(other, extent))
        });
    if of_another { vec![false; boxes.len()] } else { fits }
}

/// Evidence from the boxes of many answers about the scale that they were written in.
#[derive(Debug, Clone, Default)]
pub struct ScaleEvidence {
    boxes: usize,
    shares: usize,
    beyond_one: usize,
    beyond_thousand: usize,
    outside_image: usize,
    /// How many boxes would lie beyond 1000 if boxes in pixels lay evenly over the images.
    expected_beyond: f64,
    /// Answers with boxes, and of them, for each of [`CoordinateScale::ALL`], those that do not fit
    /// it.
    answers: usize,
    misfits: [usize; 3],
}

/// The scale of a whole input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// How all of its boxes are to be read.
    pub scale: CoordinateScale,
    /// Why, in one sentence without its full stop, for the user and for `run.json`.
    pub why: String,
    /// Answers that do not fit it: boxes of theirs are left out, with a note.
    pub contradictory: usize,
}

/// Pixels are believed if at least this share of the boxes that would then lie beyond 1000 do so.
const ENOUGH_BEYOND: f64 = 0.1;

impl ScaleEvidence {
    /// Takes the boxes of one answer about an image of `width` times `height` pixels.
    pub fn add(&mut self, boxes: &[ParsedBox], order: CoordinateOrder, width: u32, height: u32) {
        let (width, height) = (f64::from(width), f64::from(height));
        let corners: Vec<Corners> = boxes.iter().map(|one| Corners::of(one, order)).collect();
        let image = CoordinateScale::Pixels.extent(height, width);
        for one in &corners {
            self.boxes += 1;
            self.shares += usize::from(one.is_shares());
            self.beyond_one += usize::from(!one.is_near_one());
            self.beyond_thousand += usize::from(one.strays([1000.0; 2]));
            self.outside_image += usize::from(!one.lies_within(image));
            self.expected_beyond += 1.0 - (1000.0 / width).min(1.0) * (1000.0 / height).min(1.0);
        }
        self.answers += usize::from(!corners.is_empty());
        for (misfits, scale) in self.misfits.iter_mut().zip(CoordinateScale::ALL) {
            let fits = fitting(&corners, scale, height, width);
            *misfits += usize::from(fits.contains(&false));
        }
    }

    /// The one scale that the whole input is read by: shares if every box is within 0 to 1 (except
    /// for slips) and one number is not whole; pixels if every box lies in its image and boxes lie
    /// beyond 1000, not much fewer than pixels would put there; thousandths otherwise.
    pub fn decide(&self) -> Decision {
        let enough = self.beyond_thousand as f64 >= ENOUGH_BEYOND * self.expected_beyond;
        let (scale, why) = if self.shares > 0 && self.beyond_one == 0 {
            (CoordinateScale::One, format!("all {} boxes are within 0 to 1", self.boxes))
        } else if self.beyond_thousand > 0 && self.outside_image == 0 && enough {
            let beyond = self.beyond_thousand;
            (
                CoordinateScale::Pixels,
                format!(
                    "{beyond} of {} boxes lie beyond 1000, and all in their images",
                    self.boxes
                ),
            )
        } else if self.boxes == 0 {
            (CoordinateScale::Thousand, "there are no boxes".to_owned())
        } else if self.beyond_thousand == 0 {
            (CoordinateScale::Thousand, format!("none of {} boxes lies beyond 1000", self.boxes))
        } else {
            let beyond = self.beyond_thousand;
            (
                CoordinateScale::Thousand,
                format!(
                    "only {beyond} of {} boxes lie beyond 1000, or not all in their images",
                    self.boxes
                ),
            )
        };
        let place = CoordinateScale::ALL.iter().position(|one| *one == scale).unwrap_or_default();
        Decision { scale, why, contradictory: self.misfits[place] }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use CoordinateScale::{One, Pixels, Thousand};

    fn boxes(written: &[[f64; 4]]) -> Vec<ParsedBox> {
        let parsed = |box_2d: &[f64; 4]| ParsedBox {
            box_2d: *box_2d,
            label: None,
            coordinates: 0..0,
            named: false,
            label_span: None,
            confidence: None,
        };
        written.iter().map(parsed).collect()
    }

    fn fits(scale: CoordinateScale, written: &[[f64; 4]]) -> Vec<bool> {
        let corners: Vec<Corners> =
            boxes(written).iter().map(|one| Corners::of(one, CoordinateOrder::Yxyx)).collect();
        fitting(&corners, scale, 1200.0, 1600.0)
    }

    #[test]
    fn a_slip_over_the_edge_fits_and_more_does_not() {
        let good = [10.0, 20.0, 30.0, 40.0];
        assert_eq!(fits(Thousand, &[[500.0, 900.0, 1104.0, 1250.0], good]), [true, true]);
        assert_eq!(fits(Thousand, &[[-5.0, 900.0, 10.0, 1001.0], good]), [true, true]);
        // Neither thousandths nor pixels: a slip of one box.
        assert_eq!(fits(Thousand, &[[500.0, 900.0, 900.0, 9000.0], good]), [false, true]);
        assert_eq!(fits(Thousand, &[[-300.0, 900.0, 900.0, 1000.0], good]), [false, true]);
        // Pixels of the image, all of them.
        assert_eq!(fits(Thousand, &[[500.0, 1100.0, 900.0, 1200.0], good]), [false, false]);
        // No area: nothing is lost with it.
        assert_eq!(fits(Thousand, &[[1000.0, 20.0, 1000.0, 30.0], good]), [true, true]);
    }

    #[test]
    fn shares_are_no_thousandths() {
        let share = [0.1, 0.2, 0.3, 0.4];
        assert_eq!(fits(Thousand, &[share, [0.0, 0.0, 1.0, 1.0]]), [false, false]);
        assert_eq!(fits(Thousand, &[share, [100.0, 200.0, 300.0, 400.0]]), [false, true]);
        // The whole image in shares, and a slip over the edge.
        assert_eq!(fits(Thousand, &[[0.0, 0.0, 1.0, 1.0]]), [false]);
        assert_eq!(
            fits(Thousand, &[[0.0, 0.0, 1.0, 1.0], [100.0, 200.0, 300.0, 400.0]]),
            [true, true]
        );
        assert_eq!(fits(Thousand, &[[0.1, 0.2, 0.3, 1.02]]), [false]);
        assert_eq!(fits(Pixels, &[share]), [false]);
        assert_eq!(fits(One, &[share, [0.0, 0.0, 1.1, 1.0]]), [true, true]);
        assert_eq!(fits(One, &[share, [0.0, 0.0, 100.0, 100.0]]), [true, false]);
        assert_eq!(fits(One, &[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 100.0, 100.0]]), [false, false]);
    }

    fn decide(answers: &[(&[[f64; 4]], u32, u32)]) -> (CoordinateScale, usize) {
        let mut evidence = ScaleEvidence::default();
        for (written, width, height) in answers {
            evidence.add(&boxes(written), CoordinateOrder::Yxyx, *width, *height);
        }
        let Decision { scale, contradictory, .. } = evidence.decide();
        (scale, contradictory)
    }

    #[test]
    fn one_scale_for_all_answers() {
        let thousand: &[[f64; 4]] = &[[100.0, 200.0, 900.0, 1000.0]];
        let share: &[[f64; 4]] = &[[0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 1.0, 1.0]];
        let beyond: &[[f64; 4]] = &[[700.0, 1100.0, 900.0, 1500.0], [10.0, 20.0, 30.0, 40.0]];
        assert_eq!(decide(&[]), (Thousand, 0));
        assert_eq!(decide(&[(thousand, 640, 480), (&[], 640, 480)]), (Thousand, 0));
        assert_eq!(decide(&[(share, 640, 480), (share, 20, 20)]), (One, 0));
        assert_eq!(decide(&[(share, 640, 480), (&[[0.1, 0.2, 0.3, 1.02]], 640, 480)]), (One, 0));
        assert_eq!(decide(&[(share, 640, 480), (thousand, 640, 480)]), (Thousand, 1));
        assert_eq!(decide(&[(beyond, 1600, 1200), (thousand, 1920, 1080)]), (Pixels, 0));
        // Pixels would not fit into the second image.
        assert_eq!(decide(&[(beyond, 1600, 1200), (thousand, 640, 480)]), (Thousand, 1));
        // One answer among many says so.
        let mut many = vec![(thousand, 2000, 1600); 40];
        many.push((beyond, 2000, 1600));
        assert_eq!(decide(&many), (Thousand, 1));
        // A slip is no pixel.
        assert_eq!(decide(&[(&[[500.0, 900.0, 900.0, 1200.0]], 3840, 2880)]), (Thousand, 0));
    }
}
