//! Boxes of several views of one image to one list.
//!
//! In: detections in pixels of the image, each with the view that it was found in. Out: detections.
//! Promises: an object that several views show is one detection; a box that is cut by the edge of a
//! tile is joined with the rest of the object in another view, or dropped, also if its label is
//! another one there; boxes of one view are never joined with each other.
//!
//! Greedy non-maximum merging over the intersection with the smaller area, as in SAHI (Akyon et al.
//! 2022, `GREEDYNMM` with `IOS`), with two differences: of whole boxes the one of the smallest view
//! is kept as it is, since its coordinates are the finest; and halves that are cut at facing edges
//! are joined however little they overlap.

use crate::record::{BBox, Detection};

/// A box this close to the edge of its tile, in thousandths of the tile's side, is cut by it: the
/// grid of the answers is not finer.
const CUT: f64 = 4.0;

/// Wider tolerance: a box this close to an edge may be cut, too, since models locate edges less
/// exactly. It counts as cut only if no other view has the same box and one shows something beyond
/// that edge.
const NEAR: f64 = 50.0;

/// Share of the smaller one's area that such a piece and that object must have in common, whatever
/// their labels: half a circle is easily taken for something else.
const PIECE: f64 = 0.3;

/// Share of the shorter one's extent along the seam that two halves must have in common.
const FACING: f64 = 0.6;

/// A detection, and the view that showed it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// In pixels of the image.
    pub(super) detection: Detection,
    /// In pixels of the image.
    pub(super) view: BBox,
}

/// The result of joining.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Joined {
    /// In the order of the boxes that they began with.
    pub(super) detections: Vec<Detection>,
    /// How many boxes became part of another.
    pub(super) merged: usize,
    /// How many cut boxes were dropped.
    pub(super) dropped: usize,
}

/// Which sides of a box are cut by its view: left, top, right, bottom.
#[derive(Clone, Copy)]
struct Cuts([bool; 4]);

impl Cuts {
    /// Sides that are no farther from the edge than `within` thousandths of the view's side.
    fn of(seen: &Seen, image: BBox, within: f64) -> Self {
        let (bbox, view) = (seen.detection.bbox, seen.view);
        let (near_x, near_y) = (view.width() * within / 1000.0, view.height() * within / 1000.0);
        Self([
            bbox.x0 - view.x0 <= near_x && view.x0 > image.x0,
            bbox.y0 - view.y0 <= near_y && view.y0 > image.y0,
            view.x1 - bbox.x1 <= near_x && view.x1 < image.x1,
            view.y1 - bbox.y1 <= near_y && view.y1 < image.y1,
        ])
    }

    fn any(self) -> bool {
        self.0.contains(&true)
    }
}

/// One object so far.
struct Object {
    /// Index of the box that it began with.
    first: usize,
    detection: Detection,
    cuts: Cuts,
    /// Sides that may be cut, as far as all its boxes say.
    near: Cuts,
    /// Views of the merged boxes; the seed box's view is first.
    views: Vec<BBox>,
}

impl Object {
    /// Whether it is a piece of `whole`, which goes on behind the edge that this one ends at.
    fn is_piece_of(&self, whole: &Self) -> bool {
        let (bbox, view) = (whole.detection.bbox, self.views[0]);
        let beyond = [bbox.x0 < view.x0, bbox.y0 < view.y0, bbox.x1 > view.x1, bbox.y1 > view.y1];
        self.near.0.iter().zip(beyond).any(|(near, beyond)| *near && beyond)
            && bbox.intersection_over_smaller(&self.detection.bbox) >= PIECE
    }
}

/// Joins the boxes that the views of an image of `width` x `height` pixels show. Boxes of one label
/// are one object if their overlap is at least `threshold` of the smaller one's area, or if they
/// are halves that face each other.
pub(super) fn join(seen: Vec<Seen>, width: u32, height: u32, threshold: f64) -> Joined {
    let image = BBox::whole(width, height);
    let with_cuts = |(index, one)| -> (usize, Seen, Cuts) {
        let cuts = Cuts::of(&one, image, CUT);
        (index, one, cuts)
    };
    let mut order: Vec<(usize, Seen, Cuts)> = seen.into_iter().enumerate().map(with_cuts).collect();
    // Whole boxes of the finest view first; then what is cut, largest first, so that pieces gather
    // around the most complete.
    order.sort_by(|(a_index, a, a_cuts), (b_index, b, b_cuts)| {
        let whole = a_cuts.any().cmp(&b_cuts.any());
        let finest = if a_cuts.any() {
            b.detection.bbox.area().total_cmp(&a.detection.bbox.area())
        } else {
            a.view.area().total_cmp(&b.view.area())
        };
        let surest = b.detection.score.unwrap_or(0.0).total_cmp(&a.detection.score.unwrap_or(0.0));
        whole.then(finest).then(surest).then(a_index.cmp(b_index))
    });
    let mut objects: Vec<Object> = Vec::new();
    let mut merged = 0;
    for (index, one, cuts) in order {
        let same = objects.iter_mut().find(|object| {
            object.detection.label == one.detection.label
                && !object.views.contains(&one.view)
                && (object.detection.bbox.intersection_over_smaller(&one.detection.bbox)
                    >= threshold
                    || facing(object.detection.bbox, object.cuts, one.detection.bbox, cuts))
        });
        let near = Cuts::of(&one, image, NEAR);
        if let Some(object) = same {
            merged += 1;
            object.first = object.first.min(index);
            object.views.push(one.view);
            object.near = Cuts(std::array::from_fn(|side| object.near.0[side] && near.0[side]));
            absorb(object, &one, cuts);
        } else {
            objects.push(Object {
                first: index,
                detection: one.detection,
                cuts,
                near,
                views: vec![one.view],
            });
        }
    }
    let all = objects.len();
    objects.retain(|object| !object.cuts.any());
    // Boxes that are surely whole come first, so that one of two possible pieces of each other
    // stays.
    objects.sort_by_key(|object| object.near.any());
    let mut kept: Vec<Object> = Vec::with_capacity(objects.len());
    for object in objects {
        if !kept.iter().any(|whole| object.is_piece_of(whole)) {
            kept.push(object);
        }
    }
    let dropped = all - kept.len();
    kept.sort_by_key(|object| object.first);
    Joined {
        detections: kept.into_iter().map(|object| object.detection).collect(),
        merged,
        dropped,
    }
}

/// A whole object stays as it is; pieces grow to the box around both, and a side is whole as soon
/// as one of them shows it whole.
fn absorb(object: &mut Object, one: &Seen, cuts: Cuts) {
    if !object.cuts.any() {
        return;
    }
    let (before, piece) = (object.detection.bbox, one.detection.bbox);
    let bbox = before.union(&piece);
    let inner = |from: f64, to: f64, size: f64| (from - to).abs() <= size * CUT / 1000.0;
    // The side of the union is cut if it is cut in every piece that reaches it.
    let reach = |a: f64, b: f64, side: usize, size: f64| {
        let (object_reaches, piece_reaches) = match side {
            0 | 1 => (a <= b || inner(a, b, size), b <= a || inner(a, b, size)),
            _ => (a >= b || inner(a, b, size), b >= a || inner(a, b, size)),
        };
        (!object_reaches || object.cuts.0[side]) && (!piece_reaches || cuts.0[side])
    };
    let sides = [
        reach(before.x0, piece.x0, 0, bbox.width()),
        reach(before.y0, piece.y0, 1, bbox.height()),
        reach(before.x1, piece.x1, 2, bbox.width()),
        reach(before.y1, piece.y1, 3, bbox.height()),
    ];
    object.cuts = Cuts(sides);
    object.detection.bbox = bbox;
    if one.detection.score > object.detection.score {
        object.detection.score = one.detection.score;
        object.detection.probabilities = one.detection.probabilities;
    }
}

/// Whether one is cut and the other continues it: at facing sides, with a gap or an overlap, and
/// level with each other.
fn facing(a: BBox, a_cuts: Cuts, b: BBox, b_cuts: Cuts) -> bool {
    let level = |a0: f64, a1: f64, b0: f64, b1: f64| {
        (a1.min(b1) - a0.max(b0)) >= FACING * (a1 - a0).min(b1 - b0)
    };
    let meet = |first_end: f64, second_start: f64, size: f64| {
        second_start <= first_end + size * CUT / 1000.0
    };
    let across = |left: BBox, left_cuts: Cuts, right: BBox, right_cuts: Cuts| {
        left_cuts.0[2]
            && right_cuts.0[0]
            && left.x0 < right.x0
            && meet(left.x1, right.x0, left.width() + right.width())
    };
    let down = |top: BBox, top_cuts: Cuts, bottom: BBox, bottom_cuts: Cuts| {
        top_cuts.0[3]
            && bottom_cuts.0[1]
            && top.y0 < bottom.y0
            && meet(top.y1, bottom.y0, top.height() + bottom.height())
    };
    (level(a.y0, a.y1, b.y0, b.y1)
        && (across(a, a_cuts, b, b_cuts) || across(b, b_cuts, a, a_cuts)))
        || (level(a.x0, a.x1, b.x0, b.x1)
            && (down(a, a_cuts, b, b_cuts) || down(b, b_cuts, a, a_cuts)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: u32 = 1000;
    const HEIGHT: u32 = 500;
    const WHOLE: [f64; 4] = [0.0, 0.0, 1000.0, 500.0];
    const LEFT: [f64; 4] = [0.0, 0.0, 550.0, 500.0];
    const RIGHT: [f64; 4] = [450.0, 0.0, 1000.0, 500.0];

    fn seen(label: &str, bbox: [f64; 4], view: [f64; 4]) -> Seen {
        Seen { detection: Detection::new(label.to_owned(), bbox.into()), view: view.into() }
    }

    fn boxes(seen: Vec<Seen>) -> Vec<[f64; 4]> {
        join(seen, WIDTH, HEIGHT, 0.5)
            .detections
            .iter()
            .map(|detection| detection.bbox.into())
            .collect()
    }

    #[test]
    fn seen_by_all_it_is_one_and_the_finest_stays() {
        let tile = [460.0, 100.0, 520.0, 160.0];
        let found = vec![
            seen("cat", [455.0, 95.0, 525.0, 165.0], WHOLE),
            seen("cat", tile, LEFT),
            seen("cat", [462.0, 101.0, 521.0, 161.0], RIGHT),
        ];
        assert_eq!(boxes(found), [tile]);
    }

    #[test]
    fn halves_are_joined() {
        // Larger than the overlap: cut in both tiles, by facing edges.
        let halves = vec![
            seen("bus", [200.0, 100.0, 550.0, 300.0], LEFT),
            seen("bus", [450.0, 110.0, 800.0, 295.0], RIGHT),
        ];
        assert_eq!(boxes(halves), [[200.0, 100.0, 800.0, 300.0]]);
        // Of one the neighbour shows all: the whole box stays.
        let whole = [470.0, 100.0, 600.0, 200.0];
        assert_eq!(
            boxes(vec![seen("cat", [470.0, 101.0, 550.0, 199.0], LEFT), seen("cat", whole, RIGHT)]),
            [whole]
        );
    }

    #[test]
    fn a_half_without_the_rest_is_dropped() {
        let half = vec![
            seen("cat", [500.0, 100.0, 549.0, 200.0], LEFT),
            seen("dog", [470.0, 100.0, 600.0, 200.0], RIGHT),
        ];
        let joined = join(half, WIDTH, HEIGHT, 0.5);
        assert_eq!((joined.detections.len(), joined.merged, joined.dropped), (1, 0, 1));
        // So is a box that ends near the edge, whatever its label, if a neighbour shows more of it;
        // otherwise it stays.
        let piece = seen("square", [500.0, 100.0, 540.0, 200.0], LEFT);
        let circle = seen("circle", [502.0, 100.0, 600.0, 200.0], RIGHT);
        assert_eq!(boxes(vec![piece.clone(), circle.clone()]), [[502.0, 100.0, 600.0, 200.0]]);
        assert_eq!(boxes(vec![piece.clone()]).len(), 1);
        let confirmed = seen("square", [500.0, 100.0, 541.0, 200.0], RIGHT);
        assert_eq!(boxes(vec![piece.clone(), circle, confirmed]).len(), 2);
        // Something behind it that does not leave the tile is something else.
        assert_eq!(boxes(vec![piece, seen("circle", [455.0, 90.0, 545.0, 210.0], RIGHT)]).len(), 2);
        // The edge of the image cuts nothing.
        assert_eq!(boxes(vec![seen("cat", [0.0, 0.0, 50.0, 50.0], LEFT)]).len(), 1);
        assert_eq!(boxes(vec![seen("cat", WHOLE, WHOLE)]).len(), 1);
    }

    /// Two tiles, one above the other.
    const TOP: [f64; 4] = [0.0, 0.0, 1000.0, 275.0];
    const BOTTOM: [f64; 4] = [0.0, 225.0, 1000.0, 500.0];

    #[test]
    fn halves_over_a_horizontal_seam_are_joined() {
        let upper = seen("bus", [200.0, 50.0, 400.0, 275.0], TOP);
        let lower = seen("bus", [205.0, 225.0, 402.0, 450.0], BOTTOM);
        for halves in [vec![upper.clone(), lower.clone()], vec![lower.clone(), upper.clone()]] {
            assert_eq!(boxes(halves), [[200.0, 50.0, 402.0, 450.0]]);
        }
        // Each alone is half of an object that no view shows.
        assert!(boxes(vec![upper.clone()]).is_empty() && boxes(vec![lower]).is_empty());
        // The other way round, the two open sides do not face each other.
        let away = seen("bus", [200.0, 0.0, 400.0, 275.0], TOP);
        let beside = seen("bus", [600.0, 225.0, 800.0, 450.0], BOTTOM);
        assert!(boxes(vec![away, beside]).is_empty());
    }

    #[test]
    fn an_object_over_nine_tiles_is_one() {
        // Tiles of 400 x 200 every 300 x 150: an object from (250, 120) to (760, 390) lies on all
        // nine.
        let object: [f64; 4] = [250.0, 120.0, 760.0, 390.0];
        let starts = |step: f64| [0.0, step, 2.0 * step];
        let tiles: Vec<[f64; 4]> = starts(150.0)
            .into_iter()
            .flat_map(|y| starts(300.0).map(|x| [x, y, x + 400.0, y + 200.0]))
            .collect();
        let pieces: Vec<Seen> = tiles
            .iter()
            .map(|view| {
                let [x0, y0, x1, y1] = object;
                seen(
                    "ship",
                    [x0.max(view[0]), y0.max(view[1]), x1.min(view[2]), y1.min(view[3])],
                    *view,
                )
            })
            .collect();
        assert_eq!(pieces.len(), 9);
        let joined = join(pieces.clone(), WIDTH, HEIGHT, 0.5);
        assert_eq!(
            joined.detections.iter().map(|one| one.bbox.into()).collect::<Vec<[f64; 4]>>(),
            [object]
        );
        assert_eq!((joined.merged, joined.dropped), (8, 0));
        // Without the three tiles at the right, its right side is not known, and it is no box.
        let known: Vec<Seen> = pieces.into_iter().filter(|piece| piece.view.x0 < 600.0).collect();
        let joined = join(known, WIDTH, HEIGHT, 0.5);
        assert_eq!((joined.detections.len(), joined.merged, joined.dropped), (0, 5, 1));
    }

    #[test]
    fn halves_are_joined_if_they_are_level_and_meet() {
        let half = |y0: f64, y1: f64, end: f64| seen("bus", [200.0, y0, end, y1], LEFT);
        let rest = |start: f64| seen("bus", [start, 100.0, 800.0, 200.0], RIGHT);
        // 60 of the shorter one's 100 pixels along the seam are enough.
        assert_eq!(boxes(vec![half(40.0, 160.0, 550.0), rest(450.0)]).len(), 1);
        assert_eq!(boxes(vec![half(40.0, 159.0, 550.0), rest(450.0)]).len(), 0);
        // A side within 4 thousandths of the tile's width (2.2 pixels) of its edge is cut; farther
        // away it is whole.
        assert_eq!(
            boxes(vec![half(100.0, 200.0, 548.0), rest(451.9)]),
            [[200.0, 100.0, 800.0, 200.0]]
        );
        assert_eq!(boxes(vec![half(100.0, 200.0, 547.0)]), [[200.0, 100.0, 547.0, 200.0]]);
        assert_eq!(boxes(vec![half(100.0, 200.0, 548.0)]).len(), 0);
    }

    #[test]
    fn a_piece_ends_near_the_edge_and_lies_on_the_whole_object() {
        // 50 thousandths of the tile's width are 27.5 pixels.
        let piece = |end: f64| seen("square", [430.0, 100.0, end, 200.0], LEFT);
        let whole = || seen("circle", [480.0, 100.0, 650.0, 200.0], RIGHT);
        assert_eq!(boxes(vec![piece(523.0), whole()]).len(), 1);
        assert_eq!(boxes(vec![piece(522.0), whole()]).len(), 2);
        // Three tenths of the piece's area are enough to be a part of it.
        let below = |y0: f64| seen("circle", [480.0, y0, 650.0, 300.0], RIGHT);
        let narrow = || seen("square", [485.0, 100.0, 530.0, 200.0], LEFT);
        assert_eq!(boxes(vec![narrow(), below(169.0)]).len(), 1);
        assert_eq!(boxes(vec![narrow(), below(171.0)]).len(), 2);
        // So it is above and below a seam.
        let upper = seen("square", [100.0, 100.0, 200.0, 265.0], TOP);
        let lower = seen("circle", [100.0, 230.0, 200.0, 400.0], BOTTOM);
        let beyond = seen("circle", [100.0, 150.0, 200.0, 400.0], WHOLE);
        assert_eq!(boxes(vec![upper.clone(), beyond]), [[100.0, 150.0, 200.0, 400.0]]);
        assert_eq!(boxes(vec![upper, lower]).len(), 2, "20 of 165 pixels in common are too few");
    }

    #[test]
    fn a_joined_box_has_the_better_score() {
        let with = |mut one: Seen, score: f64| {
            one.detection.score = Some(score);
            one
        };
        let left = || seen("bus", [200.0, 100.0, 550.0, 300.0], LEFT);
        let right = || seen("bus", [450.0, 100.0, 800.0, 300.0], RIGHT);
        for (first, second) in [(0.2, 0.7), (0.7, 0.2)] {
            let joined = join(vec![with(left(), first), with(right(), second)], WIDTH, HEIGHT, 0.5);
            assert_eq!(joined.detections[0].score, Some(0.7));
        }
        // Of whole boxes of equally fine views, the one with the best score stays.
        let whole = |x0: f64, view| seen("cat", [x0, 100.0, 540.0, 200.0], view);
        let joined = join(
            vec![with(whole(460.0, LEFT), 0.3), with(whole(461.0, RIGHT), 0.6)],
            WIDTH,
            HEIGHT,
            0.5,
        );
        assert_eq!((joined.detections.len(), joined.detections[0].bbox.x0), (1, 461.0));
    }

    #[test]
    fn neighbours_stay_apart() {
        // Two in one tile, and one sloppy box around both in the whole image.
        let found = vec![
            seen("cat", [100.0, 100.0, 260.0, 200.0], WHOLE),
            seen("cat", [100.0, 100.0, 180.0, 200.0], LEFT),
            seen("cat", [180.0, 100.0, 260.0, 200.0], LEFT),
        ];
        assert_eq!(boxes(found).len(), 2);
        // Of one view, one inside the other: both stay.
        let nested = vec![
            seen("cat", [100.0, 100.0, 300.0, 300.0], LEFT),
            seen("cat", [150.0, 150.0, 200.0, 200.0], LEFT),
        ];
        assert_eq!(boxes(nested).len(), 2);
    }

    #[test]
    fn an_edge_cuts_what_ends_within_a_pixel_of_it_above_and_below_too() {
        // 4 thousandths of the tile's height are 1.1 pixels, 50 are 13.75.
        let upper = |y1: f64| vec![seen("bus", [200.0, 50.0, 400.0, y1], TOP)];
        assert_eq!((boxes(upper(274.0)).len(), boxes(upper(273.5)).len()), (0, 1));
        assert_eq!(boxes(upper(255.0)).len(), 1);
        let lower = |y0: f64| vec![seen("bus", [200.0, y0, 400.0, 450.0], BOTTOM)];
        assert_eq!((boxes(lower(226.0)).len(), boxes(lower(226.5)).len()), (0, 1));
        assert_eq!(boxes(lower(245.0)).len(), 1);
        let right = |x0: f64| vec![seen("bus", [x0, 100.0, 800.0, 200.0], RIGHT)];
        assert_eq!((boxes(right(452.0)).len(), boxes(right(453.0)).len()), (0, 1));
    }

    #[test]
    fn a_piece_is_one_only_if_the_other_goes_on_behind_its_edge() {
        // Each ends near the edge of its tile; what lies over it begins, or ends, right at that
        // edge, or a pixel behind it.
        let at_the_edge = |piece: [f64; 4], tile: [f64; 4], side: usize, behind: f64| {
            let mut other: [f64; 4] = [300.0, 100.0, 700.0, 400.0];
            let left = |edge: f64| {
                other[side] = edge;
                boxes(vec![seen("square", piece, tile), seen("circle", other, WHOLE)]).len()
            };
            [tile[side], tile[side] + behind].map(left)
        };
        assert_eq!(at_the_edge([460.0, 200.0, 600.0, 300.0], RIGHT, 0, -1.0), [2, 1]);
        assert_eq!(at_the_edge([400.0, 230.0, 600.0, 300.0], BOTTOM, 1, -1.0), [2, 1]);
        assert_eq!(at_the_edge([400.0, 200.0, 540.0, 300.0], LEFT, 2, 1.0), [2, 1]);
        assert_eq!(at_the_edge([400.0, 150.0, 600.0, 270.0], TOP, 3, 1.0), [2, 1]);
    }

    #[test]
    fn level_is_measured_by_the_shorter_one_whichever_is_larger() {
        // Here the larger one is the shorter one along the seam.
        let long = |y0: f64, y1: f64| seen("bus", [150.0, y0, 550.0, y1], LEFT);
        let tall = || seen("bus", [450.0, 40.0, 600.0, 160.0], RIGHT);
        assert_eq!(boxes(vec![long(100.0, 200.0), tall()]), [[150.0, 40.0, 600.0, 200.0]]);
        assert!(boxes(vec![long(101.0, 201.0), tall()]).is_empty());
        let long = |x0: f64, x1: f64| seen("bus", [x0, 20.0, x1, 275.0], TOP);
        let wide = || seen("bus", [40.0, 225.0, 160.0, 350.0], BOTTOM);
        assert_eq!(boxes(vec![long(100.0, 200.0), wide()]), [[40.0, 20.0, 200.0, 350.0]]);
        assert!(boxes(vec![long(101.0, 201.0), wide()]).is_empty());
    }

    #[test]
    fn halves_may_have_a_gap_of_some_thousandths_of_their_extent() {
        let (left, right) = ([0.0, 0.0, 500.0, 500.0], [500.0, 0.0, 1000.0, 500.0]);
        // Together they are 600 pixels long: the gap may be 2.4 pixels.
        let across = |start: f64| {
            let first = seen("bus", [198.5, 100.0, 498.5, 300.0], left);
            join(
                vec![first, seen("bus", [start, 100.0, start + 300.0, 300.0], right)],
                WIDTH,
                HEIGHT,
                0.5,
            )
        };
        assert_eq!(across(500.8).detections[0].bbox, [198.5, 100.0, 800.8, 300.0].into());
        assert_eq!((across(501.0).detections.len(), across(501.0).dropped), (0, 2));
        let (top, bottom) = ([0.0, 0.0, 1000.0, 250.0], [0.0, 250.0, 1000.0, 500.0]);
        // Together they are 300 pixels high: the gap may be 1.2 pixels.
        let down = |start: f64| {
            let first = seen("bus", [100.0, 99.5, 300.0, 249.5], top);
            join(
                vec![first, seen("bus", [100.0, start, 300.0, start + 150.0], bottom)],
                WIDTH,
                HEIGHT,
                0.5,
            )
        };
        assert_eq!(down(250.6).detections[0].bbox, [100.0, 99.5, 300.0, 400.6].into());
        assert_eq!((down(250.8).detections.len(), down(250.8).dropped), (0, 2));
    }

    #[test]
    fn halves_are_both_cut_where_they_meet_and_neither_is_joined_with_a_whole_object() {
        let counts = |found: Vec<Seen>| {
            let joined = join(found, WIDTH, HEIGHT, 0.5);
            (joined.detections.len(), joined.merged, joined.dropped)
        };
        // Level with each other and meeting, but one of them ends before the seam.
        let cut = [
            (
                seen("bus", [200.0, 100.0, 550.0, 300.0], LEFT),
                seen("bus", [540.0, 100.0, 800.0, 300.0], RIGHT),
            ),
            (
                seen("bus", [200.0, 100.0, 460.0, 300.0], LEFT),
                seen("bus", [450.0, 100.0, 800.0, 300.0], RIGHT),
            ),
            (
                seen("bus", [200.0, 20.0, 400.0, 275.0], TOP),
                seen("bus", [200.0, 255.0, 400.0, 450.0], BOTTOM),
            ),
            (
                seen("bus", [200.0, 20.0, 400.0, 245.0], TOP),
                seen("bus", [200.0, 225.0, 400.0, 450.0], BOTTOM),
            ),
        ];
        for (one, other) in cut {
            assert_eq!(counts(vec![one.clone(), other.clone()]), (1, 0, 1), "{one:?} {other:?}");
            assert_eq!(counts(vec![other, one]), (1, 0, 1));
        }
        // Level and far apart, and whole.
        let apart = vec![
            seen("cat", [50.0, 50.0, 90.0, 90.0], LEFT),
            seen("cat", [700.0, 50.0, 740.0, 90.0], RIGHT),
        ];
        assert_eq!(counts(apart), (2, 0, 0));
        let above = vec![
            seen("cat", [50.0, 50.0, 90.0, 90.0], TOP),
            seen("cat", [50.0, 400.0, 90.0, 440.0], BOTTOM),
        ];
        assert_eq!(counts(above), (2, 0, 0));
        // Facing and meeting, but beside each other.
        let shifted = vec![
            seen("bus", [200.0, 50.0, 400.0, 275.0], TOP),
            seen("bus", [290.0, 225.0, 490.0, 450.0], BOTTOM),
        ];
        assert_eq!(counts(shifted), (0, 0, 2));
    }

    /// A tile over both of them.
    const MIDDLE: [f64; 4] = [300.0, 0.0, 700.0, 500.0];

    #[test]
    fn a_side_is_whole_where_one_of_the_pieces_that_reach_it_shows_it_whole() {
        // The edge of the right tile cuts the object near its left end; the tile in the middle
        // shows that end. 4 thousandths of the object's 350 pixels are 1.4.
        let large = || seen("bus", [450.0, 100.0, 800.0, 300.0], RIGHT);
        let small = |x0: f64| seen("bus", [x0, 100.0, 700.0, 300.0], MIDDLE);
        assert_eq!(boxes(vec![large(), small(451.0)]), [[450.0, 100.0, 800.0, 300.0]]);
        // What begins 3 pixels later does not reach that side.
        assert!(boxes(vec![large(), small(453.0)]).is_empty());
        assert_eq!(boxes(vec![large(), small(449.0)]), [[449.0, 100.0, 800.0, 300.0]]);
        // So it is with the right end.
        let large = || seen("bus", [200.0, 100.0, 550.0, 300.0], LEFT);
        let small = |x1: f64| seen("bus", [300.0, 100.0, x1, 300.0], MIDDLE);
        assert_eq!(boxes(vec![large(), small(549.0)]), [[200.0, 100.0, 550.0, 300.0]]);
        assert!(boxes(vec![large(), small(547.0)]).is_empty());
        assert_eq!(boxes(vec![large(), small(551.0)]), [[200.0, 100.0, 551.0, 300.0]]);
        // The larger one shows the end, and the smaller one is cut a pixel before or behind it.
        let large = || seen("bus", [449.0, 100.0, 700.0, 300.0], MIDDLE);
        for x0 in [448.2, 449.8] {
            let small = seen("bus", [x0, 100.0, 800.0, 200.0], [x0, 0.0, 1000.0, 500.0]);
            assert_eq!(boxes(vec![large(), small]).len(), 1, "{x0}");
        }
        let large = || seen("bus", [300.0, 100.0, 551.0, 300.0], MIDDLE);
        for x1 in [550.2, 551.8] {
            let small = seen("bus", [200.0, 100.0, x1, 200.0], [0.0, 0.0, x1, 500.0]);
            assert_eq!(boxes(vec![large(), small]).len(), 1, "{x1}");
        }
    }

    #[test]
    fn two_that_begin_at_one_place_do_not_face_each_other() {
        // Under a high threshold, what they have in common does not join them either.
        let across = vec![
            seen("bus", [450.0, 100.0, 550.0, 200.0], LEFT),
            seen("bus", [450.0, 120.0, 800.0, 220.0], RIGHT),
        ];
        assert_eq!(join(across, WIDTH, HEIGHT, 0.9).merged, 0);
        let down = vec![
            seen("bus", [100.0, 225.0, 200.0, 275.0], TOP),
            seen("bus", [120.0, 225.0, 220.0, 450.0], BOTTOM),
        ];
        assert_eq!(join(down, WIDTH, HEIGHT, 0.9).merged, 0);
    }

    #[test]
    fn of_equal_scores_the_larger_piece_says_how_sure_each_part_is() {
        let with = |mut one: Seen, label: f64| {
            one.detection.score = Some(0.5);
            one.detection.probabilities =
                Some(crate::record::Probabilities { coordinates: 0.5, label: Some(label) });
            one
        };
        let larger = with(seen("bus", [200.0, 100.0, 550.0, 300.0], LEFT), 0.9);
        let smaller = with(seen("bus", [450.0, 100.0, 700.0, 300.0], RIGHT), 0.8);
        let joined = join(vec![smaller, larger], WIDTH, HEIGHT, 0.5);
        assert_eq!(joined.detections[0].probabilities.and_then(|one| one.label), Some(0.9));
    }
}
