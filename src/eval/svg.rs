//! Curves as SVG.
//!
//! In: numbers from 0 to 1. Out: `<svg>` elements that need nothing else. Promises: they hold no
//! text but numbers and the words of this file, so that nothing in them has to be escaped.

use std::fmt::Write as _;

use super::Reliability;

/// Side of the plotted square, in SVG's units.
const SIDE: f64 = 200.0;
/// Room for the axes' numbers.
const MARGIN: f64 = 34.0;

/// A precision-recall curve at recalls 0, 0.01, ... 1, as COCO draws it, with a dot at `best`
/// (recall and precision).
pub(super) fn precision_recall(precision: &[f64], best: Option<(f64, f64)>) -> String {
    let last = precision.len().saturating_sub(1).max(1) as f64;
    let points: Vec<String> = precision
        .iter()
        .enumerate()
        .map(|(r, p)| format!("{:.1},{:.1}", x(r as f64 / last), y(*p)))
        .collect();
    let mut inside = format!("<polyline class=\"curve\" points=\"{}\"/>", points.join(" "));
    if let Some((recall, precision)) = best {
        let _ = write!(
            inside,
            "<circle class=\"best\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>",
            x(recall),
            y(precision)
        );
    }
    frame("recall", "precision", &inside)
}

/// The share of right detections in every bin; on the diagonal if scores are probabilities.
pub(super) fn reliability(reliability: &Reliability) -> String {
    let mut inside = format!(
        "<line class=\"grid\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        x(0.0),
        y(0.0),
        x(1.0),
        y(1.0)
    );
    for bin in &reliability.bins {
        // The area of a dot is its bin's part of the detections.
        let radius = 2.0 + 12.0 * (bin.count as f64 / reliability.detections.max(1) as f64).sqrt();
        let _ = write!(
            inside,
            "<circle class=\"bin\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\"><title>{} \
             detections</title></circle>",
            x(bin.score),
            y(bin.right),
            bin.count
        );
    }
    frame("score", "right", &inside)
}

fn frame(across: &str, up: &str, inside: &str) -> String {
    let size = SIDE + 2.0 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" role=\"img\" \
         aria-label=\"{up} over {across}\">"
    );
    for step in 0..=5 {
        let part = f64::from(step) / 5.0;
        let (left, right, top, bottom) = (x(0.0), x(1.0), y(1.0), y(0.0));
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{left}\" y1=\"{py:.1}\" x2=\"{right}\" y2=\"{py:.1}\"/>\
             <line class=\"grid\" x1=\"{px:.1}\" y1=\"{top}\" x2=\"{px:.1}\" y2=\"{bottom}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{part:.1}</text>\
             <text x=\"{px:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{part:.1}</text>",
            left - 4.0,
            y(part) + 3.0,
            bottom + 12.0,
            py = y(part),
            px = x(part),
        );
    }
    let _ = write!(
        svg,
        "{inside}<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{across}</text>\
         <text x=\"{:.1}\" y=\"{:.1}\">{up}</text></svg>",
        x(0.5),
        size - 6.0,
        4.0,
        MARGIN - 12.0
    );
    svg
}

fn x(part: f64) -> f64 {
    MARGIN + SIDE * part
}

fn y(part: f64) -> f64 {
    MARGIN + SIDE * (1.0 - part)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_curve_ends_where_its_numbers_say() {
        let svg = super::precision_recall(&[1.0, 0.5, 0.0], Some((0.5, 0.5)));
        assert!(svg.contains("points=\"34.0,34.0 134.0,134.0 234.0,234.0\""), "{svg}");
        assert!(svg.contains("cx=\"134.0\" cy=\"134.0\""));
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
        assert!(super::precision_recall(&[], None).contains("points=\"\""));
    }
}
